use super::super::producers::MOST;
use super::*;
use std::sync::mpsc;

fn of(producer: u64, sequence: u64) -> Option<ProducerBatch> {
    Some(ProducerBatch { producer, sequence })
}

fn submit(log: &Log, count: u64, producer: Option<ProducerBatch>) -> Result<Appended, DiskError> {
    let (sender, answer) = mpsc::channel();
    log.submit(batch(0..count), producer, move |appended| sender.send(appended).unwrap());
    answer.recv().unwrap()
}

fn new(seq: u64, count: u32) -> Result<Appended, DiskError> {
    Ok(Appended { seq: Some(seq), count, duplicate: false })
}

fn again(seq: Option<u64>, count: u32) -> Result<Appended, DiskError> {
    Ok(Appended { seq, count, duplicate: true })
}

fn out_of_order(producer: u64, expected: u64, got: u64) -> Result<Appended, DiskError> {
    Err(DiskError::OutOfOrder { producer, expected, got })
}

#[test]
fn a_batch_that_comes_again_is_known_and_one_that_leaves_a_gap_is_refused() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    assert_eq!(submit(&log, 2, of(7, 100)), new(1, 2), "an unknown producer may begin anywhere");
    assert_eq!(submit(&log, 3, of(7, 102)), new(3, 3));
    assert_eq!(submit(&log, 1, of(8, 1)), new(6, 1));
    assert_eq!(submit(&log, 3, of(7, 102)), again(Some(3), 3));
    assert_eq!(submit(&log, 2, of(7, 103)), again(Some(4), 2), "cut otherwise, it is the same messages");
    assert_eq!(submit(&log, 2, of(7, 100)), again(Some(1), 2));
    assert_eq!(submit(&log, 1, of(7, 106)), out_of_order(7, 105, 106));
    assert_eq!(submit(&log, 2, of(7, 104)), out_of_order(7, 105, 104), "a part of it is new");
    assert_eq!(log.next(), 7, "nothing of these was appended");
    for n in 0..5 {
        assert_eq!(submit(&log, 1, of(7, 105 + n)), new(7 + n, 1), "the log goes on");
    }
    assert_eq!(submit(&log, 3, of(7, 102)), again(None, 3), "five batches ago");
    assert_eq!(submit(&log, 2, of(0, 1)), new(12, 2));
    assert_eq!(submit(&log, 2, of(0, 1)), new(14, 2), "nobody's batches are not compared");
    assert_eq!(submit(&log, 0, of(8, 9)), new(16, 0), "no messages are in order anywhere");
}

#[test]
fn producers_are_known_again_after_a_restart_and_after_their_segment_is_gone() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    submit(&log, 2, of(1, 1)).unwrap();
    for n in 0..40 {
        submit(&log, 1, of(2, n + 1)).unwrap();
    }
    assert!(log.trim(log.next()).unwrap() > 0);
    assert!(log.first() > 2);
    drop(log);
    let (log, _) = sim.open_log().unwrap();
    assert_eq!(submit(&log, 2, of(1, 1)), again(Some(1), 2));
    assert_eq!(submit(&log, 1, of(2, 40)), again(Some(42), 1));
    assert_eq!(submit(&log, 1, of(2, 42)), out_of_order(2, 41, 42));
    assert_eq!(submit(&log, 1, of(1, 3)), new(43, 1));
}

#[test]
fn only_so_many_producers_are_remembered_and_the_oldest_is_forgotten() {
    let sim = Sim::default();
    let open = || Log::open_in(Box::new(sim.clone()), LogOptions::default(), None).unwrap().0;
    let log = open();
    let (sender, answers) = mpsc::channel();
    let all = (1..=MOST as u64).map(|p| (p, 1)).chain([(1, 2), (MOST as u64 + 1, 1)]);
    for (producer, sequence) in all {
        let sender = sender.clone();
        log.submit(batch(0..1), of(producer, sequence), move |answer| sender.send(answer).unwrap());
    }
    drop(sender);
    assert!(answers.iter().all(|answer| answer.is_ok_and(|a| !a.duplicate)));
    let next = log.next();
    drop(log);
    let log = open();
    assert_eq!(submit(&log, 1, of(1, 1)), again(Some(1), 1), "it came again later");
    assert_eq!(submit(&log, 1, of(3, 1)), again(Some(3), 1));
    assert_eq!(submit(&log, 1, of(2, 5)), new(next, 1), "it was the oldest");
}

#[test]
fn whoever_submits_is_told_once_though_the_log_closes_or_fails() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    let (sender, answers) = mpsc::channel();
    sim.0.lock().unwrap().fault = Some(Fault::Once(sim.operations()));
    for n in 0..100 {
        let (sender, log) = (sender.clone(), log.clone());
        // Whoever is told may hold the log, and be the last to.
        log.clone().submit(batch(n..n + 1), None, move |answer| {
            sender.send(answer).unwrap();
            drop(log);
        });
    }
    drop((log, sender));
    let answers: Vec<_> = answers.iter().collect();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(Result::is_err));
}

/// The writer can't answer while the disk is full, so what it was given counts as queued until it is not.
#[test]
fn room_is_waited_for_while_too_much_is_queued() {
    let sim = Sim::default();
    let (log, _) = sim.open_log().unwrap();
    let (told, answer) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    log.submit(batch(0..1), None, move |_| wait.recv().unwrap());
    let large = Message::new(&vec![0; 64 << 20]).unwrap();
    log.submit(vec![large], None, move |answer| told.send(answer).unwrap());
    run(async {
        assert!(at_once(log.room()).await.is_none(), "64 MiB are queued");
        go.send(()).unwrap();
        log.room().await;
        assert_eq!(answer.recv().unwrap(), new(2, 1));
    });
}

/// What a future has to say at once.
pub(super) async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! { biased; value = future => Some(value), () = std::future::ready(()) => None }
}
