//! Whatever is done to a log, in whatever order, it does what a few sets say.

use super::super::directory;
use super::*;
use crate::stream::disk::tests::sim::Sim;
use proptest::prelude::*;

/// What a test does to a log; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Append { partition: u32, count: usize, producer: bool },
    Again { partition: u32 },
    Keyed { key: u8 },
    Join { group: usize },
    Leave { member: usize },
    Take { member: usize, messages: usize, few_bytes: bool },
    Settle { member: usize, which: Vec<bool> },
    Release { member: usize, which: usize },
    Commit { group: usize, partition: u32, at: u64 },
    Seek { group: usize, partition: u32, at: u64 },
    Remove { group: usize },
    Collect,
    Retain,
    Reopen,
    Crash,
    Cut { luck: usize },
}

const PARTITIONS: u32 = 2;
const GROUPS: [&str; 2] = ["a", "b"];

fn step() -> impl Strategy<Value = Step> {
    let partition = || 0..PARTITIONS;
    let index = any::<usize>;
    prop_oneof![
        6 => (partition(), 1usize..9, any::<bool>()).prop_map(|(partition, count, producer)| Step::Append { partition, count, producer }),
        1 => partition().prop_map(|partition| Step::Again { partition }),
        1 => (0u8..9).prop_map(|key| Step::Keyed { key }),
        3 => (0usize..2).prop_map(|group| Step::Join { group }),
        1 => index().prop_map(|member| Step::Leave { member }),
        6 => (index(), 1usize..12, any::<bool>()).prop_map(|(member, messages, few_bytes)| Step::Take { member, messages, few_bytes }),
        5 => (index(), proptest::collection::vec(any::<bool>(), 1..5)).prop_map(|(member, which)| Step::Settle { member, which }),
        1 => (index(), index()).prop_map(|(member, which)| Step::Release { member, which }),
        1 => (0usize..2, partition(), any::<u64>()).prop_map(|(group, partition, at)| Step::Commit { group, partition, at }),
        1 => (0usize..2, partition(), any::<u64>()).prop_map(|(group, partition, at)| Step::Seek { group, partition, at }),
        1 => (0usize..2).prop_map(|group| Step::Remove { group }),
        1 => Just(Step::Collect),
        1 => Just(Step::Retain),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => (0usize..9).prop_map(|luck| Step::Cut { luck }),
    ]
}

/// What one group is to one partition.
#[derive(Clone, Default)]
struct Reader {
    settled: BTreeSet<u64>,
    /// Which member has it.
    leased: BTreeMap<u64, u64>,
    /// How often it was given back.
    failed: BTreeMap<u64, u32>,
}

/// What must be so, kept beside the log.
#[derive(Default)]
struct Model {
    /// By partition: bodies, from sequence 1 on.
    messages: [Vec<String>; PARTITIONS as usize],
    /// By partition: the first that is there.
    first: [u64; PARTITIONS as usize],
    /// By partition: the last batch of its producer, and that producer's next sequence.
    last: [Option<(ProducerBatch, usize)>; PARTITIONS as usize],
    groups: BTreeMap<&'static str, [Reader; PARTITIONS as usize]>,
}

struct Member {
    consumer: Consumer,
    number: u64,
    group: &'static str,
    hand: Vec<Entry>,
}

struct Run {
    runtime: tokio::runtime::Runtime,
    /// None for a log in memory.
    sim: Option<Sim>,
    log: Option<SequenceLog>,
    members: Vec<Member>,
    numbers: u64,
    model: Model,
}

impl Run {
    fn new(on_disk: bool) -> Run {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let sim = on_disk.then(Sim::default);
        let model = Model { first: [1; PARTITIONS as usize], ..Model::default() };
        let mut run = Run { runtime, sim, log: None, members: Vec::new(), numbers: 0, model };
        run.open();
        run
    }

