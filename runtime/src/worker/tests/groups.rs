//! Handlers that get whole message groups.

use super::*;
use crate::config::Deliver;
use crate::message::GroupMark;

fn group(id: &str, size: u64, come: u64) -> Vec<Message> {
    let mark = |i| if i == 1 { GroupMark::Start(size) } else { GroupMark::Member };
    (1..=come).map(|i| Message::builder().group(id, mark(i)).build(i.to_string().as_bytes()).unwrap()).collect()
}

async fn rig(maker: Box<dyn HandlerMaker>, output: Option<Stream>) -> Rig {
    let deliver = Deliver::Groups { timeout: Duration::from_secs(30), most: 10 };
    Rig::reading(maker, CursorOptions { deliver, ..CursorOptions::default() }, output, |_| {}).await
}

type Calls = Arc<Mutex<Vec<Vec<(usize, u32)>>>>;

/// What each call is given, message by message with its attempt; message 2 comes to this the first time.
fn second(calls: &Calls, first_time: Outcome) -> Box<dyn HandlerMaker> {
    let calls = calls.clone();
    Box::new(Native(move |batch: &Batch| {
        let given: Vec<(usize, u32)> = batch.entries.iter().map(|e| (number(&e.message), e.attempt)).collect();
        let failing = given.iter().position(|g| *g == (2, 1));
        calls.lock().unwrap().push(given);
        let failures = failing.map(|place| (place, first_time.clone())).into_iter().collect();
        Handled { failures, ..all_done(batch) }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_group_one_of_which_is_retried_is_retried_whole() {
    let calls = Calls::default();
    let rig = rig(second(&calls, Outcome::Retry { after: None, reason: "again".into() }), None).await;
    rig.pool.resize(1).await;
    rig.input.append(group("a", 3, 3)).await;
    rig.input.drained().await;
    let whole = |attempt| vec![(1, attempt), (2, attempt), (3, attempt)];
    assert_eq!(*calls.lock().unwrap(), [whole(1), whole(2)]);
    let metrics = &rig.pool.work().metrics;
    assert_eq!((metrics.retried.get(), metrics.done.get()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn one_of_a_group_that_is_rejected_is_dead_and_the_others_are_done() {
    let calls = Calls::default();
    let rig = rig(second(&calls, Outcome::Reject { reason: "bad".into() }), None).await;
    rig.pool.resize(1).await;
    rig.input.append(group("a", 3, 3)).await;
    rig.input.drained().await;
    assert_eq!(calls.lock().unwrap().len(), 1);
    assert_eq!(rig.dead_letters().iter().map(number).collect::<Vec<_>>(), [2]);
    assert_eq!(rig.pool.work().metrics.done.get(), 2);
}

/// Whatever of it had outputs: they are void, since the whole comes again.
#[tokio::test(start_paused = true)]
async fn outputs_of_a_group_that_is_retried_are_not_emitted() {
    let output = Stream::new("out", StreamOptions { safe: SafeWhen::Appended, ..StreamOptions::default() });
    let echo = |batch: &Batch| {
        let entries = batch.entries.iter().enumerate();
        let outputs = entries.map(|(input, e)| Output { input, target: 0, message: e.message.clone() }).collect();
        let fails = batch.entries[0].attempt < 3;
        let failure = (1, Outcome::Retry { after: None, reason: "again".into() });
        Handled { outputs, failures: fails.then_some(failure).into_iter().collect(), ..all_done(batch) }
    };
    let rig = rig(Box::new(Native(echo)), Some(output.clone())).await;
    rig.pool.resize(1).await;
    rig.input.append(group("a", 3, 3)).await;
    rig.input.drained().await;
    assert_eq!(output.stats().messages, 3);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_never_completes_is_dead_whole_with_its_reason() {
    let calls = Calls::default();
    let rig = rig(second(&calls, Outcome::Done), None).await;
    rig.pool.resize(2).await;
    rig.input.append(group("late", 3, 2)).await;
    rig.input.drained().await;
    assert!(calls.lock().unwrap().is_empty(), "the handler has not seen it");
    let letters = rig.dead_letters();
    assert_eq!(letters.iter().map(number).collect::<Vec<_>>(), [1, 2]);
    for letter in letters {
        let reason = letter.header(crate::dead::REASON).unwrap().to_string();
        assert!(reason.contains("message group 'late' is incomplete: 2 of 3"), "{reason}");
        assert_eq!(letter.header(crate::dead::WHY).unwrap().to_string(), "rejected");
    }
}

/// Else the handler would see parts of a group as if they were groups.
#[tokio::test(start_paused = true)]
async fn a_group_whose_call_fails_is_retried_whole_until_it_is_dead() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let rig = rig(Box::new(Poisoned(2, calls.clone())), None).await;
    rig.pool.resize(1).await;
    rig.input.append(group("a", 3, 3)).await;
    rig.input.drained().await;
    assert_eq!(*calls.lock().unwrap(), [3; 5]);
    assert_eq!(rig.dead_letters().iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_which_the_handler_considers_a_part_has_failed_whole() {
    let calls = Calls::default();
    let seen = calls.clone();
    let partly = move |batch: &Batch| {
        seen.lock().unwrap().push(batch.entries.iter().map(|e| (number(&e.message), e.attempt)).collect());
        Handled { considered: if batch.entries[0].attempt == 1 { 2 } else { 3 }, ..Handled::default() }
    };
    let rig = rig(Box::new(Native(partly)), None).await;
    rig.pool.resize(1).await;
    rig.input.append(group("a", 3, 3)).await;
    rig.input.drained().await;
    let whole = |attempt| vec![(1, attempt), (2, attempt), (3, attempt)];
    assert_eq!(*calls.lock().unwrap(), [whole(1), whole(2)]);
}
