use super::*;
use std::sync::mpsc;
use std::time::Duration;

fn names(directory: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A log in a real directory, of 20 messages in several segments.
fn real() -> (tempfile::TempDir, Log) {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), LogOptions { segment_bytes: 600, ..LogOptions::default() }).unwrap();
    for n in 1..21 {
        run(log.append(batch(n..n + 1))).unwrap();
    }
    (directory, log)
}

#[test]
fn a_segment_is_sealed_once_it_is_old_though_nothing_comes_in() {
    let sim = Sim::default();
    let open = |segment_age| {
        let options = LogOptions { segment_age, partition: 3, ..LogOptions::default() };
        Log::open_in(Box::new(sim.clone()), options, None).unwrap().0
    };
    let log = open(Some(Duration::from_secs(3600)));
    for n in 1..4 {
        run(log.append(batch(n..n + 1))).unwrap();
    }
    assert_eq!(log.segments().len(), 1, "none is an hour old");
    drop(log);
    let log = open(Some(Duration::ZERO));
    while log.segments().len() < 2 {
        std::thread::yield_now();
    }
    run(log.append(batch(4..5))).unwrap();
    while log.segments().len() < 3 {
        std::thread::yield_now();
    }
    let bases: Vec<_> = log.segments().iter().map(|s| (s.base, s.next)).collect();
    assert_eq!(bases, [(1, 4), (4, 5), (5, 5)], "one without messages grows no older");
    let positions: Vec<_> = log.read(3, Limit::messages(9)).unwrap().iter().map(|e| e.at).collect();
    assert_eq!(positions, [3, 4].map(|seq| crate::message::Position { partition: 3, seq }));
}

#[test]
fn segments_tell_what_their_files_take() {
    let (directory, log) = real();
    let on_disk = |base| std::fs::metadata(directory.path().join(segment::name(base))).unwrap().len();
    let assert_true = |log: &Log| {
        let segments = log.segments();
        assert!(segments.len() > 2);
        assert!(segments.iter().all(|s| s.bytes == on_disk(s.base)));
        assert!(segments.windows(2).all(|two| two[0].next == two[1].base && two[0].last_time <= two[1].last_time));
        assert_eq!(log.bytes(), segments.iter().map(|s| s.bytes).sum::<u64>());
    };
    assert_true(&log);
    let bytes = log.bytes();
    let freed = log.trim(10).unwrap();
    assert_eq!(log.bytes(), bytes - freed);
    assert_true(&log);
    drop(log);
    assert_true(&Log::open(directory.path(), LogOptions::default()).unwrap().0);
}

/// However many producers its head tells of.
#[test]
fn a_segment_is_sealed_for_its_frames_alone() {
    for (segment_bytes, expected) in [(0, 60), (600, 12)] {
        let sim = Sim::default();
        let options = LogOptions { segment_bytes, ..LogOptions::default() };
        let (log, _) = Log::open_in(Box::new(sim.clone()), options, None).unwrap();
        let (sender, answer) = mpsc::channel();
        for producer in 1..61 {
            let (sender, batch_of) = (sender.clone(), Some(ProducerBatch { producer, sequence: 1 }));
            log.submit(batch(producer..producer + 1), batch_of, move |appended| sender.send(appended).unwrap());
            answer.recv().unwrap().unwrap();
        }
        let bases: Vec<_> = log.segments().iter().map(|s| s.base).collect();
        assert!(bases.is_sorted_by(|a, b| a < b), "{bases:?}");
        assert_eq!(bases.len(), expected);
        drop(log);
        assert_holds(&sim.open_log().unwrap().0, 61, &segment_bytes);
    }
}

#[test]
fn a_full_disk_is_told_of_until_there_is_room() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    run(log.append(batch(1..2))).unwrap();
    assert!(!log.full());
    sim.0.lock().unwrap().fault = Some(Fault::NoRoom);
    let (sender, answer) = mpsc::channel();
    log.submit(batch(2..4), None, move |appended| sender.send(appended).unwrap());
    while !log.full() {
        std::thread::yield_now();
    }
    assert!(answer.try_recv().is_err());
    sim.mended();
    assert_eq!(answer.recv().unwrap(), Ok(Appended { seq: Some(2), count: 2, duplicate: false }));
    assert!(!log.full());
    assert_holds(&log, 4, &());
}

/// Else there would be a hole when the log is opened again.
#[test]
fn a_segment_that_can_not_be_removed_keeps_those_behind_it() {
    let sim = Sim::default();
    work(&sim);
    let (log, _) = sim.open_log().unwrap();
    let next = sim.operations();
    sim.0.lock().unwrap().fault = Some(Fault::Once(next));
    assert!(matches!(log.trim(20), Err(DiskError::Io { what: "remove", .. })));
    assert_eq!(log.first(), 1);
    assert!(log.trim(20).unwrap() > 0);
    let first = log.first();
    assert!(first > 1);
    drop(log);
    assert_eq!(sim.open_log().unwrap().0.first(), first);
}

