use super::cursor::{Attempt, CursorOptions, Limit};
use super::groups::Groups;
use super::runs::Settled;
use super::shards::{Queued, SHARDS, Shards, order_key};
use super::slots::{Slot, Slots};
use super::state::CursorStats;
use crate::config::{Deliver, Ordering};
use crate::message::{Entry, Message, Position};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A cursor's state, inside the stream's lock.
pub(super) struct Reader {
    name: Arc<str>,
    ordering: Ordering,
    settled: Settled,
    /// The first sequence that was never delivered (`ordering: none`), or is above all that were.
    next: u64,
    in_flight: usize,
    abandoned: u64,
    pub(super) attempts: HashMap<u64, Attempt>,
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
    /// Whole message groups.
    Groups(Box<Groups>),
}

impl Reader {
    pub(super) fn new(name: &str, start: u64, options: CursorOptions) -> Reader {
        let ordering = options.ordering;
        let order = match (options.deliver, ordering) {
            (Deliver::Groups { timeout, most }, _) => Order::Groups(Box::new(Groups::new(timeout, most))),
            (_, Ordering::None) => Order::None { again: BTreeSet::new(), wake: Arc::default(), new: false },
            (_, Ordering::Key) => Order::Sharded(Shards::new(SHARDS)),
            (_, Ordering::Total) => Order::Total(Shards::new(1)),
        };
        Reader {
            name: Arc::from(name),
            ordering,
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
            Order::Sharded(shards) | Order::Total(shards) => {
                let key = slot.message.as_ref().and_then(|m| order_key(self.ordering, m));
                shards.route(Queued { seq, key });
            }
            Order::Groups(groups) => {
                if let Some(message) = &slot.message {
                    groups.add(seq, message);
                }
            }
        }
    }

    pub(super) fn wake(&mut self, fired: &mut Vec<Arc<Notify>>) {
        match &mut self.order {
            Order::None { new, wake, .. } => fired.extend(std::mem::take(new).then(|| wake.clone())),
            Order::Sharded(shards) | Order::Total(shards) => shards.wake(fired),
            Order::Groups(groups) => groups.wake(fired),
        }
    }

    pub(super) fn notify(&mut self, worker: usize) -> Arc<Notify> {
        match &mut self.order {
            Order::None { wake, .. } => wake.clone(),
            Order::Sharded(shards) | Order::Total(shards) => shards.notify(worker),
            Order::Groups(groups) => groups.notify(),
        }
    }

    pub(super) fn assign(&mut self, workers: usize) {
        match &mut self.order {
            // A worker that retires may have taken the wake-up that was meant for another.
            Order::None { new, .. } => *new = true,
            Order::Sharded(shards) | Order::Total(shards) => shards.assign(workers),
            Order::Groups(groups) => groups.look_again(),
        }
    }

    /// Delayed messages whose time has come may be delivered again. Whether there were any.
    pub(super) fn promote(&mut self, now: Instant) -> bool {
        let before = self.delayed.len();
        while let Some(Reverse((due, seq, key))) = self.delayed.peek().copied()
            && due <= now
        {
            self.delayed.pop();
            match &mut self.order {
                Order::None { again, .. } => drop(again.insert(seq)),
                Order::Sharded(shards) | Order::Total(shards) => shards.due(Queued { seq, key }),
                Order::Groups(groups) => groups.back(seq),
            }
        }
        let expired = if let Order::Groups(groups) = &mut self.order { groups.expire(now) } else { false };
        expired || before > self.delayed.len()
    }

    pub(super) fn available(&self, worker: usize, tail: u64) -> usize {
        match &self.order {
            Order::None { again, .. } => again.len() + usize::try_from(tail - self.next).unwrap_or(usize::MAX),
            Order::Sharded(shards) | Order::Total(shards) => shards.queued(worker),
            // A group waits for no other.
            Order::Groups(groups) => {
                if groups.is_ready() {
                    usize::MAX
                } else {
                    0
                }
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let delayed = self.delayed.peek().map(|Reverse((due, _, _))| *due);
        let group = if let Order::Groups(groups) = &self.order { groups.due() } else { None };
        delayed.into_iter().chain(group).min()
    }

    /// Messages, and why they are a message group that is not whole.
    pub(super) fn take(&mut self, worker: usize, limit: Limit, slots: &Slots) -> (Vec<Entry>, Option<String>) {
        let mut taken = Taken::new(limit);
        let mut incomplete = None;
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
            Order::Groups(groups) => {
                taken = Taken::new(Limit::messages(usize::MAX));
                while taken.entries.is_empty()
                    && let Some((seqs, reason)) = groups.take()
                {
                    let is_there = |seq: &u64| slots.get(*seq).is_some_and(|s| s.message.is_some());
                    let (seqs, gone): (Vec<u64>, Vec<u64>) = seqs.into_iter().partition(is_there);
                    for seq in &seqs {
                        taken.put(*seq, slots, &self.attempts);
                        self.next = self.next.max(seq + 1);
                    }
                    incomplete = if gone.is_empty() { reason } else { Some(groups.lost(&seqs, &gone)) };
                }
            }
        }
        self.in_flight += taken.entries.len();
        let mut entries = taken.entries;
        if !entries.is_sorted_by_key(|e| e.slot) {
            entries.sort_unstable_by_key(|e| e.slot);
        }
        (entries, incomplete)
    }

    /// How the shards know a message.
    pub(super) fn queued(&self, entry: &Entry) -> Queued {
        self.queued_as(entry.slot, &entry.message)
    }

    fn queued_as(&self, seq: u64, message: &Message) -> Queued {
        Queued { seq, key: order_key(self.ordering, message) }
    }

    /// The call with this message has ended with a final verdict.
    pub(super) fn finished(&mut self, entry: &Entry) {
        let q = self.queued(entry);
        match &mut self.order {
            Order::None { .. } => {}
            Order::Sharded(shards) | Order::Total(shards) => shards.finished(q),
            Order::Groups(groups) => groups.finished(q.seq),
        }
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
            Order::Groups(groups) => groups.look_again(),
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
            Order::Groups(groups) => many.iter().for_each(|q| groups.back(q.seq)),
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
            Order::Groups(groups) if called => {
                self.in_flight = self.in_flight.saturating_sub(queued.len());
                groups.again(queued.into_iter().map(|q| q.seq).collect());
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
        if let Order::Groups(groups) = &mut self.order {
            groups.settled(run.clone());
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
        let Some(slot) = slots.get(seq) else { return true };
        let Some(message) = slot.message.as_ref() else { return true };
        let before = if attempts.is_empty() { None } else { attempts.get(&seq) };
        let alone = before.is_some_and(|a| a.alone);
        let bytes = self.bytes.saturating_add(message.weight());
        let full = self.entries.len() >= self.limit.messages || self.alone || alone || bytes > self.limit.bytes;
        if full && !self.entries.is_empty() {
            return false;
        }
        self.alone = alone;
        self.bytes = bytes;
        self.put(seq, slots, attempts);
        true
    }

    /// Adds a message whatever the limit is, where it is there.
    fn put(&mut self, seq: u64, slots: &Slots, attempts: &HashMap<u64, Attempt>) {
        let Some(slot) = slots.get(seq) else { return };
        let Some(message) = slot.message.as_ref() else { return };
        let before = attempts.get(&seq);
        let attempt = before.map_or(1, |a| a.count.saturating_add(1));
        let at = slot.at.unwrap_or(Position { partition: 0, seq });
        self.entries.push(Entry { at, attempt, message: message.clone(), slot: seq });
    }
}
