use super::*;
use crate::broker::{Ack, AckToken, Received};
use crate::message::{GroupMark, Message, Position};
use crate::stream::Limit;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tempfile::TempDir;

mod dead;
pub(crate) mod faults;
mod full;
mod model;
mod repaired;
mod storm;
mod waiting;

fn message(body: &str) -> Message {
    Message::new(body.as_bytes()).unwrap()
}

fn keyed(key: &str, body: &str) -> Message {
    Message::builder().key(key.as_bytes()).build(body.as_bytes()).unwrap()
}

fn bodies(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|e| String::from_utf8_lossy(e.message.body()).into_owned()).collect()
}

fn disk(directory: &TempDir) -> SequenceLog {
    SequenceLog::open("s", directory.path(), LogOptions::default()).unwrap().0
}

/// The same on both kinds of storage.
fn both() -> Vec<(SequenceLog, Option<TempDir>)> {
    let directory = tempfile::tempdir().unwrap();
    let log = disk(&directory);
    vec![(SequenceLog::memory("s", LogOptions::default()).unwrap(), None), (log, Some(directory))]
}

async fn fill(log: &SequenceLog, count: usize) {
    for i in 1..=count {
        log.publish(message(&i.to_string())).await.unwrap();
    }
}

const ALL: Limit = Limit { messages: usize::MAX, bytes: u64::MAX };

#[tokio::test]
async fn every_group_gets_every_message_once_and_its_members_share_them() {
    for (log, _directory) in both() {
        fill(&log, 10).await;
        let mut a = log.consumer("a", ConsumerOptions::default()).unwrap();
        let mut b1 = log.consumer("b", ConsumerOptions::default()).unwrap();
        let mut b2 = log.consumer("b", ConsumerOptions::default()).unwrap();
        assert_eq!(a.next_batch(ALL).await.unwrap().len(), 10);
        let first = b1.next_batch(Limit::messages(4)).await.unwrap();
        let second = b2.next_batch(ALL).await.unwrap();
        assert_eq!((bodies(&first), second.len()), (vec!["1".into(), "2".into(), "3".into(), "4".into()], 6));
        b1.settle_batch(&first).unwrap();
        b2.settle(second[2].at).unwrap();
        let stats = log.group_stats("b").unwrap();
        assert_eq!((stats.members, stats.lag, stats.in_flight, stats.watermarks), (2, 5, 5, vec![5]));
        assert_eq!(log.settled_beyond("b", 0).unwrap(), vec![7..8]);
        let lags = log.lag_stats();
        assert_eq!((lags.count, lags.max, lags.mean), (2, 10, 7.5));
    }
}

