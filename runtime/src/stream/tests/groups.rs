//! Cursors that get whole message groups.

use super::*;
use crate::config::Deliver;
use crate::message::GroupMark;

const TIMEOUT: Duration = Duration::from_secs(30);

fn grouped(id: &str, mark: GroupMark, body: &str) -> Message {
    Message::builder().group(id, mark).build(body.as_bytes()).unwrap()
}

/// A group of so many messages.
fn group(id: &str, count: u64) -> Vec<Message> {
    let mark = |i| if i == 1 { GroupMark::Start(count) } else { GroupMark::Member };
    (1..=count).map(|i| grouped(id, mark(i), &format!("{id}{i}"))).collect()
}

fn cursor(stream: &Stream) -> Cursor {
    let deliver = Deliver::Groups { timeout: TIMEOUT, most: 4 };
    stream.cursor("g", CursorOptions { deliver, ..CursorOptions::default() })
}

fn attempts(delivery: &Delivery) -> Vec<u32> {
    delivery.batch().entries.iter().map(|e| e.attempt).collect()
}

const RETRY: Fate = Fate::Retry { after: Duration::from_secs(5), alone: false };

#[tokio::test(start_paused = true)]
async fn groups_come_whole_each_by_itself_and_in_order() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = cursor(&stream);
    let [a, b] = [group("a", 3), group("b", 2)];
    stream.append(vec![a[0].clone(), b[0].clone(), a[1].clone()]).await;
    assert!(now(cursor.next(0, Limit::messages(1))).await.is_none(), "none is whole");
    stream.append(vec![b[1].clone(), message("alone"), a[2].clone()]).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        // Whatever limit there is.
        let delivery = cursor.next(0, Limit::messages(1)).await;
        assert_eq!(delivery.incomplete(), None);
        all.push(bodies(&delivery));
        delivery.settle();
    }
    assert_eq!(all, [vec!["b1", "b2"], vec!["alone"], vec!["a1", "a2", "a3"]]);
    assert_eq!(stream.stats().messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_retried_comes_again_whole() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = cursor(&stream);
    stream.append(group("a", 3)).await;
    for attempt in 1..4 {
        let delivery = cursor.next(0, Limit::messages(9)).await;
        assert_eq!(
            (bodies(&delivery), attempts(&delivery)),
            (vec!["a1".into(), "a2".into(), "a3".into()], vec![attempt; 3])
        );
        // They need not wait alike.
        let later = Fate::Retry { after: Duration::from_secs(9), alone: true };
        drop(delivery.complete(&[RETRY, later, RETRY]));
        time::sleep(Duration::from_secs(6)).await;
        assert!(now(cursor.next(0, Limit::messages(9))).await.is_none(), "one of it still waits");
    }
    cursor.next(0, Limit::messages(9)).await.settle();
    assert_eq!(stream.stats().messages, 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_group_one_of_which_is_dead_the_others_come_again_together() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = cursor(&stream);
    stream.append(group("a", 3)).await;
    drop(cursor.next(0, Limit::messages(9)).await.complete(&[RETRY, Fate::Reject, RETRY]));
    let again = cursor.next(0, Limit::messages(9)).await;
    assert_eq!((bodies(&again), again.incomplete()), (vec!["a1".into(), "a3".into()], None));
    again.settle();
    assert_eq!(stream.stats().messages, 0);
    assert_eq!(stream.stats().dropped_by(DropReason::Rejected), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_never_completes_is_given_up_with_its_reason() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = cursor(&stream);
    stream.append(group("a", 3)[..2].to_vec()).await;
    let begun = time::Instant::now();
    let late = cursor.next(0, Limit::messages(9)).await;
    assert_eq!((bodies(&late), begun.elapsed()), (vec!["a1".into(), "a2".into()], TIMEOUT));
    assert!(late.incomplete().unwrap().contains("2 of 3 messages came within 30s"), "{:?}", late.incomplete());
    late.settle();
    stream.append(group("large", 9)[..5].to_vec()).await;
    let large = cursor.next(0, Limit::messages(9)).await;
    assert_eq!((bodies(&large).len(), large.incomplete().unwrap().contains("more than 4")), (5, true));
    large.settle();
    assert_eq!(stream.stats().messages, 0);
}

/// Nobody else has its parts, so that nobody else may say why.
#[tokio::test(start_paused = true)]
async fn a_group_that_was_given_up_and_not_settled_is_given_up_again() {
    for dropped in [true, false] {
        let stream = Stream::new("s", StreamOptions::default());
        let cursor = cursor(&stream);
        stream.append(group("a", 3)[..2].to_vec()).await;
        let late = cursor.next(0, Limit::messages(9)).await;
        if dropped {
            drop(late);
        } else {
            // Its dead letters did not come to be safe.
            drop(late.complete(&[Fate::Later; 2]));
        }
        let again = cursor.next(0, Limit::messages(9)).await;
        assert_eq!((bodies(&again), attempts(&again)), (vec!["a1".into(), "a2".into()], vec![2, 2]));
        assert!(again.incomplete().is_some_and(|reason| reason.contains("2 of 3")), "{:?}", again.incomplete());
        again.settle();
        assert_eq!(stream.stats().messages, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_delivery_or_claim_is_dropped_comes_again_whole() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = cursor(&stream);
    stream.append(group("a", 2)).await;
    drop(cursor.next(0, Limit::messages(9)).await);
    let second = cursor.next(0, Limit::messages(9)).await;
    assert_eq!(attempts(&second), [2, 2]);
    drop(second.complete(&[Fate::Later; 2]));
    let third = cursor.next(0, Limit::messages(9)).await;
    assert_eq!((bodies(&third), attempts(&third)), (vec!["a1".into(), "a2".into()], vec![3, 3]));
    assert_eq!(stream.stats().cursors[0].abandoned, 4);
    third.settle();
    let stats = stream.stats();
    assert_eq!((stats.messages, stats.cursors[0].in_flight, stats.cursors[0].lag), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_gets_the_group_that_another_gives_back() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = Arc::new(cursor(&stream));
    stream.append(group("a", 2)).await;
    let held = cursor.next(0, Limit::messages(9)).await;
    let waiting = tokio::spawn({
        let cursor = cursor.clone();
        async move { cursor.next(1, Limit::messages(9)).await.batch().entries.len() }
    });
    tokio::task::yield_now().await;
    drop(held.complete(&[Fate::NotBegun; 2]));
    assert_eq!(time::timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_lost_a_message_for_want_of_room_is_not_whole() {
    let when_full = WhenFull::DropOldest;
    let stream = Stream::new("s", StreamOptions { messages: 3, when_full, ..StreamOptions::default() });
    let cursor = cursor(&stream);
    let [a, b] = [group("a", 3), group("b", 2)];
    stream.append(vec![a[0].clone(), a[1].clone(), b[0].clone(), b[1].clone()]).await;
    let whole = cursor.next(0, Limit::messages(9)).await;
    assert_eq!((bodies(&whole), whole.incomplete()), (vec!["b1".into(), "b2".into()], None));
    whole.settle();
    stream.append(vec![a[2].clone()]).await;
    for _ in 0..2 {
        // Also where nobody says what became of it.
        let maimed = cursor.next(0, Limit::messages(9)).await;
        assert_eq!(bodies(&maimed), ["a2", "a3"]);
        assert!(maimed.incomplete().is_some_and(|why| why.contains("1 of its messages")));
    }
    cursor.next(0, Limit::messages(9)).await.settle();
    assert_eq!(stream.stats().messages, 0);
}
