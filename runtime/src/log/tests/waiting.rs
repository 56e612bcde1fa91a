//! Whoever waits is told, and nobody is waited for in vain.

use super::*;
use crate::broker::Received;

fn place(seq: u64) -> Position {
    Position { partition: 0, seq }
}

fn received(tags: std::ops::RangeInclusive<u64>) -> Vec<Received> {
    tags.map(|tag| Received::new(message("x"), AckToken { epoch: 1, tag })).collect()
}

fn tags(acks: Vec<(AckToken, Ack)>) -> Vec<u64> {
    acks.into_iter().map(|(token, _)| token.tag).collect()
}

/// Fails instead of waiting for ever: time is paused, so that nobody waits for it.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nobody told")
}

fn small(messages: usize, when_full: WhenFull) -> LogOptions {
    LogOptions { messages, when_full, ..LogOptions::default() }
}

/// A log of three messages, which `reader` has yet to settle and another has; and an append that waits.
async fn blocked() -> (SequenceLog, tokio::task::JoinHandle<Result<Position, LogError>>) {
    let log = SequenceLog::memory("s", small(3, WhenFull::Block)).unwrap();
    fill(&log, 3).await;
    for reader in ["quick", "reader"] {
        log.start(reader, Start::Earliest).unwrap();
    }
    log.commit("quick", place(4)).unwrap();
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.publish(message("4")).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    (log, waiting)
}

#[tokio::test(start_paused = true)]
async fn an_append_goes_on_when_what_it_waits_for_is_settled_though_memory_is_not_low() {
    let (log, waiting) = blocked().await;
    log.commit("reader", place(2)).unwrap();
    assert_eq!(soon(waiting).await.unwrap().unwrap().seq, 4);
}

#[tokio::test(start_paused = true)]
async fn an_append_goes_on_when_the_reader_that_held_it_up_is_removed() {
    let (log, waiting) = blocked().await;
    log.remove("reader").unwrap();
    assert_eq!(soon(waiting).await.unwrap().unwrap().seq, 4);
}

#[tokio::test(start_paused = true)]
async fn an_append_goes_on_when_the_reader_that_held_it_up_moves_ahead() {
    let (log, waiting) = blocked().await;
    log.seek("reader", Start::Latest).unwrap();
    assert_eq!(soon(waiting).await.unwrap().unwrap().seq, 4);
}

