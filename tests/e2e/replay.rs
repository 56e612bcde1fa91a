//! `pelton replay`.

use crate::stored::Stored;
use pelton_tests::{Dir, Ended, guest, pelton};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The program's `replay` of the quakes of a stored week.
fn replay(week: &Stored, arguments: &[&str]) -> Ended {
    let all = ["replay", "--config", "config/quakes-disk.yaml"].iter().chain(arguments);
    week.on(pelton(all)).run()
}

/// Another build of `quake-alert`: the same code with a section that says something else.
fn with_section(dir: &Dir) -> PathBuf {
    let mut bytes = fs::read(guest("quake-alert")).unwrap();
    let section = b"\x05build\x01\x02\x03";
    bytes.extend([0, section.len() as u8]);
    bytes.extend(section);
    dir.write("section.wasm", bytes)
}

/// One that sends its alerts elsewhere.
fn with_other_subject(dir: &Dir) -> PathBuf {
    let mut bytes = fs::read(guest("quake-alert")).unwrap();
    let places: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i..].starts_with(b"alerts.")).collect();
    let [place] = places.as_slice() else { panic!("'alerts.' stands at {places:?}") };
    bytes[*place..place + 7].copy_from_slice(b"alarms.");
    dir.write("subject.wasm", bytes)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn two_settings_differ_in_as_many_events_as_lie_between_them() {
    let week = Stored::run(&[]);
    let sets = ["--set", "min_magnitude=4.5", "--against-set", "min_magnitude=2.0"];
    let shown = replay(&week, &[&["--handler", "quake-alert"], sets.as_slice()].concat()).expect(1);
    let lines = shown.lines();
    assert_eq!(lines.last(), Some(&"353 of 1707 messages differ"));
    let guest = "target/guests/quake-alert.wasm min_magnitude";
    assert_eq!(lines[..2], [format!("--- {guest}=2.0"), format!("+++ {guest}=4.5")]);
    // The old one has an output, the new one has none.
    assert_eq!(lines.iter().filter(|line| **line == "- output:").count(), 353);
    assert!(lines.iter().any(|line| line.starts_with("-   subject: alerts.")));
    assert!(!lines.iter().skip(2).any(|line| line.starts_with('+')), "the new one does nothing besides");

    // The same by the log's directory and a module, as JSON; exactly the events between the two settings.
    let (quakes, module) = (week.dir.path("quakes"), guest_path());
    let arguments =
        ["--format", "json", "--module", text(&module), "--path", text(&quakes), "--from", "-2", "--to", "-1"];
    let all = ["replay"].iter().chain(&arguments).chain(&sets);
    let shown = pelton(all).run().expect(1);
    let json: Vec<Value> = shown.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, differences) = json.split_last().unwrap();
    assert_eq!(*summary, serde_json::json!({ "messages": 1707, "differ": 353 }));
    assert_eq!(differences.len(), 353);
    for difference in differences {
        assert_eq!(
            (&difference["new"]["outputs"], &difference["new"]["outcome"]),
            (&Value::Array(vec![]), &"done".into())
        );
        let body = difference["old"]["outputs"][0]["message"]["body"].as_str().unwrap();
        let magnitude = serde_json::from_str::<Value>(body).unwrap()["magnitude"].as_f64().unwrap();
        assert!((2.0..4.5).contains(&magnitude), "{difference}");
    }
}

fn guest_path() -> PathBuf {
    guest("quake-alert")
}

