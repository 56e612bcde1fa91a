//! The processing loop: reads a batch through the cursor, calls the handler once, appends the outputs, and goes on.
//! Nobody waits for a confirm; settling follows the output streams.

use crate::broker::Backoff;
use crate::config::{HandlerConfig, Ordering};
use crate::dead::{Obituary, Why, letter};
use crate::events::{Event, Events};
use crate::handler::{Handler, HandlerError};
use crate::message::{Batch, Entry, Handled, Message, MessageBuilder, Outcome};
use crate::metrics::HandlerMetrics;
use crate::outlet::Outlet;
use crate::slot::{Generation, HandlerSlot};
use crate::stream::{Cursor, Delivery, Fate, KeyOrder, Limit, Pending, now_ns};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long a worker waits for an instance that could not be made.
const UNAVAILABLE: Duration = Duration::from_millis(100);

/// What the workers of one handler share.
pub struct Work {
    /// The handler's name.
    pub name: Arc<str>,
    /// What it reads.
    pub cursor: Cursor,
    /// Its code.
    pub slot: Arc<HandlerSlot>,
    /// Where its outputs go, by target: place 0 is the unnamed one.
    pub outputs: Vec<Option<Outlet>>,
    /// Where its dead letters go.
    pub dead: Option<Outlet>,
    /// Where message groups that came whole are told of.
    pub events: Events,
    /// Its counters.
    pub metrics: Arc<HandlerMetrics>,
    /// Batches, retries and deadline.
    pub tuning: Tuning,
}

/// The part of a handler's configuration that its workers go by.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The most messages in a batch.
    pub batch: usize,
    /// How long to wait for a batch to fill.
    pub wait: Duration,
    /// For one call.
    pub deadline: Duration,
    /// After so many attempts a message is dead.
    pub max_attempts: u32,
    /// Between attempts.
    pub backoff: Backoff,
}

impl Tuning {
    /// Takes what it needs out of a handler's configuration.
    pub fn new(config: &HandlerConfig) -> Tuning {
        let retry = &config.retry;
        Tuning {
            batch: config.batch.max,
            wait: config.batch.wait,
            deadline: config.limits.deadline,
            max_attempts: retry.max_attempts,
            backoff: Backoff::new(retry.initial_delay, retry.max_delay, retry.multiplier),
        }
    }
}

/// How many messages the next batch may have: one at first, then twice as many each time, as long as the measured time
/// says that they would stay within half the deadline.
pub(crate) struct BatchSize {
    now: usize,
    most: usize,
    half: Duration,
}

impl BatchSize {
    pub(crate) fn new(tuning: &Tuning) -> BatchSize {
        BatchSize { now: 1, most: tuning.batch, half: tuning.deadline / 2 }
    }

    pub(crate) fn now(&self) -> usize {
        self.now
    }

    pub(crate) fn took(&mut self, messages: usize, time: Duration) {
        let each = (time.as_nanos() / messages.max(1) as u128).max(1);
        let fit = usize::try_from(self.half.as_nanos() / each).unwrap_or(usize::MAX);
        self.now = (self.now * 2).min(self.most).min(fit).max(1);
    }

    pub(crate) fn failed(&mut self) {
        self.now = 1;
    }
}

/// One of a handler's workers.
pub(crate) struct Worker {
    number: usize,
    work: Arc<Work>,
    stop: watch::Receiver<bool>,
    size: BatchSize,
    builder: MessageBuilder,
}

impl Worker {
    pub(crate) fn new(number: usize, work: Arc<Work>, stop: watch::Receiver<bool>) -> Worker {
        let size = BatchSize::new(&work.tuning);
        Worker { number, work, stop, size, builder: MessageBuilder::new() }
    }

