//! `pelton dead`.

use pelton_tests::{Dir, Ended, Pelton, guest, pelton};
use serde_json::Value;
use std::fs;

/// Two handlers on one stream: `first`, whose code is in a file of the test's own, and `second`, which echoes.
struct Rig {
    dir: Dir,
    config: String,
}

impl Rig {
    fn new() -> Rig {
        let dir = Dir::new();
        fs::copy(guest("quake-alert"), dir.path("first.wasm")).unwrap();
        let at = dir.root().display();
        let config = dir.write(
            "dead.yaml",
            format!(
                "streams:\n  \
                   in: {{ from: stdin, storage: {{ type: disk, path: {at}/in }} }}\n  \
                   dead: {{ storage: {{ type: disk, path: {at}/dead }} }}\n  \
                   one: {{ to: {{ file: {at}/one, format: json }} }}\n  \
                   two: {{ to: {{ file: {at}/two }} }}\n\
                 handlers:\n  \
                   first: {{ module: {at}/first.wasm, stream: in, output: one, dead_letter: dead, config: {{ min_magnitude: \"1\" }} }}\n  \
                   second: {{ module: {echo}, stream: in, output: two }}\n",
                echo = guest("echo").display()
            ),
        );
        let config = config.to_str().unwrap().to_owned();
        Rig { dir, config }
    }

    fn run(&self, stdin: &str) -> Ended {
        pelton(["run", &self.config, "--exit-when-done"]).stdin(stdin).run().expect(0)
    }