#[test]
fn two_builds_differ_where_they_behave_so() {
    let week = Stored::run(&[]);
    let (section, subject) = (with_section(&week.dir), with_other_subject(&week.dir));
    let against =
        |module: &Path| ["--handler", "quake-alert", "--module", text(module), "--against"].map(str::to_owned);
    let compare = |new: &Path, old: &Path| {
        let mut arguments = against(new).to_vec();
        arguments.push(text(old).to_owned());
        replay(&week, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let same = compare(&section, &guest_path()).expect(0);
    assert_eq!(same.lines().last(), Some(&"0 of 1707 messages differ"));
    let differ = compare(&subject, &section).expect(1);
    let lines = differ.lines();
    assert_eq!(lines.last(), Some(&"85 of 1707 messages differ"));
    for subject in ["-   subject: alerts.", "+   subject: alarms."] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(subject)).count(), 85, "{subject}");
    }
    // The bodies are the same, and stand there once.
    assert_eq!(lines.iter().filter(|line| line.contains("\"magnitude\":")).count(), 85);
    assert!(lines.iter().any(|line| line.starts_with("      \"magnitude\":")), "{lines:?}");

    // Messages have no effect: the streams stand where they stood, and the same comes again.
    assert_eq!((week.appended("quakes"), week.appended("alerts")), (1707, 85));
    assert_eq!(compare(&subject, &section).expect(1).stdout, differ.stdout);
}

#[test]
fn one_module_shows_what_it_would_do() {
    let week = Stored::run(&["no json"]);
    let shown = replay(&week, &["--handler", "quake-alert"]).expect(1);
    let lines = shown.lines();
    let summary = "1708 messages: 1707 done, 0 to retry, 1 rejected, 0 faults; 85 outputs";
    assert_eq!(lines.last(), Some(&summary));
    assert_eq!(lines.len(), 85 * 2 + 1 + 1, "an alert has two lines, the one that is rejected one");
    assert!(lines.iter().any(|line| line.starts_with("1708: reject: ")), "{lines:?}");
    assert!(lines[1].starts_with("  output: {\"subject\":\"alerts.") || lines[1].contains("\"alerts."), "{}", lines[1]);

    let part = ["--handler", "quake-alert", "--from", "100", "--to", "1700", "--limit", "7"];
    let shown = replay(&week, &part).expect(0);
    assert!(shown.lines().last().unwrap().starts_with("7 messages: 7 done"), "{:?}", shown.lines());
    let before = ["--handler", "quake-alert", "--to", "2020-01-01T00:00:00Z"];
    assert!(replay(&week, &before).expect(0).lines()[0].starts_with("0 messages: "));

    // Faults do not end it, and are one message's alone: `misbehave` does what a body says, and else nothing.
    let module = guest("misbehave");
    let bad = Stored::run(&["panic", "reject", "retry"]);
    let shown = replay(&bad, &["--stream", "quakes", "--module", text(&module), "--from", "1700"]).expect(1);
    assert_eq!(
        shown.lines().last().unwrap().split(';').next(),
        Some("11 messages: 8 done, 1 to retry, 1 rejected, 1 faults")
    );
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    let week = Stored::run(&[]);
    let handler = ["--handler", "quake-alert"];
    let with = |more: &[&'static str]| [handler.as_slice(), more].concat();
    let cases = [
        (vec!["--handler", "nobody"], "no handler 'nobody'"),
        (vec!["--stream", "quakes"], "name the module with --module"),
        (with(&["--stream", "nowhere"]), "no stream 'nowhere'"),
        (with(&["--module", "no/such.wasm"]), "no/such.wasm: cannot be read"),
        (with(&["--against", "no/such.wasm"]), "no/such.wasm: cannot be read"),
        (with(&["--against-set", "min_magnitude=much"]), "min_magnitude"),
        (with(&["--from", "1709"]), "sequence 1709 is out of bounds; it holds 1 up to, not including, 1708"),
        (with(&["--from", "yesterday"]), "'yesterday' is no place to start"),
        (with(&["--partition", "1"]), "no partition 1"),
        (with(&["--path", "no/such"]), "there is no log in no/such"),
    ];
    for (arguments, why) in cases {
        let ended = replay(&week, &arguments).expect(2);
        assert!(ended.stderr.contains(why), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_log_is_replayed_while_a_host_runs_it() {
    let week = Stored::start(&["FROM__FOLLOW=true"]);
    week.1.until("a week in the log", || (week.0.appended("quakes") == 1707).then_some(()));
    let shown = replay(&week.0, &["--handler", "quake-alert"]).expect(0);
    assert!(shown.lines().last().unwrap().starts_with("1707 messages: 1707 done"));
    week.1.signal("TERM");
    week.1.end().expect(0);
}