#[tokio::test(start_paused = true)]
async fn a_reader_has_caught_up_also_where_it_moves_is_removed_or_the_log_closes() {
    for what in ["moves", "removed", "closes"] {
        let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
        fill(&log, 3).await;
        log.start("g", Start::Earliest).unwrap();
        let waiting = tokio::spawn({
            let log = log.clone();
            async move { log.caught_up("g").await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        match what {
            "moves" => log.seek("g", Start::Latest).unwrap(),
            "removed" => log.remove("g").unwrap(),
            _ => log.close().await,
        }
        assert_eq!(soon(waiting).await.unwrap().is_ok(), what == "moves", "{what}");
    }
}

#[tokio::test]
async fn a_source_waits_for_no_reader_that_was_removed_and_for_its_successor() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let mut acks = log.take_acks().unwrap();
    log.require("a", Start::Earliest).unwrap();
    log.require("b", Start::Earliest).unwrap();
    log.remove("a").unwrap();
    log.append_received(received(1..=2), false).await.unwrap();
    log.commit("b", place(2)).unwrap();
    assert_eq!(tags(acks.try_recv().unwrap()), [1]);
    log.require("a", Start::Earliest).unwrap();
    log.append_received(received(3..=3), false).await.unwrap();
    log.commit("b", place(4)).unwrap();
    assert_eq!(tags(acks.try_recv().unwrap()), [2]);
    assert!(acks.try_recv().is_err(), "the new reader has not settled it");
    log.commit("a", place(4)).unwrap();
    assert_eq!(tags(acks.try_recv().unwrap()), [3]);
}

#[tokio::test]
async fn a_source_is_told_of_what_a_reader_passes_over() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let mut acks = log.take_acks().unwrap();
    log.require("a", Start::Earliest).unwrap();
    log.append_received(received(1..=3), false).await.unwrap();
    log.seek("a", Start::Sequence(3)).unwrap();
    assert_eq!(tags(acks.try_recv().unwrap()), [1, 2]);
}

#[tokio::test]
async fn what_a_source_gives_a_full_log_that_drops_is_dropped_and_the_source_goes_on() {
    let log = SequenceLog::memory("s", small(2, WhenFull::Reject)).unwrap();
    let mut acks = log.take_acks().unwrap();
    log.require("a", Start::Earliest).unwrap();
    log.append_received(received(1..=5), false).await.unwrap();
    assert_eq!((log.messages(), log.dropped()), (2, 3));
    let mut told = Vec::new();
    while let Ok(more) = acks.try_recv() {
        told.extend(tags(more));
    }
    assert_eq!(told, [3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn what_a_source_gives_at_once_may_be_more_than_the_log_holds() {
    let one = message("x").weight();
    let log = SequenceLog::memory("s", LogOptions { bytes: 3 * one, threshold: one, ..LogOptions::default() }).unwrap();
    let mut consumer = log.consumer("a", ConsumerOptions::default()).unwrap();
    let feeding = tokio::spawn({
        let log = log.clone();
        async move { log.append_received(received(1..=8), false).await }
    });
    for seq in 1..=8 {
        let entry = soon(consumer.next()).await.unwrap();
        assert_eq!(entry.at.seq, seq);
        assert!(log.pressure().bytes <= 3 * one);
        consumer.settle(entry.at).unwrap();
    }
    soon(feeding).await.unwrap().unwrap();
}

#[tokio::test]
async fn asking_for_room_drops_nothing() {
    let log = SequenceLog::memory("s", small(2, WhenFull::DropOldest)).unwrap();
    fill(&log, 2).await;
    log.room().await;
    assert_eq!((log.messages(), log.dropped()), (2, 0));
}

#[tokio::test]
async fn what_a_reader_has_in_hand_in_one_partition_keeps_nothing_in_another() {
    let log = SequenceLog::memory("s", LogOptions { partitions: 2, ..small(4, WhenFull::DropOldest) }).unwrap();
    for partition in [0, 0, 0, 1] {
        log.append_to(partition, vec![message("x")], None).await.unwrap();
    }
    let mut consumer = log.consumer("g", ConsumerOptions { partitions: vec![0], ..Default::default() }).unwrap();
    assert_eq!(consumer.next_batch(ALL).await.unwrap().len(), 3);
    log.append_to(1, vec![message("y")], None).await.unwrap();
    assert_eq!((log.bounds(0).unwrap(), log.bounds(1).unwrap(), log.dropped()), ((1, 4), (2, 3), 1));
}

#[tokio::test]
async fn what_is_gone_does_not_count_as_lag() {
    let log = SequenceLog::memory("s", small(4, WhenFull::DropOldest)).unwrap();
    log.start("g", Start::Earliest).unwrap();
    fill(&log, 4).await;
    let consumer = log.consumer("g", ConsumerOptions::default()).unwrap();
    consumer.settle(place(4)).unwrap();
    fill(&log, 2).await;
    // 3 to 6 are there, and 4 is settled.
    assert_eq!((log.bounds(0).unwrap(), log.lag("g").unwrap()), ((3, 7), 3));
}

#[tokio::test(start_paused = true)]
async fn a_message_group_under_way_is_given_back_when_the_last_member_leaves() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let part = Message::builder().group("a", GroupMark::Start(2)).build(b"a1").unwrap();
    log.append(vec![part, message("alone")]).await.unwrap();
    let deliver = Deliver::Groups { timeout: Duration::from_secs(30), most: 100 };
    let options = ConsumerOptions { deliver, ..ConsumerOptions::default() };
    let mut first = log.consumer("g", options.clone()).unwrap();
    let second = log.consumer("g", options).unwrap();
    let alone = first.next_group().await.unwrap();
    first.settle_batch(&alone.entries).unwrap();
    drop(second);
    assert_eq!(log.group_stats("g").unwrap().in_flight, 1, "the first goes on with it");
    drop(first);
    assert_eq!(log.group_stats("g").unwrap().in_flight, 0);
    let mut messages = log.consumer("g", ConsumerOptions::default()).unwrap();
    let entry = soon(messages.next()).await.unwrap();
    assert_eq!((bodies(std::slice::from_ref(&entry)), entry.attempt), (vec!["a1".into()], 1));
}

/// Nobody had them in hand, only what puts groups together.
#[tokio::test(start_paused = true)]
async fn moving_a_reader_makes_nothing_of_a_message_group_a_further_attempt() {
    let log = SequenceLog::memory("s", LogOptions { partitions: 2, ..LogOptions::default() }).unwrap();
    let part = Message::builder().group("a", GroupMark::Start(2)).build(b"a1").unwrap();
    log.append_to(1, vec![part], None).await.unwrap();
    let deliver = Deliver::Groups { timeout: Duration::from_secs(30), most: 100 };
    let mut consumer = log.consumer("g", ConsumerOptions { deliver, ..ConsumerOptions::default() }).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), consumer.next_group()).await.is_err());
    log.seek_to("g", place(1)).unwrap();
    log.append_to(1, vec![Message::builder().group("a", GroupMark::End).build(b"a2").unwrap()], None).await.unwrap();
    let group = soon(consumer.next_group()).await.unwrap();
    assert_eq!(bodies(&group.entries), ["a1", "a2"]);
    assert!(group.entries.iter().all(|e| e.attempt == 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_before_a_reader_moved_is_not_settled_by_itself_afterwards() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    fill(&log, 3).await;
    let commit = Commit::Auto(Duration::from_secs(5));
    let mut first = log.consumer("g", ConsumerOptions { commit, ..ConsumerOptions::default() }).unwrap();
    let mut second = log.consumer("g", ConsumerOptions { commit, ..ConsumerOptions::default() }).unwrap();
    assert_eq!(first.next_batch(ALL).await.unwrap().len(), 3);
    second.seek(Start::Earliest).unwrap();
    first.close();
    assert_eq!(log.lag("g").unwrap(), 3);
    assert_eq!(soon(second.next_batch(ALL)).await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn readers_that_wait_learn_of_the_end() {
    let log = SequenceLog::memory("s", LogOptions::default()).unwrap();
    let deliver = Deliver::Groups { timeout: Duration::from_secs(30), most: 100 };
    let mut plain = log.consumer("plain", ConsumerOptions::default()).unwrap();
    let mut groups = log.consumer("groups", ConsumerOptions { deliver, ..ConsumerOptions::default() }).unwrap();
    let plain = tokio::spawn(async move { plain.next().await.err() });
    let groups = tokio::spawn(async move { groups.next_group().await.err() });
    tokio::task::yield_now().await;
    log.close().await;
    for waiting in [plain, groups] {
        assert!(matches!(soon(waiting).await.unwrap(), Some(LogError::Closed { .. })));
    }
}