    /// Works until told to stop; what it has in hand then, it finishes.
    pub(crate) async fn run(mut self) {
        let mut latest = self.work.slot.watch();
        let Some((mut generation, mut handler)) = self.handler().await else { return };
        loop {
            let most = handler.limit();
            let limit = Limit { messages: self.size.now().min(most.messages), bytes: most.bytes };
            let delivery = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => break,
                delivery = self.work.cursor.next_within(self.number, limit, self.work.tuning.wait) => Some(delivery),
                Ok(()) = latest.changed() => None,
            };
            if self.work.slot.current().number() != generation.number() {
                let begun = Instant::now();
                let Some((newest, next)) = self.handler().await else {
                    delivery.map(|d| d.complete(&[]));
                    break;
                };
                generation = newest;
                self.work.metrics.swap.record(begun.elapsed(), 1);
                retire(std::mem::replace(&mut handler, next));
            }
            if let Some(delivery) = delivery {
                self.process(handler.as_mut(), &generation, delivery).await;
            }
        }
        handler.stop().await;
    }

    /// The generation that serves, and a handler of it; none where the worker is told to stop meanwhile. An instance was made
    /// on trial before, so a failure passes: the pool may be exhausted for a moment while another handler reloads.
    async fn handler(&mut self) -> Option<(Arc<Generation>, Box<dyn Handler>)> {
        loop {
            let generation = self.work.slot.current();
            match generation.handler().await {
                Ok(handler) => return Some((generation, handler)),
                Err(error) => {
                    tracing::error!(handler = &*self.work.name, %error, "cannot make an instance, trying again");
                    tokio::select! { () = stopped(&mut self.stop) => return None, () = sleep(UNAVAILABLE) => {} }
                }
            }
        }
    }

    async fn process(&mut self, handler: &mut dyn Handler, generation: &Generation, delivery: Delivery) {
        let count = delivery.batch().entries.len();
        if let Some(reason) = delivery.incomplete() {
            self.tell_expired(delivery.batch());
            let reject = Outcome::Reject { reason: reason.to_owned() };
            let failures = (0..count).map(|place| (place, reject.clone())).collect();
            let handled = Handled { considered: count, failures, outputs: Vec::new() };
            return self.conclude(generation, delivery, handled, false).await;
        }
        self.tell_group(delivery.batch());
        let whole = self.work.cursor.delivers_groups();
        let begun = Instant::now();
        let called = handler.handle(delivery.batch()).await;
        let time = begun.elapsed();
        let metrics = &self.work.metrics;
        metrics.calls.add(1);
        let (handled, suspects) = match called {
            Ok(handled)
                if handled.considered == 0 || handled.considered > count || whole && handled.considered < count =>
            {
                (self.miscounted(handled.considered, count), true)
            }
            Ok(handled) => {
                let each = time / u32::try_from(handled.considered).unwrap_or(u32::MAX);
                metrics.time.record(each, handled.considered as u64);
                self.size.took(handled.considered, time);
                (handled, false)
            }
            Err(error @ HandlerError::Unavailable(_)) => {
                tracing::error!(handler = &*self.work.name, %error, "cannot make an instance, trying again");
                drop(delivery.complete(&[]));
                tokio::select! { () = stopped(&mut self.stop) => {}, () = sleep(UNAVAILABLE) => {} }
                return;
            }
            // A message group is never taken apart.
            Err(error) if count == 1 || whole => {
                metrics.time.record(time, 1);
                (self.fault(&error, count), true)
            }
            Err(error) => {
                self.fault(&error, 0);
                (self.singly(handler, &delivery).await, true)
            }
        };
        self.conclude(generation, delivery, handled, suspects).await;
    }

    /// Tells of a message group that came whole, the first time.
    fn tell_group(&self, batch: &Batch) {
        if let Some(first) = batch.entries.first().filter(|e| e.attempt == 1 && self.work.cursor.delivers_groups())
            && let Some(group) = first.message.group()
        {
            let (stream, group) = (batch.stream.clone(), Arc::from(group.id));
            self.work.events.tell(Event::GroupCompleted { stream, group, messages: batch.entries.len() });
        }
    }

    fn tell_expired(&self, batch: &Batch) {
        if let Some(group) = batch.entries.first().and_then(|e| e.message.group()) {
            let (stream, group) = (batch.stream.clone(), Arc::from(group.id));
            self.work.events.tell(Event::GroupExpired { stream, group, messages: batch.entries.len() });
        }
    }

    /// A call has failed; its messages, as many as `blamed`, are to be retried.
    fn fault(&mut self, error: &HandlerError, blamed: usize) -> Handled {
        self.size.failed();
        self.work.metrics.faults.add(1);
        tracing::warn!(handler = &*self.work.name, reason = %error, "handler failed");
        let outcome = Outcome::Retry { after: None, reason: error.to_string() };
        let failures = (0..blamed).map(|place| (place, outcome.clone())).collect();
        Handled { considered: blamed, failures, outputs: Vec::new() }
    }

    /// A call has ended with a number of verdicts that can't be.
    fn miscounted(&mut self, verdicts: usize, messages: usize) -> Handled {
        let what = format!("the handler returned {verdicts} verdicts for {messages} messages");
        self.fault(&HandlerError::Failed(what), messages)
    }

    /// After a call that failed as a whole: each message by itself, so that only the one at fault fails.
    async fn singly(&mut self, handler: &mut dyn Handler, delivery: &Delivery) -> Handled {
        let mut all = Handled::default();
        let mut order = KeyOrder::new(self.work.cursor.ordering());
        for (place, entry) in delivery.batch().entries.iter().enumerate() {
            if order.is_behind(&entry.message) {
                // `conclude` sees the same, and puts it back.
                order.waits(&entry.message);
                all.considered = place + 1;
                continue;
            }
            let single = Batch { stream: delivery.batch().stream.clone(), entries: vec![entry.clone()] };
            let begun = Instant::now();
            let called = handler.handle(&single).await;
            self.work.metrics.calls.add(1);
            self.work.metrics.time.record(begun.elapsed(), 1);
            let handled = match called {
                Ok(handled) if handled.considered == 1 => handled,
                Ok(handled) => self.miscounted(handled.considered, 1),
                Err(HandlerError::Unavailable(_)) => break,
                Err(error) => self.fault(&error, 1),
            };
            let outcome = handled.failures.first().map_or(&Outcome::Done, |(_, outcome)| outcome);
            if matches!(self.fate(entry, outcome, true), Fate::Retry { .. }) {
                order.waits(&entry.message);
            }
            all.considered = place + 1;
            all.failures.extend(handled.failures.into_iter().map(|(_, outcome)| (place, outcome)));
            all.outputs.extend(handled.outputs.into_iter().map(|o| crate::message::Output { input: place, ..o }));
        }
        all
    }

    /// Emits what is to be emitted, and says what becomes of each message. `suspects`: a message to be retried may take a
    /// whole batch down with it.
    async fn conclude(&mut self, generation: &Generation, delivery: Delivery, handled: Handled, suspects: bool) {
        let work = self.work.clone();
        let mut fates = vec![Fate::Settle; handled.considered.min(delivery.batch().entries.len())];
        let mut deaths = Vec::new();
        for (place, outcome) in &handled.failures {
            if let (Some(fate), Some(entry)) = (fates.get_mut(*place), delivery.batch().entries.get(*place)) {
                *fate = self.fate(entry, outcome, suspects);
                deaths.extend((*fate == Fate::Reject).then_some((*place, outcome)));
            }
        }
        keep_order(work.cursor.ordering(), delivery.batch(), &mut fates);
        if work.cursor.delivers_groups() {
            keep_whole(&mut fates);
        }
        let mut emitted: Vec<Vec<Message>> = work.outputs.iter().map(|_| Vec::new()).collect();
        let mut outputs = 0;
        for output in handled.outputs {
            let Some(fate @ (Fate::Settle | Fate::Later)) = fates.get_mut(output.input) else { continue };
            match (work.outputs.get(output.target), emitted.get_mut(output.target)) {
                (Some(Some(_)), Some(messages)) => messages.push(output.message),
                _ => {
                    tracing::error!(handler = &*work.name, target = output.target, "output to nowhere dropped");
                    work.metrics.lost_outputs.add(1);
                    continue;
                }
            }
            *fate = Fate::Later;
            outputs += 1;
        }
        let mut dead = Vec::new();
        for (place, outcome) in deaths {
            if let (Some(fate @ Fate::Reject), Some(entry)) =
                (fates.get_mut(place), delivery.batch().entries.get(place))
                && let Some(letter) = self.letter(generation, entry, outcome)
            {
                dead.push(letter);
                *fate = Fate::Later;
            }
        }
        self.count(generation, &fates, dead.len(), outputs);
        let mut conditions = Vec::new();
        let targets = work.outputs.iter().zip(emitted).chain(std::iter::once((&work.dead, dead)));
        for (stream, messages) in targets {
            if let Some(stream) = stream
                && !messages.is_empty()
                && let Some(appended) = stream.append(messages).await
            {
                conditions.push(appended);
            }
        }
        let claim = delivery.complete(&fates);
        if conditions.is_empty() {
            return claim.settle();
        }
        let pending = Pending::settle(claim, conditions.len());
        for appended in conditions {
            appended.when_safe(pending.clone());
        }
    }

    /// What becomes of a message that is not done; `Reject` where it is dead.
    fn fate(&self, entry: &Entry, outcome: &Outcome, alone: bool) -> Fate {
        let tuning = &self.work.tuning;
        match outcome {
            Outcome::Done => Fate::Settle,
            Outcome::Retry { after, .. } if entry.attempt < tuning.max_attempts => {
                let after = after.unwrap_or_else(|| tuning.backoff.delay(entry.attempt));
                Fate::Retry { after, alone }
            }
            Outcome::Retry { .. } | Outcome::Reject { .. } => Fate::Reject,
        }
    }

    /// The dead letter of a message, where there is a stream for it.
    fn letter(&mut self, generation: &Generation, entry: &Entry, outcome: &Outcome) -> Option<Message> {
        let (why, reason) = match outcome {
            Outcome::Done => return None,
            Outcome::Retry { reason, .. } => (Why::Exhausted, reason.as_str()),
            Outcome::Reject { reason } => (Why::Rejected, reason.as_str()),
        };
        let (handler, stream, seq) = (&*self.work.name, &**self.work.cursor.stream(), entry.at.seq);
        if self.work.dead.is_none() {
            tracing::warn!(handler, stream, seq, reason, "message dropped, no dead-letter stream");
            return None;
        }
        tracing::debug!(handler, stream, seq, attempts = entry.attempt, reason, "dead letter");
        let now = now_ns();
        let obituary = Obituary {
            why,
            reason,
            handler,
            generation: generation.number(),
            module: generation.label(),
            first_failed: self
                .work
                .cursor
                .attempt(entry.slot)
                .map(|a| a.first_failed)
                .filter(|t| *t > 0)
                .unwrap_or(now),
            now,
            stream,
        };
        let letter = letter(entry, &obituary, &mut self.builder);
        letter
            .inspect_err(
                |error| tracing::error!(handler, stream, seq, %error, "message dropped, its dead letter is too large"),
            )
            .ok()
    }

    fn count(&self, generation: &Generation, fates: &[Fate], dead: usize, outputs: u64) {
        let metrics = &self.work.metrics;
        let tally = |wanted: fn(&Fate) -> bool| fates.iter().filter(|f| wanted(f)).count() as u64;
        generation.count_handled(tally(|f| matches!(f, Fate::Settle | Fate::Later | Fate::Reject)));
        metrics.done.add(tally(|f| matches!(f, Fate::Settle | Fate::Later)) - dead as u64);
        metrics.retried.add(tally(|f| matches!(f, Fate::Retry { .. })));
        metrics.dropped.add(tally(|f| matches!(f, Fate::Reject)));
        metrics.dead.add(dead as u64);
        metrics.outputs.add(outputs);
    }
}

/// What comes behind a message of its key that must be retried was handled too early: it comes again, after that one.
fn keep_order(ordering: Ordering, batch: &Batch, fates: &mut [Fate]) {
    if ordering == Ordering::None || !fates.iter().any(|f| matches!(f, Fate::Retry { .. })) {
        return;
    }
    let mut order = KeyOrder::new(ordering);
    for (entry, fate) in batch.entries.iter().zip(fates) {
        if order.is_behind(&entry.message) {
            *fate = Fate::NotBegun;
        } else if matches!(fate, Fate::Retry { .. }) {
            order.waits(&entry.message);
        }
    }
}

/// A message group is handled as a whole: where one of its messages is to be retried, all are that are not dead.
fn keep_whole(fates: &mut [Fate]) {
    let Some(retry) = fates.iter().find(|f| matches!(f, Fate::Retry { .. })).copied() else { return };
    for fate in fates.iter_mut().filter(|f| matches!(f, Fate::Settle)) {
        *fate = retry;
    }
}

/// Taking an instance down takes time that the next message should not wait for.
fn retire(mut handler: Box<dyn Handler>) {
    tokio::spawn(async move { handler.stop().await });
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Where whoever could say stop is gone, it is time to stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