    fn options() -> LogOptions {
        let retention = Retention { bytes: Some(1200), unsettled: Keep::Drop, ..Retention::default() };
        LogOptions { partitions: PARTITIONS, segment_bytes: 300, retention, ..LogOptions::default() }
    }

    /// Outside of the runtime, so that nothing looks after the log but the steps.
    fn open(&mut self) {
        let log = match &self.sim {
            None => SequenceLog::memory("s", Run::options()).unwrap(),
            Some(sim) => {
                let opened = directory::open_in("s", sim, &Run::options()).unwrap();
                SequenceLog::opened("s", opened, Run::options()).0
            }
        };
        self.log = Some(log);
    }

    fn log(&self) -> SequenceLog {
        self.log.clone().unwrap()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { partition, count, producer } => self.append(partition, count, producer),
            Step::Again { partition } => self.again(partition),
            Step::Keyed { key } => self.keyed(key),
            Step::Join { group } => self.join(GROUPS[group]),
            Step::Leave { member } => self.leave(member),
            Step::Take { member, messages, few_bytes } => {
                if let Some(member) = self.member(member) {
                    self.take(member, Limit { messages, bytes: if few_bytes { 400 } else { u64::MAX } });
                }
            }
            Step::Settle { member, which } => self.settle(member, &which),
            Step::Release { member, which } => self.release(member, which),
            Step::Commit { group, partition, at } => self.commit(GROUPS[group], partition, at),
            Step::Seek { group, partition, at } => self.seek(GROUPS[group], partition, at),
            Step::Remove { group } => {
                let known = self.model.groups.remove(GROUPS[group]).is_some();
                assert_eq!(self.log().remove(GROUPS[group]).is_ok(), known);
                self.members.retain(|m| m.group != GROUPS[group]);
            }
            Step::Collect => {
                let before: Vec<u64> = self.watermarks();
                self.log().collect().unwrap();
                self.trimmed(&before);
            }
            Step::Retain => {
                self.log().enforce_retention().unwrap();
                self.trimmed(&[u64::MAX; PARTITIONS as usize]);
            }
            Step::Reopen | Step::Crash | Step::Cut { .. } if self.sim.is_none() => {}
            Step::Reopen => {
                self.runtime.block_on(self.log().close());
                self.end();
                self.open();
            }
            // The process is gone, and the disk is as it is.
            Step::Crash => {
                let found = self.sim.as_ref().unwrap().copy();
                self.end();
                self.sim = Some(found);
                self.open();
            }
            Step::Cut { luck } => self.cut(luck),
        }
        self.check();
    }

    fn member(&self, member: usize) -> Option<usize> {
        (!self.members.is_empty()).then(|| member % self.members.len())
    }

    fn append(&mut self, partition: u32, count: usize, producer: bool) {
        let p = partition as usize;
        let (from, next) = (self.model.messages[p].len(), self.model.last[p].map_or(1, |(b, n)| b.sequence + n as u64));
        // No two are alike, also where a power cut has made their places free again.
        self.numbers += 1;
        let bodies: Vec<String> = (1..=count).map(|i| format!("{partition}/{} {}", from + i, self.numbers)).collect();
        let batch = producer.then_some(ProducerBatch { producer: u64::from(partition) + 1, sequence: next });
        let messages = bodies.iter().map(|b| message(b)).collect();
        let appended = self.runtime.block_on(self.log().append_to(partition, messages, batch)).unwrap();
        assert_eq!((appended.seq, appended.duplicate), (Some(from as u64 + 1), false));
        self.model.messages[p].extend(bodies);
        self.model.last[p] = batch.map(|b| (b, count)).or(self.model.last[p]);
    }

    fn again(&mut self, partition: u32) {
        let Some((batch, count)) = self.model.last[partition as usize] else { return };
        let messages = vec![message("again"); count];
        let appended = self.runtime.block_on(self.log().append_to(partition, messages, Some(batch))).unwrap();
        assert!(appended.duplicate);
        let beyond = ProducerBatch { sequence: batch.sequence + count as u64 + 1, ..batch };
        let refused = self.runtime.block_on(self.log().append_to(partition, vec![message("gap")], Some(beyond)));
        assert!(matches!(refused, Err(LogError::OperationFailed { error: DiskError::OutOfOrder { .. }, .. })));
    }

    fn keyed(&mut self, key: u8) {
        self.numbers += 1;
        let body = format!("keyed {key} {}", self.numbers);
        let at = self.runtime.block_on(self.log().publish(keyed(&key.to_string(), &body))).unwrap();
        assert_eq!(at.partition, crc32c::crc32c(key.to_string().as_bytes()) % PARTITIONS);
        let messages = &mut self.model.messages[at.partition as usize];
        messages.push(body);
        assert_eq!(at.seq, messages.len() as u64);
    }

    fn join(&mut self, group: &'static str) {
        let options = ConsumerOptions { lease: None, ..ConsumerOptions::default() };
        let consumer = self.log().consumer(group, options).unwrap();
        let first = self.model.first;
        self.model.groups.entry(group).or_insert_with(|| {
            std::array::from_fn(|p| Reader { settled: (1..first[p]).collect(), ..Reader::default() })
        });
        self.numbers += 1;
        self.members.push(Member { consumer, number: self.numbers, group, hand: Vec::new() });
    }

    fn leave(&mut self, member: usize) {
        let Some(member) = self.member(member) else { return };
        let gone = self.members.swap_remove(member);
        for reader in self.model.groups.get_mut(gone.group).unwrap() {
            let had: Vec<u64> = reader.leased.iter().filter(|(_, m)| **m == gone.number).map(|(s, _)| *s).collect();
            had.into_iter().for_each(|seq| reader.give_back(seq));
        }
    }

    /// What a member is given is what its group is owed in the partition whose turn it is: what was given back before
    /// what was never given, and of each the lowest.
    fn take(&mut self, member: usize, limit: Limit) -> bool {
        let Member { consumer, number, group, hand } = &mut self.members[member];
        let entries = self.runtime.block_on(async {
            tokio::select! {
                biased;
                entries = consumer.next_batch(limit) => entries.unwrap(),
                () = std::future::ready(()) => Vec::new(),
            }
        });
        let (model, readers) = (&self.model.messages, self.model.groups.get_mut(group).unwrap());
        // Whoever reads a partition finds out what is gone; which were read before the one that had something, the log knows.
        let watermarks = self.log.as_ref().unwrap().group_stats(group).unwrap().watermarks;
        for (p, reader) in readers.iter_mut().enumerate().filter(|(p, _)| watermarks[*p] >= self.model.first[*p]) {
            reader.pass(self.model.first[p]);
        }
        let Some(first) = entries.first() else {
            for (p, reader) in readers.iter().enumerate() {
                assert_eq!(reader.owed(model[p].len()), [] as [u64; 0], "'{group}' is owed these");
            }
            return false;
        };
        let p = first.at.partition as usize;
        assert!(entries.len() <= limit.messages);
        let weight: u64 = entries.iter().map(|e| e.message.weight()).sum();
        assert!(weight <= limit.bytes || entries.len() == 1, "{weight}");
        let reader = &mut readers[p];
        let owed = reader.owed(model[p].len());
        let given: Vec<u64> = entries.iter().map(|e| e.at.seq).collect();
        assert_eq!(given, owed[..given.len().min(owed.len())], "'{group}' in {p}");
        if entries.len() < limit.messages && limit.bytes == u64::MAX {
            assert_eq!(given.len(), owed.len(), "'{group}' in {p} could have had more");
        }
        for entry in &entries {
            let failed = reader.failed.get(&entry.at.seq).copied().unwrap_or(0);
            assert_eq!(entry.attempt, failed + 1, "'{group}' {:?}", entry.at);
            assert_eq!(entry.message.body(), model[p][entry.at.seq as usize - 1].as_bytes());
            reader.leased.insert(entry.at.seq, *number);
        }
        hand.extend(entries);
        true
    }

    fn settle(&mut self, member: usize, which: &[bool]) {
        let Some(member) = self.member(member) else { return };
        let Member { consumer, group, hand, .. } = &mut self.members[member];
        let mut choice = which.iter().copied().cycle();
        let (chosen, rest): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(hand).into_iter().partition(|_| choice.next().unwrap());
        *hand = rest;
        consumer.settle_batch(&chosen).unwrap();
        for entry in chosen {
            self.model.groups.get_mut(group).unwrap()[entry.at.partition as usize].settle(entry.at.seq);
        }
    }

    fn release(&mut self, member: usize, which: usize) {
        let Some(member) = self.member(member) else { return };
        let Member { consumer, number, group, hand } = &mut self.members[member];
        if hand.is_empty() {
            return;
        }
        let entry = hand.swap_remove(which % hand.len());
        let reader = &mut self.model.groups.get_mut(group).unwrap()[entry.at.partition as usize];
        // What a move of the group has made void, another may have by now.
        if reader.leased.get(&entry.at.seq).is_none_or(|m| m == number) {
            consumer.release(entry.at);
            if reader.leased.contains_key(&entry.at.seq) {
                reader.give_back(entry.at.seq);
            }
        }
    }

    fn commit(&mut self, group: &'static str, partition: u32, at: u64) {
        let next = self.model.messages[partition as usize].len() as u64 + 1;
        let seq = at % (next + 2);
        let committed = self.log().commit(group, Position { partition, seq });
        assert_eq!(committed.is_ok(), self.model.groups.contains_key(group) && seq <= next);
        if committed.is_ok() {
            let reader = &mut self.model.groups.get_mut(group).unwrap()[partition as usize];
            (1..seq).for_each(|seq| reader.settle(seq));
        }
    }

    fn seek(&mut self, group: &'static str, partition: u32, at: u64) {
        let (first, next) =
            (self.model.first[partition as usize], self.model.messages[partition as usize].len() as u64 + 1);
        let seq = at % (next + 2);
        let moved = self.log().seek_to(group, Position { partition, seq });
        assert_eq!(moved.is_ok(), self.model.groups.contains_key(group) && (first..=next).contains(&seq));
        if moved.is_ok() {
            let reader = Reader { settled: (1..seq).collect(), ..Reader::default() };
            self.model.groups.get_mut(group).unwrap()[partition as usize] = reader;
        }
    }

    /// By partition: below this, all groups have settled everything; 0 where there is none.
    fn watermarks(&self) -> Vec<u64> {
        let of = |p: usize| self.model.groups.values().map(move |r| r[p].watermark()).min().unwrap_or(0);
        (0..PARTITIONS as usize).map(of).collect()
    }

    /// Something was given up, of what is below these places.
    fn trimmed(&mut self, below: &[u64]) {
        for (p, below) in below.iter().enumerate() {
            let (first, next) = self.log().bounds(p as u32).unwrap();
            assert!(first >= self.model.first[p] && first <= next);
            assert!(first == self.model.first[p] || first <= *below, "{first} of {below}");
            self.model.first[p] = first;
        }
    }

    /// The log and all that holds it are gone.
    fn end(&mut self) {
        self.members.clear();
        self.log = None;
        for reader in self.model.groups.values_mut().flatten() {
            *reader = Reader { settled: std::mem::take(&mut reader.settled), ..Reader::default() };
        }
    }

    fn cut(&mut self, luck: usize) {
        let found = self.sim.as_ref().unwrap().after_power_cut(luck);
        self.end();
        self.sim = Some(found);
        self.open();
        for (p, messages) in (0..).zip(&self.model.messages) {
            let (first, next) = self.log().bounds(p).unwrap();
            assert_eq!(next, messages.len() as u64 + 1, "everything was synced");
            // What was removed may be there again.
            assert!(first <= self.model.first[p as usize]);
            self.model.first[p as usize] = first;
        }
        // Readers may have fallen back, but not gone ahead.
        for (group, readers) in &mut self.model.groups {
            let stats = self.log.as_ref().unwrap().group_stats(group).unwrap();
            for (p, reader) in (0..).zip(readers) {
                let beyond = self.log.as_ref().unwrap().settled_beyond(group, p).unwrap();
                let settled: BTreeSet<u64> =
                    (1..stats.watermarks[p as usize]).chain(beyond.into_iter().flatten()).collect();
                assert!(settled.is_subset(&reader.settled), "'{group}' {p}: {settled:?} of {:?}", reader.settled);
                reader.settled = settled;
            }
        }
    }

    fn check(&self) {
        let log = self.log();
        for (p, messages) in (0..).zip(&self.model.messages) {
            assert_eq!(log.bounds(p).unwrap(), (self.model.first[p as usize], messages.len() as u64 + 1));
        }
        let names: Vec<String> = log.groups().iter().map(|g| g.name.to_string()).collect();
        assert_eq!(names, self.model.groups.keys().copied().collect::<Vec<_>>());
        for (group, readers) in &self.model.groups {
            let stats = log.group_stats(group).unwrap();
            let owed = |(p, r): (usize, &Reader)| {
                let all = self.model.first[p]..self.model.messages[p].len() as u64 + 1;
                all.filter(|seq| !r.settled.contains(seq)).count() as u64
            };
            assert_eq!(stats.lag, readers.iter().enumerate().map(owed).sum::<u64>(), "lag of '{group}'");
            assert_eq!(stats.in_flight, readers.iter().map(|r| r.leased.len() as u64).sum::<u64>(), "'{group}'");
            for (p, reader) in (0..).zip(readers) {
                assert_eq!(stats.watermarks[p as usize], reader.watermark(), "'{group}' {p}");
                let beyond: Vec<u64> = log.settled_beyond(group, p).unwrap().into_iter().flatten().collect();
                let expected = reader.settled.iter().copied().filter(|s| *s > reader.watermark());
                assert_eq!(beyond, expected.collect::<Vec<_>>(), "'{group}' {p}");
            }
        }
    }

    /// Every group settles all that it is owed.
    fn finish(mut self) {
        while !self.members.is_empty() {
            self.step(Step::Leave { member: 0 });
        }
        for group in GROUPS {
            self.join(group);
            while self.take(0, Limit::messages(5)) {
                self.settle(0, &[true]);
                self.check();
            }
            assert_eq!(self.log().lag(group).unwrap(), 0);
            self.leave(0);
        }
    }
}

