//! What dead letters ask of a log: messages for one reader alone, and a reader that stands for nobody.

use super::*;
use crate::broker::{Ack, Source};
use crate::dead::READER;

#[tokio::test]
async fn what_is_put_back_for_one_reader_is_passed_over_by_the_others() {
    for (log, _directory) in both() {
        let mut builder = Message::builder();
        builder.subject("s").key(b"k").id(b"7").timestamp(5).header("h", 1i64);
        let redriven = builder.header(REDRIVEN_FOR, "a").build(b"2").unwrap();
        let plain = builder.subject("s").key(b"k").id(b"7").timestamp(5).header("h", 1i64).build(b"2").unwrap();
        log.append(vec![message("1"), redriven, message("3")]).await.unwrap();
        for (reader, expected) in
            [("a", vec![message("1"), plain, message("3")]), ("b", vec![message("1"), message("3")])]
        {
            let mut source = LogSource::new(log.clone(), reader, Start::Earliest);
            source.connect().await.unwrap();
            let received = source.recv(10).await.unwrap();
            let messages: Vec<Message> = received.iter().map(|r| r.message.clone()).collect();
            assert_eq!(messages, expected, "as {reader} has them");
            source.settle(&received.iter().map(|r| (r.token, Ack::Accept)).collect::<Vec<_>>()).await.unwrap();
            assert_eq!(log.lag(reader).unwrap(), 0, "{reader} has nothing left");
        }
    }
}

/// A log of small segments with 100 letters, the reader of which has settled so many.
async fn letters(directory: &TempDir, options: &LogOptions, settled: u64) -> SequenceLog {
    // Retention is looked at every second by itself: it has no say before all is there.
    let kept = LogOptions { retention: Retention::default(), ..options.clone() };
    let (log, _) = SequenceLog::open("s", directory.path(), kept).unwrap();
    for _ in 0..100 {
        log.publish(message(&"x".repeat(200))).await.unwrap();
    }
    let reader = log.consumer(READER, ConsumerOptions::default()).unwrap();
    reader.settle_run(0, 1..settled + 1, false).unwrap();
    drop((reader, log));
    SequenceLog::open("s", directory.path(), options.clone()).unwrap().0
}

#[tokio::test]
async fn letters_that_nobody_looks_at_do_not_outgrow_the_limits() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { bytes: Some(10_000), ..Retention::default() };
    let options = LogOptions { segment_bytes: 2048, retention, ..LogOptions::default() };
    let log = letters(&directory, &options, 10).await;
    assert!(log.enforce_retention().unwrap() > 10_000);
    // Any other reader is waited for.
    let directory = tempfile::tempdir().unwrap();
    let log = letters(&directory, &options, 10).await;
    log.consumer("other", ConsumerOptions { start: Start::Sequence(20), ..ConsumerOptions::default() }).unwrap();
    log.enforce_retention().unwrap();
    let (first, _) = log.bounds(0).unwrap();
    assert!((10..=20).contains(&first), "the first that is left: {first}");
}

#[tokio::test]
async fn letters_that_were_given_up_are_freed_where_the_stream_drops_what_is_settled() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { settled: Keep::Drop, ..Retention::default() };
    let options = LogOptions { segment_bytes: 2048, retention, ..LogOptions::default() };
    let log = letters(&directory, &options, 50).await;
    assert!(log.enforce_retention().unwrap() > 8_000);
    let (first, _) = log.bounds(0).unwrap();
    assert!((40..=51).contains(&first), "the first that is left: {first}");
}

#[tokio::test]
async fn who_looks_after_letters_is_never_stale() {
    let directory = tempfile::tempdir().unwrap();
    let log = letters(&directory, &LogOptions::default(), 50).await;
    log.consumer("other", ConsumerOptions::default()).unwrap();
    let policy = StalePolicy { age: Some(Duration::ZERO), lag: Some(1) };
    let removed: Vec<_> = log.remove_stale(policy).into_iter().map(|g| g.name).collect();
    assert_eq!(removed, ["other".into()]);
    assert_eq!(log.lag(READER).unwrap(), 50);
}
