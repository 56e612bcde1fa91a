//! Groups of readers on the real feed.

use super::*;
use crate::client::{Admin, Consumer, ConsumerOptions};
use crate::message::{Entry, Position};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Barrier;

/// Who was given which event, and how often.
type Seen = Arc<Mutex<BTreeMap<Position, Vec<&'static str>>>>;

fn options(group: &str) -> ConsumerOptions {
    // Small portions, so that all members get some.
    let poll = Duration::from_millis(50);
    ConsumerOptions { auto_commit: None, prefetch: 50, poll, ..ConsumerOptions::group("quakes", group) }
}

fn note(seen: &Seen, reader: &'static str, batch: &[Entry]) {
    let mut seen = seen.lock().unwrap();
    batch.iter().for_each(|entry| seen.entry(entry.at).or_default().push(reader));
}

/// Reads until the group has settled everything. The readers of a group begin together.
async fn read_all(
    fixture: Connection,
    group: &'static str,
    reader: &'static str,
    begin: Arc<Barrier>,
    seen: Seen,
    log: SequenceLog,
) {
    let mut consumer = Consumer::new(fixture, options(group));
    // Joins the group.
    let mut batch = consumer.next_batch().await.unwrap();
    begin.wait().await;
    while log.lag(group).unwrap() > 0 {
        note(&seen, reader, &batch);
        consumer.settle(&batch).await;
        batch = consumer.next_batch().await.unwrap();
    }
    note(&seen, reader, &batch);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_comes_once_to_each_group_and_every_reader_gets_some() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("quakes", 1);
    let feed = feed();
    assert_eq!(feed.len(), 1707);
    fixture.produce("quakes", feed.iter().map(|line| message(line))).await;
    let mut groups = Vec::new();
    for group in ["alerts", "archive"] {
        let (seen, begin) = (Seen::default(), Arc::new(Barrier::new(2)));
        let read = |reader| read_all(fixture.connection(), group, reader, begin.clone(), seen.clone(), log.clone());
        let readers = [tokio::spawn(read("first")), tokio::spawn(read("second"))];
        groups.push((seen, readers));
    }
    for (seen, readers) in groups {
        for reader in readers {
            within("a reader", reader).await.unwrap();
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), feed.len());
        assert!(seen.values().all(|readers| readers.len() == 1), "each once");
        for reader in ["first", "second"] {
            assert!(seen.values().any(|r| r[0] == reader), "{reader} got none");
        }
    }
    let bodies: Vec<_> = log.read(0, 1, crate::stream::Limit::messages(9999)).unwrap();
    assert!(bodies.iter().map(|e| e.message.body()).eq(feed.iter().map(|line| line.as_bytes())));
    fixture.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_dies_half_way_loses_nothing() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("quakes", 4);
    let feed = feed();
    fixture.produce("quakes", feed.iter().map(|line| message(line))).await;
    let seen = Seen::default();
    let mut dying = Consumer::new(fixture.connection(), options("alerts"));
    let mut surviving = Consumer::new(fixture.connection(), options("alerts"));
    let mut handled = 0;
    // They take turns, so that there is enough for both up to here.
    while handled < 400 {
        let batch = dying.next_batch().await.unwrap();
        note(&seen, "dying", &batch);
        dying.settle(&batch).await;
        handled += batch.len();
        let batch = surviving.next_batch().await.unwrap();
        note(&seen, "surviving", &batch);
        surviving.settle(&batch).await;
    }
    let died_with = loop {
        let batch = dying.next_batch().await.unwrap();
        if !batch.is_empty() {
            break batch;
        }
    };
    note(&seen, "at its death", &died_with);
    // What it has settled is on its way, and would die with it.
    let settled = seen.lock().unwrap().values().filter(|readers| readers[0] != "at its death").count();
    within("what was settled is known", async {
        while log.lag("alerts").unwrap() > (feed.len() - settled) as u64 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(dying);
    while log.lag("alerts").unwrap() > 0 {
        let batch = within("the surviving reader", surviving.next_batch()).await.unwrap();
        note(&seen, "surviving", &batch);
        surviving.settle(&batch).await;
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), feed.len(), "nothing is lost");
    let lost: Vec<_> = seen.values().filter(|readers| readers.contains(&"at its death")).collect();
    assert!(!lost.is_empty() && lost.iter().all(|readers| readers.contains(&"surviving")), "{lost:?}");
    let others = seen.values().filter(|readers| !readers.contains(&"at its death"));
    assert!(others.into_iter().all(|readers| readers.len() == 1), "what was settled does not come again");
    let about = Admin::new(fixture.connection()).describe("quakes").await.unwrap();
    let group = about.groups.iter().find(|group| group.name == "alerts").unwrap();
    assert_eq!((group.lag, group.in_flight, about.partitions.len()), (0, 0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_holds_nobody_up_and_gets_no_more_than_its_credit() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("quakes", 1);
    fixture.produce("quakes", feed().iter().map(|line| message(line))).await;
    let mut slow = Consumer::new(fixture.connection(), ConsumerOptions { prefetch: 7, ..options("slow") });
    let first = slow.next_batch().await.unwrap();
    assert_eq!(first.len(), 7);
    let mut quick = Consumer::new(fixture.connection(), options("quick"));
    let mut got = 0;
    while got < 1707 {
        let batch = within("the quick reader", quick.next_batch()).await.unwrap();
        got += batch.len();
        quick.settle(&batch).await;
    }
    // It has settled nothing, and so was given no more.
    assert_eq!(log.group_stats("slow").unwrap().in_flight, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_fails_at_comes_again() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("quakes", 1);
    fixture.produce("quakes", (0..5).map(|i| message(&i.to_string()))).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |entry: Entry| {
        let (body, attempt) = (entry.message.body().to_vec(), entry.attempt);
        tell.send((body.clone(), attempt)).unwrap();
        async move {
            anyhow::ensure!(body != b"3" || attempt > 1, "not at once");
            Ok(())
        }
    };
    let mut consumer = Consumer::new(fixture.connection(), options("picky"));
    let mut got = Vec::new();
    {
        let running = consumer.run(handler);
        tokio::pin!(running);
        while got.len() < 6 {
            tokio::select! {
                ended = &mut running => panic!("{ended:?}"),
                Some(one) = told.recv() => got.push(one),
            }
        }
    }
    got.sort();
    let expected: Vec<(Vec<u8>, u32)> =
        [("0", 1), ("1", 1), ("2", 1), ("3", 1), ("3", 2), ("4", 1)].map(|(b, a)| (b.as_bytes().to_vec(), a)).to_vec();
    assert_eq!(got, expected);
    consumer.close().await;
    // The last one was told of before it was settled.
    assert!(log.lag("picky").unwrap() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_read_from_an_offset_on() {
    let fixture = Fixture::new().await;
    fixture.stream("quakes", 1);
    fixture.produce("quakes", (1..=9).map(|i| message(&i.to_string()))).await;
    for (start, first) in [("earliest", 1), ("-2", 1), ("4", 4), ("1999-01-01T00:00:00Z", 1)] {
        let options = ConsumerOptions::partition("quakes", 0, start.parse().unwrap());
        let mut consumer = Consumer::new(fixture.connection(), options);
        let batch = consumer.next_batch().await.unwrap();
        assert_eq!((batch[0].at.seq, batch.len()), (first, 10 - first as usize), "{start}");
    }
    let poll = Duration::from_millis(10);
    let latest = ConsumerOptions { poll, ..ConsumerOptions::partition("quakes", 0, "latest".parse().unwrap()) };
    let mut consumer = Consumer::new(fixture.connection(), latest);
    assert!(consumer.next_batch().await.unwrap().is_empty());
    fixture.produce("quakes", [message("10")]).await;
    assert_eq!(consumer.next_batch().await.unwrap()[0].at.seq, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_back_for_one_reader_is_for_no_other() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("quakes", 1);
    let back = Message::builder().header(crate::log::REDRIVEN_FOR, "alerts").build(b"back").unwrap();
    log.append(vec![message("one"), back, message("two")]).await.unwrap();
    for (group, expected) in [("alerts", &["one", "back", "two"][..]), ("archive", &["one", "two"])] {
        let mut consumer = Consumer::new(fixture.connection(), options(group));
        let mut came = Vec::new();
        while came.len() < expected.len() {
            let batch = within("a batch", consumer.next_batch()).await.unwrap();
            assert!(batch.iter().all(|entry| entry.message.headers().count() == 0), "it says whom it is for");
            came.extend(batch.iter().map(|entry| String::from_utf8_lossy(entry.message.body()).into_owned()));
            consumer.settle(&batch).await;
        }
        assert_eq!(came, expected, "{group}");
        consumer.close().await;
        assert_eq!(log.lag(group).unwrap(), 0, "{group}");
    }
}
