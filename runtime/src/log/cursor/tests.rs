//! The cursor against sets, on a storage that has gaps and that gives up messages.

use super::super::storage::Done;
use super::*;
use crate::message::{Message, Position};
use crate::stream::disk::ProducerBatch;
use proptest::prelude::*;
use std::sync::Mutex;
use std::time::Duration;

/// Messages from `first` up to `next`, but for gaps, as a repair leaves them.
struct Gaps {
    first: u64,
    next: u64,
    gone: BTreeSet<u64>,
    /// Fails to read this one.
    broken: Option<u64>,
    /// At the next reading, all below this is given up.
    trim: Mutex<Option<u64>>,
    /// What that was.
    trimmed: Mutex<Option<u64>>,
}

impl Gaps {
    fn new(first: u64, next: u64) -> Gaps {
        Gaps { first, next, gone: BTreeSet::new(), broken: None, trim: Mutex::default(), trimmed: Mutex::default() }
    }
}

impl Storage for Gaps {
    fn submit(&self, _: Vec<Message>, _: Option<ProducerBatch>, _: Done) {
        unreachable!("a cursor appends nothing")
    }

    fn read(&self, seq: u64, limit: Limit) -> Result<Vec<Entry>, DiskError> {
        if let Some(first) = self.trim.lock().unwrap().take() {
            *self.trimmed.lock().unwrap() = Some(first);
        }
        if seq < self.first() || seq > self.next {
            return Err(DiskError::OutOfBounds { seq, first: self.first(), last: self.next - 1 });
        }
        let held = (seq..self.next).filter(|s| !self.gone.contains(s)).take(limit.messages);
        let entry = |seq| Entry::new(Position { partition: 0, seq }, 1, Message::new(b"m").unwrap());
        let entries: Vec<Entry> = held.take_while(|s| self.broken != Some(*s)).map(entry).collect();
        match self.broken {
            Some(broken) if entries.is_empty() && broken >= seq => {
                Err(DiskError::Damaged { segment: "1".into(), offset: 0, seq: broken })
            }
            _ => Ok(entries),
        }
    }

    fn first(&self) -> u64 {
        self.trimmed.lock().unwrap().unwrap_or(self.first)
    }

    fn next(&self) -> u64 {
        self.next
    }

    fn seek(&self, _: i64) -> Result<u64, DiskError> {
        unreachable!("a cursor knows no time")
    }

    fn trim(&self, _: u64) -> Result<u64, DiskError> {
        unreachable!("a cursor gives up nothing")
    }

