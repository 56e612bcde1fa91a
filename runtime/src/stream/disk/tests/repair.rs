use super::super::repair::{inspect_in, repair_in};
use super::*;

/// A log whose messages' numbers are their sequences: 30 messages in several segments.
fn worked() -> Sim {
    let sim = Sim::default();
    assert_eq!(work(&sim), 31);
    assert!(sim.list().unwrap().len() >= 4);
    sim
}

/// The sequences that a log holds; each message must be the one that was appended there.
fn held(log: &Log, context: &dyn std::fmt::Debug) -> Vec<u64> {
    let all = contents(log);
    for (seq, message) in &all {
        assert_eq!(message, &batch(*seq..seq + 1)[0], "{context:?}");
    }
    all.into_iter().map(|(seq, _)| seq).collect()
}

/// A repaired log opens without loss, takes appends, and holds the same when it is opened again.
fn assert_goes_on(sim: &Sim, context: &dyn std::fmt::Debug) -> Vec<u64> {
    assert_eq!(inspect_in(sim), Ok(vec![]), "{context:?}");
    let (log, recovery) = sim.open_log().unwrap_or_else(|e| panic!("{context:?}: {e}"));
    assert_eq!(recovery, Recovery::default(), "{context:?}");
    let mut sequences = held(&log, context);
    let next = log.next();
    assert_eq!(run(log.append(batch(next..next + 2))), Ok(next), "{context:?}");
    run(log.ready(next));
    sequences.extend([next, next + 1]);
    assert_eq!(held(&log, context), sequences, "{context:?}");
    drop(log);
    assert_eq!(held(&sim.open_log().unwrap().0, context), sequences, "{context:?}");
    sequences.truncate(sequences.len() - 2);
    sequences
}

fn flip(sim: &Sim, name: &str, at: usize) {
    let file = sim.0.lock().unwrap().files.get(name).cloned().unwrap();
    let mut file = file.lock().unwrap();
    file.data[at] ^= 0x10;
    file.durable = file.data.clone();
}

fn expected_after(damages: &[Damage], how: Repair) -> Vec<u64> {
    let is_lost = |seq: u64| match how {
        Repair::Cut => damages.first().is_some_and(|d| seq >= d.seq),
        Repair::Skip => damages.iter().any(|d| seq >= d.seq && d.next.is_none_or(|next| seq < next)),
    };
    (1..31).filter(|seq| !is_lost(*seq)).collect()
}

#[test]
fn a_byte_that_is_wrong_anywhere_is_found_and_repaired() {
    let whole = worked();
    assert_eq!(inspect_in(&whole), Ok(vec![]));
    let names = whole.list().unwrap();
    let mut lost_some = 0;
    for (i, name) in names.iter().enumerate() {
        for at in 0..whole.length(name) {
            let damaged = whole.copy();
            flip(&damaged, name, at);
            let damages = inspect_in(&damaged).unwrap_or_else(|e| panic!("{name} {at}: {e}"));
            // In the last frame of all and in an empty last segment's head, nothing tells damage from a torn tail.
            let Some(damage) = damages.first() else {
                assert_eq!(i + 1, names.len(), "{name} {at}");
                continue;
            };
            assert_eq!((damages.len(), &damage.segment), (1, name), "{name} {at}");
            assert!((damage.offset..damage.offset + damage.bytes).contains(&(at as u64)), "{name} {at}: {damage:?}");
            // No more is lost than the frame that the byte is in.
            let next = damage.next.unwrap_or(damage.seq);
            assert!(next - damage.seq <= 6, "{name} {at}: {damage:?}");
            lost_some += usize::from(next > damage.seq);
            for how in [Repair::Cut, Repair::Skip] {
                let repaired = damaged.copy();
                assert_eq!(repair_in(&repaired, how).as_ref(), Ok(&damages));
                assert_eq!(assert_goes_on(&repaired, &(name, at, how)), expected_after(&damages, how));
            }
        }
    }
    assert!(lost_some > 1000, "{lost_some}");
}

