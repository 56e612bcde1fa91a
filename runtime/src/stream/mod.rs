//! A stream: a named sequence log inside the host. Whatever holds messages is one: the buffer behind a source, the
//! outbox in front of a sink, the dead letters.
//!
//! Invariants:
//! - Which cursors must settle a message is fixed when it is appended. The last of them frees it, and its token goes
//!   back to the source. Dropped messages count as settled, and are counted with their reason.
//! - Messages held never exceed the budget, but that one message larger than the whole of it passes alone, and that a
//!   source may overshoot the bytes by what one `recv` brings.
//! - A [`Claim`] is settled, given back or, where it is dropped, retried: exactly one of these, by its type.
//! - What [`Stream::when_safe`] was given is settled once everything up to its sequence is safe, never before.
//!
//! Lock order: a stream's state is never held while another stream's is taken; whatever crosses streams is collected
//! under the lock and fired after it.

pub(crate) mod assembly;
mod cursor;
mod delivery;
pub mod disk;
mod groups;
mod ledger;
mod permits;
mod reader;
pub(crate) mod runs;
mod shards;
mod slots;
mod state;

pub use cursor::{Attempt, Cursor, CursorOptions, Limit};
pub(crate) use delivery::now_ns;
pub use delivery::{Claim, Delivery, Fate};
pub use ledger::Pending;
pub use permits::Permits;
pub use shards::{KeyOrder, key_hash};
pub use state::{CursorStats, DropReason, StreamStats};

use crate::broker::{Ack, AckToken, Received};
use crate::message::Message;
use state::{Fired, State};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

pub use crate::config::WhenFull;

/// When an appended message counts as safe, so that what depends on it may be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafeWhen {
    /// All cursors have settled it, and everything before it: a sink has it confirmed, a handler is done with it.
    Settled,
    /// It is in the stream: fire and forget.
    Appended,
}

/// The bounds of a stream, and what it does at them.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// The most messages held.
    pub messages: usize,
    /// The most bytes held, as [`Message::weight`] counts them.
    pub bytes: u64,
    /// What happens to a message that finds no room.
    pub when_full: WhenFull,
    /// When an appended message is safe.
    pub safe: SafeWhen,
    /// Whether handlers emit into the stream that a source also feeds. Then the source leaves them half of the budget, so
    /// that outputs never wait for the intake.
    pub shared: bool,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        let buffer = crate::config::BufferConfig::default();
        StreamOptions {
            messages: buffer.messages,
            bytes: buffer.bytes,
            when_full: buffer.when_full,
            safe: SafeWhen::Settled,
            shared: false,
        }
    }
}

/// Tokens on their way back to the source.
pub type Acks = mpsc::UnboundedReceiver<Vec<(AckToken, Ack)>>;

/// A named log of messages in memory. Cloning it shares it.
///
/// ```
/// # use pelton::{message::Message, stream::*};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream = Stream::new("orders", StreamOptions::default());
/// let cursor = stream.cursor("billing", CursorOptions::default());
/// stream.append(vec![Message::new(b"one")?, Message::new(b"two")?]).await;
/// let delivery = cursor.next(0, Limit::messages(10)).await;
/// assert_eq!(delivery.batch().entries.len(), 2);
/// delivery.settle();
/// assert_eq!(stream.stats().messages, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Stream(Arc<Inner>);

pub(crate) struct Inner {
    name: Arc<str>,
    options: StreamOptions,
    state: Mutex<State>,
    /// Told whenever room was made.
    room: Notify,
    /// Told when the stream has become empty.
    idle: Notify,
    acks: mpsc::UnboundedSender<Vec<(AckToken, Ack)>>,
}

impl Stream {
    /// An empty stream whose source, where it has one, learns nothing of what is settled.
    pub fn new(name: &str, options: StreamOptions) -> Stream {
        Stream::with_acks(name, options).0
    }

    /// An empty stream, and the tokens of what all its cursors have settled.
    pub fn with_acks(name: &str, options: StreamOptions) -> (Stream, Acks) {
        let (acks, receiver) = mpsc::unbounded_channel();
        let inner = Inner {
            name: Arc::from(name),
            options,
            state: Mutex::new(State::new(options.safe)),
            room: Notify::new(),
            idle: Notify::new(),
            acks,
        };
        (Stream(Arc::new(inner)), receiver)
    }