#[tokio::test]
async fn what_a_member_that_leaves_had_in_hand_comes_again() {
    for (log, _directory) in both() {
        fill(&log, 4).await;
        let mut first = log.consumer("g", ConsumerOptions::default()).unwrap();
        let mut second = log.consumer("g", ConsumerOptions::default()).unwrap();
        let batch = first.next_batch(ALL).await.unwrap();
        first.settle(batch[1].at).unwrap();
        let waiting = tokio::spawn(async move { second.next_batch(ALL).await.unwrap() });
        drop(first);
        let again = waiting.await.unwrap();
        assert_eq!(bodies(&again), ["1", "3", "4"]);
        assert!(again.iter().all(|e| e.attempt == 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_settled_within_its_lease_comes_again() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    fill(&log, 2).await;
    let options = ConsumerOptions { lease: Some(Duration::from_secs(5)), ..ConsumerOptions::default() };
    let mut slow = log.consumer("g", options.clone()).unwrap();
    let mut other = log.consumer("g", options).unwrap();
    let batch = slow.next_batch(ALL).await.unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    slow.extend();
    let begun = tokio::time::Instant::now();
    let again = other.next_batch(ALL).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(again.iter().map(|e| e.attempt).collect::<Vec<_>>(), [2, 2]);
    // Late is not never: what the slow one has done after all is done.
    slow.settle_batch(&batch).unwrap();
    assert_eq!(log.lag("g").unwrap(), 0);
    drop(other);
    let stats = log.group_stats("g").unwrap();
    assert_eq!((stats.in_flight, stats.lag), (0, 0));
}

#[tokio::test]
async fn readers_start_where_they_are_told_and_seek() {
    for (log, _directory) in both() {
        fill(&log, 3).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let time = crate::stream::now_ns();
        tokio::time::sleep(Duration::from_millis(5)).await;
        log.publish(message("4")).await.unwrap();
        let start = |start| ConsumerOptions { start, ..ConsumerOptions::default() };
        for (name, at, expected) in [
            ("earliest", Start::Earliest, "1"),
            ("sequence", Start::Sequence(3), "3"),
            ("time", Start::Time(time), "4"),
        ] {
            let mut consumer = log.consumer(name, start(at)).unwrap();
            assert_eq!(bodies(&[consumer.next().await.unwrap()]), [expected], "{name}");
        }
        let mut latest = log.consumer("latest", start(Start::Latest)).unwrap();
        log.publish(message("5")).await.unwrap();
        assert_eq!(bodies(&[latest.next().await.unwrap()]), ["5"]);
        latest.seek(Start::Sequence(2)).unwrap();
        assert_eq!(bodies(&latest.next_batch(ALL).await.unwrap()), ["2", "3", "4", "5"]);
        let beyond = log.consumer("beyond", start(Start::Sequence(77))).err().unwrap();
        assert!(matches!(beyond, LogError::SequenceOutOfBounds { seq: 77, first: 1, next: 6, .. }), "{beyond}");
        assert!(matches!(latest.seek(Start::Sequence(0)), Err(LogError::SequenceOutOfBounds { .. })));
    }
}

#[tokio::test]
async fn what_was_settled_stays_settled_when_the_log_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let log = disk(&directory);
    fill(&log, 10).await;
    let mut consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
    let batch = consumer.next_batch(ALL).await.unwrap();
    consumer.settle_batch(&batch[..3]).unwrap();
    consumer.settle_batch(&batch[5..7]).unwrap();
    log.consumer("gone", ConsumerOptions::default()).unwrap();
    log.remove("gone").unwrap();
    drop((log, consumer));
    let log = disk(&directory);
    assert_eq!(log.groups().iter().map(|g| &*g.name).collect::<Vec<_>>(), ["g"]);
    let mut consumer = log.consumer("g", ConsumerOptions { start: Start::Latest, ..Default::default() }).unwrap();
    assert_eq!(bodies(&consumer.next_batch(ALL).await.unwrap()), ["4", "5", "8", "9", "10"]);
}

#[tokio::test]
async fn the_journal_is_made_anew_when_it_has_grown_and_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let log = disk(&directory);
    let messages: Vec<Message> = (0..60_000).map(|i| message(&i.to_string())).collect();
    log.append(messages).await.unwrap();
    let mut consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
    let batch = consumer.next_batch(ALL).await.unwrap();
    for entry in batch.iter().filter(|e| e.at.seq % 2 == 0) {
        consumer.settle(entry.at).unwrap();
    }
    for entry in batch.iter().filter(|e| e.at.seq % 2 == 1 && e.at.seq > 3) {
        consumer.settle(entry.at).unwrap();
    }
    let length = std::fs::metadata(directory.path().join("cursors")).unwrap().len();
    assert!(length < 2 << 20, "{length} bytes for one reader");
    drop((log, consumer));
    let log = disk(&directory);
    assert_eq!(log.lag("g").unwrap(), 2);
}

#[tokio::test]
async fn keys_keep_their_partitions_and_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions { partitions: 4, ..LogOptions::default() };
    let (log, _) = SequenceLog::open("s", directory.path(), options.clone()).unwrap();
    let messages = (0..100).map(|i| keyed(&format!("k{}", i % 10), &i.to_string())).collect();
    log.append(messages).await.unwrap();
    let mut consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
    let (mut seen, mut partition_of) = (BTreeMap::<Vec<u8>, Vec<u32>>::new(), BTreeMap::new());
    while log.lag("g").unwrap() > 0 {
        for entry in consumer.next_batch(Limit::messages(7)).await.unwrap() {
            let key = entry.message.key().unwrap().to_vec();
            assert_eq!(*partition_of.entry(key.clone()).or_insert(entry.at.partition), entry.at.partition);
            seen.entry(key).or_default().push(String::from_utf8_lossy(entry.message.body()).parse().unwrap());
            consumer.settle(entry.at).unwrap();
        }
    }
    assert!(seen.values().all(|of| of.len() == 10 && of.is_sorted()), "{seen:?}");
    assert!(partition_of.values().collect::<BTreeSet<_>>().len() > 1);
    drop((log, consumer));
    let fewer = SequenceLog::open("s", directory.path(), LogOptions { partitions: 2, ..options }).err().unwrap();
    assert!(fewer.to_string().contains("has 4 partitions, not 2"), "{fewer}");
}

