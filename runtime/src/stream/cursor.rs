use super::Inner;
use super::delivery::Delivery;
use super::state::{CursorStats, State};
use crate::config::{Deliver, Ordering};
use crate::message::Batch;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How a cursor reads.
#[derive(Clone, Copy, Debug)]
pub struct CursorOptions {
    /// What order its workers keep.
    pub ordering: Ordering,
    /// Whether message groups come whole, each in a delivery of its own.
    pub deliver: Deliver,
}

impl CursorOptions {
    /// Messages, in this order.
    pub fn ordered(ordering: Ordering) -> CursorOptions {
        CursorOptions { ordering, deliver: Deliver::Messages }
    }
}

impl Default for CursorOptions {
    fn default() -> CursorOptions {
        CursorOptions::ordered(Ordering::None)
    }
}

/// The most that one delivery may bring.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Messages.
    pub messages: usize,
    /// Bytes; one message larger than this comes alone.
    pub bytes: u64,
}

impl Limit {
    /// So many messages of any size.
    pub fn messages(messages: usize) -> Limit {
        Limit { messages, bytes: u64::MAX }
    }
}

/// What is remembered of a message that was delivered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// How often it has been delivered.
    pub count: u32,
    /// ns since 1970: when it first failed; 0 where it has not.
    pub first_failed: i64,
    /// Whether it must be delivered by itself, since it may take a whole batch down with it.
    pub alone: bool,
}

/// One reader's position in one stream. Workers of one handler share it, each under its own number.
pub struct Cursor {
    stream: Arc<Inner>,
    id: usize,
    options: CursorOptions,
}

impl Cursor {
    pub(super) fn new(stream: Arc<Inner>, id: usize, options: CursorOptions) -> Cursor {
        Cursor { stream, id, options }
    }

    /// The name of the stream that it reads.
    pub fn stream(&self) -> &Arc<str> {
        &self.stream.name
    }

    /// The order it keeps.
    pub fn ordering(&self) -> Ordering {
        self.options.ordering
    }

    /// Whether message groups come whole.
    pub fn delivers_groups(&self) -> bool {
        matches!(self.options.deliver, Deliver::Groups { .. })
    }

    /// Waits for messages and takes those that are there, up to `limit`. Cancel-safe: a dropped call has taken nothing.
    pub async fn next(&self, worker: usize, limit: Limit) -> Delivery {
        let wake = self.notify(worker);
        loop {
            let woken = wake.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let due = match self.take(worker, limit) {
                Ok(delivery) => return delivery,
                Err(due) => due,
            };
            match due {
                Some(due) => tokio::select! { () = woken => {}, () = tokio::time::sleep_until(due) => {} },
                None => woken.await,
            }
        }
    }

    /// As [`Cursor::next`], but once there is a message, waits up to `wait` for as many as fit the limit. Cancel-safe.
    pub async fn next_within(&self, worker: usize, limit: Limit, wait: Duration) -> Delivery {
        if wait > Duration::ZERO {
            let wake = self.notify(worker);
            let mut until = None;
            loop {
                let woken = wake.notified();
                tokio::pin!(woken);
                woken.as_mut().enable();
                let (available, due) = self.available(worker);
                if available > 0 {
                    until = until.or_else(|| Some(Instant::now() + wait));
                }
                if available >= limit.messages || until.is_some_and(|u| Instant::now() >= u) {
                    break;
                }
                match until.into_iter().chain(due).min() {
                    Some(at) => tokio::select! { () = woken => {}, () = tokio::time::sleep_until(at) => {} },
                    None => woken.await,
                }
            }
        }
        self.next(worker, limit).await
    }

    /// How many messages a worker could take now, and when the next delayed one is due.
    fn available(&self, worker: usize) -> (usize, Option<Instant>) {
        let mut state = self.stream.lock();
        let State { slots, readers, fired, .. } = &mut *state;
        let Some(reader) = readers.get_mut(self.id) else { return (0, None) };
        if reader.promote(Instant::now()) {
            reader.wake(&mut fired.wake);
        }
        let found = (reader.available(worker, slots.tail()), reader.next_due());
        let fired = state.take_fired();
        drop(state);
        self.stream.fire(fired);
        found
    }

    /// What is there now, or when the earliest delayed message is due.
    fn take(&self, worker: usize, limit: Limit) -> Result<Delivery, Option<Instant>> {
        let mut state = self.stream.lock();
        let State { slots, readers, fired, .. } = &mut *state;
        let Some(reader) = readers.get_mut(self.id) else { return Err(None) };
        reader.promote(Instant::now());
        let (entries, incomplete) = reader.take(worker, limit, slots);
        reader.wake(&mut fired.wake);
        let due = reader.next_due();
        let fired = state.take_fired();
        drop(state);
        self.stream.fire(fired);
        if entries.is_empty() {
            return Err(due);
        }
        let batch = Batch { stream: self.stream.name.clone(), entries };
        Ok(Delivery::new(self.stream.clone(), self.id, batch, incomplete))
    }

    fn notify(&self, worker: usize) -> Arc<Notify> {
        let mut state = self.stream.lock();
        state.readers.get_mut(self.id).map(|r| r.notify(worker)).unwrap_or_default()
    }

    /// Shares the work out anew among so many workers, numbered from 0. Matters where there is an order to keep.
    pub fn assign(&self, workers: usize) {
        let mut state = self.stream.lock();
        let State { readers, fired, .. } = &mut *state;
        if let Some(reader) = readers.get_mut(self.id) {
            reader.assign(workers);
            reader.wake(&mut fired.wake);
        }
        let fired = state.take_fired();
        drop(state);
        self.stream.fire(fired);
    }

    /// What is remembered of a message that was delivered before.
    pub fn attempt(&self, seq: u64) -> Option<Attempt> {
        let state = self.stream.lock();
        state.readers.get(self.id).and_then(|r| r.attempts.get(&seq).copied())
    }

    /// The cursor now.
    pub fn stats(&self) -> CursorStats {
        let state = self.stream.lock();
        let tail = state.slots.tail();
        state.readers.get(self.id).map(|r| r.stats(tail)).unwrap_or_default()
    }
}
