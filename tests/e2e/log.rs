//! `pelton log`.

use crate::stored::Stored;
use pelton_tests::{Dir, Ended, pelton};
use std::fs;

fn log(command: &[&str], stored: &Stored) -> Ended {
    let directory = stored.dir.path("quakes");
    let all = ["log"].iter().chain(command).copied().map(str::to_owned);
    pelton(all.chain([directory.to_str().unwrap().to_owned()])).run()
}

/// Two weeks on disk, in small batches, with a flipped byte in the middle of the first. (What nothing was appended behind
/// since it was synced can't be told from what a crash has torn.)
fn damaged() -> (Stored, u64) {
    let stored = Stored::new(&[], &["FROM__RATE=20000/s"]);
    for _ in 1..=2 {
        stored.on(pelton(["run", "config/quakes-disk.yaml", "--exit-when-done"])).run().expect(0);
    }
    let path = stored.dir.path("quakes/0/00000000000000000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 4;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
    (stored, middle as u64)
}

/// The offset, bytes and lost sequences that a line tells of.
fn numbers(line: &str) -> Vec<u64> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_damaged_log_is_named_repaired_and_runs_again() {
    for how in ["--cut", "--skip"] {
        let (stored, middle) = damaged();
        let run = || stored.on(pelton(["run", "config/quakes-disk.yaml", "--exit-when-done"])).run();
        let refused = run().expect(2).stderr;

        let found = log(&["inspect"], &stored).expect(1);
        let lines = found.lines();
        let [damage, "1 place is damaged; nothing was changed"] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(damage.starts_with("partition 0: 00000000000000000001.seg, byte "), "{damage}");
        let [_, 1, offset, bytes, first, last] = numbers(damage)[..] else { panic!("{damage}") };
        assert!((offset..offset + bytes).contains(&middle), "byte {middle} is in {damage}");
        assert!(1 <= first && first <= last && last <= 1707, "{damage}");

        // The start names the same place, and the command.
        let segment = stored.dir.path("quakes/0/00000000000000000001.seg");
        let place = format!("{} is damaged at byte {offset}, from sequence {first} on", segment.display());
        for part in ["stream 'quakes'", &place, "`pelton log inspect`", "`pelton log repair`"] {
            assert!(refused.contains(part), "'{part}' in {refused}");
        }
        let before = fs::read(&segment).unwrap();
        let dry = log(&["repair", how, "--dry-run"], &stored).expect(1);
        assert_eq!(dry.lines(), lines, "a dry run is an inspection");
        assert!(fs::read(&segment).unwrap() == before);

        let repaired = log(&["repair", how], &stored).expect(0);
        assert_eq!(repaired.lines()[0], *damage);
        assert_eq!(log(&["inspect"], &stored).expect(0).lines(), ["nothing is damaged"]);
        assert_eq!(log(&["repair", how], &stored).expect(0).lines(), ["nothing is damaged"]);

        let kept = stored.entries("quakes").len() as u64;
        let expected = if how == "--cut" { first - 1 } else { 2 * 1707 - (last - first + 1) };
        assert_eq!(kept, expected, "{how}");
        let ran = run().expect(0);
        assert_eq!(ran.row("quake-alert"), [1707, 85, 0, 0, 0], "{how}: {}", ran.stderr);
        assert_eq!(stored.entries("quakes").len() as u64, kept + 1707, "{how}");
    }
}

#[test]
fn what_is_whole_in_use_or_no_log_says_so() {
    let (stored, running) = Stored::start(&["FROM__FOLLOW=true"]);
    running.until("a log", || (stored.appended("quakes") > 0).then_some(()));
    assert_eq!(log(&["inspect"], &stored).expect(0).lines(), ["nothing is damaged"]);
    let refused = log(&["repair", "--skip"], &stored).expect(2).stderr;
    assert!(refused.contains("another process has this log open"), "{refused}");
    running.signal("TERM");
    running.end().expect(0);

    let neither = log(&["repair"], &stored).expect(2).stderr;
    assert!(neither.contains("--cut") && neither.contains("--skip"), "{neither}");
    let dir = Dir::new();
    for command in [vec!["inspect"], vec!["repair", "--cut"]] {
        let all = ["log"].into_iter().chain(command).map(str::to_owned);
        let ended = pelton(all.chain([dir.root().to_str().unwrap().to_owned()])).run().expect(2);
        assert!(ended.stderr.contains("there is no log in"), "{}", ended.stderr);
    }
    assert_eq!(fs::read_dir(dir.root()).unwrap().count(), 0);
}
