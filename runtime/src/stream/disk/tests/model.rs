//! A log against what it should hold: random operations, restarts, and power cuts in the middle of appends.

use super::*;
use proptest::collection::vec;
use std::collections::HashMap;
use std::sync::mpsc;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Append(u64),
    /// A producer's next batch.
    Produce {
        producer: u64,
        count: u64,
    },
    /// A batch that begins so far before what comes next.
    Again {
        producer: u64,
        back: u64,
        count: u64,
    },
    /// A batch that begins so far behind what comes next.
    Gap {
        producer: u64,
        ahead: u64,
    },
    /// Both in thousandths of what there is, and so many at most.
    Read {
        from: u64,
        most: usize,
    },
    Trim {
        upto: u64,
    },
    Reopen,
    /// The power goes after so many operations on files, while batches of this size are appended.
    PowerCut {
        after: usize,
        luck: usize,
        count: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let producer = || 1..4u64;
    prop_oneof![
        4 => (1..5u64).prop_map(Operation::Append),
        4 => (producer(), 1..4u64).prop_map(|(producer, count)| Operation::Produce { producer, count }),
        3 => (producer(), 1..12u64, 1..4u64).prop_map(|(producer, back, count)| Operation::Again { producer, back, count }),
        1 => (producer(), 1..4u64).prop_map(|(producer, ahead)| Operation::Gap { producer, ahead }),
        3 => (0..1001u64, 1..20usize).prop_map(|(from, most)| Operation::Read { from, most }),
        1 => (0..1001u64).prop_map(|upto| Operation::Trim { upto }),
        1 => Just(Operation::Reopen),
        2 => (0..12usize, 0..9usize, 1..4u64).prop_map(|(after, luck, count)| Operation::PowerCut { after, luck, count }),
    ]
}

/// What the log should hold.
#[derive(Default)]
struct Model {
    /// How many messages there have ever been: the number of the last one, and its sequence.
    last: u64,
    /// Each producer's remembered batches: its own sequence, how many, and where.
    producers: HashMap<u64, Vec<(u64, u64, u64)>>,
    /// Below this sequence, only the place of a producer's last batch must be remembered: the log was opened there.
    opened: u64,
}

impl Model {
    fn append(&mut self, count: u64) -> Appended {
        self.last += count;
        Appended { seq: Some(self.last + 1 - count), count: count as u32, duplicate: false }
    }

    fn expected(&self, producer: u64) -> u64 {
        let last = self.producers.get(&producer).and_then(|batches| batches.last());
        last.map_or(1, |(sequence, count, _)| sequence + count)
    }

    fn produce(&mut self, producer: u64, sequence: u64, count: u64) -> Result<Appended, DiskError> {
        let expected = self.expected(producer);
        let batches = self.producers.entry(producer).or_default();
        if sequence == expected || batches.is_empty() {
            batches.push((sequence, count, self.last + 1));
            if batches.len() > 5 {
                batches.remove(0);
            }
            return Ok(self.append(count));
        }
        if sequence + count > expected {
            return Err(DiskError::OutOfOrder { producer, expected, got: sequence });
        }
        let original = batches.iter().find(|(from, count, _)| sequence >= *from && sequence < from + count);
        let seq = original.map(|(from, _, seq)| seq + (sequence - from));
        Ok(Appended { seq, count: count as u32, duplicate: true })
    }

    /// Whether the place of a batch that came again may be forgotten.
    fn may_forget(&self, producer: u64, seq: Option<u64>) -> bool {
        let last = self.producers.get(&producer).and_then(|batches| batches.last());
        seq.is_some_and(|seq| seq < self.opened && last.is_some_and(|(_, _, last)| seq < *last))
    }
}

fn submit(log: &Log, messages: Vec<Message>, producer: u64, sequence: u64) -> Result<Appended, DiskError> {
    let (sender, answer) = mpsc::channel();
    log.submit(messages, Some(ProducerBatch { producer, sequence }), move |appended| sender.send(appended).unwrap());
    answer.recv().unwrap()
}

