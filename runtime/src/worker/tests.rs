//! Workers with handlers in Rust: what a guest does is tested on real guests, in the end-to-end tests.

use super::*;
use crate::handler::{HandlerMaker, Native};
use crate::message::Output;
use crate::pool::Pool;
use crate::stream::{CursorOptions, SafeWhen, Stream, StreamOptions};
use async_trait::async_trait;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

mod groups;
mod poisoned;

/// A handler's surroundings.
struct Rig {
    input: Stream,
    dead: Stream,
    pool: Pool,
}

impl Rig {
    async fn new(maker: Box<dyn HandlerMaker>, ordering: Ordering, output: Option<Stream>) -> Rig {
        Rig::tuned(maker, ordering, output, |_| {}).await
    }

    async fn tuned(
        maker: Box<dyn HandlerMaker>,
        ordering: Ordering,
        output: Option<Stream>,
        tune: impl FnOnce(&mut HandlerConfig),
    ) -> Rig {
        Rig::reading(maker, CursorOptions::ordered(ordering), output, tune).await
    }

    async fn reading(
        maker: Box<dyn HandlerMaker>,
        options: CursorOptions,
        output: Option<Stream>,
        tune: impl FnOnce(&mut HandlerConfig),
    ) -> Rig {
        let output = output.map(Outlet::Buffer);
        Rig::emitting(maker, options, output, tune).await
    }

    async fn emitting(
        maker: Box<dyn HandlerMaker>,
        options: CursorOptions,
        output: Option<Outlet>,
        tune: impl FnOnce(&mut HandlerConfig),
    ) -> Rig {
        let input = Stream::new("in", StreamOptions::default());
        // Nobody reads it: what is in is safe, so that the handler's messages are settled.
        let dead = Stream::new("dead", StreamOptions { safe: SafeWhen::Appended, ..StreamOptions::default() });
        let mut config = HandlerConfig::new("h", Path::new(""), "in");
        tune(&mut config);
        let work = Work {
            name: Arc::from("h"),
            cursor: input.cursor("h", options),
            slot: Arc::new(HandlerSlot::new("one", maker, 1).await.unwrap()),
            outputs: vec![output],
            dead: Some(Outlet::Buffer(dead.clone())),
            events: Events::default(),
            metrics: Arc::new(HandlerMetrics::default()),
            tuning: Tuning::new(&config),
        };
        let pool = Pool::new(Arc::new(work), tokio::runtime::Handle::current());
        Rig { input, dead, pool }
    }

    fn dead_letters(&self) -> Vec<Message> {
        let cursor = self.dead.cursor("test", CursorOptions::default());
        let mut all = Vec::new();
        while self.dead.stats().messages > 0 {
            let next = futures_now(cursor.next(0, Limit::messages(100))).expect("they are there");
            all.extend(next.batch().entries.iter().map(|e| e.message.clone()));
            next.settle();
        }
        all
    }
}

/// The value of a future that is ready.
fn futures_now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

fn numbered(range: std::ops::Range<usize>, keys: usize) -> Vec<Message> {
    let mut builder = MessageBuilder::new();
    range.map(|i| builder.key(&[(i % keys) as u8]).build(i.to_string().as_bytes()).unwrap()).collect()
}

fn number(message: &Message) -> usize {
    std::str::from_utf8(message.body()).unwrap().parse().unwrap()
}

fn all_done(batch: &Batch) -> Handled {
    Handled { considered: batch.entries.len(), ..Handled::default() }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_spaced_and_end_in_a_dead_letter_that_tells_the_story() {
    let tries = Arc::new(Mutex::new(Vec::new()));
    let seen = tries.clone();
    let begun = Instant::now();
    let fail = move |batch: &Batch| {
        seen.lock().unwrap().push((batch.entries[0].attempt, begun.elapsed().as_millis()));
        let outcome = Outcome::Retry { after: None, reason: "not yet".into() };
        Handled { considered: 1, failures: vec![(0, outcome)], outputs: vec![] }
    };
    let rig = Rig::new(Box::new(Native(fail)), Ordering::None, None).await;
    rig.pool.resize(1).await;
    let mut builder = MessageBuilder::new();
    let message = builder.subject("s").key(b"k").header("n", 5i64).build(b"body").unwrap();
    rig.input.append(vec![message]).await;
    rig.input.drained().await;
    // 100 ms, doubled each time, five attempts: the defaults.
    assert_eq!(*tries.lock().unwrap(), [(1, 0), (2, 100), (3, 300), (4, 700), (5, 1500)]);
    let [letter] = rig.dead_letters().try_into().unwrap();
    let text = |name| letter.header(name).map(|v| v.to_string()).unwrap();
    assert_eq!((letter.subject(), letter.key(), letter.body()), ("s", Some(&b"k"[..]), &b"body"[..]));
    assert_eq!(text("n"), "5");
    use crate::dead::*;
    let told = [WHY, REASON, ATTEMPTS, HANDLER, GENERATION, MODULE, STREAM, SEQUENCE].map(text);
    assert_eq!(told, ["exhausted", "not yet", "5", "h", "1", "one", "in", "1"]);
    assert!(text(FIRST).parse::<i64>().unwrap() <= text(LAST).parse::<i64>().unwrap());
    let metrics = &rig.pool.work().metrics;
    assert_eq!((metrics.retried.get(), metrics.dead.get(), metrics.done.get()), (4, 1, 0));
}

/// Fails as a whole where a message with this number is in the batch.
#[derive(Clone)]
struct Poisoned(usize, Arc<Mutex<Vec<usize>>>);

#[async_trait]
impl Handler for Poisoned {
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        self.1.lock().unwrap().push(batch.entries.len());
        if batch.entries.iter().any(|e| number(&e.message) == self.0) {
            return Err(HandlerError::Failed("trapped".into()));
        }
        Ok(all_done(batch))
    }
}

