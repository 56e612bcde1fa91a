use super::letter::{Obituary, letter};
use super::*;
use crate::config::Config;
use crate::log::{LogOptions, REDRIVEN_FOR, SequenceLog};
use crate::message::{Entry, Message, MessageBuilder, Position};
use crate::stream::Limit;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;

fn died(message: &Message, seq: u64, why: Why, handler: &str, reason: &str, now: i64) -> Message {
    let entry = Entry::new(Position { partition: 0, seq }, 3, message.clone());
    let (generation, module, stream) = (1, "m", "in");
    let first_failed = now - 10;
    let obituary = Obituary { why, reason, handler, generation, module, first_failed, now, stream };
    letter(&entry, &obituary, &mut MessageBuilder::new()).unwrap()
}

fn read(message: Message) -> Letter {
    Letter { at: Position { partition: 0, seq: 1 }, message }
}

#[test]
fn a_message_that_dies_again_keeps_its_history() {
    let message = Message::builder().key(b"k").header("h", 1i64).build(b"body").unwrap();
    let once = read(died(&message, 4, Why::Rejected, "a", "first", 100));
    assert_eq!((once.deaths(), once.first_failed(), once.last_failed()), (1, Some(90), Some(100)));
    let twice = read(died(&once.message, 9, Why::Exhausted, "b", "second", 500));
    assert_eq!((twice.deaths(), twice.first_failed(), twice.last_failed()), (2, Some(90), Some(500)));
    assert_eq!((twice.why(), twice.reason(), twice.handler()), (Some(Why::Exhausted), Some("second"), Some("b")));
    assert_eq!((twice.stream(), twice.sequence(), twice.attempts()), (Some("in"), Some(9), Some(3)));
    assert_eq!((twice.message.key(), twice.message.body()), (Some(&b"k"[..]), &b"body"[..]));
    let names: Vec<&str> = twice.message.headers().map(|(name, _)| name).filter(|n| n.starts_with(PREFIX)).collect();
    assert_eq!(names.len(), names.iter().collect::<std::collections::BTreeSet<_>>().len(), "each once: {names:?}");
}

/// Four letters of two handlers, one of each a second, at 100 s and on; and a message that is none.
async fn four(directory: &TempDir) -> SequenceLog {
    let (log, _) = SequenceLog::open("dead", &directory.path().join("dead"), LogOptions::default()).unwrap();
    let body = |i: u64| Message::new(format!("m{i}").as_bytes()).unwrap();
    for (i, why, handler, reason) in [
        (1, Why::Rejected, "a", "no json"),
        (2, Why::Exhausted, "b", "timed out"),
        (3, Why::Rejected, "b", "no json at all"),
        (4, Why::Exhausted, "a", "trapped"),
    ] {
        log.publish(died(&body(i), i + 10, why, handler, reason, (99 + i as i64) * SECOND)).await.unwrap();
    }
    log.publish(body(5)).await.unwrap();
    log
}

fn found(log: &SequenceLog, filter: Filter) -> Vec<u64> {
    let mut letters = Letters::new(log, filter, 105 * SECOND).unwrap();
    let mut all = Vec::new();
    loop {
        let batch = letters.next_batch().unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|letter| letter.at.seq));
    }
}

#[tokio::test]
async fn letters_are_found_by_all_that_is_said_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let log = four(&directory).await;
    let all = Filter::default;
    let table = [
        (all(), vec![1, 2, 3, 4, 5]),
        (Filter { handler: Some("a".into()), ..all() }, vec![1, 4]),
        (Filter { reason: Some("json".into()), ..all() }, vec![1, 3]),
        (Filter { why: Some(Why::Exhausted), ..all() }, vec![2, 4]),
        (Filter { older_than: Some(Duration::from_secs(3)), ..all() }, vec![1, 2]),
        (Filter { newer_than: Some(Duration::from_secs(3)), ..all() }, vec![3, 4]),
        (Filter { sequences: Some(2..=4), ..all() }, vec![2, 3, 4]),
        (Filter { sequences: Some(0..=u64::MAX), most: Some(2), ..all() }, vec![1, 2]),
        (Filter { sequences: Some(9..=12), ..all() }, vec![]),
        (Filter { handler: Some("b".into()), most: Some(1), ..all() }, vec![2]),
        (Filter { partition: Some(0), most: Some(0), ..all() }, vec![]),
    ];
    for (filter, expected) in table {
        assert_eq!(found(&log, filter.clone()), expected, "{filter:?}");
        assert_eq!(filter.is_all(), filter.handler.is_none() && expected.len() == 5, "{filter:?}");
    }
    assert!(Letters::new(&log, Filter { partition: Some(1), ..all() }, 0).is_err());
}