/// A file system may keep one removal and not an earlier one.
#[test]
fn the_power_is_cut_at_every_operation_of_a_trim() {
    let trimming = |fault: fn(usize) -> Fault, at: usize| {
        let sim = Sim::default();
        work(&sim);
        let (log, _) = sim.open_log().unwrap();
        let start = sim.operations();
        sim.0.lock().unwrap().fault = Some(fault(start + at));
        let trimmed = log.trim(25);
        (sim.clone(), log, trimmed, sim.operations() - start)
    };
    let (.., whole, operations) = trimming(Fault::Power, 1000);
    assert!(whole.unwrap() > 0 && operations >= 6, "{operations} operations");
    for at in 0..operations {
        for luck in 0..9 {
            let (sim, ..) = trimming(Fault::Power, at);
            let found = sim.after_power_cut(luck);
            let (log, _) = found.open_log().unwrap_or_else(|e| panic!("cut at {at}, luck {luck}: {e}"));
            let first = log.first();
            assert!(first <= 25, "cut at {at}, luck {luck}");
            assert_eq!(
                contents(&log),
                (first..31).zip(batch(first..31)).collect::<Vec<_>>(),
                "cut at {at}, luck {luck}"
            );
        }
        // A removal that was not synced is, before the next one.
        let (sim, log, failed, _) = trimming(Fault::Once, at);
        assert!(failed.is_err(), "operation {at}");
        let start = sim.operations();
        log.trim(25).unwrap();
        assert_eq!(sim.operations() - start, operations - at, "after operation {at}");
    }
}

/// What is left when the log closes while the disk is full is answered, with the error.
#[test]
fn closing_a_log_on_a_full_disk_answers_all() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    sim.0.lock().unwrap().fault = Some(Fault::NoRoom);
    let (sender, answers) = mpsc::channel();
    for n in 1..4 {
        let sender = sender.clone();
        log.submit(batch(n..n + 1), None, move |appended| sender.send(appended).unwrap());
    }
    drop((log, sender));
    assert_eq!(answers.iter().collect::<Vec<_>>(), vec![Err(DiskError::Closed); 3]);
    assert_holds(&sim.mended().open_log().unwrap().0, 1, &());
}

#[test]
fn a_log_is_read_while_it_is_written_and_trimmed() {
    let (directory, log) = real();
    let before = names(directory.path());
    let reader = Log::open_read_only(directory.path()).unwrap();
    assert_eq!(contents(&reader), contents(&log));
    assert_eq!(run(reader.append(batch(21..22))), Err(DiskError::ReadOnly));
    assert_eq!(reader.trim(10), Err(DiskError::ReadOnly));
    assert_eq!(names(directory.path()), before);
    run(log.append(batch(21..22))).unwrap();
    assert_eq!((reader.next(), reader.read(21, Limit::messages(1)).unwrap().len()), (21, 0), "it is as it was");
    log.trim(15).unwrap();
    let first = log.first();
    for seq in 1..first {
        assert!(matches!(reader.read(seq, Limit::messages(9)), Err(DiskError::OutOfBounds { .. })), "{seq}");
    }
    assert_eq!(reader.first(), first);
    assert_eq!(contents(&reader), contents(&log)[..(21 - first) as usize]);
}

#[test]
fn a_reader_leaves_a_torn_tail_alone() {
    let (directory, log) = real();
    let all = contents(&log);
    let last = directory.path().join(segment::name(log.segments().last().unwrap().base));
    drop(log);
    let torn = [std::fs::read(&last).unwrap(), vec![7; 33]].concat();
    std::fs::write(&last, &torn).unwrap();
    assert_eq!(contents(&Log::open_read_only(directory.path()).unwrap()), all);
    assert_eq!(std::fs::read(&last).unwrap(), torn);
    let empty = tempfile::tempdir().unwrap();
    let reader = Log::open_read_only(empty.path()).unwrap();
    assert_eq!((contents(&reader), reader.first(), reader.next()), (vec![], 1, 1));
    assert_eq!(names(empty.path()), [""; 0]);
}

