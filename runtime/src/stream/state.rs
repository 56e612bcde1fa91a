use super::cursor::{Attempt, CursorOptions};
use super::ledger::Ledger;
use super::reader::Reader;
use super::slots::{Slot, Slots};
use super::{Pending, SafeWhen, StreamOptions, WhenFull};
use crate::broker::{Ack, AckToken, Received};
use crate::message::{Message, Position};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Notify;

/// Why a message left a stream without being handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The stream was full and is not one that blocks.
    BufferFull,
    /// A handler rejected it and has no dead-letter stream.
    Rejected,
    /// The sink refused it for good.
    Refused,
}

impl DropReason {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::BufferFull => "buffer_full",
            DropReason::Rejected => "rejected",
            DropReason::Refused => "refused",
        }
    }
}

/// A stream at one moment.
#[derive(Clone, Debug, Default)]
pub struct StreamStats {
    /// Messages held.
    pub messages: usize,
    /// Bytes held, as the budget counts them.
    pub bytes: u64,
    /// Messages that were ever appended.
    pub appended: u64,
    /// The sequence that the next message gets.
    pub tail: u64,
    /// Dropped messages, by reason, in the order of [`DropReason`].
    dropped: [u64; 3],
    /// One for each cursor, in the order they were made.
    pub cursors: Vec<CursorStats>,
}

impl StreamStats {
    pub(crate) fn count_dropped(&mut self, reason: DropReason, messages: u64) {
        if let Some(n) = self.dropped.get_mut(reason as usize) {
            *n += messages;
        }
    }

    /// Messages dropped for this reason.
    pub fn dropped_by(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }
}

/// A cursor at one moment.
#[derive(Clone, Debug, Default)]
pub struct CursorStats {
    /// The reader's name.
    pub name: Arc<str>,
    /// Everything below is settled.
    pub watermark: u64,
    /// Messages it has yet to settle.
    pub lag: u64,
    /// Messages delivered and not settled.
    pub in_flight: usize,
    /// Messages that wait for their retry.
    pub delayed: usize,
    /// Deliveries that were dropped unsettled, message by message.
    pub abandoned: u64,
}

/// What a change of state gives rise to, once the lock is free.
#[derive(Default)]
pub(super) struct Fired {
    pub(super) room: bool,
    pub(super) empty: bool,
    pub(super) acks: Vec<(AckToken, Ack)>,
    pub(super) wake: Vec<Arc<Notify>>,
    pub(super) safe: Vec<Arc<Pending>>,
    /// Freed messages: given back to the allocator when this is dropped, outside the lock.
    freed: Vec<Message>,
}

/// All of a stream that its lock guards.
pub(super) struct State {
    pub(super) slots: Slots,
    bytes: u64,
    /// Permits that a source holds.
    reserved: usize,
    safe_when: SafeWhen,
    dropped: [u64; 3],
    pub(super) readers: Vec<Reader>,
    ledger: Ledger,
    pub(super) fired: Fired,
}

impl State {
    pub(super) fn new(safe_when: SafeWhen) -> State {
        State {
            slots: Slots::new(),
            bytes: 0,
            reserved: 0,
            safe_when,
            dropped: [0; 3],
            readers: Vec::new(),
            ledger: Ledger::default(),
            fired: Fired::default(),
        }
    }

    pub(super) fn add_cursor(&mut self, name: &str, options: CursorOptions) -> usize {
        let tail = self.slots.tail();
        if self.readers.is_empty() {
            let oldest = self.slots.all_mut().next().map_or(tail, |(seq, _)| seq);
            let mut reader = Reader::new(name, oldest, options);
            let mut next = oldest;
            for (seq, slot) in self.slots.all_mut() {
                slot.waiting = 1;
                (next..seq).for_each(|dropped| reader.skipped(dropped));
                next = seq + 1;
                reader.route(seq, slot);
            }
            (next..tail).for_each(|dropped| reader.skipped(dropped));
            self.readers.push(reader);
        } else {
            self.readers.push(Reader::new(name, tail, options));
        }
        self.readers.len() - 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.live() == 0
    }

    pub(super) fn has_room(&self, options: &StreamOptions, weight: u64) -> bool {
        // What a source has only reserved must not keep a message larger than the budget out for ever.
        let held = self.slots.live() + self.reserved;
        self.slots.live() == 0 || held < options.messages && self.bytes.saturating_add(weight) <= options.bytes
    }

    /// Permits for up to `max` messages; none where there is no room.
    pub(super) fn reserve(&mut self, options: &StreamOptions, max: usize) -> usize {
        let (messages, bytes) = match options.shared {
            true => (options.messages.div_ceil(2), options.bytes / 2),
            false => (options.messages, options.bytes),
        };
        let held = self.slots.live() + self.reserved;
        let granted = match options.when_full {
            WhenFull::Block if self.bytes >= bytes && held > 0 => 0,
            WhenFull::Block => messages.saturating_sub(held).min(max),
            WhenFull::Reject | WhenFull::DropOldest => max,
        };
        self.reserved += granted;
        granted
    }

    pub(super) fn unreserve(&mut self, count: usize) {
        self.reserved = self.reserved.saturating_sub(count);
    }

    pub(super) fn push(&mut self, message: Message, token: Option<AckToken>) -> u64 {
        self.push_slot(message, token, None, 1)
    }

