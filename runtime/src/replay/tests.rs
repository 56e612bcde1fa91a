use super::*;
use crate::config::HandlerConfig;
use crate::handler::BatchLimit;
use crate::log::{LogOptions, REDRIVEN_FOR};
use crate::message::{GroupMark, Output, Position};
use async_trait::async_trait;
use std::path::Path;

/// Gives every message's body back, numbered by how many it has had; does on command what goes wrong. Its number is lost with
/// an instance that traps.
#[derive(Default)]
struct Counting {
    had: u32,
    calls: Vec<usize>,
    limit: Option<usize>,
}

#[async_trait]
impl Handler for Counting {
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        self.calls.push(batch.entries.len());
        let before = self.had;
        let mut handled = Handled { considered: batch.entries.len(), ..Handled::default() };
        for (input, entry) in batch.entries.iter().enumerate() {
            self.had += 1;
            let body = String::from_utf8_lossy(entry.message.body()).into_owned();
            match body.as_str() {
                "trap" => {
                    self.had = before;
                    return Err(HandlerError::Failed("trapped".into()));
                }
                "reject" => handled.failures.push((input, Outcome::Reject { reason: "no".into() })),
                "few" if input > 0 => {
                    self.had -= 1;
                    handled.considered = input;
                    return Ok(handled);
                }
                _ => {}
            }
            let message = Message::new(format!("{body} {}", self.had).as_bytes()).unwrap();
            handled.outputs.push(Output { input, target: 0, message });
        }
        Ok(handled)
    }

    fn limit(&self) -> BatchLimit {
        BatchLimit { messages: self.limit.unwrap_or(usize::MAX), bytes: u64::MAX }
    }
}

fn entries(bodies: &[&str]) -> Vec<Entry> {
    let entry = |(seq, body): (u64, &&str)| {
        Entry::new(Position { partition: 0, seq }, 1, Message::new(body.as_bytes()).unwrap())
    };
    (1..).zip(bodies).map(entry).collect()
}

fn config() -> HandlerConfig {
    HandlerConfig::new("h", Path::new("none.wasm"), "s")
}

fn shown(trials: &[Trial]) -> Vec<String> {
    let show = |t: &Trial| {
        let outputs: Vec<_> = t.outputs.iter().map(|(_, m)| String::from_utf8_lossy(m.body()).into_owned()).collect();
        match &t.verdict {
            Verdict::Said(Outcome::Done) => outputs.join(","),
            Verdict::Said(other) => format!("{other:?} {outputs:?}"),
            Verdict::Fault(reason) => format!("fault {reason}"),
        }
    };
    trials.iter().map(show).collect()
}

#[tokio::test]
async fn batches_do_not_change_what_is_found() {
    let bodies = ["a", "b", "few", "c", "trap", "d", "reject", "few", "e", "f"];
    let reject = format!("{:?} []", Outcome::Reject { reason: "no".into() });
    let expected =
        ["a 1", "b 2", "few 3", "c 4", "fault trapped", "d 5", &reject, "few 7", "e 8", "f 9"].map(str::to_owned);
    for limit in [None, Some(1), Some(2), Some(3)] {
        let handler = Counting { limit, ..Counting::default() };
        let mut runner = Runner::new(Box::new(handler), &config(), "s");
        let mut trials = runner.run(entries(&bodies)).await.unwrap();
        trials.extend(runner.finish().await.unwrap());
        assert_eq!(shown(&trials), expected, "at most {limit:?} at once");
        let mut tally = Tally::default();
        trials.iter().for_each(|trial| tally.add(trial));
        let expected = Tally { messages: 10, done: 8, retry: 0, reject: 1, faults: 1, outputs: 8 };
        assert_eq!(tally, expected, "at most {limit:?} at once");
    }
}

#[tokio::test]
async fn whole_groups_are_given_together_and_the_others_at_the_end() {
    let mut config = config();
    config.deliver = Deliver::Groups { timeout: Duration::from_secs(3600), most: 10 };
    let mut runner = Runner::new(Box::new(Counting::default()), &config, "s");
    let mut given = entries(&["x1", "alone", "y1", "x2"]);
    for (place, (group, mark)) in
        [(0, ("x", GroupMark::Member)), (2, ("y", GroupMark::Start(2))), (3, ("x", GroupMark::End))]
    {
        let body = given[place].message.body().to_vec();
        given[place].message = Message::builder().group(group, mark).build(&body).unwrap();
    }
    let trials = runner.run(given).await.unwrap();
    assert_eq!(shown(&trials), ["alone 1", "x1 2", "x2 3"]);
    let late = shown(&runner.finish().await.unwrap());
    assert_eq!(late.len(), 1);
    assert!(late[0].contains("message group 'y' is incomplete: 1 of 2 messages"), "{late:?}");
}