/// `in` and `other` on disk, read by the handlers; the dead letters on disk; one stream in memory.
fn config(directory: &TempDir, module: &Path) -> Config {
    let at = directory.path().display();
    let text = format!(
        "streams:\n  \
           in: {{ storage: {{ type: disk, path: {at}/in }} }}\n  \
           other: {{ storage: {{ type: disk, path: {at}/other, durability: os }} }}\n  \
           dead: {{ storage: {{ type: disk, path: {at}/dead }} }}\n  \
           memory: {{ to: stdout }}\n\
         handlers:\n  \
           a: {{ module: {module}, stream: in, output: memory, dead_letter: dead }}\n  \
           c: {{ module: {module}, stream: other, dead_letter: dead }}\n",
        module = module.display()
    );
    Config::parse(&text, "test.yaml", &crate::config::Environment::default()).unwrap()
}

#[tokio::test]
async fn letters_go_back_for_the_one_that_gave_up_on_them_or_say_why_not() {
    let directory = tempfile::tempdir().unwrap();
    four(&directory).await.close().await;
    let module = directory.path().join("none.wasm");
    std::fs::write(&module, b"").unwrap();
    let config = config(&directory, &module);
    let mut tool = DeadLetters::open(&config, "dead").await.unwrap();
    let in_use = SequenceLog::open("dead", &directory.path().join("dead"), LogOptions::default());
    assert!(in_use.is_err(), "the tool has it open");

    let letters = Letters::new(tool.log(), Filter::default(), 0).unwrap().next_batch().unwrap();
    let mut told = Vec::new();
    let tell = |told: &mut Vec<String>, letter: &Letter, target: Result<Target<'_>, ToolError>| match target {
        Ok(target) => told.push(format!("{} {} {:?}", letter.at.seq, target.stream.name, target.reader)),
        Err(error) => told.push(format!("{} {error}", letter.at.seq)),
    };
    tool.redrive(letters, None, |letter, target| tell(&mut told, letter, target)).await.unwrap();
    let left =
        "handler 'b', which gave up on it, does not read stream 'in' any more; with --to in all its readers get it";
    let expected = [
        format!("2 {left}"),
        format!("3 {left}"),
        "5 it does not say which stream it came from; name one with --to".into(),
        "1 in Some(\"a\")".into(),
        "4 in Some(\"a\")".into(),
    ];
    assert_eq!(told, expected);
    assert_eq!(found(tool.log(), Filter::default()), [2, 3, 5]);

    let rest =
        Letters::new(tool.log(), Filter { most: Some(2), ..Filter::default() }, 0).unwrap().next_batch().unwrap();
    told.clear();
    tool.redrive(rest, Some("other"), |letter, target| tell(&mut told, letter, target)).await.unwrap();
    assert_eq!(told, ["2 other None", "3 other None"]);
    let last = Letters::new(tool.log(), Filter::default(), 0).unwrap().next_batch().unwrap();
    for (to, why) in [
        ("memory", "stream 'memory' is not kept on disk"),
        ("nowhere", "has no stream 'nowhere'"),
        ("dead", "holds the dead letters themselves"),
    ] {
        told.clear();
        tool.redrive(last.clone(), Some(to), |letter, target| tell(&mut told, letter, target)).await.unwrap();
        assert!(told[0].contains(why), "{told:?}");
    }
    tool.purge(&last).unwrap();
    assert_eq!(tool.close().await.unwrap(), 0);

    // It stays so when it is opened again, and the messages are where they were put, with their history.
    let dead = SequenceLog::open_read_only("dead", &directory.path().join("dead")).unwrap();
    assert_eq!(found(&dead, Filter::default()), [0; 0]);
    for (name, bodies, reader) in [("in", ["m1", "m4"], Some("a")), ("other", ["m2", "m3"], None)] {
        let log = SequenceLog::open_read_only(name, &directory.path().join(name)).unwrap();
        let entries = log.read(0, 1, Limit::messages(9)).unwrap();
        let text: Vec<_> = entries.iter().map(|e| String::from_utf8_lossy(e.message.body()).into_owned()).collect();
        assert_eq!(text, bodies);
        for entry in entries {
            assert_eq!(entry.message.header(REDRIVEN_FOR).and_then(|v| v.as_text()), reader);
            assert_eq!(read(entry.message).deaths(), 1);
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_never_written_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("none.wasm");
    std::fs::write(&module, b"").unwrap();
    let config = config(&directory, &module);
    assert!(matches!(DeadLetters::open(&config, "dead").await, Err(ToolError::NotThere { .. })));
    assert!(!directory.path().join("dead").exists());
}