    pub(super) fn push_received(&mut self, r: Received) -> u64 {
        self.push_slot(r.message, Some(r.token), r.at, r.attempt)
    }

    fn push_slot(&mut self, message: Message, token: Option<AckToken>, at: Option<Position>, attempt: u32) -> u64 {
        self.bytes += message.weight();
        let waiting = self.readers.len() as u32;
        let seq = self.slots.push(Slot { message: Some(message), token, at, waiting, rejected: false });
        for reader in &mut self.readers {
            if attempt > 1 {
                reader.attempts.insert(seq, Attempt { count: attempt - 1, first_failed: 0, alone: false });
            }
            if let Some(slot) = self.slots.get(seq) {
                reader.route(seq, slot);
            }
        }
        seq
    }

    /// To be called after pushes: tells readers, and what waits for an append to be safe.
    pub(super) fn appended(&mut self) {
        self.wake_readers();
        self.advance_safe();
    }

    pub(super) fn wake_readers(&mut self) {
        for reader in &mut self.readers {
            reader.wake(&mut self.fired.wake);
        }
    }

    pub(super) fn count_drop(&mut self, reason: DropReason) {
        if let Some(n) = self.dropped.get_mut(reason as usize) {
            *n += 1;
        }
    }

    pub(super) fn drop_received(&mut self, token: AckToken, reason: DropReason) {
        self.count_drop(reason);
        self.fired.acks.push((token, Ack::Accept));
    }

    /// Drops the oldest message that no reader has begun. False where there is none.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let begun = self.readers.iter().map(Reader::begun).max().unwrap_or(0);
        let oldest = self.slots.from(begun).find(|(_, s)| s.message.is_some()).map(|(seq, _)| seq);
        let Some(seq) = oldest else { return false };
        self.count_drop(DropReason::BufferFull);
        for id in 0..self.readers.len() {
            self.settle_one(id, seq, false);
        }
        if self.readers.is_empty() {
            self.release(seq);
        }
        self.settled();
        true
    }

    /// A reader is done with these runs. To be followed by [`State::settled`].
    pub(super) fn settle(&mut self, reader: usize, runs: &[Range<u64>], rejected: bool) {
        for run in runs {
            for seq in run.clone() {
                self.settle_slot(seq, rejected);
            }
            if let Some(r) = self.readers.get_mut(reader) {
                r.settled(run.clone());
            }
        }
    }

    /// What a reader had in flight comes again.
    pub(super) fn abandon(&mut self, reader: usize, runs: &[Range<u64>], now_ns: i64, called: bool) {
        let message = |seq| self.slots.get(seq).and_then(|s| s.message.clone()).map(|m| (seq, m));
        let many: Vec<(u64, Message)> = runs.iter().flat_map(Clone::clone).filter_map(message).collect();
        if let Some(r) = self.readers.get_mut(reader) {
            r.abandon(&many, now_ns, called);
        }
    }

    fn settle_one(&mut self, reader: usize, seq: u64, rejected: bool) {
        self.settle_slot(seq, rejected);
        if let Some(r) = self.readers.get_mut(reader) {
            r.skipped(seq);
        }
    }

    fn settle_slot(&mut self, seq: u64, rejected: bool) {
        let Some(slot) = self.slots.get_mut(seq) else { return };
        slot.waiting = slot.waiting.saturating_sub(1);
        slot.rejected |= rejected;
        if slot.waiting == 0 {
            self.release(seq);
        }
    }

    fn release(&mut self, seq: u64) {
        let Some(slot) = self.slots.get_mut(seq) else { return };
        let ack = if slot.rejected { Ack::Reject } else { Ack::Accept };
        if let Some(token) = slot.token.take() {
            self.fired.acks.push((token, ack));
        }
        if let Some(message) = self.slots.free(seq) {
            self.bytes = self.bytes.saturating_sub(message.weight());
            self.fired.freed.push(message);
        }
    }

    /// To be called after settling: forgets what is free, and tells who waited for it.
    pub(super) fn settled(&mut self) {
        self.slots.trim();
        self.fired.room = true;
        self.fired.empty = self.is_empty();
        self.advance_safe();
    }

    pub(super) fn when_safe(&mut self, seq: u64, pending: Arc<Pending>) -> bool {
        if seq < self.unsafe_from() {
            return true;
        }
        self.ledger.file(seq, pending);
        false
    }

    /// Everything below is safe.
    fn unsafe_from(&self) -> u64 {
        match self.safe_when {
            SafeWhen::Appended => self.slots.tail(),
            // Without readers nothing is ever settled.
            SafeWhen::Settled => self.readers.iter().map(Reader::watermark).min().unwrap_or(0),
        }
    }

    fn advance_safe(&mut self) {
        let safe = self.unsafe_from();
        self.ledger.safe_up_to(safe.saturating_sub(1), &mut self.fired.safe);
    }

    pub(super) fn take_fired(&mut self) -> Fired {
        std::mem::take(&mut self.fired)
    }

    pub(super) fn stats(&self) -> StreamStats {
        let tail = self.slots.tail();
        StreamStats {
            messages: self.slots.live(),
            bytes: self.bytes,
            appended: tail - 1,
            tail,
            dropped: self.dropped,
            cursors: self.readers.iter().map(|r| r.stats(tail)).collect(),
        }
    }
}
