//! Files that take a module's place while it serves.

use pelton_tests::{Dir, Running, bad_modules, guest, pelton};
use std::fs;

/// The guest `stamp`, with another stamp in it.
pub(crate) fn stamped(module: &[u8], stamp: &[u8; 16]) -> Vec<u8> {
    let known = b"PELTON-STAMP-000";
    let place = module.windows(known.len()).position(|window| window == known).expect("the stamp is in the module");
    let mut module = module.to_vec();
    module[place..place + stamp.len()].copy_from_slice(stamp);
    module
}

#[test]
fn a_bad_module_leaves_the_old_one_serving() {
    let dir = Dir::new();
    let good = fs::read(guest("stamp")).unwrap();
    let module = dir.write("stamp.wasm", &good);
    let config = dir.write(
        "reload.yaml",
        format!(
            "streams:\n  \
               made: {{ from: {{ generate: {{ rate: 1000/s, size: 16B }} }} }}\n  \
               out: {{ to: {{ file: {}, format: json }} }}\n\
             handlers: {{ stamp: {{ module: {}, stream: made, output: out, reload: {{ poll: 100ms }} }} }}\n",
            dir.path("out.ndjson").display(),
            module.display()
        ),
    );
    let running = pelton(["run".as_ref(), config.as_os_str()]).start();
    goes_on(&running, &dir);

    for (tried, bad) in bad_modules().iter().enumerate() {
        dir.replace("stamp.wasm", &bad.bytes);
        running.says_times("handler not reloaded", tried + 1);
        let said = running.stderr();
        let line = said.lines().rfind(|line| line.contains("handler not reloaded")).unwrap();
        assert!(line.contains(&module.display().to_string()), "{}: {line}", bad.name);
        assert!(bad.reasons.iter().any(|reason| line.contains(reason)), "{}: {line}", bad.name);
        goes_on(&running, &dir);
    }
    fs::remove_file(&module).unwrap();
    goes_on(&running, &dir);
    let served = dir.json("out.ndjson");
    assert!(served.iter().all(|m| m["headers"]["stamp"] == "PELTON-STAMP-000"), "something else served");

    dir.replace("stamp.wasm", stamped(&good, b"PELTON-STAMP-001"));
    running.until("the new module", || {
        dir.lines("out.ndjson").last().filter(|line| line.contains("PELTON-STAMP-001")).map(drop)
    });
    running.signal("TERM");
    let ended = running.end().expect(0);
    let served = dir.json("out.ndjson");
    let numbers = served.iter().map(|m| m["headers"]["n"].as_u64().unwrap());
    assert!(numbers.eq(1..=served.len() as u64), "some are missing, twice there or out of order");
    let count = served.len() as u64;
    assert_eq!(ended.row("stamp"), [count, count, 0, 0, 0]);
}

/// Waits until more messages have come out.
fn goes_on(running: &Running, dir: &Dir) {
    let before = dir.read("out.ndjson").len();
    running.until("more messages", || (dir.read("out.ndjson").len() > before).then_some(()));
}
