//! Messages that hold what looks like a log's own bytes. A test takes the parts that a crash leaves of them.

use super::*;
use std::fs;
use std::path::PathBuf;

/// A message that claims to be frames of a log: at the sequence where it stands itself, with another message, and far
/// ahead of what was synced. One is made as frames without a salt would be, one with a salt that is guessed.
fn liar(seq: u64) -> Message {
    let header = frame::Header { base: seq, count: 1, time: 1, synced: 1 << 39, producer: 0, sequence: 0 };
    let mut guessed = Vec::new();
    frame::encode(&mut guessed, Salt::default(), header, &[Message::new(b"forged").unwrap()]);
    let unsalted = &guessed[frame::PREFIX + Salt::LENGTH..];
    let (length, sum) = (unsalted.len() as u32, crc32c::crc32c(unsalted));
    let without = [&length.to_le_bytes(), &sum.to_le_bytes(), unsalted].concat();
    Message::new(&[without, guessed, vec![7; 200]].concat()).unwrap()
}

/// A log of one segment that a process was writing when it was killed: messages 1 and 2, this one, and what was appended
/// behind it; where the frame of this one begins.
fn killed(third: Message, behind: Vec<Message>) -> (tempfile::TempDir, PathBuf, Vec<u8>, usize) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(segment::name(1));
    let (log, _) = Log::open(directory.path(), LogOptions::default()).unwrap();
    run(log.append(batch(1..3))).unwrap();
    let start = fs::metadata(&file).unwrap().len() as usize;
    run(log.append(vec![third])).unwrap();
    run(log.append(behind)).unwrap();
    let bytes = fs::read(&file).unwrap();
    drop(log);
    (directory, file, bytes, start)
}

#[test]
fn a_torn_tail_that_claims_to_be_synced_is_cut() {
    let (directory, file, bytes, start) = killed(liar(3), vec![]);
    for length in [bytes.len() - 1, bytes.len() - 10, bytes.len() - 100] {
        fs::write(&file, &bytes[..length]).unwrap();
        assert_eq!(inspect(directory.path()), Ok(vec![]), "{length} bytes");
        let (log, recovery) = Log::open(directory.path(), LogOptions::default()).unwrap();
        assert_eq!(recovery.cut, Some((segment::name(1), (length - start) as u64)));
        assert_holds(&log, 3, &length);
        assert_eq!(log.next(), 3);
    }
}

#[test]
fn a_repair_adopts_nothing_from_within_a_message() {
    let (directory, file, mut bytes, start) = killed(liar(3), batch(4..6));
    bytes[start] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let damaged = Log::open(directory.path(), LogOptions::default()).err();
    assert_eq!(damaged, Some(DiskError::Damaged { segment: segment::name(1), offset: start as u64, seq: 3 }));
    let damages = repair(directory.path(), Repair::Skip).unwrap();
    assert_eq!(damages.iter().map(|d| (d.seq, d.next)).collect::<Vec<_>>(), [(3, Some(4))]);
    let (log, _) = Log::open(directory.path(), LogOptions::default()).unwrap();
    let messages = [batch(1..3), batch(4..6)].concat();
    assert_eq!(contents(&log), [1, 2, 4, 5].into_iter().zip(messages).collect::<Vec<_>>());
}

/// Each place that is looked at closely may cost a checksum over all behind it.
#[test]
fn a_torn_tail_full_of_frames_is_searched_once() {
    const BODY: u32 = 4 << 20;
    let mut body = Vec::new();
    while let Some(rest) = BODY.checked_sub(body.len() as u32 + 100) {
        // As long as what follows, at sequence 3, with and without a salt before that.
        body.extend_from_slice(&rest.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&3u64.to_le_bytes());
        body.extend_from_slice(&3u64.to_le_bytes());
    }
    let (directory, file, bytes, start) = killed(Message::new(&body).unwrap(), vec![]);
    let torn = &bytes[start..bytes.len() - 1];
    let salt = segment::salts(&bytes).next().unwrap();
    let looked_at = scan::places(torn, salt).count();
    assert_eq!(looked_at, 0, "of {} bytes", torn.len());
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let (log, recovery) = Log::open(directory.path(), LogOptions::default()).unwrap();
    assert_eq!((recovery.cut, log.next()), (Some((segment::name(1), torn.len() as u64)), 3));
}