#[tokio::test]
async fn members_may_have_partitions_of_their_own() {
    let log = SequenceLog::memory("s", LogOptions { partitions: 2, ..LogOptions::default() }).unwrap();
    for (partition, body) in [(0, "a"), (1, "b"), (0, "c")] {
        log.append_to(partition, vec![message(body)], None).await.unwrap();
    }
    let only = |partition| ConsumerOptions { partitions: vec![partition], ..ConsumerOptions::default() };
    let mut zero = log.consumer("g", only(0)).unwrap();
    let mut one = log.consumer("g", only(1)).unwrap();
    assert_eq!(bodies(&zero.next_batch(ALL).await.unwrap()), ["a", "c"]);
    assert_eq!(bodies(&one.next_batch(ALL).await.unwrap()), ["b"]);
    assert!(matches!(log.consumer("g", only(2)).err(), Some(LogError::PartitionNotFound { .. })));
    assert!(matches!(log.append_to(2, vec![], None).await, Err(LogError::PartitionNotFound { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_settles_by_itself_settles_what_earlier_calls_gave() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    fill(&log, 3).await;
    let commit = Commit::Auto(Duration::from_secs(5));
    let mut consumer = log.consumer("g", ConsumerOptions { commit, ..ConsumerOptions::default() }).unwrap();
    consumer.next_batch(Limit::messages(2)).await.unwrap();
    assert_eq!(log.lag("g").unwrap(), 3);
    tokio::time::advance(Duration::from_secs(6)).await;
    consumer.next_batch(ALL).await.unwrap();
    assert_eq!(log.lag("g").unwrap(), 1);
    // One that waits for more settles all the same.
    let waiting = tokio::spawn(async move { consumer.next_batch(ALL).await });
    log.caught_up("g").await.unwrap();
    waiting.abort();
    fill(&log, 1).await;
    let mut consumer = log.consumer("g", ConsumerOptions { commit, ..ConsumerOptions::default() }).unwrap();
    consumer.next().await.unwrap();
    consumer.close();
    assert_eq!(log.lag("g").unwrap(), 0);
}

#[tokio::test]
async fn committing_settles_all_below_and_never_goes_back() {
    for (log, _directory) in both() {
        fill(&log, 5).await;
        let mut consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
        let place = |seq| Position { partition: 0, seq };
        log.commit("g", place(4)).unwrap();
        log.commit("g", place(2)).unwrap();
        assert_eq!(bodies(&consumer.next_batch(ALL).await.unwrap()), ["4", "5"]);
        assert!(matches!(log.commit("g", place(7)), Err(LogError::SequenceOutOfBounds { .. })));
        assert!(matches!(log.commit("nobody", place(1)), Err(LogError::ConsumerNotFound { .. })));
    }
}

#[tokio::test]
async fn stale_readers_are_found_and_removed() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let mut events = log.events().subscribe();
    fill(&log, 5).await;
    let mut active = log.consumer("active", ConsumerOptions::default()).unwrap();
    log.start("idle", Start::Earliest).unwrap();
    let batch = active.next_batch(ALL).await.unwrap();
    active.settle_batch(&batch).unwrap();
    let lagging = StalePolicy { age: None, lag: Some(4) };
    assert_eq!(log.stale(lagging).iter().map(|g| &*g.name).collect::<Vec<_>>(), ["idle"]);
    // Nobody is a member of it, and nothing was heard of it since.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let old = StalePolicy { age: Some(Duration::from_millis(1)), lag: None };
    assert_eq!(log.stale(old).iter().map(|g| &*g.name).collect::<Vec<_>>(), ["idle"]);
    assert_eq!(log.remove_stale(lagging).len(), 1);
    assert!(matches!(log.lag("idle"), Err(LogError::ConsumerNotFound { .. })));
    assert!(matches!(events.recv().await.unwrap(), Event::ReaderRemoved { lag: 5, .. }));
    log.remove("active").unwrap();
    assert!(matches!(active.next().await, Err(LogError::ConsumerNotFound { .. })));
}

#[tokio::test]
async fn the_hosts_own_readers_are_never_stale() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    log.require("handler", Start::Earliest).unwrap();
    fill(&log, 5).await;
    assert_eq!(log.remove_stale(StalePolicy { age: Some(Duration::ZERO), lag: Some(1) }), []);
}

#[tokio::test]
async fn only_what_puts_letters_back_says_whom_a_message_is_for() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let addressed = || Message::builder().header(REDRIVEN_FOR, "nobody").header("h", "kept").build(b"x").unwrap();
    let received = vec![Received::new(addressed(), AckToken { epoch: 0, tag: 1 })];
    log.append_received(received, true).await.unwrap();
    log.emit(vec![addressed()]).await.unwrap();
    log.append(vec![addressed()]).await.unwrap();
    let names = |e: &Entry| e.message.headers().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    let headers: Vec<Vec<String>> = log.read(0, 1, ALL).unwrap().iter().map(names).collect();
    assert_eq!(headers, [vec!["h"], vec!["h"], vec![REDRIVEN_FOR, "h"]]);
}

#[tokio::test]
async fn memory_is_bounded_told_of_and_given_back() {
    let one = message("0123456789").weight();
    let options = LogOptions { bytes: 10 * one, threshold: 8 * one, ..LogOptions::default() };
    let log = SequenceLog::memory("s", options).unwrap();
    let mut events = log.events().subscribe();
    let mut consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
    for _ in 0..10 {
        log.publish(message("0123456789")).await.unwrap();
    }
    let low = events.recv().await.unwrap();
    assert!(matches!(low, Event::MemoryLow { bytes, threshold, .. } if bytes == 8 * one && threshold == 8 * one));
    assert!(log.pressure().low);
    let blocked = tokio::spawn({
        let log = log.clone();
        async move { log.publish(message("0123456789")).await }
    });
    let batch = consumer.next_batch(ALL).await.unwrap();
    tokio::task::yield_now().await;
    assert!(!blocked.is_finished());
    consumer.settle_batch(&batch).unwrap();
    assert_eq!(blocked.await.unwrap().unwrap().seq, 11);
    assert!(matches!(events.recv().await.unwrap(), Event::MemoryNormal { .. }));
    assert_eq!(log.messages(), 1);
    assert!(matches!(log.set_threshold(11 * one), Err(LogError::InvalidConfiguration(_))));
    log.set_threshold(one).unwrap();
    assert!(matches!(events.recv().await.unwrap(), Event::MemoryLow { .. }));
    let last = consumer.next().await.unwrap();
    drop(batch);
    consumer.settle(last.at).unwrap();
    assert_eq!((log.messages(), log.collect().unwrap()), (0, 0));
}

#[tokio::test]
async fn what_all_have_settled_is_kept_until_there_is_need_where_it_says_so() {
    let one = message("0123456789").weight();
    let retention = Retention { settled: Keep::Keep, ..Retention::default() };
    let options = LogOptions { bytes: 10 * one, threshold: 9 * one, retention, ..LogOptions::default() };
    let log = SequenceLog::memory("s", options).unwrap();
    for _ in 0..6 {
        log.publish(message("0123456789")).await.unwrap();
    }
    log.start("g", Start::Earliest).unwrap();
    log.commit("g", Position { partition: 0, seq: 5 }).unwrap();
    assert_eq!(log.messages(), 6);
    assert_eq!(log.collect().unwrap(), 4 * one);
    for _ in 0..8 {
        log.publish(message("0123456789")).await.unwrap();
    }
    assert_eq!(log.bounds(0).unwrap(), (5, 15));
}

#[tokio::test]
async fn a_full_log_in_memory_does_what_it_says() {
    let one = message("x").weight();
    let options = |when_full| LogOptions { bytes: 3 * one, threshold: one, when_full, ..LogOptions::default() };
    let log = SequenceLog::memory("s", options(WhenFull::Reject)).unwrap();
    fill(&log, 3).await;
    let full = log.publish(message("4")).await.err().unwrap();
    assert!(matches!(full, LogError::QueueFull { .. }), "{full}");
    // Nobody reads: what is there stays.
    assert_eq!(log.messages(), 3);

    let log = SequenceLog::memory("s", options(WhenFull::DropOldest)).unwrap();
    fill(&log, 3).await;
    let mut consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
    fill(&log, 1).await;
    assert_eq!((log.bounds(0).unwrap(), log.dropped()), ((2, 5), 1));
    let batch = consumer.next_batch(ALL).await.unwrap();
    assert_eq!((batch.len(), log.group_stats("g").unwrap().missed), (3, 1));
    // What a reader has in hand is not dropped.
    assert!(matches!(log.publish(message("x")).await, Err(LogError::QueueFull { .. })));
    let large = log.append(vec![message("x"); 4]).await.err().unwrap();
    assert!(matches!(large, LogError::MessageTooLarge { .. }), "{large}");
}

#[tokio::test]
async fn retention_gives_up_what_is_old_or_too_much_but_passes_no_reader() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { bytes: Some(20_000), ..Retention::default() };
    let options = LogOptions { segment_bytes: 4096, retention, ..LogOptions::default() };
    let (log, _) = SequenceLog::open("s", directory.path(), options.clone()).unwrap();
    let body = "x".repeat(1000);
    log.start("slow", Start::Earliest).unwrap();
    for _ in 0..60 {
        log.publish(message(&body)).await.unwrap();
    }
    assert_eq!(log.enforce_retention().unwrap(), 0);
    log.commit("slow", Position { partition: 0, seq: 21 }).unwrap();
    assert!(log.enforce_retention().unwrap() > 10_000);
    let (first, _) = log.bounds(0).unwrap();
    assert!((10..=21).contains(&first), "{first}");
    drop(log);

    let retention = Retention { unsettled: Keep::Drop, ..retention };
    let (log, _) = SequenceLog::open("s", directory.path(), LogOptions { retention, ..options }).unwrap();
    log.enforce_retention().unwrap();
    assert!(log.bytes() <= 20_000 + 4096);
    let mut slow = log.consumer("slow", ConsumerOptions::default()).unwrap();
    let (first, _) = log.bounds(0).unwrap();
    assert_eq!(slow.next().await.unwrap().at.seq, first);
    assert_eq!(log.group_stats("slow").unwrap().missed, first - 21);
}