#[test]
fn what_is_not_of_the_log_is_named_and_what_a_crash_left_is_removed() {
    let (directory, log) = real();
    drop(log);
    let left = directory.path().join(format!("{}.tmp", segment::name(40)));
    std::fs::write(&left, "half a seg").unwrap();
    Log::open(directory.path(), LogOptions::default()).unwrap();
    assert!(!left.exists());
    for name in ["notes.txt", "1.seg", "+0000000000000000001.seg", "notes.tmp"] {
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join(name), "of another").unwrap();
        let foreign = DiskError::Foreign { name: name.to_owned() };
        assert_eq!(Log::open(other.path(), LogOptions::default()).err(), Some(foreign.clone()));
        assert_eq!(Log::open_read_only(other.path()).err(), Some(foreign.clone()));
        assert_eq!(inspect(other.path()), Err(foreign.clone()));
        assert_eq!(repair(other.path(), Repair::Skip), Err(foreign));
        assert_eq!(names(other.path()), [name], "nothing was put beside it");
    }
    // A later version of the format.
    let file = directory.path().join(segment::name(1));
    let mut bytes = std::fs::read(&file).unwrap();
    for name in names(directory.path()).iter().filter(|n| n.ends_with(".seg")) {
        std::fs::remove_file(directory.path().join(name)).unwrap();
    }
    bytes[7] = 2;
    std::fs::write(&file, bytes).unwrap();
    let foreign = DiskError::Foreign { name: segment::name(1) };
    assert_eq!(Log::open(directory.path(), LogOptions::default()).err(), Some(foreign));
}

/// Opening reads seals, not what is sealed: a log with much in it opens as fast as one with little.
#[test]
fn opening_reads_no_sealed_frames() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    for n in 1..200 {
        run(log.append(batch(n..n + 1))).unwrap();
    }
    let seals: usize = log.segments().iter().map(|s| (s.bytes - s.bytes.min(600)) as usize).sum();
    drop(log);
    sim.0.lock().unwrap().read = 0;
    let (log, _) = sim.open_log().unwrap();
    let read = sim.0.lock().unwrap().read;
    let segments = log.segments().len();
    assert!(segments > 20);
    assert!(read < seals + segments * 100 + 1000, "{read} bytes of {} in {segments} segments", log.bytes());
}

/// Each answer brings the next append before the writer looks again, so it never finds nothing to do.
#[test]
fn an_interval_between_syncs_is_kept_though_appends_never_pause() {
    fn go_on(log: Log, left: u64, over: mpsc::Sender<u64>) {
        let next = log.clone();
        log.submit(batch(1..2), None, move |appended| {
            appended.unwrap();
            if left == 0 { over.send(next.syncs()).unwrap() } else { go_on(next, left - 1, over) }
        });
    }
    let options = LogOptions { durability: Durability::Interval(Duration::ZERO), ..LogOptions::default() };
    let (log, _) = Log::open_in(Box::new(Sim::default()), options, None).unwrap();
    let (over, syncs) = mpsc::channel();
    go_on(log.clone(), 9, over);
    assert_eq!(syncs.recv().unwrap(), 10);
}

/// However many appends are queued behind the one that finds the disk full, the writer tries once or twice more.
#[test]
fn closing_a_log_on_a_full_disk_waits_no_longer_for_many_than_for_one() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    sim.0.lock().unwrap().fault = Some(Fault::NoRoom);
    log.submit(batch(1..2), None, |_| {});
    while !log.full() {
        std::thread::yield_now();
    }
    (2..22).for_each(|n| log.submit(batch(n..n + 1), None, |_| {}));
    let before = sim.operations();
    drop(log);
    // Each takes back what it has written.
    let tries = sim.operations() - before;
    assert!(tries < 10, "{tries} tries");
}

/// A message may hold anything, also what a sealed segment would end in at this very place.
#[test]
fn a_message_that_ends_like_a_seal_seals_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), LogOptions::default()).unwrap();
    let head = segment::head(1, Salt::default(), &Producers::default()).len() as u64;
    // A frame's prefix, salt and fields, then a message's length, time, subject, identifier and headers, all empty.
    let end = head + 8 + 8 + 44 + 4 + 8 + 4 + 4 + 4;
    let seal = seal::encode(&segment::Contents { next: 1, end, ..segment::Contents::default() });
    run(log.append(vec![Message::new(&seal).unwrap()])).unwrap();
    drop(log);
    let name = directory.path().join(segment::name(1));
    let bytes = std::fs::read(name).unwrap();
    // Closing the log has put a frame without messages behind it.
    let closed = bytes.len() - 8 - 8 - 44;
    assert!(seal::find(&bytes[..closed], Salt::default()).is_some(), "else this test shows nothing");
    assert_eq!(inspect(directory.path()), Ok(vec![]));
    let (log, recovery) = Log::open(directory.path(), LogOptions::default()).unwrap();
    assert_eq!((recovery, log.next()), (Recovery::default(), 2));
    run(log.append(batch(2..3))).unwrap();
    assert_eq!(contents(&log).len(), 2);
}