    fn excess(&self, _: Option<u64>, _: Option<i64>) -> u64 {
        0
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[derive(Clone, Debug)]
enum Step {
    Grow(u64),
    Trim(u64),
    Gap(u64),
    Take { member: u64, most: usize, lease: Option<u64> },
    Settle { from: u64, length: u64 },
    Release { from: u64, length: u64 },
    GiveBack { member: u64 },
    HandOver { from: u64, length: u64, member: u64 },
    Leave { member: u64 },
    Extend { member: u64 },
    Wait(u64),
    Seek(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (seq, length, member) = (|| 1u64..60, || 1u64..9, || 0u64..3);
    prop_oneof![
        3 => (1u64..9).prop_map(Step::Grow),
        1 => (1u64..5).prop_map(Step::Trim),
        1 => seq().prop_map(Step::Gap),
        6 => (member(), 1usize..9, proptest::option::of(1u64..9)).prop_map(|(member, most, lease)| Step::Take { member, most, lease }),
        4 => (seq(), length()).prop_map(|(from, length)| Step::Settle { from, length }),
        2 => (seq(), length()).prop_map(|(from, length)| Step::Release { from, length }),
        1 => member().prop_map(|member| Step::GiveBack { member }),
        1 => (seq(), length(), member()).prop_map(|(from, length, member)| Step::HandOver { from, length, member }),
        1 => member().prop_map(|member| Step::Leave { member }),
        1 => member().prop_map(|member| Step::Extend { member }),
        2 => (1u64..5).prop_map(Step::Wait),
        1 => seq().prop_map(Step::Seek),
    ]
}

#[derive(Default)]
struct Model {
    settled: BTreeSet<u64>,
    /// By sequence: the member, and when its lease ends.
    leased: BTreeMap<u64, (u64, Option<Instant>)>,
    /// Those that come again.
    again: BTreeSet<u64>,
    failed: BTreeMap<u64, u32>,
}

impl Model {
    fn settle(&mut self, seq: u64) -> bool {
        self.leased.remove(&seq);
        self.again.remove(&seq);
        self.failed.remove(&seq);
        self.settled.insert(seq)
    }

    fn release(&mut self, seq: u64) {
        if self.leased.remove(&seq).is_some() {
            *self.failed.entry(seq).or_default() += 1;
            self.again.insert(seq);
        }
    }

    fn held_by(&self, member: u64) -> Vec<u64> {
        self.leased.iter().filter(|(_, (m, _))| *m == member).map(|(seq, _)| *seq).collect()
    }

    fn watermark(&self) -> u64 {
        (1..).find(|seq| !self.settled.contains(seq)).unwrap()
    }
}

struct Run {
    storage: Gaps,
    cursor: Cursor,
    model: Model,
    now: Instant,
    missed: u64,
}

impl Run {
    fn step(&mut self, step: Step) {
        let Run { storage, cursor, model, now, .. } = self;
        match step {
            Step::Grow(count) => storage.next += count,
            Step::Trim(count) => storage.first = (storage.first + count).min(storage.next),
            // Only what nobody has yet: a repair is done on a log that is closed.
            Step::Gap(seq) if seq < storage.next && !model.leased.contains_key(&seq) => drop(storage.gone.insert(seq)),
            Step::Gap(_) => {}
            Step::Take { member, most, lease } => {
                let until = lease.map(|s| *now + Duration::from_secs(s));
                self.take(member, most, until);
            }
            Step::Settle { from, length } => {
                let end = (from + length).min(storage.next);
                if from < end {
                    let new: Vec<u64> = cursor.settle(from..end).into_iter().flatten().collect();
                    assert_eq!(new, (from..end).filter(|seq| model.settle(*seq)).collect::<Vec<_>>());
                }
            }
            Step::Release { from, length } => {
                cursor.release(from..from + length);
                (from..from + length).for_each(|seq| model.release(seq));
            }
            Step::GiveBack { member } => {
                cursor.give_back(member);
                for seq in model.held_by(member) {
                    model.leased.remove(&seq);
                    model.again.insert(seq);
                }
            }
            Step::HandOver { from, length, member } => {
                let until = Some(*now + Duration::from_secs(3));
                cursor.hand_over(from..from + length, member, until);
                model.leased.range_mut(from..from + length).for_each(|(_, lease)| *lease = (member, until));
            }
            Step::Leave { member } => {
                cursor.leave(member);
                model.held_by(member).into_iter().for_each(|seq| model.release(seq));
            }
            Step::Extend { member } => {
                let until = *now + Duration::from_secs(7);
                cursor.extend(member, until);
                let mine = |lease: &&mut (u64, Option<Instant>)| lease.0 == member && lease.1.is_some();
                model.leased.values_mut().filter(mine).for_each(|lease| lease.1 = Some(until));
            }
            Step::Wait(s) => *now += Duration::from_secs(s),
            Step::Seek(seq) => {
                let seq = seq.clamp(storage.first, storage.next);
                cursor.seek(seq);
                *model = Model { settled: (1..seq).collect(), ..Model::default() };
            }
        }
        self.check();
    }

    /// Whether there was anything.
    fn take(&mut self, member: u64, most: usize, until: Option<Instant>) -> bool {
        let Run { storage, cursor, model, now, missed } = self;
        let over = |lease: &(u64, Option<Instant>)| lease.1.is_some_and(|until| until <= *now);
        let expired: Vec<u64> = model.leased.iter().filter(|(_, l)| over(l)).map(|(seq, _)| *seq).collect();
        expired.into_iter().for_each(|seq| model.release(seq));
        let mut gone = Vec::new();
        let entries = cursor.take(storage, Limit::messages(most), member, until, *now, &mut gone).unwrap();
        // What is below the first, and what a repair has taken, where it was come by.
        let gone: BTreeSet<u64> = gone.into_iter().flatten().collect();
        *missed += gone.len() as u64;
        for seq in &gone {
            assert!(*seq < storage.first || storage.gone.contains(seq), "{seq} is there");
            assert!(model.settle(*seq), "{seq} was settled");
        }
        assert!(model.watermark() >= storage.first);
        let free = |seq: &u64| !model.settled.contains(seq) && !model.leased.contains_key(seq);
        let again = model.again.iter().copied().filter(free);
        let new = (1..storage.next).filter(free).filter(|seq| !model.again.contains(seq));
        let owed: Vec<u64> = again.chain(new).filter(|seq| !storage.gone.contains(seq)).collect();
        let given: Vec<u64> = entries.iter().map(|e| e.at.seq).collect();
        assert_eq!(given, owed[..most.min(owed.len())]);
        for entry in entries {
            let failed = model.failed.get(&entry.at.seq).copied().unwrap_or(0);
            assert_eq!(entry.attempt, failed + 1, "{:?}", entry.at);
            model.again.remove(&entry.at.seq);
            model.leased.insert(entry.at.seq, (member, until));
        }
        !given.is_empty()
    }

    fn check(&self) {
        let Run { storage, cursor, model, .. } = self;
        assert_eq!(cursor.in_flight(), model.leased.len() as u64);
        assert_eq!(cursor.lowest_leased(), model.leased.keys().next().copied());
        assert_eq!((cursor.settled().watermark(), cursor.missed()), (model.watermark(), self.missed));
        let lag = (storage.first..storage.next).filter(|seq| !model.settled.contains(seq)).count() as u64;
        assert_eq!(cursor.lag(storage.first, storage.next), lag);
        // It may say too early that a lease ends, never too late.
        let due = model.leased.values().filter_map(|(_, until)| *until).min();
        assert!(due.is_none_or(|due| cursor.due().is_some_and(|said| said <= due)), "{:?} of {due:?}", cursor.due());
        let free = |seq: &u64| !model.settled.contains(seq) && !model.leased.contains_key(seq);
        if (storage.first..storage.next).any(|seq| free(&seq)) {
            assert!(cursor.has_more(storage.next));
        }
    }
}

fn run() -> Run {
    let model = Model { settled: BTreeSet::from([1, 2]), ..Model::default() };
    let cursor = Cursor::new(Settled::new(3));
    Run { storage: Gaps::new(3, 12), cursor, model, now: Instant::now(), missed: 0 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_cursor_does_what_sets_say(steps in proptest::collection::vec(step(), 1..60)) {
        let mut run = run();
        for step in steps {
            run.step(step);
        }
        // Nobody has anything any more: all that is left can be had.
        (0..3).for_each(|member| run.step(Step::Leave { member }));
        while run.take(1, 5, None) {
            run.check();
            let held = run.model.held_by(1);
            held.into_iter().for_each(|seq| run.step(Step::Settle { from: seq, length: 1 }));
        }
        prop_assert_eq!(run.cursor.lag(run.storage.first, run.storage.next), 0);
    }
}

#[test]
fn what_was_read_before_a_failure_is_given() {
    let mut run = run();
    run.take(1, 2, None);
    run.step(Step::Leave { member: 1 });
    // 3 and 4 come again, in a reading of their own; the next one fails.
    run.storage.broken = Some(5);
    let mut gone = Vec::new();
    let mut take = |run: &mut Run| run.cursor.take(&run.storage, Limit::messages(9), 1, None, run.now, &mut gone);
    let entries = take(&mut run).unwrap();
    assert_eq!(entries.iter().map(|e| e.at.seq).collect::<Vec<_>>(), [3, 4]);
    assert!(matches!(take(&mut run), Err(DiskError::Damaged { seq: 5, .. })));
    assert_eq!(run.cursor.in_flight(), 2);
}

#[test]
fn what_is_given_up_as_it_is_to_be_read_is_passed_over() {
    let mut run = run();
    *run.storage.trim.lock().unwrap() = Some(6);
    let mut gone = Vec::new();
    let entries = run.cursor.take(&run.storage, Limit::messages(2), 1, None, run.now, &mut gone).unwrap();
    assert_eq!(entries.iter().map(|e| e.at.seq).collect::<Vec<_>>(), [6, 7]);
    assert_eq!(gone.into_iter().flatten().collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((run.cursor.missed(), run.cursor.in_flight()), (3, 2));
}
