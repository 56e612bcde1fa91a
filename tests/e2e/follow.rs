//! A followed file: it grows, is rotated, is cut.

use pelton_tests::{Dir, pelton};
use std::fs;

#[test]
fn every_line_of_a_followed_file_arrives() {
    let dir = Dir::new();
    dir.write("log", "first\nsecond\n");
    let config = dir.write(
        "follow.yaml",
        format!(
            "streams: {{ log: {{ from: {{ file: {dir}/log, follow: true }}, to: {{ file: {dir}/out }} }} }}\n",
            dir = dir.root().display()
        ),
    );
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    let mut expected: Vec<String> = Vec::new();
    let mut arrived = |lines: &[&str]| {
        expected.extend(lines.iter().map(|line| (*line).to_owned()));
        let what = format!("the lines up to '{}'", lines[lines.len() - 1]);
        running.until(&what, || (dir.lines("out").len() >= expected.len()).then_some(()));
        assert_eq!(dir.lines("out"), expected);
    };
    arrived(&["first", "second"]);

    dir.append("log", "third\nfour");
    arrived(&["third"]);
    dir.append("log", "th\n");
    arrived(&["fourth"]);

    // Rotated as logrotate does: a writer may still finish a line in the old file.
    fs::rename(dir.path("log"), dir.path("log.1")).unwrap();
    dir.append("log.1", "last line of the old\nand a rest");
    dir.append("log", "first of the new\n");
    arrived(&["last line of the old", "and a rest", "first of the new"]);
    dir.append("log", "second of the new\n");
    arrived(&["second of the new"]);

    // Cut, as logrotate's copytruncate does.
    dir.write("log", "after the cut\n");
    arrived(&["after the cut"]);
    dir.append("log", "end\n");
    arrived(&["end"]);

    running.signal("TERM");
    running.end().expect(0);
}