fn check(operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut sim = Sim::default();
    let (mut log, _) = sim.open_log().unwrap();
    let mut model = Model::default();
    for operation in operations {
        // A message's number is its sequence, whatever batch it came in.
        let next = model.last + 1;
        let produce = |log: &Log, model: &mut Model, producer, sequence, count| {
            let answer = submit(log, batch(next..next + count), producer, sequence);
            let expected = model.produce(producer, sequence, count);
            if let (Ok(answer @ Appended { seq: None, .. }), Ok(Appended { seq, .. })) = (&answer, &expected)
                && model.may_forget(producer, *seq)
            {
                prop_assert_eq!(answer, &Appended { seq: None, count: count as u32, duplicate: true });
                return Ok(());
            }
            prop_assert_eq!(answer, expected);
            Ok(())
        };
        match *operation {
            Operation::Append(count) => {
                let seq = run(log.append(batch(next..next + count)));
                prop_assert_eq!(seq.map(Some), Ok(model.append(count).seq));
            }
            Operation::Produce { producer, count } => {
                let sequence = model.expected(producer);
                produce(&log, &mut model, producer, sequence, count)?;
            }
            Operation::Again { producer, back, count } => {
                let sequence = model.expected(producer).saturating_sub(back).max(1);
                produce(&log, &mut model, producer, sequence, count)?;
            }
            Operation::Gap { producer, ahead } => {
                let sequence = model.expected(producer) + ahead;
                produce(&log, &mut model, producer, sequence, 1)?;
            }
            Operation::Read { from, most } => {
                let seq = log.first() + (next - log.first()) * from / 1000;
                let read: Vec<_> = log.read(seq, Limit::messages(most)).unwrap().into_iter().collect();
                prop_assert_eq!(read.len() as u64, (next - seq).min(most as u64));
                for (entry, (n, message)) in read.iter().zip((seq..).zip(batch(seq..seq + most as u64))) {
                    prop_assert_eq!((entry.at.seq, &entry.message), (n, &message));
                }
            }
            Operation::Trim { upto } => {
                let (first, upto) = (log.first(), next * upto / 1000);
                log.trim(upto).unwrap();
                prop_assert!(log.first() == first || (log.first() > first && log.first() <= upto));
            }
            Operation::Reopen => {
                let first = log.first();
                drop(log);
                log = sim.open_log().unwrap().0;
                prop_assert_eq!(log.first(), first);
                model.opened = model.last + 1;
            }
            Operation::PowerCut { after, luck, count } => {
                let first = log.first();
                let at = sim.operations() + after;
                sim.0.lock().unwrap().fault = Some(Fault::Power(at));
                loop {
                    let next = model.last + 1;
                    match run(log.append(batch(next..next + count))) {
                        Ok(seq) => prop_assert_eq!(Some(seq), model.append(count).seq),
                        Err(_) => break,
                    }
                }
                drop(log);
                sim = sim.after_power_cut(luck);
                log = sim.open_log().unwrap().0;
                prop_assert_eq!(log.first(), first);
                // The batch in hand is there, or not; nothing else is.
                if log.next() != model.last + 1 {
                    prop_assert_eq!(log.next(), model.last + 1 + count);
                    model.append(count);
                }
                model.opened = model.last + 1;
            }
        }
        prop_assert_eq!(log.next(), model.last + 1);
    }
    let all = contents(&log);
    prop_assert_eq!(all.len() as u64, log.next() - log.first());
    for ((seq, message), (n, expected)) in all.iter().zip((log.first()..).zip(batch(log.first()..log.next()))) {
        prop_assert_eq!((*seq, message), (n, &expected));
    }
    Ok(())
}

#[test]
fn a_log_holds_what_it_should_whatever_happens() {
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    let runner = &mut proptest::test_runner::TestRunner::new(config);
    runner.run(&vec(operation(), 1..60), |operations| check(&operations)).unwrap();
}
