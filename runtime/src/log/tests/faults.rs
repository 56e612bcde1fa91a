//! A whole log on a disk that fails once, or whose power is cut, at every operation of a script.

use super::super::directory::{self, Place};
use super::*;
use crate::stream::disk::tests::sim::{Fault, Sim};
use crate::stream::disk::{self, Files};

impl Place for Sim {
    fn name(&self) -> String {
        "the simulated disk".into()
    }

    fn top(&self) -> Box<dyn Files> {
        Box::new(self.directory("").unwrap())
    }

    fn partition(&self, options: disk::LogOptions) -> Result<(disk::Log, Recovery), DiskError> {
        let directory = self.directory(&options.partition.to_string());
        let directory = directory.map_err(|e| DiskError::io("the partition's directory", "make", e))?;
        disk::Log::open_in(Box::new(directory), options, None)
    }
}

const PARTITIONS: u32 = 2;

fn options(durability: Durability) -> LogOptions {
    LogOptions { partitions: PARTITIONS, segment_bytes: 200, durability, ..LogOptions::default() }
}

/// Outside of a runtime, so that nothing looks after the log but the script.
pub(crate) fn open(sim: &Sim, durability: Durability) -> Result<SequenceLog, LogError> {
    let options = options(durability);
    let opened = directory::open_in("s", sim, &options)?;
    Ok(SequenceLog::opened("s", opened, options).0)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// What the log was told in one partition, and what it answered.
#[derive(Clone, Default)]
struct Told {
    /// In the order they were appended: bodies by sequence, from 1 on.
    submitted: Vec<String>,
    /// So many of them were acknowledged.
    acknowledged: usize,
    /// The producer's last batch that was.
    last: Option<(ProducerBatch, usize)>,
    /// By group: what it may have settled, by now or ever since it was last moved for sure.
    settled: BTreeMap<&'static str, BTreeSet<u64>>,
}

/// All that a log was told.
struct Script {
    sim: Sim,
    durability: Durability,
    partitions: [Told; PARTITIONS as usize],
    /// Groups that were there while nothing had failed.
    groups: BTreeSet<&'static str>,
    /// For bodies that are never the same.
    generation: usize,
}

fn place(partition: u32, seq: u64) -> Position {
    Position { partition, seq }
}

impl Script {
    fn new(sim: Sim, durability: Durability) -> Script {
        Script { sim, durability, partitions: Default::default(), groups: BTreeSet::new(), generation: 0 }
    }

    fn told(&mut self, partition: u32) -> &mut Told {
        &mut self.partitions[partition as usize]
    }

    /// Appends so many; whether it was acknowledged.
    fn append(&mut self, log: &SequenceLog, partition: u32, count: usize, producer: bool) -> bool {
        let generation = self.generation;
        let told = self.told(partition);
        let from = told.submitted.len();
        let bodies: Vec<String> = (0..count).map(|i| format!("{generation}/{partition}/{}", from + i + 1)).collect();
        let messages = bodies.iter().map(|body| message(body)).collect();
        let batch = producer.then_some(ProducerBatch { producer: 7, sequence: 1 + from as u64 });
        let result = run(log.append_to(partition, messages, batch));
        // One that fails may be there all the same. Nothing that is appended after it is.
        told.submitted.extend(bodies);
        let Ok(appended) = result else {
            assert!(log.failure().is_some());
            return false;
        };
        assert_eq!((appended.seq, appended.duplicate), (Some(from as u64 + 1), false));
        told.acknowledged = told.submitted.len();
        told.last = batch.map(|batch| (batch, count)).or(told.last);
        true
    }

    fn consumer(&mut self, log: &SequenceLog, group: &'static str, start: Start) -> Consumer {
        let known = log.groups().iter().any(|g| &*g.name == group);
        if !known {
            for partition in 0..PARTITIONS {
                let at = log.resolve(partition, start).unwrap();
                self.told(partition).settled.insert(group, (1..at).collect());
            }
        }
        let consumer = log.consumer(group, ConsumerOptions { start, lease: None, ..Default::default() }).unwrap();
        if !self.sim.has_failed() {
            self.groups.insert(group);
        }
        consumer
    }

    fn settle(&mut self, consumer: &Consumer, entries: &[Entry], group: &'static str) {
        for entry in entries {
            self.told(entry.at.partition).settled.entry(group).or_default().insert(entry.at.seq);
        }
        consumer.settle_batch(entries).unwrap();
    }

    fn commit(&mut self, log: &SequenceLog, group: &'static str, at: Position) {
        self.told(at.partition).settled.entry(group).or_default().extend(1..at.seq);
        log.commit(group, at).unwrap();
    }

    fn seek(&mut self, log: &SequenceLog, group: &'static str, at: Position) {
        log.seek_to(group, at).unwrap();
        let failed = self.sim.has_failed();
        let settled = self.told(at.partition).settled.entry(group).or_default();
        settled.extend(1..at.seq);
        if !failed {
            settled.retain(|seq| *seq < at.seq);
        }
    }

    /// The first life of a log; it ends as soon as something is not acknowledged.
    fn first(&mut self) -> Option<()> {
        let log = open(&self.sim, self.durability).ok()?;
        let mut a = self.consumer(&log, "a", Start::Earliest);
        for (partition, count) in [(0, 3), (1, 2), (0, 1), (1, 4)] {
            self.append(&log, partition, count, partition == 1).then_some(())?;
        }
        let batch = take(&mut a, 5);
        self.settle(&a, &batch[..2], "a");
        let _late = self.consumer(&log, "late", Start::Latest);
        for count in [4, 2, 5, 3] {
            self.append(&log, 0, count, false).then_some(())?;
            self.append(&log, 1, count, true).then_some(())?;
        }
        self.commit(&log, "a", place(0, 8));
        self.commit(&log, "a", place(1, 5));
        // Beyond a watermark, too.
        let entries: Vec<Entry> = log.read(1, 9, Limit::messages(3)).ok()?;
        self.settle(&a, &entries, "a");
        self.seek(&log, "a", place(1, 4));
        self.commit(&log, "late", place(0, 14));
        // A failure leaves the rest to be given up later.
        let _ = log.collect();
        let places = log.0.places();
        let _ = lock(log.0.journal.as_ref()?).make_anew(&places);
        self.append(&log, 1, 2, true).then_some(())?;
        let batch = take(&mut a, 3);
        self.settle(&a, &batch, "a");
        drop(a);
        log.remove("late").ok()?;
        self.groups.remove("late");
        for partition in 0..PARTITIONS {
            self.told(partition).settled.remove("late");
        }
        self.append(&log, 0, 6, false).then_some(())?;
        run(log.close());
        drop((log, _late));
        self.second()
    }

    /// The second life, in a log that was closed.
    fn second(&mut self) -> Option<()> {
        let log = open(&self.sim, self.durability).ok()?;
        let mut a = self.consumer(&log, "a", Start::Earliest);
        let batch = take(&mut a, 4);
        self.settle(&a, &batch, "a");
        self.append(&log, 0, 3, false).then_some(())?;
        self.append(&log, 1, 1, true).then_some(())
    }

    /// A log that was opened again holds what was acknowledged, each reader is owed what it never settled, and batches that
    /// come again are known. What is there from here on is what the log was told.
    fn check(&mut self, log: &SequenceLog, power_was_cut: bool, context: &str) {
        let all_safe = !power_was_cut || self.durability == Durability::EveryBatch;
        for partition in 0..PARTITIONS {
            let (first, next) = log.bounds(partition).unwrap();
            let entries = if first == next { Vec::new() } else { log.read(partition, first, ALL).unwrap() };
            let told = self.told(partition);
            if all_safe {
                assert!(next > told.acknowledged as u64, "{context}: {next} of {}", told.acknowledged);
            }
            let held = &told.submitted[(first - 1) as usize..(next - 1) as usize];
            assert_eq!(bodies(&entries), held, "{context}");
            told.submitted.truncate((next - 1) as usize);
            told.acknowledged = told.submitted.len();
            // The producer's sequences are the log's, so that what is gone is known.
            told.last = told.last.filter(|(batch, count)| batch.sequence + *count as u64 <= next);
            for settled in told.settled.values_mut() {
                settled.retain(|seq| *seq < next);
            }
            if let Some((batch, count)) = told.last.filter(|_| all_safe) {
                let again = run(log.append_to(partition, vec![message("again"); count], Some(batch))).unwrap();
                assert!(again.duplicate, "{context}: {batch:?} was appended twice");
            }
        }
        let names: BTreeSet<String> = log.groups().iter().map(|g| g.name.to_string()).collect();
        assert!(self.groups.iter().all(|g| names.contains(*g)), "{context}: {:?} of {names:?}", self.groups);
    }

    /// Every reader gets all that it never settled.
    fn drain(&mut self, log: &SequenceLog, context: &str) {
        for group in self.groups.clone() {
            let mut consumer = log.consumer(group, ConsumerOptions::default()).unwrap();
            let mut given: BTreeSet<(u32, u64)> = BTreeSet::new();
            while log.lag(group).unwrap() > given.len() as u64 {
                let entries = take(&mut consumer, usize::MAX);
                assert!(!entries.is_empty(), "{context}: '{group}' is owed more");
                given.extend(entries.iter().map(|e| (e.at.partition, e.at.seq)));
            }
            for partition in 0..PARTITIONS {
                let (first, next) = log.bounds(partition).unwrap();
                let settled = self.told(partition).settled.get(group).cloned().unwrap_or_default();
                for seq in (first..next).filter(|seq| !settled.contains(seq)) {
                    assert!(given.contains(&(partition, seq)), "{context}: '{group}' never had {partition}/{seq}");
                }
            }
        }
    }

    /// Opens the log again; where that fails since something else does, once more.
    fn reopen(&self, context: &str) -> SequenceLog {
        open(&self.sim, self.durability)
            .or_else(|_| open(&self.sim, self.durability))
            .unwrap_or_else(|e| panic!("{context}: {e}"))
    }

    /// New messages, in the places that a power cut has made free, too.
    fn go_on(&mut self, log: &SequenceLog, context: &str) {
        self.generation += 1;
        for (partition, count) in [(0, 9), (1, 12)] {
            assert!(self.append(log, partition, count, false), "{context}: {:?}", log.failure());
        }
    }
}

/// What is there now, up to so many from the partition whose turn it is.
fn take(consumer: &mut Consumer, most: usize) -> Vec<Entry> {
    run(async {
        tokio::select! {
            biased;
            batch = consumer.next_batch(Limit::messages(most)) => batch.unwrap(),
            () = std::future::ready(()) => Vec::new(),
        }
    })
}

fn whole(durability: Durability) -> usize {
    let mut script = Script::new(Sim::default(), durability);
    script.first().expect("nothing fails");
    let operations = script.sim.operations();
    let log = script.reopen("nothing failed");
    // What was settled stays settled: what is given is what was not, exactly.
    let lag: u64 = script.partitions.iter().map(|t| (t.submitted.len() - t.settled["a"].len()) as u64).sum();
    assert_eq!(log.lag("a").unwrap(), lag);
    script.check(&log, false, "nothing failed");
    script.drain(&log, "nothing failed");
    assert!((0..PARTITIONS).any(|p| log.bounds(p).unwrap().0 > 1), "something was given up");
    operations
}

#[test]
fn every_operation_fails_once() {
    for durability in [Durability::EveryBatch, Durability::Os] {
        let operations = whole(durability);
        assert!(operations > 100, "{operations} operations");
        for at in 0..operations {
            let context = format!("{durability:?}, operation {at} fails");
            let sim = Sim::default();
            sim.0.lock().unwrap().fault = Some(Fault::Once(at));
            let mut script = Script::new(sim.clone(), durability);
            script.first();
            let log = script.reopen(&context);
            script.check(&log, false, &context);
            script.go_on(&log, &context);
            drop(log);
            // What was mended must be as durable as the rest.
            script.sim = sim.after_power_cut(at % 7);
            let log = script.reopen(&context);
            script.check(&log, false, &context);
            script.drain(&log, &context);
        }
    }
}

#[test]
fn the_power_is_cut_at_every_operation_and_once_more() {
    for durability in [Durability::EveryBatch, Durability::Os] {
        let operations = whole(durability);
        for at in 0..=operations {
            for luck in 0..7 {
                let context = format!("{durability:?}, the power is cut at {at}, luck {luck}");
                let sim = Sim::default();
                sim.0.lock().unwrap().fault = Some(Fault::Power(at));
                let mut script = Script::new(sim.clone(), durability);
                script.first();
                script.sim = sim.after_power_cut(luck);
                let log = script.reopen(&context);
                script.check(&log, true, &context);
                script.go_on(&log, &context);
                // What was appended is synced by the end of the log; the readers' places may not be.
                drop(log);
                script.sim = script.sim.after_power_cut(luck + 1);
                let log = script.reopen(&context);
                script.check(&log, false, &context);
                script.drain(&log, &context);
            }
        }
    }
}

/// Also where no further write would have mended it.
#[test]
fn what_was_settled_and_could_not_be_written_is_written_at_the_end() {
    let sim = Sim::default();
    let log = open(&sim, Durability::EveryBatch).unwrap();
    run(log.append_to(0, vec![message("x"); 3], None)).unwrap();
    log.start("g", Start::Earliest).unwrap();
    let next = sim.operations();
    sim.0.lock().unwrap().fault = Some(Fault::Once(next));
    log.commit("g", place(0, 3)).unwrap();
    assert!(sim.has_failed());
    run(log.close());
    drop(log);
    let log = open(&sim.after_power_cut(0), Durability::EveryBatch).unwrap();
    assert_eq!(log.lag("g").unwrap(), 1);
}