#[tokio::test]
async fn a_source_hears_of_its_messages_when_every_reader_it_waits_for_has_settled_them() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let mut acks = log.take_acks().unwrap();
    for name in ["a", "b"] {
        log.require(name, Start::Earliest).unwrap();
    }
    log.start("tourist", Start::Earliest).unwrap();
    let received = (1..=3).map(|tag| Received::new(message("x"), AckToken { epoch: 9, tag: 10 * tag })).collect();
    log.append_received(received, false).await.unwrap();
    let place = |seq| Position { partition: 0, seq };
    log.commit("a", place(4)).unwrap();
    assert!(acks.try_recv().is_err());
    let mut b = log.consumer("b", ConsumerOptions::default()).unwrap();
    b.next_batch(ALL).await.unwrap();
    b.settle_run(0, 2..3, true).unwrap();
    assert_eq!(acks.try_recv().unwrap(), [(AckToken { epoch: 9, tag: 20 }, Ack::Reject)]);
    log.remove("b").unwrap();
    let rest: Vec<u64> = acks.try_recv().unwrap().into_iter().map(|(token, _)| token.tag).collect();
    assert_eq!(rest, [10, 30]);
    let received = vec![Received::new(message("x"), AckToken { epoch: 9, tag: 40 })];
    log.append_received(received, true).await.unwrap();
    assert_eq!(acks.try_recv().unwrap(), [(AckToken { epoch: 9, tag: 40 }, Ack::Accept)]);
}