/// Where a message is torn, the file may end as a sealed one would.
#[test]
fn a_message_that_is_torn_like_a_seal_seals_nothing() {
    let (_, _, bytes, start) = killed(Message::new(b"").unwrap(), vec![]);
    let end = bytes.len() as u64;
    let seal = seal::encode(&segment::Contents { next: 3, end, ..segment::Contents::default() });
    let torn = bytes.len() + seal.len();
    let (directory, file, bytes, _) = killed(Message::new(&[seal, vec![7; 9]].concat()).unwrap(), vec![]);
    fs::write(&file, &bytes[..torn]).unwrap();
    assert!(seal::find(&bytes[..torn], Salt::default()).is_some(), "else this test shows nothing");
    assert_eq!(inspect(directory.path()), Ok(vec![]));
    let (log, recovery) = Log::open(directory.path(), LogOptions::default()).unwrap();
    assert_eq!((recovery.cut, log.next()), (Some((segment::name(1), (torn - start) as u64)), 3));
}

#[test]
fn every_segment_has_a_salt_of_its_own_also_one_that_a_repair_makes() {
    let sim = Sim::default();
    work(&sim);
    let salts = |sim: &Sim| {
        let names = sim.list().unwrap();
        let file = |name: &String| scan::load(sim, segment::base_of(name).unwrap()).unwrap();
        let mut salts: Vec<_> = names.iter().map(|n| segment::salts(&file(n)).next().unwrap().bytes()).collect();
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), names.len());
        assert!(!salts.contains(&Salt::default().bytes()));
        salts.len()
    };
    let all = salts(&sim);
    let missing = sim.list().unwrap()[1].clone();
    sim.0.lock().unwrap().files.remove(&missing);
    assert_eq!(super::super::repair::repair_in(&sim, Repair::Skip).map(|d| d.len()), Ok(1));
    assert_eq!(salts(&sim), all);
}

/// Its seal tells the salt as well.
#[test]
fn a_segment_whose_head_is_wiped_out_loses_no_more_than_that() {
    let sim = Sim::default();
    work(&sim);
    let name = sim.list().unwrap()[1].clone();
    let base = segment::base_of(&name).unwrap();
    let mut bytes = scan::load(&sim, base).unwrap();
    let head = segment::read_head(&bytes, base).unwrap().end as usize;
    bytes[..head].fill(0);
    sim.set(&name, bytes);
    let damages = super::super::repair::repair_in(&sim, Repair::Skip).unwrap();
    let lost: Vec<_> = damages.iter().map(|d| (d.seq, d.next, d.bytes)).collect();
    assert_eq!(lost, [(base, Some(base), head as u64)]);
    assert_holds(&sim.open_log().unwrap().0, 31, &damages);
}

/// What a wiped head reads as is no salt, or messages could guess it.
#[test]
fn a_repair_takes_no_salt_from_a_head_that_is_wiped_out() {
    let (directory, file, mut bytes, _) = killed(liar(3), batch(4..6));
    bytes[segment::MAGIC.len()..segment::SALT_AT + 2 * Salt::LENGTH].fill(0);
    fs::write(&file, &bytes).unwrap();
    let damages = repair(directory.path(), Repair::Skip).unwrap();
    assert_eq!(damages.iter().map(|d| (d.seq, d.next)).collect::<Vec<_>>(), [(1, None)]);
    assert_eq!(contents(&Log::open(directory.path(), LogOptions::default()).unwrap().0), []);
}
