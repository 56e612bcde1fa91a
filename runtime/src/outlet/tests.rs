use super::*;
use crate::log::LogOptions;
use crate::stream::WhenFull;
use std::time::Duration;

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|i| Message::new(i.to_string().as_bytes()).unwrap()).collect()
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted_where_the_stream_wants_it() {
    let log =
        SequenceLog::memory("s", LogOptions { messages: 3, when_full: WhenFull::Reject, ..LogOptions::default() });
    let log = log.unwrap();
    let outlet = Outlet::Log(log.clone());
    let (pending, met) = Pending::signal();
    outlet.append(messages(5)).await.expect("three of them went in").when_safe(pending);
    met.notified().await;
    assert_eq!((log.messages(), log.dropped()), (3, 2));
    assert!(outlet.append(messages(2)).await.is_none());
    assert_eq!((log.messages(), log.dropped()), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn outputs_that_are_more_than_the_log_holds_go_in_as_there_is_room() {
    let bytes = 3 * messages(1)[0].weight();
    let log = SequenceLog::memory("s", LogOptions { bytes, threshold: 1, ..LogOptions::default() }).unwrap();
    let mut consumer = log.consumer("g", crate::log::ConsumerOptions::default()).unwrap();
    let emitting = tokio::spawn({
        let outlet = Outlet::Log(log.clone());
        async move { outlet.append(messages(8)).await.is_some() }
    });
    for _ in 0..8 {
        let entry = tokio::time::timeout(Duration::from_secs(60), consumer.next()).await.expect("it comes").unwrap();
        consumer.settle(entry.at).unwrap();
    }
    assert!(emitting.await.unwrap());
}