#[tokio::test(start_paused = true)]
async fn message_groups_come_whole_and_in_order_or_are_given_up() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let mut events = log.events().subscribe();
    let grouped = |id: &str, mark, body: &str| Message::builder().group(id, mark).build(body.as_bytes()).unwrap();
    log.append(vec![
        grouped("a", GroupMark::Start(3), "a1"),
        grouped("b", GroupMark::Member, "b1"),
        message("alone"),
        grouped("a", GroupMark::Member, "a2"),
        grouped("late", GroupMark::Start(2), "l1"),
        grouped("b", GroupMark::End, "b2"),
        grouped("a", GroupMark::Member, "a3"),
    ])
    .await
    .unwrap();
    let deliver = Deliver::Groups { timeout: Duration::from_secs(30), most: 100 };
    let options = ConsumerOptions { deliver, lease: None, ..ConsumerOptions::default() };
    let mut first = log.consumer("g", options.clone()).unwrap();
    let mut second = log.consumer("g", options).unwrap();
    let alone = first.next_group().await.unwrap();
    assert_eq!((alone.group.as_deref(), bodies(&alone.entries)), (None, vec!["alone".into()]));
    let b = second.next_group().await.unwrap();
    assert_eq!((b.group.as_deref(), bodies(&b.entries)), (Some("b"), vec!["b1".into(), "b2".into()]));
    let a = first.next_group().await.unwrap();
    assert_eq!((bodies(&a.entries), a.incomplete), (vec!["a1".into(), "a2".into(), "a3".into()], None));
    assert!(matches!(events.recv().await.unwrap(), Event::GroupCompleted { messages: 2, .. }));
    let late = second.next_group().await.unwrap();
    assert_eq!(bodies(&late.entries), ["l1"]);
    assert!(late.incomplete.unwrap().contains("1 of 2"));
    // A member that leaves gives back the groups it had, whole.
    second.settle_batch(&late.entries).unwrap();
    drop(second);
    first.settle_batch(&a.entries).unwrap();
    let again = first.next_group().await.unwrap();
    assert_eq!((bodies(&again.entries), again.entries[0].attempt), (vec!["b1".into(), "b2".into()], 2));
}

