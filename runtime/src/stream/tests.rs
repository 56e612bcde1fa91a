use super::*;
use crate::config::Ordering;
use crate::message::Entry;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::time;

mod groups;

fn message(text: &str) -> Message {
    Message::new(text.as_bytes()).unwrap()
}

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|i| message(&i.to_string())).collect()
}

fn options(messages: usize, when_full: WhenFull) -> StreamOptions {
    StreamOptions { messages, when_full, ..StreamOptions::default() }
}

/// What a future gives without waiting for anything but the tasks that are ready.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! { biased; value = future => Some(value), () = tokio::task::yield_now() => None }
}

fn bodies(delivery: &Delivery) -> Vec<String> {
    delivery.batch().entries.iter().map(|e| String::from_utf8_lossy(e.message.body()).into_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_cursor_sees_every_message_and_the_last_one_acknowledges() {
    let (stream, mut acks) = Stream::with_acks("s", StreamOptions::default());
    let (a, b) = (stream.cursor("a", CursorOptions::default()), stream.cursor("b", CursorOptions::default()));
    let permits = stream.permits(2).await;
    let token = |tag| AckToken { epoch: 1, tag };
    let received = |tag| Received::new(message("x"), token(tag));
    stream.append_received(permits, vec![received(7), received(8)]);
    a.next(0, Limit::messages(10)).await.settle();
    assert!(acks.try_recv().is_err(), "the other cursor has not settled anything");
    let delivery = b.next(0, Limit::messages(10)).await;
    delivery.complete(&[Fate::Settle, Fate::Reject]).settle();
    assert_eq!(acks.try_recv().unwrap(), [(token(7), Ack::Accept), (token(8), Ack::Reject)]);
    assert_eq!(stream.stats().messages, 0);
    assert_eq!(stream.stats().dropped_by(DropReason::Rejected), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_stream_blocks_until_there_is_room() {
    let stream = Stream::new("s", options(3, WhenFull::Block));
    let cursor = stream.cursor("c", CursorOptions::default());
    let appending = tokio::spawn({
        let stream = stream.clone();
        async move { stream.append(messages(5)).await }
    });
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stream.stats().messages, 3);
    assert!(now(stream.permits(1)).await.is_none(), "no permits while it is full");
    cursor.next(0, Limit::messages(2)).await.settle();
    assert_eq!(appending.await.unwrap(), Some(5));
    assert_eq!(stream.stats().messages, 3);
}

#[tokio::test(start_paused = true)]
async fn permits_count_until_they_are_given_back() {
    let stream = Stream::new("s", options(4, WhenFull::Block));
    let _cursor = stream.cursor("c", CursorOptions::default());
    let permits = stream.permits(3).await;
    assert_eq!(permits.count(), 3);
    assert_eq!(stream.permits(9).await.count(), 1, "what is left");
    drop(permits);
    assert_eq!(stream.permits(9).await.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_leaves_handlers_half_of_a_shared_stream() {
    let stream = Stream::new("s", StreamOptions { shared: true, ..options(10, WhenFull::Block) });
    assert_eq!(stream.permits(100).await.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_full_stream_that_rejects_counts_what_it_drops() {
    let stream = Stream::new("s", options(2, WhenFull::Reject));
    let cursor = stream.cursor("c", CursorOptions::default());
    assert_eq!(stream.append(messages(5)).await, Some(2));
    assert_eq!(stream.stats().dropped_by(DropReason::BufferFull), 3);
    assert_eq!(bodies(&cursor.next(0, Limit::messages(9)).await), ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_is_dropped_but_never_what_was_started() {
    let stream = Stream::new("s", options(3, WhenFull::DropOldest));
    let cursor = stream.cursor("c", CursorOptions::default());
    stream.append(messages(3)).await;
    let started = cursor.next(0, Limit::messages(1)).await;
    stream.append(vec![message("3"), message("4")]).await;
    assert_eq!(stream.stats().dropped_by(DropReason::BufferFull), 2);
    assert_eq!(bodies(&started), ["0"]);
    let rest = cursor.next(0, Limit::messages(9)).await;
    assert_eq!(bodies(&rest), ["3", "4"]);
    assert_eq!(
        stream.append(vec![message("5")]).await,
        None,
        "all that is held was started: the new one is the oldest"
    );
    started.settle();
    rest.settle();
    assert_eq!(stream.stats().messages, 0);
    assert_eq!(stream.stats().cursors[0].lag, 0);
}

#[tokio::test(start_paused = true)]
async fn one_message_larger_than_the_budget_passes_alone() {
    let stream = Stream::new("s", StreamOptions { bytes: 100, ..StreamOptions::default() });
    let cursor = stream.cursor("c", CursorOptions::default());
    let large = Message::new(&[0; 1000]).unwrap();
    assert_eq!(stream.append(vec![large.clone()]).await, Some(1));
    assert!(now(stream.append(vec![large])).await.is_none());
    cursor.next(0, Limit::messages(1)).await.settle();
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_for_its_outputs() {
    let (input, output) = (Stream::new("in", StreamOptions::default()), Stream::new("out", StreamOptions::default()));
    let (reader, sink) = (input.cursor("h", CursorOptions::default()), output.cursor("sink", CursorOptions::default()));
    input.append(messages(3)).await;
    let claim = reader.next(0, Limit::messages(3)).await.complete(&[Fate::Later; 3]);
    let seq = output.append(messages(2)).await.unwrap();
    output.when_safe(seq, Pending::settle(claim, 1));
    assert_eq!(input.stats().messages, 3);
    let mut sent = sink.next(0, Limit::messages(9)).await.complete(&[Fate::Later; 2]);
    sent.split_first(1).settle();
    assert_eq!(input.stats().messages, 3, "only the first output is safe");
    sent.settle();
    assert_eq!(input.stats().messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_does_not_keep_the_places_of_those_behind_it() {
    let stream = Stream::new("s", options(1000, WhenFull::Block));
    let cursor = stream.cursor("c", CursorOptions::default());
    stream.append(messages(1)).await;
    let after = Duration::from_secs(60);
    cursor.next(0, Limit::messages(1)).await.complete(&[Fate::Retry { after, alone: false }]).settle();
    for _ in 0..100 {
        stream.append(messages(1000 - 1)).await;
        cursor.next(0, Limit::messages(1000)).await.settle();
    }
    let span = stream.0.lock().slots.span();
    assert!(span < 5000, "{span} places for one message");
    let again = cursor.next(0, Limit::messages(1)).await;
    assert_eq!((again.batch().entries[0].at.seq, again.batch().entries[0].attempt), (1, 2));
    again.settle();
    assert_eq!(stream.stats().messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_far_behind_gets_what_is_left_of_a_stream_that_drops() {
    let stream = Stream::new("s", options(1000, WhenFull::DropOldest));
    let (fast, slow) =
        (stream.cursor("fast", CursorOptions::default()), stream.cursor("slow", CursorOptions::default()));
    stream.append(messages(1000)).await;
    let held = fast.next(0, Limit::messages(600)).await;
    let begun = slow.next(0, Limit::messages(100)).await;
    for _ in 0..20 {
        stream.append(messages(1000)).await;
    }
    held.settle();
    begun.settle();
    let mut seen = Vec::new();
    while stream.stats().cursors[1].lag > 0 {
        let delivery = now(slow.next(0, Limit::messages(1000))).await.expect("what lags can be had");
        seen.extend(delivery.batch().entries.iter().map(|e| e.at.seq));
        delivery.settle();
    }
    assert!(seen.iter().copied().take(500).eq(101..=600), "what the other reader had begun was not dropped");
    fast.next(0, Limit::messages(1000)).await.settle();
    stream.drained().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_reader_gets_what_is_there_whatever_order_it_keeps() {
    for ordering in [Ordering::None, Ordering::Key, Ordering::Total] {
        let stream = Stream::new("s", options(4, WhenFull::DropOldest));
        stream.append(messages(6)).await;
        let cursor = stream.cursor("late", CursorOptions::ordered(ordering));
        let delivery = cursor.next(0, Limit::messages(9)).await;
        assert_eq!(bodies(&delivery), ["2", "3", "4", "5"]);
        delivery.settle();
        assert_eq!(stream.stats().cursors[0].watermark, 7);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_source_has_reserved_does_not_keep_a_large_message_out() {
    let stream = Stream::new("s", StreamOptions { bytes: 100, ..options(1, WhenFull::Block) });
    let cursor = stream.cursor("c", CursorOptions::default());
    let _held_by_an_idle_source = stream.permits(1).await;
    assert_eq!(now(stream.append(vec![Message::new(&[0; 1000]).unwrap()])).await, Some(Some(1)));
    cursor.next(0, Limit::messages(1)).await.settle();
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_of_a_moved_shard_wakes_its_new_owner() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = Arc::new(stream.cursor("c", CursorOptions::ordered(Ordering::Key)));
    cursor.assign(2);
    // A key whose shard belongs to worker 1.
    let keyed = (0u8..).map(|k| Message::builder().key(&[k]).build(b"m").unwrap());
    let message = keyed.into_iter().find(|m| key_hash(m).unwrap() % 256 % 2 == 1).unwrap();
    stream.append(vec![message]).await;
    let delivery = cursor.next(1, Limit::messages(1)).await;
    let idle = tokio::spawn({
        let cursor = cursor.clone();
        async move { cursor.next(0, Limit::messages(1)).await.batch().entries[0].attempt }
    });
    time::sleep(Duration::from_millis(1)).await;
    cursor.assign(1);
    drop(delivery.complete(&[Fate::Retry { after: Duration::from_millis(100), alone: false }]));
    cursor.assign(1);
    assert_eq!(time::timeout(Duration::from_secs(1), idle).await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_batch_to_fill_but_not_longer_than_told() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = stream.cursor("c", CursorOptions::default());
    let begun = time::Instant::now();
    tokio::spawn({
        let stream = stream.clone();
        async move {
            for m in messages(5) {
                time::sleep(Duration::from_millis(10)).await;
                stream.append(vec![m]).await;
            }
        }
    });
    let first = cursor.next_within(0, Limit::messages(3), Duration::from_secs(1)).await;
    assert_eq!((first.batch().entries.len(), begun.elapsed().as_millis()), (3, 30));
    let second = cursor.next_within(0, Limit::messages(3), Duration::from_millis(50)).await;
    assert_eq!((second.batch().entries.len(), begun.elapsed().as_millis()), (2, 90));
}

#[tokio::test(start_paused = true)]
async fn a_suspect_comes_alone() {
    let stream = Stream::new("s", StreamOptions::default());
    let cursor = stream.cursor("c", CursorOptions::default());
    stream.append(messages(3)).await;
    let now = Fate::Retry { after: Duration::ZERO, alone: true };
    let fates = [now, Fate::Retry { after: Duration::ZERO, alone: false }, now];
    cursor.next(0, Limit::messages(3)).await.complete(&fates).settle();
    for expected in ["0", "1", "2"] {
        let delivery = cursor.next(0, Limit::messages(9)).await;
        assert_eq!(bodies(&delivery), [expected]);
        delivery.settle();
    }
}

/// What a test does to a stream; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Append { key: u8 },
    Take { cursor: usize, worker: usize, max: usize },
    Complete { delivery: usize, fates: Vec<u8> },
    Abandon { delivery: usize },
    Settle { claim: usize },
    Forget { claim: usize },
    Wait { ms: u64 },
    Assign { cursor: usize, workers: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..5).prop_map(|key| Step::Append { key }),
        4 => (0usize..2, 0usize..4, 1usize..6).prop_map(|(cursor, worker, max)| Step::Take { cursor, worker, max }),
        4 => (any::<usize>(), proptest::collection::vec(0u8..6, 6)).prop_map(|(delivery, fates)| Step::Complete { delivery, fates }),
        1 => any::<usize>().prop_map(|delivery| Step::Abandon { delivery }),
        2 => any::<usize>().prop_map(|claim| Step::Settle { claim }),
        1 => any::<usize>().prop_map(|claim| Step::Forget { claim }),
        1 => (0u64..20).prop_map(|ms| Step::Wait { ms }),
        1 => (0usize..2, 1usize..4).prop_map(|(cursor, workers)| Step::Assign { cursor, workers }),
    ]
}

/// What must be so, kept beside the stream.
#[derive(Default)]
struct Model {
    appended: u64,
    /// By cursor and sequence: how often it failed, and whether it is settled.
    failed: HashMap<(usize, u64), u32>,
    settled: BTreeSet<(usize, u64)>,
    /// By cursor and sequence: inside a call, or said to be settled later.
    running: BTreeSet<(usize, u64)>,
    later: BTreeSet<(usize, u64)>,
    acked: BTreeMap<u64, Ack>,
    rejected: BTreeSet<u64>,
    /// Dropped after they went in, and instead of going in.
    dropped: u64,
    refused: u64,
    keys: HashMap<u64, Option<Vec<u8>>>,
}

struct Run {
    stream: Stream,
    acks: Acks,
    cursors: Vec<Cursor>,
    workers: Vec<usize>,
    ordering: Ordering,
    when_full: WhenFull,
    /// The cursor, the worker and what it has in hand.
    deliveries: Vec<(usize, usize, Delivery)>,
    claims: Vec<(usize, Claim, Vec<u64>)>,
    model: Model,
}

impl Run {
    fn new(cursors: usize, ordering: Ordering, when_full: WhenFull) -> Run {
        // A stream that drops is small, so that it does.
        let room = if when_full == WhenFull::Block { 64 } else { 6 };
        let (stream, acks) = Stream::with_acks("s", options(room, when_full));
        let cursors: Vec<Cursor> =
            (0..cursors).map(|i| stream.cursor(&i.to_string(), CursorOptions::ordered(ordering))).collect();
        let workers = vec![1; cursors.len()];
        Run {
            stream,
            acks,
            cursors,
            workers,
            ordering,
            when_full,
            deliveries: vec![],
            claims: vec![],
            model: Model::default(),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append { key } => self.append(key).await,
            Step::Take { cursor, worker, max } => {
                let cursor = cursor % self.cursors.len();
                self.take(cursor, worker % self.workers[cursor], max).await;
            }
            Step::Complete { delivery, fates } if !self.deliveries.is_empty() => {
                let (cursor, _, delivery) = self.deliveries.swap_remove(delivery % self.deliveries.len());
                self.complete(cursor, delivery, &fates);
            }
            Step::Abandon { delivery } if !self.deliveries.is_empty() => {
                let (cursor, _, delivery) = self.deliveries.swap_remove(delivery % self.deliveries.len());
                for e in &delivery.batch().entries {
                    self.model.running.remove(&(cursor, e.at.seq));
                    *self.model.failed.entry((cursor, e.at.seq)).or_default() += 1;
                }
            }
            Step::Settle { claim } if !self.claims.is_empty() => {
                let (cursor, claim, seqs) = self.claims.swap_remove(claim % self.claims.len());
                claim.settle();
                for seq in seqs {
                    self.model.later.remove(&(cursor, seq));
                    assert!(self.model.settled.insert((cursor, seq)), "{seq} settled twice");
                }
            }
            // A verdict that is taken back comes too late to keep an order.
            Step::Forget { claim } if !self.claims.is_empty() && self.ordering == Ordering::None => {
                let (cursor, _, seqs) = self.claims.swap_remove(claim % self.claims.len());
                for seq in seqs {
                    self.model.later.remove(&(cursor, seq));
                    *self.model.failed.entry((cursor, seq)).or_default() += 1;
                }
            }
            Step::Wait { ms } => time::sleep(Duration::from_millis(ms)).await,
            Step::Assign { cursor, workers } => {
                let cursor = cursor % self.cursors.len();
                let workers = if self.ordering == Ordering::Total { 1 } else { workers };
                self.workers[cursor] = workers;
                self.cursors[cursor].assign(workers);
            }
            _ => {}
        }
        self.check();
    }

    async fn append(&mut self, key: u8) {
        if self.when_full == WhenFull::Block && self.stream.stats().messages >= 64 {
            return;
        }
        let mut builder = Message::builder();
        let key = (key > 0).then(|| vec![key]);
        if let Some(key) = &key {
            builder.key(key);
        }
        let seq = self.model.appended + 1;
        let received = Received::new(builder.build(b"m").unwrap(), AckToken { epoch: 1, tag: seq });
        let permits = self.stream.permits(1).await;
        self.stream.append_received(permits, vec![received]);
        if self.stream.stats().appended < seq {
            // It did not go in: all that is held was begun. Its token came back, and is used again by the next.
            assert_eq!(self.when_full, WhenFull::DropOldest);
            self.model.refused += 1;
            let acks = self.acks.try_recv().unwrap();
            assert_eq!(acks, [(AckToken { epoch: 1, tag: seq }, Ack::Accept)]);
            return;
        }
        self.model.appended = seq;
        self.model.keys.insert(seq, key);
    }

    async fn take(&mut self, cursor: usize, worker: usize, max: usize) {
        // Where there is an order to keep, a worker has one delivery at a time.
        if self.ordering != Ordering::None && self.deliveries.iter().any(|(c, w, _)| (*c, *w) == (cursor, worker)) {
            return;
        }
        let Some(delivery) = now(self.cursors[cursor].next(worker, Limit::messages(max))).await else { return };
        let entries = &delivery.batch().entries;
        assert!(!entries.is_empty() && entries.len() <= max);
        assert!(entries.is_sorted_by_key(|e| e.at), "rising");
        for e in entries {
            let at = (cursor, e.at.seq);
            assert!(!self.model.settled.contains(&at) && !self.model.later.contains(&at), "{at:?} is done with");
            self.check_order(cursor, e);
            assert!(self.model.running.insert(at), "{at:?} is inside another call");
            let failed = self.model.failed.get(&at).copied().unwrap_or(0);
            assert_eq!(e.attempt, failed + 1, "attempt of {at:?}");
        }
        self.deliveries.push((cursor, worker, delivery));
    }

    /// Nothing before it with the same key may be undecided, but in the same delivery.
    fn check_order(&self, cursor: usize, entry: &Entry) {
        let key = |seq| if self.ordering == Ordering::Total { Some(vec![]) } else { self.model.keys[&seq].clone() };
        if self.ordering == Ordering::None || key(entry.at.seq).is_none() {
            return;
        }
        for seq in 1..entry.at.seq {
            let at = (cursor, seq);
            let decided = self.model.settled.contains(&at) || self.model.later.contains(&at);
            // Those of the same delivery were put into `running` just now, by this very check.
            let elsewhere = self
                .deliveries
                .iter()
                .any(|(c, _, d)| *c == cursor && d.batch().entries.iter().any(|e| e.at.seq == seq));
            let same_call = self.model.running.contains(&at) && !elsewhere;
            assert!(decided || same_call || key(seq) != key(entry.at.seq), "{} before {seq}", entry.at.seq);
        }
    }

    fn complete(&mut self, cursor: usize, delivery: Delivery, choices: &[u8]) {
        let mut fates = Vec::new();
        let seqs: Vec<u64> = delivery.batch().entries.iter().map(|e| e.at.seq).collect();
        let mut order = KeyOrder::new(self.ordering);
        for (place, choice) in seqs.iter().zip(choices.iter().cycle()).map(|(_, c)| *c).enumerate() {
            let message = &delivery.batch().entries[place].message;
            let fate = match choice {
                _ if order.is_behind(message) => Fate::NotBegun,
                0 => Fate::Settle,
                1 => Fate::Reject,
                2 | 3 => Fate::Later,
                4 => Fate::Retry { after: Duration::from_millis(place as u64 * 7), alone: place == 1 },
                _ => Fate::NotBegun,
            };
            if matches!(fate, Fate::Retry { .. } | Fate::NotBegun) {
                order.waits(message);
            }
            fates.push(fate);
        }
        let mut later = Vec::new();
        for (seq, fate) in seqs.iter().zip(&fates) {
            let at = (cursor, *seq);
            self.model.running.remove(&at);
            match fate {
                Fate::Settle => assert!(self.model.settled.insert(at)),
                Fate::Reject => {
                    assert!(self.model.settled.insert(at));
                    self.model.rejected.insert(*seq);
                }
                Fate::Later => {
                    self.model.later.insert(at);
                    later.push(*seq);
                }
                Fate::Retry { .. } => *self.model.failed.entry(at).or_default() += 1,
                Fate::NotBegun => {}
            }
        }
        let claim = delivery.complete(&fates);
        assert_eq!(claim.is_empty(), later.is_empty());
        if !later.is_empty() {
            self.claims.push((cursor, claim, later));
        }
    }

    /// An acknowledged message that not all have settled was dropped: nobody may have begun it.
    fn dropped(&mut self, seq: u64) {
        let cursors = self.cursors.len();
        if (0..cursors).all(|c| self.model.settled.contains(&(c, seq))) {
            return;
        }
        assert_eq!(self.when_full, WhenFull::DropOldest, "{seq} is acknowledged and not settled");
        self.model.dropped += 1;
        for at in (0..cursors).map(|c| (c, seq)) {
            assert!(!self.model.running.contains(&at) && !self.model.later.contains(&at), "{seq} was begun");
            assert!(!self.model.failed.contains_key(&at), "{seq} was begun");
            assert!(self.model.settled.insert(at), "{seq} was begun");
        }
    }

    fn check(&mut self) {
        while let Ok(acks) = self.acks.try_recv() {
            for (token, ack) in acks {
                self.dropped(token.tag);
                assert_eq!(self.model.acked.insert(token.tag, ack), None, "{} acknowledged twice", token.tag);
            }
        }
        let all = |seq: &u64| (0..self.cursors.len()).all(|c| self.model.settled.contains(&(c, *seq)));
        let done: Vec<u64> = (1..=self.model.appended).filter(all).collect();
        assert_eq!(self.model.acked.keys().copied().collect::<Vec<_>>(), done, "acknowledged is what all have settled");
        for (seq, ack) in &self.model.acked {
            assert_eq!(*ack == Ack::Reject, self.model.rejected.contains(seq));
        }
        let stats = self.stream.stats();
        assert_eq!(stats.dropped_by(DropReason::BufferFull), self.model.dropped + self.model.refused);
        assert_eq!(stats.messages as u64, self.model.appended - done.len() as u64);
        for (c, cursor) in stats.cursors.iter().enumerate() {
            let settled = self.model.settled.iter().filter(|(of, _)| *of == c).count() as u64;
            assert_eq!(cursor.lag, self.model.appended - settled, "lag of {c}");
            let busy = |set: &BTreeSet<(usize, u64)>| set.iter().filter(|(of, _)| *of == c).count();
            assert_eq!(cursor.in_flight, busy(&self.model.running) + busy(&self.model.later), "in flight of {c}");
        }
    }

    /// Settles all that is there; nothing may be left.
    async fn finish(mut self) {
        for _ in 0..1000 {
            while !self.deliveries.is_empty() {
                self.step(Step::Complete { delivery: 0, fates: vec![0] }).await;
            }
            while !self.claims.is_empty() {
                self.step(Step::Settle { claim: 0 }).await;
            }
            for cursor in 0..self.cursors.len() {
                for worker in 0..self.workers[cursor] {
                    self.take(cursor, worker, 100).await;
                }
            }
            if self.deliveries.is_empty() {
                if self.stream.stats().messages == 0 {
                    return;
                }
                time::sleep(Duration::from_millis(10)).await;
            }
        }
        panic!("left over: {:?}", self.stream.stats());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is done to a stream, in whatever order: each message is settled exactly once by each cursor and
    /// acknowledged once, by the last; attempts are counted; order is kept where it was asked for; nothing is lost.
    #[test]
    fn a_stream_keeps_its_invariants(
        steps in proptest::collection::vec(step(), 1..80),
        cursors in 1usize..3,
        ordering in prop_oneof![Just(Ordering::None), Just(Ordering::Key), Just(Ordering::Total)],
        when_full in prop_oneof![Just(WhenFull::Block), Just(WhenFull::DropOldest)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(cursors, ordering, when_full);
            for step in steps {
                run.step(step).await;
            }
            run.finish().await;
        });
    }
}
