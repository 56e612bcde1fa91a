//! Ctrl-C, SIGTERM and SIGHUP.

use pelton_tests::{Dir, guest, pelton};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

#[test]
fn sigterm_settles_all_that_was_read() {
    let dir = Dir::new();
    let config = dir.write(
        "endless.yaml",
        format!(
            "streams:\n  \
               made: {{ from: {{ generate: {{ rate: 5000/s, size: 16B }} }} }}\n  \
               out: {{ to: {{ file: {}, format: json }} }}\n\
             handlers: {{ echo: {{ module: {}, stream: made, output: out }} }}\n",
            dir.path("out.ndjson").display(),
            guest("echo").display()
        ),
    );
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    running.until("500 messages", || (dir.lines("out.ndjson").len() > 500).then_some(()));
    running.signal("TERM");
    let ended = running.end().expect(0);
    let numbers: Vec<u64> = dir.json("out.ndjson").iter().map(|m| m["headers"]["n"].as_u64().unwrap()).collect();
    let count = numbers.len() as u64;
    assert_eq!(ended.row("echo"), [count, count, 0, 0, 0]);
    assert!(numbers.iter().copied().eq(1..=count), "some are missing, twice there or out of order");
}

#[test]
fn sigterm_lets_what_is_inside_be_handled() {
    let dir = Dir::new();
    dir.write("in.txt", "sleep 5\n".repeat(200));
    let config = dir.write(
        "backlog.yaml",
        format!(
            "streams:\n  \
               in: {{ from: {{ file: {dir}/in.txt, follow: true }} }}\n  \
               out: {{ to: {{ file: {dir}/out.txt }} }}\n\
             handlers: {{ slow: {{ module: {}, stream: in, output: out }} }}\n",
            guest("misbehave").display(),
            dir = dir.root().display(),
        ),
    );
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    running.until("the first message", || (!dir.lines("out.txt").is_empty()).then_some(()));
    running.signal("TERM");
    assert_eq!(running.end().expect(0).row("slow"), [200, 200, 0, 0, 0]);
    assert_eq!(dir.lines("out.txt").len(), 200);
}

/// A handler that is inside a call for ten minutes.
fn stuck(dir: &Dir, shutdown_timeout: &str) -> PathBuf {
    dir.write("in.txt", "log begun\nsleep 600000\n");
    dir.write(
        "stuck.yaml",
        format!(
            "shutdown_timeout: {shutdown_timeout}\n\
             streams: {{ in: {{ from: {{ file: {}, follow: true }} }}, out: {{ to: stdout }} }}\n\
             handlers: {{ stuck: {{ module: {}, stream: in, output: out, limits: {{ deadline: 20m }} }} }}\n",
            dir.path("in.txt").display(),
            guest("misbehave").display()
        ),
    )
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let dir = Dir::new();
    let config = stuck(&dir, "20m");
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    running.says("begun");
    running.signal("INT");
    running.says("stopping");
    running.signal("INT");
    running.end().expect(130);
}

#[test]
fn what_does_not_end_in_time_is_given_up() {
    let dir = Dir::new();
    let config = stuck(&dir, "100ms");
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    running.says("begun");
    running.until("the first message", || running.stdout().contains("log begun").then_some(()));
    running.signal("TERM");
    let ended = running.end().expect(1);
    assert!(ended.stderr.contains("1 messages were not settled within shutdown_timeout"), "{}", ended.stderr);
}

#[test]
fn sighup_looks_at_the_modules() {
    let dir = Dir::new();
    // The watch sees the directory that the configuration names; what happens behind a link elsewhere, only a look tells.
    let elsewhere = Dir::new();
    let old = std::fs::read(guest("stamp")).unwrap();
    elsewhere.write("stamp.wasm", &old);
    symlink(elsewhere.path("stamp.wasm"), dir.path("stamp.wasm")).unwrap();
    let config = dir.write(
        "hangup.yaml",
        format!(
            "streams: {{ made: {{ from: {{ generate: {{ rate: 100/s }} }} }}, out: {{ to: {{ stdout: {{ format: json }} }} }} }}\n\
             handlers: {{ stamp: {{ module: {}, stream: made, output: out, reload: {{ poll: 1h }} }} }}\n",
            dir.path("stamp.wasm").display()
        ),
    );
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    running.until("the old code", || running.stdout().contains("PELTON-STAMP-000").then_some(()));
    elsewhere.replace("stamp.wasm", crate::reload::stamped(&old, b"PELTON-STAMP-001"));
    running.signal("HUP");
    running.until("the new code", || running.stdout().contains("PELTON-STAMP-001").then_some(()));
    running.signal("TERM");
    running.end().expect(0);
}
