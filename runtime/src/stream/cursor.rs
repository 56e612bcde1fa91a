use super::Inner;
use super::delivery::{Delivery, Fate};
use super::runs::Settled;
use super::shards::{Queued, SHARDS, Shards, key_hash};
use super::slots::{Slot, Slots};
use super::state::{CursorStats, State};
use crate::config::Ordering;
use crate::message::{Batch, Entry, Message, Position};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How a cursor reads.
#[derive(Clone, Copy, Debug)]
pub struct CursorOptions {
    /// What order its workers keep.
    pub ordering: Ordering,
}

impl Default for CursorOptions {
    fn default() -> CursorOptions {
        CursorOptions { ordering: Ordering::None }
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
    ordering: Ordering,
}

impl Cursor {
    pub(super) fn new(stream: Arc<Inner>, id: usize, ordering: Ordering) -> Cursor {
        Cursor { stream, id, ordering }
    }

    /// The name of the stream that it reads.
    pub fn stream(&self) -> &Arc<str> {
        &self.stream.name
    }

    /// The order it keeps.
    pub fn ordering(&self) -> Ordering {
        self.ordering
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
        let State { slots, readers, .. } = &mut *state;
        let Some(reader) = readers.get_mut(self.id) else { return (0, None) };
        reader.promote(Instant::now());
        (reader.available(worker, slots.tail()), reader.next_due())
    }