#[tokio::test(start_paused = true)]
async fn groups_that_never_become_whole_hold_no_more_than_so_many_messages() {
    let log =
        SequenceLog::memory("s", LogOptions { bytes: 1 << 30, threshold: 1 << 30, ..Default::default() }).unwrap();
    let mut builder = Message::builder();
    let messages = (0..70_000).map(|i| builder.group(&i.to_string(), GroupMark::Member).build(b"x").unwrap()).collect();
    log.append(messages).await.unwrap();
    let deliver = Deliver::Groups { timeout: Duration::from_secs(30), most: 100 };
    let mut consumer = log.consumer("g", ConsumerOptions { deliver, ..ConsumerOptions::default() }).unwrap();
    let first = consumer.next_group().await.unwrap();
    assert!(first.incomplete.is_some());
    assert_eq!(log.group_stats("g").unwrap().in_flight, 65_536);
}

#[tokio::test]
async fn events_are_told_and_a_slow_subscriber_holds_up_nothing() {
    let events = Events::default();
    let mut quick = events.subscribe();
    let mut slow = events.subscribe();
    let options = LogOptions { announce: true, events, ..LogOptions::default() };
    let log = SequenceLog::memory("s", options).unwrap();
    assert!(matches!(quick.recv().await.unwrap(), Event::Started { .. }));
    let grouped = Message::builder().group("g1", GroupMark::Member).build(b"x").unwrap();
    log.publish(grouped).await.unwrap();
    let added = quick.recv().await.unwrap();
    assert!(matches!(added, Event::MessageAdded { at, group: Some(g), .. } if at.seq == 1 && &*g == "g1"));
    fill(&log, 3000).await;
    assert!(matches!(slow.recv().await, Err(tokio::sync::broadcast::error::RecvError::Lagged(_))));
    log.close().await;
    assert!(matches!(log.publish(message("x")).await, Err(LogError::Closed { .. })));
}

