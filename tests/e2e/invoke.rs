//! `pelton invoke`.

use pelton_tests::{Dir, Ended, feed, guest, pelton};
use serde_json::{Value, json};

fn invoke(module: &str, arguments: &[&str], stdin: &str) -> Ended {
    let module = guest(module);
    let all = ["invoke", module.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
    pelton(all).stdin(stdin).run()
}

/// An earthquake of the real feed, and its magnitude.
fn quake() -> (String, f64) {
    let parsed = feed().into_iter().map(|line| (serde_json::from_str::<Value>(&line).unwrap(), line));
    let mut quakes = parsed.filter(|(feature, _)| feature["properties"]["type"] == "earthquake");
    quakes.find_map(|(feature, line)| Some((line, feature["properties"]["mag"].as_f64()?))).unwrap()
}

#[test]
fn a_quake_gives_an_alert() {
    let dir = Dir::new();
    let (feature, magnitude) = quake();
    let file = dir.write("feature.json", &feature);
    let weaker = format!("min_magnitude={}", magnitude - 0.1);
    let from_file = invoke("quake-alert", &["--file", file.to_str().unwrap(), "--set", &weaker], "").expect(0);
    let from_stdin = invoke("quake-alert", &["--set", &weaker], &feature).expect(0);
    for ended in [from_file, from_stdin] {
        let lines = ended.lines();
        let ["done", output] = lines.as_slice() else { panic!("{lines:?}") };
        let output: Value = serde_json::from_str(output.strip_prefix("output: ").unwrap()).unwrap();
        let alert: Value = serde_json::from_str(output["body"].as_str().unwrap()).unwrap();
        assert_eq!(alert["magnitude"], magnitude);
    }
    let stronger = format!("min_magnitude={}", magnitude + 0.1);
    assert_eq!(invoke("quake-alert", &["--set", &stronger], &feature).expect(0).lines(), ["done"]);
}

#[test]
fn what_is_not_done_says_why() {
    let ended = invoke("quake-alert", &["--set", "min_magnitude=1", "--body", "{\"type\":"], "").expect(1);
    let lines = ended.lines();
    assert!(lines[0].starts_with("reject: ") && lines[0].contains("EOF while parsing"), "{lines:?}");
    let table = [
        ("reject", "reject: on command"),
        ("retry", "retry after the configured back-off: on command"),
        ("retry-after 1500", "retry after 1.5s: on command"),
        ("panic", "failed: "),
        ("exit", "failed: the handler called exit(1)"),
    ];
    for (body, expected) in table {
        let ended = invoke("misbehave", &["--body", body], "").expect(1);
        assert!(ended.lines()[0].starts_with(expected), "{body}: {:?}", ended.lines());
    }
}

#[test]
fn what_cannot_be_invoked_is_refused() {
    let (missing, refuse) = (["--file", "no/such/file"], ["--body", "x"]);
    let cases = [
        (invoke("echo", &missing, ""), "cannot read no/such/file: No such file"),
        (pelton(["invoke", "no/such.wasm", "--body", "x"]).run(), "no/such.wasm: cannot be read: No such file"),
        (invoke("refuse", &refuse, ""), "refused on purpose"),
        (invoke("quake-alert", &refuse, ""), "min_magnitude"),
    ];
    for (ended, why) in cases {
        let ended = ended.expect(2);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn key_subject_and_headers_are_given_and_shown() {
    for module in ["echo", "records"] {
        let arguments =
            ["--body", "b", "--subject", "a.ü", "--key", "k", "--header", "n=1", "--header", "n=2", "--header", "e="];
        let ended = invoke(module, &arguments, "").expect(0);
        let output = ended.lines()[1].strip_prefix("output: ").unwrap();
        let mut output: Value = serde_json::from_str(output).unwrap();
        let timestamp = output.as_object_mut().unwrap().remove("timestamp");
        assert!(timestamp.is_some_and(|t| t.as_i64() > Some(0)));
        let headers = json!({ "n": ["1", "2"], "e": "" });
        assert_eq!(output, json!({ "subject": "a.ü", "key": "k", "headers": headers, "body": "b" }), "{module}");
    }
}