    /// What is there now, or when the earliest delayed message is due.
    fn take(&self, worker: usize, limit: Limit) -> Result<Delivery, Option<Instant>> {
        let mut state = self.stream.lock();
        let State { slots, readers, fired, .. } = &mut *state;
        let Some(reader) = readers.get_mut(self.id) else { return Err(None) };
        reader.promote(Instant::now());
        let entries = reader.take(worker, limit, slots);
        reader.wake(&mut fired.wake);
        let due = reader.next_due();
        let fired = state.take_fired();
        drop(state);
        self.stream.fire(fired);
        if entries.is_empty() {
            return Err(due);
        }
        let batch = Batch { stream: self.stream.name.clone(), entries };
        Ok(Delivery::new(self.stream.clone(), self.id, batch))
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

/// A cursor's state, inside the stream's lock.
pub(super) struct Reader {
    name: Arc<str>,
    settled: Settled,
    /// The first sequence that was never delivered (`ordering: none`), or is above all that were.
    next: u64,
    in_flight: usize,
    abandoned: u64,
    attempts: HashMap<u64, Attempt>,
    delayed: BinaryHeap<Reverse<(Instant, u64, Option<u64>)>>,
    order: Order,
}

enum Order {
    /// What is to be delivered again, and who waits.
    None {
        again: BTreeSet<u64>,
        wake: Arc<Notify>,
        new: bool,
    },
    Sharded(Shards),
    /// One shard, one key.
    Total(Shards),
}

impl Reader {
    pub(super) fn new(name: &str, start: u64, ordering: Ordering) -> Reader {
        let order = match ordering {
            Ordering::None => Order::None { again: BTreeSet::new(), wake: Arc::default(), new: false },
            Ordering::Key => Order::Sharded(Shards::new(SHARDS)),
            Ordering::Total => Order::Total(Shards::new(1)),
        };
        Reader {
            name: Arc::from(name),
            settled: Settled::new(start),
            next: start,
            in_flight: 0,
            abandoned: 0,
            attempts: HashMap::new(),
            delayed: BinaryHeap::new(),
            order,
        }
    }

    pub(super) fn watermark(&self) -> u64 {
        self.settled.watermark()
    }

    /// Nothing from here on was ever delivered.
    pub(super) fn begun(&self) -> u64 {
        self.next
    }

    /// A message has come in.
    pub(super) fn route(&mut self, seq: u64, slot: &Slot) {
        match &mut self.order {
            Order::None { new, .. } => *new = true,
            Order::Sharded(shards) => shards.route(Queued { seq, key: slot.message.as_ref().and_then(key_hash) }),
            Order::Total(shards) => shards.route(Queued { seq, key: Some(0) }),
        }
    }

    pub(super) fn wake(&mut self, fired: &mut Vec<Arc<Notify>>) {
        match &mut self.order {
            Order::None { new, wake, .. } => fired.extend(std::mem::take(new).then(|| wake.clone())),
            Order::Sharded(shards) | Order::Total(shards) => shards.wake(fired),
        }
    }

    fn notify(&mut self, worker: usize) -> Arc<Notify> {
        match &mut self.order {
            Order::None { wake, .. } => wake.clone(),
            Order::Sharded(shards) | Order::Total(shards) => shards.notify(worker),
        }
    }

    fn assign(&mut self, workers: usize) {
        match &mut self.order {
            // A worker that retires may have taken the wake-up that was meant for another.
            Order::None { new, .. } => *new = true,
            Order::Sharded(shards) | Order::Total(shards) => shards.assign(workers),
        }
    }

    /// Delayed messages whose time has come may be delivered again.
    fn promote(&mut self, now: Instant) {
        while let Some(Reverse((due, seq, key))) = self.delayed.peek().copied()
            && due <= now
        {
            self.delayed.pop();
            match &mut self.order {
                Order::None { again, .. } => drop(again.insert(seq)),
                Order::Sharded(shards) | Order::Total(shards) => shards.due(Queued { seq, key }),
            }
        }
    }

    fn available(&self, worker: usize, tail: u64) -> usize {
        match &self.order {
            Order::None { again, .. } => again.len() + usize::try_from(tail - self.next).unwrap_or(usize::MAX),
            Order::Sharded(shards) | Order::Total(shards) => shards.queued(worker),
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.delayed.peek().map(|Reverse((due, _, _))| *due)
    }

    fn take(&mut self, worker: usize, limit: Limit, slots: &Slots) -> Vec<Entry> {
        let mut taken = Taken::new(limit);
        match &mut self.order {
            Order::None { again, new, .. } => {
                while let Some(seq) = again.first().copied()
                    && taken.add(seq, slots, &self.attempts)
                {
                    again.pop_first();
                }
                if again.is_empty() {
                    let start = self.next;
                    for (seq, slot) in slots.from(start) {
                        if slot.message.is_some() && !taken.add(seq, slots, &self.attempts) {
                            break;
                        }
                        self.next = seq + 1;
                    }
                }
                // Whoever takes some and leaves more wakes the next.
                *new = !again.is_empty() || self.next < slots.tail();
            }
            Order::Sharded(shards) | Order::Total(shards) => {
                while let Some(q) = shards.take(worker) {
                    if slots.get(q.seq).is_none_or(|s| s.message.is_none()) {
                        shards.finished(q);
                    } else if !taken.add(q.seq, slots, &self.attempts) {
                        shards.untake(q);
                        break;
                    } else {
                        self.next = self.next.max(q.seq + 1);
                    }
                }
            }
        }
        self.in_flight += taken.entries.len();
        let mut entries = taken.entries;
        if !entries.is_sorted_by_key(|e| e.at) {
            entries.sort_unstable_by_key(|e| e.at);
        }
        entries
    }

    /// How the shards know a message.
    pub(super) fn queued(&self, entry: &Entry) -> Queued {
        self.queued_as(entry.at.seq, &entry.message)
    }

    fn queued_as(&self, seq: u64, message: &Message) -> Queued {
        let key = match &self.order {
            Order::None { .. } => None,
            Order::Sharded(_) => key_hash(message),
            Order::Total(_) => Some(0),
        };
        Queued { seq, key }
    }

    /// The call with this message has ended with a final verdict.
    pub(super) fn finished(&mut self, entry: &Entry) {
        let q = self.queued(entry);
        if let Order::Sharded(shards) | Order::Total(shards) = &mut self.order {
            shards.finished(q);
        }
    }

    /// Whether a message before this one must come first and is to be retried or was put back.
    pub(super) fn order_broken(&self, entries: &[Entry], fates: &[Fate], place: usize) -> bool {
        if matches!(self.order, Order::None { .. }) {
            return false;
        }
        let Some(key) = entries.get(place).and_then(|e| self.queued(e).key) else { return false };
        let before = entries.iter().zip(fates).take(place);
        let mut waiting = before.filter(|(_, fate)| matches!(fate, Fate::Retry { .. } | Fate::NotBegun));
        waiting.any(|(e, _)| self.queued(e).key == Some(key))
    }

    /// The message comes again at `due`.
    pub(super) fn retry(&mut self, entry: &Entry, due: Instant, now_ns: i64, alone: bool) {
        let q = self.queued(entry);
        self.failed(q.seq, now_ns, alone);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.delayed.push(Reverse((due, q.seq, q.key)));
        match &mut self.order {
            // The one who sleeps until the next due message must look again.
            Order::None { new, .. } => *new = true,
            Order::Sharded(shards) | Order::Total(shards) => shards.park(q),
        }
    }

    fn failed(&mut self, seq: u64, now_ns: i64, alone: bool) {
        let attempt = self.attempts.entry(seq).or_insert(Attempt { count: 0, first_failed: now_ns, alone });
        attempt.count = attempt.count.saturating_add(1);
        attempt.alone = alone;
    }

    /// The call with these has ended, they were not begun, and come again as they are.
    pub(super) fn put_back(&mut self, many: Vec<Queued>) {
        self.in_flight = self.in_flight.saturating_sub(many.len());
        match &mut self.order {
            Order::None { again, new, .. } => {
                again.extend(many.iter().map(|q| q.seq));
                *new = true;
            }
            Order::Sharded(shards) | Order::Total(shards) => shards.put_back(many),
        }
    }

    /// Nobody said what became of these: they come again, with an attempt one higher. `called`: their call had ended.
    pub(super) fn abandon(&mut self, many: &[(u64, Message)], now_ns: i64, called: bool) {
        self.abandoned += many.len() as u64;
        many.iter().for_each(|(seq, _)| self.failed(*seq, now_ns, false));
        let queued: Vec<Queued> = many.iter().map(|(seq, message)| self.queued_as(*seq, message)).collect();
        match &mut self.order {
            Order::Sharded(shards) | Order::Total(shards) if called => {
                self.in_flight = self.in_flight.saturating_sub(queued.len());
                shards.route_back(queued);
            }
            _ => self.put_back(queued),
        }
    }

    /// Messages that were delivered are settled.
    pub(super) fn settled(&mut self, run: Range<u64>) {
        self.in_flight = self.in_flight.saturating_sub((run.end - run.start) as usize);
        if !self.attempts.is_empty() {
            for seq in run.clone() {
                self.attempts.remove(&seq);
            }
        }
        self.settled.insert(run);
    }

    /// A message that was never delivered counts as settled.
    pub(super) fn skipped(&mut self, seq: u64) {
        self.settled.insert(seq..seq + 1);
    }

    pub(super) fn stats(&self, tail: u64) -> CursorStats {
        let watermark = self.settled.watermark();
        CursorStats {
            name: self.name.clone(),
            watermark,
            lag: (tail - watermark).saturating_sub(self.settled.beyond()),
            in_flight: self.in_flight,
            delayed: self.delayed.len(),
            abandoned: self.abandoned,
        }
    }
}

/// Entries of one delivery as they are gathered.
struct Taken {
    limit: Limit,
    bytes: u64,
    alone: bool,
    entries: Vec<Entry>,
}

impl Taken {
    fn new(limit: Limit) -> Taken {
        Taken { limit, bytes: 0, alone: false, entries: Vec::new() }
    }

    /// False where it does not fit any more.
    fn add(&mut self, seq: u64, slots: &Slots, attempts: &HashMap<u64, Attempt>) -> bool {
        let Some(message) = slots.get(seq).and_then(|s| s.message.as_ref()) else { return true };
        let before = if attempts.is_empty() { None } else { attempts.get(&seq) };
        let alone = before.is_some_and(|a| a.alone);
        let bytes = self.bytes.saturating_add(message.weight());
        let full = self.entries.len() >= self.limit.messages || self.alone || alone || bytes > self.limit.bytes;
        if full && !self.entries.is_empty() {
            return false;
        }
        self.alone = alone;
        self.bytes = bytes;
        let attempt = before.map_or(1, |a| a.count.saturating_add(1));
        let at = Position { partition: 0, seq };
        self.entries.push(Entry { at, attempt, message: message.clone() });
        true
    }
}