impl Reader {
    fn watermark(&self) -> u64 {
        (1..).find(|seq| !self.settled.contains(seq)).unwrap()
    }

    fn settle(&mut self, seq: u64) {
        self.settled.insert(seq);
        self.leased.remove(&seq);
        self.failed.remove(&seq);
    }

    fn give_back(&mut self, seq: u64) {
        self.leased.remove(&seq);
        *self.failed.entry(seq).or_default() += 1;
    }

    fn pass(&mut self, first: u64) {
        if self.watermark() < first {
            (1..first).for_each(|seq| self.settle(seq));
        }
    }

    /// In the order in which it is to be given.
    fn owed(&self, last: usize) -> Vec<u64> {
        let free = |seq: &u64| !self.settled.contains(seq) && !self.leased.contains_key(seq);
        let again = self.failed.keys().copied().filter(free);
        let new = (1..=last as u64).filter(free).filter(|seq| !self.failed.contains_key(seq));
        again.chain(new).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// Each group is given what it is owed and nothing else, to one member at a time, with attempts that rise by one; what
    /// it has settled stays settled, also when the process or the power is gone; and in the end it has had everything.
    #[test]
    fn a_log_does_what_the_model_says(steps in proptest::collection::vec(step(), 1..70), on_disk in any::<bool>()) {
        let mut run = Run::new(on_disk);
        for step in steps {
            run.step(step);
        }
        run.finish();
    }
}
