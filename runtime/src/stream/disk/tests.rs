use super::files::Files;
use super::*;
use crate::message::{Message, MessageBuilder};
use crate::stream::Limit;
use proptest::prelude::*;

mod forged;
mod journal;
mod model;
mod producers;
mod repair;
pub(crate) mod sim;
mod storage;

use super::salt::Salt;
use sim::{Fault, Sim};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn batch(numbers: std::ops::Range<u64>) -> Vec<Message> {
    let mut builder = MessageBuilder::new();
    let make = |n: u64| {
        builder.subject("s").key(&n.to_le_bytes()).header("n", n as i64).build(format!("body {n:03}").as_bytes())
    };
    numbers.map(make).collect::<Result<_, _>>().unwrap()
}

/// All that a log holds, each with its sequence, read in pieces.
fn contents(log: &Log) -> Vec<(u64, Message)> {
    let (mut seq, mut all) = (log.first(), Vec::new());
    loop {
        let entries = log.read(seq, Limit::messages(3)).unwrap();
        let Some(last) = entries.last() else { return all };
        seq = last.at.seq + 1;
        all.extend(entries.into_iter().map(|e| (e.at.seq, e.message)));
    }
}

/// Appends until something fails. What was acknowledged: the numbers below. A batch's numbers are its sequences.
fn work(sim: &Sim) -> u64 {
    let Ok((log, _)) = sim.open_log() else { return 1 };
    run(async {
        let mut acknowledged = log.next();
        for size in [1, 3, 2, 5, 1, 4, 2, 6, 1, 3, 2] {
            match log.append(batch(acknowledged..acknowledged + size)).await {
                Ok(seq) => assert_eq!(seq, acknowledged),
                Err(_) => {
                    let error = log.append(batch(0..1)).await.unwrap_err();
                    assert!(matches!(error, DiskError::Poisoned(_)), "{error}");
                    break;
                }
            }
            acknowledged += size;
        }
        acknowledged
    })
}

fn assert_holds(log: &Log, acknowledged: u64, context: &dyn std::fmt::Debug) {
    let all = contents(log);
    let expected = batch(1..all.len() as u64 + 1);
    assert!(all.len() as u64 + 1 >= acknowledged, "{context:?}: {} of {acknowledged} are left", all.len());
    for ((seq, message), (n, expected)) in all.iter().zip((1..).zip(&expected)) {
        assert_eq!((*seq, message), (n, expected), "{context:?}");
    }
    assert_eq!(log.next(), all.len() as u64 + 1, "{context:?}");
}

#[test]
fn every_operation_fails_once() {
    let whole = Sim::default();
    assert_eq!(work(&whole), 31);
    let operations = whole.operations();
    assert!(operations > 40, "{operations} operations");
    for fault in (0..operations).map(Fault::Once) {
        let sim = Sim::default();
        sim.0.lock().unwrap().fault = Some(fault);
        let acknowledged = work(&sim);
        let (log, _) = sim.mended().open_log().unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_holds(&log, acknowledged, &fault);
        let next = log.next();
        run(log.append(batch(next..next + 2))).unwrap();
        assert_holds(&log, next + 2, &fault);
    }
}

#[test]
fn the_power_is_cut_at_every_operation() {
    let whole = Sim::default();
    work(&whole);
    for at in 0..=whole.operations() {
        for luck in 0..9 {
            let sim = Sim::default();
            sim.0.lock().unwrap().fault = Some(Fault::Power(at));
            let acknowledged = work(&sim);
            let found = sim.after_power_cut(luck);
            let (log, _) = found.open_log().unwrap_or_else(|e| panic!("cut at {at}, luck {luck}: {e}"));
            assert_holds(&log, acknowledged, &(at, luck));
            let next = log.next();
            run(log.append(batch(next..next + 2))).unwrap();
            drop(log);
            assert_holds(&found.open_log().unwrap().0, next + 2, &(at, luck));
        }
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let whole = Sim::default();
    work(&whole);
    let mut waited = 0;
    for at in 0..whole.operations() {
        let sim = Sim::default();
        sim.0.lock().unwrap().fault = Some(Fault::Full(at));
        let acknowledged = work(&sim);
        waited += usize::from(acknowledged == 31);
        assert_holds(&sim.mended().open_log().unwrap().0, acknowledged, &at);
    }
    // Eleven appends find the disk full and go on, and so do three seals and three new segments, whose file is made,
    // written, synced, named and its name synced; where it is the sync of what was appended, the log is poisoned.
    assert!(waited >= 11 + 3 + 3 * 5, "{waited}");
}

/// A batch of two messages five times, and whether the log says at its end that all was synced: it does so when it is closed.
fn damage(closed: bool) {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), LogOptions::default()).unwrap();
    for n in 0..5 {
        run(log.append(batch(n * 2 + 1..n * 2 + 3))).unwrap();
    }
    let file = directory.path().join(segment::name(1));
    let crashed = std::fs::read(&file).unwrap();
    drop(log);
    let good = if closed { std::fs::read(&file).unwrap() } else { crashed.clone() };
    let start = segment::head(1, Salt::default(), &Default::default()).len();
    let length = (crashed.len() - start) / 5;
    let frames: Vec<usize> = (0..5).map(|n| start + n * length).chain(closed.then_some(crashed.len())).collect();
    for at in start..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&file, &bad).unwrap();
        let frame = frames.iter().rposition(|begin| *begin <= at).unwrap();
        let is_last = frame + 1 == frames.len();
        match Log::open(directory.path(), LogOptions::default()) {
            Err(DiskError::Damaged { offset, seq, .. }) => {
                assert!(!is_last, "byte {at}");
                assert_eq!((offset as usize, seq as usize), (frames[frame], frame * 2 + 1), "byte {at}");
            }
            Ok((log, recovery)) => {
                assert!(is_last, "byte {at} is below what a later frame says was synced");
                assert_eq!(recovery.cut, Some((segment::name(1), (good.len() - frames[frame]) as u64)));
                assert_eq!(log.next(), if closed { 11 } else { 9 });
            }
            Err(e) => panic!("byte {at}: {e}"),
        }
    }
}