#[test]
fn a_segment_that_is_missing_is_found_and_bridged() {
    let whole = worked();
    let names = whole.list().unwrap();
    for name in &names[1..names.len() - 1] {
        let damaged = whole.copy();
        damaged.0.lock().unwrap().files.remove(name);
        let damages = inspect_in(&damaged).unwrap();
        assert_eq!((damages.len(), &damages[0].segment, damages[0].bytes), (1, name, 0));
        assert!(matches!(damaged.open_log().err(), Some(DiskError::Missing { .. })));
        for how in [Repair::Cut, Repair::Skip] {
            let repaired = damaged.copy();
            repair_in(&repaired, how).unwrap();
            assert_eq!(assert_goes_on(&repaired, &(name, how)), expected_after(&damages, how));
        }
    }
}

/// Readers are not told of a message where there is only a gap, or they would ask again and again.
#[test]
fn behind_a_gap_at_the_end_readers_wait() {
    let damaged = worked();
    let names = damaged.list().unwrap();
    // The last message before an empty segment is lost.
    let (last, before) = (&names[names.len() - 1], &names[names.len() - 2]);
    let base = segment::base_of(last).unwrap();
    let head = segment::head(base, Salt::random(), &Default::default());
    damaged.set(last, head);
    let seal = seal::read(damaged.read(before).unwrap().as_ref()).unwrap().unwrap();
    flip(&damaged, before, seal.end as usize - 1);
    let damages = repair_in(&damaged, Repair::Skip).unwrap();
    let (log, _) = damaged.open_log().unwrap();
    let lost = damages[0].seq;
    let end = log.next();
    assert_eq!(damages[0].next, Some(end));
    assert!(log.read(lost, Limit::messages(9)).unwrap().is_empty());
    let after = held(&log, &damages).last().unwrap() + 1;
    assert_eq!(after, lost);
    assert_eq!(run(producers::at_once(log.ready(after))), None, "{after} of {end}");
    run(log.append(batch(end..end + 1))).unwrap();
    run(log.ready(after));
    assert_eq!(log.read(after, Limit::messages(9)).unwrap()[0].at.seq, end);
}

#[test]
fn the_power_is_cut_at_every_operation_of_a_repair() {
    let whole = worked();
    let names = whole.list().unwrap();
    let damaged = whole.copy();
    flip(&damaged, &names[0], damaged.length(&names[0]) / 2);
    flip(&damaged, &names[1], 3);
    damaged.0.lock().unwrap().files.remove(&names[2]);
    let damages = inspect_in(&damaged).unwrap();
    assert_eq!(damages.len(), 3, "{damages:?}");
    for how in [Repair::Cut, Repair::Skip] {
        let counted = damaged.copy();
        repair_in(&counted, how).unwrap();
        assert!(counted.operations() > 4);
        for at in 0..counted.operations() {
            for luck in 0..9 {
                let sim = damaged.copy();
                sim.0.lock().unwrap().fault = Some(Fault::Power(at));
                assert!(repair_in(&sim, how).is_err());
                let found = sim.after_power_cut(luck);
                repair_in(&found, how).unwrap_or_else(|e| panic!("{how:?}, cut at {at}, luck {luck}: {e}"));
                assert_eq!(assert_goes_on(&found, &(how, at, luck)), expected_after(&damages, how));
                let leftover = found.list().unwrap().into_iter().find(|name| name.ends_with(".tmp"));
                assert_eq!(leftover, None, "{how:?}, cut at {at}, luck {luck}");
            }
        }
    }
}

#[test]
fn a_real_directory_is_inspected_and_repaired() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 600, ..LogOptions::default() };
    let (log, _) = Log::open(directory.path(), options).unwrap();
    for n in 1..20 {
        run(log.append(batch(n..n + 1))).unwrap();
    }
    assert!(matches!(repair(directory.path(), Repair::Skip), Err(DiskError::Locked { .. })));
    drop(log);
    let file = directory.path().join(segment::name(1));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let damages = inspect(directory.path()).unwrap();
    assert_eq!((damages.len(), damages[0].seq, damages[0].next), (1, 1, Some(2)));
    assert_eq!(
        damages[0].to_string(),
        format!("{}, byte 40: {} bytes are damaged; sequences 1 to 1 are lost", segment::name(1), damages[0].bytes)
    );
    assert_eq!(repair(directory.path(), Repair::Skip), Ok(damages));
    let (log, _) = Log::open(directory.path(), options).unwrap();
    assert_eq!(contents(&log).first().map(|(seq, _)| *seq), Some(2));
}
