use crate::config::Ordering;
use crate::message::Message;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tokio::sync::Notify;

/// Keys hash to so many shards; a worker owns whole shards.
pub(super) const SHARDS: usize = 256;

/// The hash by which messages of one key stay together; none where the message has no key and so no order to keep.
pub fn key_hash(message: &Message) -> Option<u64> {
    let key = message.key()?;
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Some(hasher.finish())
}

/// What must stay in order with this message: nothing, its key, or everything.
pub(super) fn order_key(ordering: Ordering, message: &Message) -> Option<u64> {
    match ordering {
        Ordering::None => None,
        Ordering::Key => key_hash(message),
        Ordering::Total => Some(0),
    }
}

/// Finds, in one call's messages, those that come behind one that must be handled first. Ask it about each in order.
pub struct KeyOrder {
    ordering: Ordering,
    waiting: HashSet<u64>,
}

impl KeyOrder {
    /// For a cursor that keeps this order.
    pub fn new(ordering: Ordering) -> KeyOrder {
        KeyOrder { ordering, waiting: HashSet::new() }
    }

    /// Whether a message of its key waits: then this one must not be handled yet, and what was made of it is void.
    pub fn is_behind(&self, message: &Message) -> bool {
        !self.waiting.is_empty() && order_key(self.ordering, message).is_some_and(|key| self.waiting.contains(&key))
    }

    /// This one waits, for its retry or behind another.
    pub fn waits(&mut self, message: &Message) {
        self.waiting.extend(order_key(self.ordering, message));
    }
}

/// A message's sequence and the hash of its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) seq: u64,
    pub(super) key: Option<u64>,
}

#[derive(Default)]
struct Shard {
    owner: usize,
    /// The owner to be, once none of the shard's messages is inside a call.
    next: Option<usize>,
    running: usize,
    /// What came in meanwhile.
    held: Vec<Queued>,
}

#[derive(Default)]
struct Queue {
    /// What came back, in order, all older than what is `fresh` and has the same key.
    back: VecDeque<Queued>,
    fresh: VecDeque<Queued>,
    wake: Arc<Notify>,
    new: bool,
}

/// Which worker gets which message where order matters. A key whose message waits for its retry is parked: what follows
/// with the same key waits behind it.
pub(super) struct Shards {
    shards: Vec<Shard>,
    queues: Vec<Queue>,
    /// By the key's hash: the message that the key waits for, and those that wait behind it.
    parked: HashMap<u64, (u64, Vec<Queued>)>,
}

impl Shards {
    /// `count` shards, all owned by worker 0.
    pub(super) fn new(count: usize) -> Shards {
        let shards = (0..count).map(|_| Shard::default()).collect();
        Shards { shards, queues: vec![Queue::default()], parked: HashMap::new() }
    }

    fn shard(&self, q: Queued) -> usize {
        let spread = q.key.unwrap_or(q.seq);
        (spread % self.shards.len().max(1) as u64) as usize
    }

    /// A message that has just come in.
    pub(super) fn route(&mut self, q: Queued) {
        let at = self.shard(q);
        let Some(shard) = self.shards.get_mut(at) else { return };
        if shard.next.is_some() {
            shard.held.push(q);
        } else if let Some(queue) = self.queues.get_mut(shard.owner) {
            queue.fresh.push_back(q);
            queue.new = true;
        }
    }

    /// A message that was delivered before and is to be delivered again, before what followed it.
    pub(super) fn route_back(&mut self, again: Vec<Queued>) {
        for q in again.into_iter().rev() {
            let at = self.shard(q);
            let Some(shard) = self.shards.get_mut(at) else { return };
            if shard.next.is_some() {
                shard.held.push(q);
            } else if let Some(queue) = self.queues.get_mut(shard.owner) {
                queue.back.push_front(q);
                queue.new = true;
            }
        }
    }