#[async_trait]
impl HandlerMaker for Poisoned {
    async fn make(&self) -> anyhow::Result<Box<dyn Handler>> {
        Ok(Box::new(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_trap_the_batch_runs_singly_and_the_culprit_comes_back_alone() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let rig = Rig::new(Box::new(Poisoned(10, calls.clone())), Ordering::None, None).await;
    rig.input.append(numbered(0..15, 100)).await;
    rig.pool.resize(1).await;
    rig.input.drained().await;
    let calls = calls.lock().unwrap();
    // 1, 2, 4 and 8 messages; the culprit is in the last of these; then its eight messages one by one, and four more tries.
    assert_eq!(calls[..4], [1, 2, 4, 8]);
    assert!(calls[4..].iter().all(|n| *n == 1), "{calls:?}");
    assert_eq!(calls.len(), 4 + 8 + 4);
    let metrics = &rig.pool.work().metrics;
    assert_eq!((metrics.done.get(), metrics.dead.get(), metrics.faults.get()), (14, 1, 6));
    assert_eq!(number(&rig.dead_letters()[0]), 10);
}

/// Fails as a whole with more than one message, and says nothing of message 2.
#[derive(Clone)]
struct Silent;

#[async_trait]
impl Handler for Silent {
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        match batch.entries.as_slice() {
            [entry] if number(&entry.message) == 2 => Ok(Handled::default()),
            [_] => Ok(all_done(batch)),
            _ => Err(HandlerError::Failed("trapped".into())),
        }
    }
}

#[async_trait]
impl HandlerMaker for Silent {
    async fn make(&self) -> anyhow::Result<Box<dyn Handler>> {
        Ok(Box::new(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_has_no_verdict_when_called_by_itself_is_not_done() {
    let rig = Rig::new(Box::new(Silent), Ordering::None, None).await;
    rig.input.append(numbered(0..4, 100)).await;
    rig.pool.resize(1).await;
    rig.input.drained().await;
    assert_eq!(rig.dead_letters().iter().map(number).collect::<Vec<_>>(), [2]);
    assert_eq!(rig.pool.work().metrics.done.get(), 3);
}

/// What comes behind a message of its key in the same batch is handled also where that message had its last attempt.
#[tokio::test(start_paused = true)]
async fn behind_a_message_that_dies_of_a_trap_its_key_goes_on() {
    let calls: Arc<Mutex<Vec<usize>>> = Arc::default();
    let maker = Box::new(Poisoned(5, calls.clone()));
    let rig = Rig::tuned(maker, Ordering::Key, None, |c| c.retry.max_attempts = 1).await;
    rig.input.append(numbered(0..7, 1)).await;
    rig.pool.resize(1).await;
    rig.input.drained().await;
    // 1, 2 and 4 messages; the last four fail as a whole, and then each is called by itself, the one behind the culprit too.
    assert_eq!(*calls.lock().unwrap(), [1, 2, 4, 1, 1, 1, 1]);
    let metrics = &rig.pool.work().metrics;
    assert_eq!((metrics.done.get(), metrics.dead.get()), (6, 1));
}

/// Has no instance to call at first.
#[derive(Clone)]
struct Absent(Arc<Mutex<Vec<u32>>>);

#[async_trait]
impl Handler for Absent {
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        let mut seen = self.0.lock().unwrap();
        seen.push(batch.entries[0].attempt);
        if seen.len() < 20 { Err(HandlerError::Unavailable("none left".into())) } else { Ok(all_done(batch)) }
    }
}

#[async_trait]
impl HandlerMaker for Absent {
    async fn make(&self) -> anyhow::Result<Box<dyn Handler>> {
        Ok(Box::new(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_is_blamed_where_there_is_no_instance_to_call() {
    let attempts: Arc<Mutex<Vec<u32>>> = Arc::default();
    let rig = Rig::new(Box::new(Absent(attempts.clone())), Ordering::None, None).await;
    rig.input.append(numbered(0..1, 1)).await;
    rig.pool.resize(1).await;
    rig.input.drained().await;
    assert_eq!(*attempts.lock().unwrap(), [1; 20]);
    assert_eq!((rig.pool.work().metrics.done.get(), rig.pool.work().metrics.dead.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_considered_comes_again_with_the_same_attempt() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let one_at_a_time = move |batch: &Batch| {
        log.lock().unwrap().push((number(&batch.entries[0].message), batch.entries[0].attempt));
        Handled { considered: 1, ..Handled::default() }
    };
    let rig = Rig::new(Box::new(Native(one_at_a_time)), Ordering::None, None).await;
    rig.input.append(numbered(0..20, 1)).await;
    rig.pool.resize(1).await;
    rig.input.drained().await;
    assert_eq!(*seen.lock().unwrap(), (0..20).map(|i| (i, 1)).collect::<Vec<_>>());
}

/// Under each ordering, workers come and go while messages flow and some of them are retried: each is done once, and
/// those of a key in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resizing_under_load_loses_and_repeats_nothing_and_keeps_the_order() {
    for ordering in [Ordering::None, Ordering::Key, Ordering::Total] {
        const COUNT: usize = 20_000;
        const KEYS: usize = 37;
        let done: Arc<Mutex<Vec<usize>>> = Arc::default();
        let log = done.clone();
        let now_and_then = move |batch: &Batch| {
            let fails = |n: usize, attempt: u32| n.is_multiple_of(501) && attempt < 3;
            let mut handled = all_done(batch);
            let mut parked = Vec::new();
            for (place, entry) in batch.entries.iter().enumerate() {
                let (n, key) = (number(&entry.message), entry.message.key().unwrap().to_vec());
                if fails(n, entry.attempt) {
                    let after = Some(Duration::from_millis(1));
                    handled.failures.push((place, Outcome::Retry { after, reason: "again".into() }));
                    parked.push(key);
                } else if ordering == Ordering::None
                    || !(parked.contains(&key) || ordering == Ordering::Total && !parked.is_empty())
                {
                    // What comes behind one of its key that is retried is void, and must come again.
                    log.lock().unwrap().push(n);
                }
            }
            handled
        };
        let rig = Rig::new(Box::new(Native(now_and_then)), ordering, None).await;
        let feeding = tokio::spawn({
            let input = rig.input.clone();
            async move {
                for start in (0..COUNT).step_by(100) {
                    input.append(numbered(start..start + 100, KEYS)).await;
                    tokio::task::yield_now().await;
                }
            }
        });
        let sizes: &[usize] = if ordering == Ordering::Total { &[1, 0, 1, 0] } else { &[3, 1, 0, 5, 2, 4] };
        for size in sizes.iter().cycle().take(30) {
            rig.pool.resize(*size).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        rig.pool.resize(1).await;
        feeding.await.unwrap();
        rig.input.drained().await;
        let done = done.lock().unwrap();
        let mut sorted = done.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..COUNT), "{ordering:?}: each once");
        let mut last: HashMap<usize, usize> = HashMap::new();
        for n in done.iter().filter(|_| ordering != Ordering::None) {
            let key = if ordering == Ordering::Total { 0 } else { n % KEYS };
            assert!(last.insert(key, *n).is_none_or(|before| before < *n), "{ordering:?}: {n} out of order");
        }
        let stats = rig.input.stats();
        assert_eq!((stats.messages, stats.cursors[0].abandoned), (0, 0), "{ordering:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_settled_only_when_its_output_is_safe() {
    let output = Stream::new("out", StreamOptions::default());
    let sink = output.cursor("sink", CursorOptions::default());
    let echo = |batch: &Batch| {
        let entries = batch.entries.iter().enumerate();
        let outputs = entries.map(|(input, e)| Output { input, target: 0, message: e.message.clone() }).collect();
        Handled { outputs, ..all_done(batch) }
    };
    let rig = Rig::new(Box::new(Native(echo)), Ordering::None, Some(output.clone())).await;
    rig.pool.resize(1).await;
    rig.input.append(numbered(0..10, 1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((rig.input.stats().messages, output.stats().messages), (10, 10));
    let mut left = 10;
    while left > 0 {
        let delivery = sink.next(0, Limit::messages(3)).await;
        left -= delivery.batch().entries.len();
        delivery.settle();
        assert!(rig.input.stats().messages >= left, "settled ahead of its output");
    }
    assert_eq!(rig.input.stats().messages, 0);
}

#[test]
fn batches_double_within_half_the_deadline() {
    let tuning = Tuning::new(&HandlerConfig::new("h", Path::new(""), "in"));
    let mut size = BatchSize::new(&tuning);
    let mut sizes = vec![size.now];
    for _ in 0..9 {
        size.took(size.now, Duration::from_micros(10) * size.now as u32);
        sizes.push(size.now);
    }
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 256]);
    // 20 ms each: 25 fit half a second.
    size.took(256, Duration::from_millis(20) * 256);
    assert_eq!(size.now, 25);
    size.took(1, Duration::from_secs(9));
    assert_eq!(size.now, 1, "one at least");
    size.now = 64;
    size.failed();
    assert_eq!(size.now, 1);
}