    fn dead(&self, command: &str, arguments: &[&str]) -> Ended {
        self.command(command, arguments).run()
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Pelton {
        pelton(["dead", command, "dead"].iter().chain(arguments).chain(&["--config", &self.config]))
    }

    fn listed(&self) -> Vec<Value> {
        let listed = self.dead("list", &["--format", "json"]).expect(0);
        listed.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn letters_are_listed_shown_redriven_and_purged() {
    let rig = Rig::new();
    assert!(rig.dead("list", &[]).expect(2).stderr.contains("there is no log in"));
    let ran = rig.run("a\nb\nc\nd\n");
    assert_eq!((ran.row("first"), ran.row("second")), ([4, 0, 0, 4, 0], [4, 4, 0, 0, 0]));

    let listed = rig.dead("list", &[]).expect(0);
    let lines = listed.lines();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["sequence", "time", "handler", "attempts", "why", "from", "reason"]);
    assert_eq!(lines.len(), 5);
    for (i, line) in lines[1..].iter().enumerate() {
        let words = words(line);
        assert!(words[1].starts_with("20") && words[1].ends_with('Z'), "{line}");
        let row = [&words[0], &words[2], &words[3], &words[4], &words[5]];
        let seq = (i + 1).to_string();
        assert_eq!(row, [seq.as_str(), "first", "1", "rejected", &format!("in:{seq}")], "{line}");
        assert!(line.contains("expected value at line 1") || line.contains("expected ident at line 1"), "{line}");
    }
    assert_eq!(rig.dead("list", &["--handler", "second"]).expect(0).lines(), ["no dead letters"]);
    assert_eq!(rig.dead("list", &["--seq", "2..3", "--why", "rejected"]).expect(0).lines().len(), 3);
    assert_eq!(rig.dead("list", &["--older-than", "1h"]).expect(0).lines(), ["no dead letters"]);
    assert_eq!(rig.dead("list", &["--newer-than", "1h", "--limit", "2"]).expect(0).lines().len(), 3);

    let shown = rig.dead("show", &["3"]).expect(0);
    let lines = shown.lines();
    assert_eq!((lines[0], lines[lines.len() - 2], lines[lines.len() - 1]), ("sequence                3", "", "c"));
    assert!(lines.iter().any(|line| words(line) == ["pelton-dead-count", "1"]), "{lines:?}");
    let missing = rig.dead("show", &["9"]).expect(2).stderr;
    assert!(missing.contains("no dead letter 9"), "{missing}");

    // Nothing is put back before it is wanted.
    let dry = rig.dead("redrive", &["--seq", "1..2", "--dry-run"]).expect(0);
    let would = ["1: to in, for first", "2: to in, for first", "2 would be redriven, 0 left; nothing was changed"];
    assert_eq!(dry.lines(), would);
    assert_eq!(rig.listed().len(), 4);

    // Still bad code: it dies again, once more with its history, and the other reader does not see it.
    let first_time = rig.listed()[0]["first"].clone();
    let redriven = rig.dead("redrive", &["--seq", "1"]).expect(0);
    assert_eq!(redriven.lines(), ["1: to in, for first", "1 redriven, 0 left"]);
    let ran = rig.run("");
    assert_eq!((ran.row("first"), ran.row("second")), ([1, 0, 0, 1, 0], [0; 5]));
    let listed = rig.listed();
    let sequences: Vec<_> = listed.iter().map(|letter| letter["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [2, 3, 4, 5]);
    assert_eq!((&listed[3]["deaths"], &listed[3]["first"]), (&2.into(), &first_time));
    assert_eq!((&listed[3]["stream_sequence"], &listed[0]["deaths"]), (&5.into(), &1.into()));

    // Better code: all are done with, and only by it.
    rig.dir.replace("first.wasm", fs::read(guest("echo")).unwrap());
    assert_eq!(rig.dead("redrive", &["--seq", "3..5"]).expect(0).lines()[3], "3 redriven, 0 left");
    let ran = rig.run("");
    assert_eq!((ran.row("first"), ran.row("second")), ([3, 3, 0, 0, 0], [0; 5]));
    let one = rig.dir.json("one");
    let bodies: Vec<_> = one.iter().map(|output| output["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["c", "d", "a"]);
    assert!(one.iter().all(|output| output["headers"].get("pelton-redriven-for").is_none()), "{one:?}");
    assert_eq!(rig.dir.lines("two").len(), 4, "the other reader had each once");

    // What nobody wants is given up, but not by mistake.
    let asked = rig.dead("purge", &[]).expect(2).stderr;
    assert!(asked.contains("all 1 dead letters of stream 'dead'") && asked.contains("--yes"), "{asked}");
    assert_eq!(rig.dead("purge", &["--dry-run"]).expect(0).lines(), ["1 would be purged; nothing was changed"]);
    assert_eq!(rig.listed().len(), 1);
    assert_eq!(rig.dead("purge", &["--yes"]).expect(0).lines(), ["1 purged"]);
    assert_eq!(rig.dead("list", &[]).expect(0).lines(), ["no dead letters"]);
}

#[test]
fn a_host_that_runs_is_named_and_what_has_no_way_back_is_left() {
    let rig = Rig::new();
    rig.run("a\nb\n");
    // Another handler has its name now.
    let config = fs::read_to_string(&rig.config).unwrap();
    fs::write(&rig.config, config.replace("  first: {", "  renamed: {")).unwrap();
    let left = rig.dead("redrive", &["--limit", "1"]).expect(1);
    assert!(
        left.stderr.contains("1: left: handler 'first', which gave up on it, does not read stream 'in'"),
        "{}",
        left.stderr
    );
    assert_eq!((left.lines(), rig.listed().len()), (vec!["0 redriven, 1 left"], 2));
    let all = rig.dead("redrive", &["--limit", "1", "--to", "in"]).expect(0);
    assert_eq!(all.lines(), ["1: to in, for all its readers", "1 redriven, 0 left"]);
    let wrong = rig.dead("redrive", &["--to", "one"]).expect(1);
    assert!(wrong.stderr.contains("stream 'one' is not kept on disk"), "{}", wrong.stderr);
    let wrong = pelton(["dead", "list", "one", "--config", &rig.config]).run().expect(2);
    assert!(wrong.stderr.contains("stream 'one' is not kept on disk"), "{}", wrong.stderr);

    let config = fs::read_to_string(&rig.config).unwrap();
    let feed = rig.dir.write("feed", "e\n");
    let follow = format!("from: {{ file: {}, follow: true }}", feed.display());
    fs::write(&rig.config, config.replace("from: stdin", &follow)).unwrap();
    let running = pelton(["run", &rig.config]).start();
    running.says("running");
    for command in [["redrive", "--seq", "2"].as_slice(), &["purge", "--yes"]] {
        let refused = rig.dead(command[0], &command[1..]).expect(2).stderr;
        assert!(refused.contains("stream 'dead' is open in another process, which must be stopped first"), "{refused}");
    }
    // Looking is allowed.
    assert!(rig.dead("list", &["--seq", "2"]).expect(0).lines()[1].starts_with("2 "));
    rig.dead("show", &["2"]).expect(0);
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn letters_are_put_back_once_though_nobody_reads_what_is_said() {
    let rig = Rig::new();
    rig.run("a\nb\nc\n");
    for command in [["list"].as_slice(), &["list", "--format", "json"], &["redrive"]] {
        let ended = rig.command(command[0], &command[1..]).unread().run().expect(0);
        assert_eq!(ended.stderr, "");
    }
    assert_eq!(rig.dead("list", &[]).expect(0).lines(), ["no dead letters"]);
    assert_eq!(rig.run("").row("first")[0], 3, "each once");
}
