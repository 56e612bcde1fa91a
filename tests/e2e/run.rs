//! `pelton run` on finite sources.

use pelton_tests::{Dir, feed, guest, pelton};
use serde_json::{Value, json};

#[test]
fn the_demo_finds_its_alerts() {
    for (weakest, alerts) in [("4.5", 85), ("2.0", 438)] {
        let dir = Dir::new();
        let ran = pelton(["run", "config/quakes.yaml", "--exit-when-done"])
            .env("PELTON__HANDLERS__QUAKE_ALERT__CONFIG__MIN_MAGNITUDE", weakest)
            .env("PELTON__STREAMS__DEAD__TO__FILE", dir.path("dead.ndjson"))
            .run()
            .expect(0);
        assert_eq!(ran.row("quake-alert"), [1707, alerts, 0, 0, 0], "{}", ran.stderr);
        let found: Vec<Value> = ran.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found.len() as u64, alerts);
        let weakest: f64 = weakest.parse().unwrap();
        for alert in found {
            assert!(alert["magnitude"].as_f64().unwrap() >= weakest, "{alert}");
        }
        assert!(dir.read("dead.ndjson").is_empty());
    }
}

/// From standard input through `echo` to standard output.
fn echo_config(dir: &Dir) -> std::path::PathBuf {
    let echo = guest("echo");
    dir.write(
        "echo.yaml",
        format!(
            "streams: {{ in: {{ from: stdin }}, out: {{ to: stdout }} }}\n\
             handlers: {{ echo: {{ module: {}, stream: in, output: out }} }}\n",
            echo.display()
        ),
    )
}

#[test]
fn standard_input_comes_out_byte_for_byte() {
    let dir = Dir::new();
    let config = echo_config(&dir);
    let mut lines: Vec<Vec<u8>> = (0..2000).map(|i| format!("line {i}").into_bytes()).collect();
    lines[7] = Vec::new();
    lines[8] = Vec::new();
    lines[9] = b"\xff\xfe\x00 not text\r".to_vec();
    lines[10] = (0..=255).filter(|byte| *byte != b'\n').collect();
    lines[11] = vec![b'x'; 300_000];
    let with_end = [lines.join(&b'\n'), b"\n".to_vec()].concat();
    let without_end = lines.join(&b'\n');
    for input in [with_end.clone(), without_end] {
        let ran =
            pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).stdin(input).run().expect(0);
        assert!(ran.stdout == with_end, "{} bytes came out, not {}", ran.stdout.len(), with_end.len());
        assert_eq!(ran.row("echo"), [2000, 2000, 0, 0, 0]);
    }
}

#[test]
fn no_input_is_no_message() {
    let dir = Dir::new();
    let config = echo_config(&dir);
    let ran = pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).run().expect(0);
    assert_eq!((ran.stdout.as_slice(), ran.row("echo")), (b"".as_slice(), [0; 5]));
}

#[test]
fn the_same_seed_makes_the_same_messages() {
    let dir = Dir::new();
    let config = dir.write(
        "generate.yaml",
        "streams: { made: { from: { generate: { count: 3000, size: 100B, seed: 7 } }, to: stdout } }\n",
    );
    let made = |seed: &str| {
        let run = pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]);
        run.env("PELTON__STREAMS__MADE__FROM__GENERATE__SEED", seed).run().expect(0)
    };
    let (one, again, other) = (made("7"), made("7"), made("8"));
    assert_eq!(one.lines().len(), 3000);
    assert!(one.lines().iter().all(|line| line.len() == 100));
    assert!(one.stdout == again.stdout, "two runs of one seed differ");
    assert!(one.stdout != other.stdout, "two seeds made the same");
}

#[test]
fn a_file_is_appended_to_or_emptied() {
    for (append, expected) in [("true", ["old", "new"].as_slice()), ("false", ["new"].as_slice())] {
        let dir = Dir::new();
        dir.write("out.txt", "old\n");
        let config = dir.write(
            "files.yaml",
            format!(
                "streams: {{ lines: {{ from: stdin, to: {{ file: {}, append: {append} }} }} }}\n",
                dir.path("out.txt").display()
            ),
        );
        pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).stdin("new\n").run().expect(0);
        assert_eq!(dir.lines("out.txt"), expected, "append: {append}");
    }
}

#[test]
fn alerts_as_json_show_all_of_a_message() {
    let dir = Dir::new();
    let strong = feed().into_iter().find(|line| line.contains("\"mag\":6.1")).unwrap();
    dir.write("quakes.ndjson", format!("{strong}\nno json\n"));
    let config = dir.write(
        "json.yaml",
        format!(
            "streams:\n  \
               quakes: {{ from: {{ file: {dir}/quakes.ndjson }} }}\n  \
               alerts: {{ to: {{ file: {dir}/alerts.ndjson, format: json }} }}\n  \
               dead: {{ to: {{ file: {dir}/dead.ndjson, format: json }} }}\n\
             handlers:\n  \
               alert: {{ module: {}, stream: quakes, output: alerts, dead_letter: dead, config: {{ min_magnitude: \"-9\" }} }}\n",
            guest("quake-alert").display(),
            dir = dir.root().display(),
        ),
    );
    let ran = pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).run().expect(0);
    assert_eq!(ran.row("alert"), [2, 1, 0, 1, 0]);

    let feature: Value = serde_json::from_str(&strong).unwrap();
    let alerts = dir.json("alerts.ndjson");
    let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
    let body: Value = serde_json::from_str(alert["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["id"], &body["magnitude"]), (&feature["id"], &feature["properties"]["mag"]));
    assert_eq!(alert["key"], feature["id"]);
    assert_eq!(alert["headers"], json!({ ":content-type": "application/json", "severity": body["severity"] }));
    assert_eq!(alert["subject"], format!("alerts.{}", body["severity"].as_str().unwrap()));
    assert!(alert["timestamp"].as_i64().unwrap() > 0);

    let dead = dir.json("dead.ndjson");
    let [dead] = dead.as_slice() else { panic!("{dead:?}") };
    assert_eq!(dead["body"], "no json");
    assert_eq!(dead["headers"]["pelton-dead-why"], "rejected");
    // What the parser says of `no json`, with the place.
    let reason = dead["headers"]["pelton-dead-reason"].as_str().unwrap();
    assert!(reason.contains("expected ident at line 1 column 2"), "{reason}");
}

#[test]
fn a_line_that_is_too_long_fails_the_run() {
    let dir = Dir::new();
    let input = dir.write("in.txt", "one\ntwo\nfar too long a line\nfour\n");
    let config = dir.write(
        "long.yaml",
        format!("streams: {{ lines: {{ from: {{ file: {}, max_message: 10B }}, to: stdout }} }}\n", input.display()),
    );
    let ran = pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).run().expect(1);
    let why = format!("{}: line 3 is longer than max_message, 10 bytes", input.display());
    assert!(ran.stderr.contains(&why), "{}", ran.stderr);
    assert_eq!(ran.lines(), ["one", "two"], "what stands before it is good");
}

#[test]
fn a_cache_that_others_may_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let cache = dir.path("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    let config = echo_config(&dir);
    let run = pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).stdin("a\n");
    let ran = run.env("PELTON__CACHE__PATH", &cache).run().expect(0);
    assert_eq!(ran.lines(), ["a"]);
    assert!(ran.stderr.contains("compiled code is not kept"), "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("chmod go-w {}", cache.display())), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 0);
}