    /// The name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// A further reader. Messages that are already in gate nothing by it: it starts behind them, but where no cursor was
    /// there before it, it gets them all.
    pub fn cursor(&self, name: &str, options: CursorOptions) -> Cursor {
        let id = self.0.lock().add_cursor(name, options);
        Cursor::new(self.0.clone(), id, options)
    }

    /// Appends in order, waiting for room where the stream says `block`, and returns the last sequence that went in, or
    /// none where every message was dropped. Cancelling it leaves a first part of the messages appended.
    pub async fn append(&self, messages: Vec<Message>) -> Option<u64> {
        let mut rest = messages.into_iter().peekable();
        let mut last = None;
        loop {
            let room = self.0.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let fired = {
                let mut state = self.0.lock();
                while let Some(message) = rest.peek() {
                    let weight = message.weight();
                    if !state.has_room(&self.0.options, weight) && !self.make_room(&mut state, weight) {
                        if self.0.options.when_full == WhenFull::Block {
                            break;
                        }
                        state.count_drop(DropReason::BufferFull);
                        rest.next();
                        continue;
                    }
                    if let Some(message) = rest.next() {
                        last = Some(state.push(message, None));
                    }
                }
                state.appended();
                state.take_fired()
            };
            self.0.fire(fired);
            if rest.peek().is_none() {
                return last;
            }
            room.await;
        }
    }

    /// Waits for room and takes it: up to `max` messages may then be appended by [`Stream::append_received`] at once. For
    /// sources only; where the stream does not say `block`, there is always room, and what it does not hold is dropped.
    pub async fn permits(&self, max: usize) -> Permits {
        loop {
            let room = self.0.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let granted = self.0.lock().reserve(&self.0.options, max.max(1));
            if granted > 0 {
                return Permits::new(self.0.clone(), granted);
            }
            room.await;
        }
    }

    /// Appends what a source gave, by the permits it was received with. More messages than permits are appended all the same.
    pub fn append_received(&self, mut permits: Permits, received: Vec<Received>) {
        let fired = {
            let mut state = self.0.lock();
            state.unreserve(permits.spend());
            for r in received {
                let full = self.0.options.when_full != WhenFull::Block
                    && !state.has_room(&self.0.options, r.message.weight())
                    && !self.make_room(&mut state, r.message.weight());
                if full {
                    state.drop_received(r.token, DropReason::BufferFull);
                } else {
                    state.push_received(r);
                }
            }
            state.appended();
            state.take_fired()
        };
        self.0.fire(fired);
    }

    fn make_room(&self, state: &mut State, weight: u64) -> bool {
        if self.0.options.when_full != WhenFull::DropOldest {
            return false;
        }
        while !state.has_room(&self.0.options, weight) {
            if !state.drop_oldest() {
                return false;
            }
        }
        true
    }

    /// Counts `pending` as one of its conditions met once everything up to `seq` is safe; at once where it is already.
    pub fn when_safe(&self, seq: u64, pending: Arc<Pending>) {
        let safe = self.0.lock().when_safe(seq, pending.clone());
        if safe {
            pending.met();
        }
    }

    /// Waits until everything up to `seq` is safe.
    pub async fn safe(&self, seq: u64) {
        let (pending, met) = Pending::signal();
        self.when_safe(seq, pending);
        met.notified().await;
    }

    /// Waits until no message is held: all are settled by all cursors.
    pub async fn drained(&self) {
        loop {
            let idle = self.0.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.0.lock().is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// The state now.
    pub fn stats(&self) -> StreamStats {
        self.0.lock().stats()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does, outside the lock, what a change of state has given rise to.
    fn fire(&self, fired: Fired) {
        if fired.room {
            self.room.notify_waiters();
        }
        if fired.empty {
            self.idle.notify_waiters();
        }
        if !fired.acks.is_empty() {
            // Nobody listens where the stream has no source or the pump has ended: then there is nothing to tell.
            let _ = self.acks.send(fired.acks);
        }
        for worker in fired.wake {
            worker.notify_one();
        }
        for pending in fired.safe {
            pending.met();
        }
    }
}

#[cfg(test)]
mod tests;