#[test]
fn trials_are_compared_by_all_but_the_time() {
    let entry = entries(&["x"]).remove(0);
    let trial = |subject: &str, header: &str, body: &str, target: usize, time: i64| {
        let mut builder = Message::builder();
        let message = builder.subject(subject).timestamp(time).header("h", header).build(body.as_bytes()).unwrap();
        Trial { outputs: vec![(target, message)], ..Trial::said(&entry, Outcome::Done) }
    };
    let one = trial("s", "v", "b", 0, 1);
    assert!(one.is_like(&trial("s", "v", "b", 0, 2)));
    let others = [
        trial("t", "v", "b", 0, 1),
        trial("s", "w", "b", 0, 1),
        trial("s", "v", "c", 0, 1),
        trial("s", "v", "b", 1, 1),
        Trial::said(&entry, Outcome::Done),
        Trial { verdict: Verdict::Fault("x".into()), ..one.clone() },
    ];
    for other in others {
        assert!(!one.is_like(&other) && !other.is_like(&one), "{other:?}");
    }
}

#[tokio::test]
async fn a_span_is_cut_where_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = SequenceLog::open("s", directory.path(), LogOptions::default()).unwrap();
    for i in 1..=9 {
        let mut builder = Message::builder();
        match i {
            4 => builder.header(REDRIVEN_FOR, "other"),
            5 => builder.header(REDRIVEN_FOR, "me"),
            _ => &mut builder,
        };
        log.publish(builder.build(i.to_string().as_bytes()).unwrap()).await.unwrap();
    }
    // Read as another process would, while this one has it open.
    let seen = SequenceLog::open_read_only("s", directory.path()).unwrap();
    let span = |from, to, most| Span { from, to, partition: None, most };
    let bodies = |span: &Span, reader| {
        let mut past = Past::new(&seen, span, reader).unwrap();
        let mut all = Vec::new();
        loop {
            let batch = past.next_batch().unwrap();
            if batch.is_empty() {
                return all.concat();
            }
            assert!(reader.is_none() || batch.iter().all(|e| e.message.header(REDRIVEN_FOR).is_none()));
            all.extend(batch.iter().map(|e| String::from_utf8_lossy(e.message.body()).into_owned()));
        }
    };
    let all = u64::MAX;
    assert_eq!(bodies(&span(Start::Earliest, Start::Latest, all), None), "123456789");
    assert_eq!(bodies(&span(Start::Earliest, Start::Latest, all), Some("me")), "12356789");
    assert_eq!(bodies(&span(Start::Sequence(3), Start::Sequence(6), all), Some("me")), "356");
    assert_eq!(bodies(&span(Start::Sequence(3), Start::Sequence(99), 4), Some("me")), "3567");
    assert_eq!(bodies(&span(Start::Time(0), Start::Time(0), all), None), "");
    let beyond = Past::new(&seen, &span(Start::Sequence(11), Start::Latest, all), None);
    assert!(matches!(beyond, Err(LogError::SequenceOutOfBounds { seq: 11, first: 1, next: 10, .. })));
}

#[tokio::test]
async fn partitions_come_one_after_the_other_or_alone() {
    let log = SequenceLog::memory("s", LogOptions { partitions: 2, ..LogOptions::default() }).unwrap();
    for partition in [0, 1, 0, 1, 0] {
        log.append_to(partition, vec![Message::new(b"x").unwrap()], None).await.unwrap();
    }
    let places = |from, to, partition| {
        let mut past = Past::new(&log, &Span { from, to, partition, most: u64::MAX }, None)?;
        let mut all = Vec::new();
        loop {
            let batch = past.next_batch()?;
            if batch.is_empty() {
                return Ok::<_, LogError>(all);
            }
            all.extend(batch.iter().map(|e| (e.at.partition, e.at.seq)));
        }
    };
    let all = [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)];
    assert_eq!(places(Start::Earliest, Start::Latest, None).unwrap(), all);
    // The second partition does not go so far, which only matters to whoever names it.
    assert_eq!(places(Start::Sequence(3), Start::Sequence(9), None).unwrap(), [(0, 3)]);
    assert!(places(Start::Sequence(4), Start::Latest, Some(1)).is_err());
    assert_eq!(places(Start::Sequence(2), Start::Sequence(2), Some(1)).unwrap(), [(1, 2)]);
    assert!(matches!(places(Start::Earliest, Start::Latest, Some(2)), Err(LogError::PartitionNotFound { .. })));
}