    /// The next message for a worker.
    pub(super) fn take(&mut self, worker: usize) -> Option<Queued> {
        loop {
            let queue = self.queues.get_mut(worker)?;
            let q = queue.back.pop_front().or_else(|| queue.fresh.pop_front())?;
            if let Some(key) = q.key
                && let Some((head, behind)) = self.parked.get_mut(&key)
                && *head != q.seq
            {
                behind.push(q);
                continue;
            }
            let at = self.shard(q);
            if let Some(shard) = self.shards.get_mut(at) {
                shard.running += 1;
            }
            return Some(q);
        }
    }

    /// How many wait for a worker.
    pub(super) fn queued(&self, worker: usize) -> usize {
        self.queues.get(worker).map_or(0, |q| q.back.len() + q.fresh.len())
    }

    /// What was taken and not delivered after all.
    pub(super) fn untake(&mut self, q: Queued) {
        self.ended(q);
        self.route_back(vec![q]);
    }

    /// The call with this message has ended, and it has a final verdict.
    pub(super) fn finished(&mut self, q: Queued) {
        if let Some(key) = q.key
            && self.parked.get(&key).is_some_and(|(head, _)| *head == q.seq)
            && let Some((_, behind)) = self.parked.remove(&key)
        {
            self.route_back(behind);
        }
        self.ended(q);
    }

    /// The call has ended and the message waits for its retry: its key waits with it.
    pub(super) fn park(&mut self, q: Queued) {
        if let Some(key) = q.key {
            self.parked.entry(key).or_insert((q.seq, Vec::new()));
        }
        self.ended(q);
    }

    /// The call has ended and the message was not handled in it, since it is behind one of its key that must be retried,
    /// or since the handler did not begin it.
    pub(super) fn put_back(&mut self, many: Vec<Queued>) {
        let mut front = Vec::new();
        for q in many {
            self.ended(q);
            match q.key.and_then(|key| self.parked.get_mut(&key)) {
                Some((head, behind)) if *head != q.seq => {
                    let place = behind.partition_point(|b| b.seq < q.seq);
                    behind.insert(place, q);
                }
                _ => front.push(q),
            }
        }
        self.route_back(front);
    }

    /// The message's time has come.
    pub(super) fn due(&mut self, q: Queued) {
        self.route_back(vec![q]);
    }

    fn ended(&mut self, q: Queued) {
        let at = self.shard(q);
        let Some(shard) = self.shards.get_mut(at) else { return };
        shard.running = shard.running.saturating_sub(1);
        if shard.running == 0
            && let Some(next) = shard.next.take()
        {
            shard.owner = next;
            self.distribute();
            if let Some(queue) = self.queues.get_mut(next) {
                queue.new = true;
            }
        }
    }

    /// Shares the shards out among so many workers. A shard inside a call moves when the call ends.
    pub(super) fn assign(&mut self, workers: usize) {
        let workers = workers.max(1);
        for (i, shard) in self.shards.iter_mut().enumerate() {
            let owner = i % workers;
            if shard.running == 0 {
                shard.owner = owner;
                shard.next = None;
            } else {
                shard.next = (shard.owner != owner).then_some(owner);
            }
        }
        while self.queues.len() < workers {
            self.queues.push(Queue::default());
        }
        self.distribute();
        // Who owns a delayed message may have changed: every worker must look at the time anew.
        self.queues.iter_mut().for_each(|queue| queue.new = true);
    }

    /// Queues everything anew, by today's owners.
    fn distribute(&mut self) {
        let mut all: Vec<Queued> = Vec::new();
        for queue in &mut self.queues {
            all.extend(queue.back.drain(..));
            all.extend(queue.fresh.drain(..));
        }
        for shard in &mut self.shards {
            all.append(&mut shard.held);
        }
        all.sort_unstable_by_key(|q| q.seq);
        for q in all {
            self.route(q);
        }
    }

    pub(super) fn notify(&mut self, worker: usize) -> Arc<Notify> {
        while self.queues.len() <= worker {
            self.queues.push(Queue::default());
        }
        self.queues.get(worker).map(|q| q.wake.clone()).unwrap_or_default()
    }

    /// Who has something new to look at.
    pub(super) fn wake(&mut self, fired: &mut Vec<Arc<Notify>>) {
        for queue in &mut self.queues {
            if std::mem::take(&mut queue.new) {
                fired.push(queue.wake.clone());
            }
        }
    }
}