#[test]
fn damage_below_what_was_synced_stops_the_start_and_above_it_is_cut() {
    damage(false);
}

#[test]
fn damage_to_what_was_closed_stops_the_start() {
    damage(true);
}

#[test]
fn a_log_that_is_quiet_says_that_it_is_synced_and_says_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), LogOptions::default()).unwrap();
    run(log.append(batch(1..3))).unwrap();
    let file = directory.path().join(segment::name(1));
    let length = || std::fs::metadata(&file).unwrap().len();
    let appended = length();
    while length() == appended {
        std::thread::yield_now();
    }
    let marked = length();
    assert_eq!((log.next(), contents(&log).len()), (3, 2));
    drop(log);
    drop(Log::open(directory.path(), LogOptions::default()).unwrap());
    assert_eq!(length(), marked);
    run(Log::open(directory.path(), LogOptions::default()).unwrap().0.append(batch(3..5))).unwrap();
    assert_eq!(contents(&Log::open(directory.path(), LogOptions::default()).unwrap().0).len(), 4);
}

#[test]
fn a_directory_belongs_to_one() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(directory.path(), LogOptions::default()).unwrap();
    assert!(matches!(Log::open(directory.path(), LogOptions::default()), Err(DiskError::Locked { .. })));
    drop(log);
    Log::open(directory.path(), LogOptions::default()).unwrap();
}

#[test]
fn what_is_no_segment_or_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(segment::name(1)), "another program's file").unwrap();
    assert_eq!(
        Log::open(directory.path(), LogOptions::default()).err(),
        Some(DiskError::Foreign { name: segment::name(1) })
    );
    let sim = Sim::default();
    work(&sim);
    let second = sim.list().unwrap()[1].clone();
    sim.0.lock().unwrap().files.remove(&second);
    let error = sim.open_log().err().unwrap();
    assert!(matches!(error, DiskError::Missing { .. }), "{error}");
}

#[test]
fn reading_out_of_bounds_is_an_error_and_the_next_is_nothing() {
    let sim = Sim::default();
    work(&sim);
    let (log, _) = sim.open_log().unwrap();
    assert_eq!(log.read(31, Limit::messages(1)).unwrap().len(), 0);
    let out = |seq, first| Some(DiskError::OutOfBounds { seq, first, last: 30 });
    assert_eq!(log.read(32, Limit::messages(1)).err(), out(32, 1));
    assert_eq!(log.read(0, Limit::messages(1)).err(), out(0, 1));
    assert!(log.trim(20).unwrap() > 0);
    let first = log.first();
    assert!(first > 1 && first <= 20, "whole segments only");
    assert_eq!(log.read(1, Limit::messages(1)).err(), out(1, first));
    assert_eq!(contents(&log).first().map(|(seq, _)| *seq), Some(first));
    drop(log);
    assert_eq!(sim.open_log().unwrap().0.first(), first);
}

#[test]
fn time_finds_its_sequence() {
    let sim = Sim::default();
    work(&sim);
    let (log, _) = sim.open_log().unwrap();
    assert_eq!(log.seek(0).unwrap(), 1);
    assert_eq!(log.seek(i64::MAX).unwrap(), log.next());
}

/// Random messages survive the way to the disk and back.
#[test]
fn frames_give_back_what_went_in() {
    let runner = &mut proptest::test_runner::TestRunner::default();
    let part = || proptest::collection::vec(any::<u8>(), 0..40);
    let message =
        (".{0,12}", part(), part(), proptest::collection::vec((".{0,9}", 0u8..30, part()), 0..5), any::<i64>());
    let many = proptest::collection::vec(message, 1..6);
    let outcome = runner.run(&(many, any::<u64>()), |(many, base)| {
        let mut builder = MessageBuilder::new();
        let mut messages = Vec::new();
        for (subject, id, body, headers, time) in &many {
            builder.subject(subject).id(id).timestamp(*time);
            for (name, kind, value) in headers {
                builder.raw_header(name, crate::message::Kind(*kind), value);
            }
            messages.push(builder.build(body).unwrap());
        }
        let header = frame::Header { base, count: messages.len() as u32, time: 7, synced: 3, producer: 5, sequence: 9 };
        let mut bytes = Vec::new();
        let salt = Salt::random();
        frame::encode(&mut bytes, salt, header, &messages);
        let (back, payload, whole) = frame::decode(&bytes, salt).unwrap();
        prop_assert_eq!((back, whole), (header, bytes.len()));
        prop_assert_eq!(frame::messages(back, payload, &mut builder).unwrap(), messages);
        prop_assert_eq!(frame::decode(&bytes, Salt::default()), Err(frame::Broken::Damaged));
        for cut in 0..bytes.len() {
            prop_assert!(frame::decode(&bytes[..cut], salt).is_err());
        }
        Ok(())
    });
    outcome.unwrap();
}