#[tokio::test]
async fn a_publisher_that_was_removed_publishes_no_more() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let publisher = log.publisher("p");
    let message = Message::builder().subject("a").header("h", 1i64).build(b"x").unwrap();
    let at = publisher.publish("t", &message).await.unwrap();
    let entry = &log.read(0, at.seq, ALL).unwrap()[0];
    assert_eq!((entry.message.subject(), entry.message.body()), ("a", &b"x"[..]));
    assert!(entry.message.header("h").is_some() && entry.message.timestamp() > 0);
    let stats = log.remove_producer("p").unwrap();
    assert_eq!((stats.published, stats.last), (1, Some(at)));
    assert!(matches!(publisher.publish("t", &message).await, Err(LogError::ProducerNotFound { .. })));
    assert!(matches!(log.producer_stats("q"), Err(LogError::ProducerNotFound { .. })));
}

#[tokio::test]
async fn a_batch_of_a_producer_that_comes_again_is_appended_once() {
    for (log, directory) in both() {
        let batch = |sequence| Some(ProducerBatch { producer: 7, sequence });
        let first = log.append_to(0, vec![message("1"), message("2")], batch(1)).await.unwrap();
        let again = log.append_to(0, vec![message("1"), message("2")], batch(1)).await.unwrap();
        assert_eq!((first.seq, again.seq, again.duplicate), (Some(1), Some(1), true));
        assert!(log.append_to(0, vec![message("9")], batch(9)).await.is_err());
        log.append_to(0, vec![message("3")], batch(3)).await.unwrap();
        assert_eq!(log.messages(), 3);
        assert_eq!(log.failure(), None);
        if let Some(directory) = directory {
            drop(log);
            let log = disk(&directory);
            assert!(log.append_to(0, vec![message("3")], batch(3)).await.unwrap().duplicate);
        }
    }
}

#[tokio::test]
async fn a_directory_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let refused = |d: &TempDir| SequenceLog::open("s", d.path(), LogOptions::default()).err().unwrap().to_string();
    assert!(refused(&directory).contains("is no log: it holds notes.txt"), "{}", refused(&directory));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pelton-log"), "pelton log 9\npartitions 1\n").unwrap();
    assert!(refused(&directory).contains("another version"), "{}", refused(&directory));
    let directory = tempfile::tempdir().unwrap();
    let log = disk(&directory);
    assert!(refused(&directory).contains("another process"), "{}", refused(&directory));
    fill(&log, 2).await;
    let seen = SequenceLog::open_read_only("s", directory.path()).unwrap();
    assert_eq!(bodies(&seen.read(0, 1, ALL).unwrap()), ["1", "2"]);
    assert!(seen.publish(message("3")).await.is_err());
}

#[tokio::test]
async fn a_place_beyond_all_places_is_out_of_bounds() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    fill(&log, 1).await;
    let mut consumer = log.consumer("a", ConsumerOptions::default()).unwrap();
    let far = Position { partition: 0, seq: u64::MAX };
    assert!(matches!(consumer.settle(far), Err(LogError::SequenceOutOfBounds { seq: u64::MAX, .. })));
    consumer.release(far);
    assert_eq!((consumer.next().await.unwrap().at.seq, log.lag("a").unwrap()), (1, 1));
}

/// Its members would be read in any order from several partitions, the one that completes it before the others.
#[tokio::test]
async fn a_message_group_without_keys_stays_in_one_partition() {
    let log = SequenceLog::memory("s", LogOptions { partitions: 4, ..LogOptions::default() }).unwrap();
    let of = |id: &str, mark| Message::builder().group(id, mark).build(b"").unwrap();
    for id in ["a", "b", "c"] {
        let mut partitions = BTreeSet::new();
        for mark in [GroupMark::Member, GroupMark::Member, GroupMark::End] {
            partitions.insert(log.publish(of(id, mark)).await.unwrap().partition);
        }
        assert_eq!(partitions.len(), 1, "{id}");
    }
}
