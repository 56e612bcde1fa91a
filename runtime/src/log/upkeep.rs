//! What is given up, and when: retention, collection of what every reader has settled, stale readers; and the memory that
//! a log holds.

use super::storage::Storage;
use super::{Inner, Keep, LogError, SequenceLog, StalePolicy, WhenFull, lock};
use crate::events::Event;
use crate::message::Message;
use crate::stream::now_ns;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often retention is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What a log in memory holds, against what it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Held now.
    pub bytes: u64,
    /// What [`Event::MemoryLow`] is told at.
    pub threshold: u64,
    /// What appends wait at, or fail.
    pub budget: u64,
    /// Whether the threshold is reached.
    pub low: bool,
}

/// Looks after the log as long as it is there, on the runtime that it was made on; where there is none, whoever made it
/// calls [`SequenceLog::enforce_retention`].
pub(super) fn start(log: &SequenceLog) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let log = Arc::downgrade(&log.0);
    runtime.spawn(async move {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            let Some(log) = log.upgrade() else { return };
            if log.shared.closed.load(Ordering::Acquire) {
                return;
            }
            let log = SequenceLog(log);
            if let Err(error) = log.enforce_retention() {
                tracing::error!(stream = &**log.name(), %error, "retention failed, trying again");
            }
            let stale = log.0.options.stale;
            if stale != StalePolicy::default() {
                log.remove_stale(stale);
            }
        }
    });
}

impl SequenceLog {
    /// Gives up what retention says, and returns how many bytes that freed. Done every second by itself.
    ///
    /// # Errors
    /// Where a file can't be removed.
    pub fn enforce_retention(&self) -> Result<u64, LogError> {
        let retention = self.0.options.retention;
        let oldest =
            retention.age.map(|age| now_ns().saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)));
        let bytes = retention.bytes.map(|bytes| bytes / u64::from(self.partitions()));
        let mut freed = 0;
        for (partition, storage) in (0..).zip(&self.0.partitions) {
            let mut below = storage.excess(bytes, oldest);
            if let (Keep::Keep, Some(settled)) = (retention.unsettled, self.0.settled_by_readers(partition)) {
                below = below.min(settled);
            }
            if let (Keep::Drop, Some(settled)) = (retention.settled, self.0.settled_by_all(partition)) {
                below = below.max(settled);
            }
            freed += self.0.trim(partition, below)?;
        }
        Ok(freed)
    }

    /// Gives up what every reader has settled, and returns how many bytes that freed. Where nobody reads, nothing.
    ///
    /// # Errors
    /// Where a file can't be removed.
    pub fn collect(&self) -> Result<u64, LogError> {
        let mut freed = 0;
        for partition in 0..self.partitions() {
            if let Some(settled) = self.0.settled_by_all(partition) {
                freed += self.0.trim(partition, settled)?;
            }
        }
        Ok(freed)
    }

    /// What the log holds, against what it may.
    pub fn pressure(&self) -> Pressure {
        let (bytes, threshold) = (self.0.bytes(), self.0.threshold.load(Ordering::Relaxed));
        Pressure { bytes, threshold, budget: self.0.options.bytes, low: bytes >= threshold }
    }

    /// Sets what [`Event::MemoryLow`] is told at, in bytes.
    ///
    /// # Errors
    /// [`LogError::InvalidConfiguration`] for 0, or more than the budget.
    pub fn set_threshold(&self, bytes: u64) -> Result<(), LogError> {
        let budget = self.0.options.bytes;
        if bytes == 0 || bytes > budget {
            let name = self.name();
            let what = format!("stream '{name}': a threshold of {bytes} bytes; from 1 to the budget, {budget}");
            return Err(LogError::InvalidConfiguration(what));
        }
        self.0.threshold.store(bytes, Ordering::Relaxed);
        self.0.weigh();
        Ok(())
    }
}

impl Inner {
    /// Everything below is settled by every group; none where nobody reads.
    fn settled_by_all(&self, partition: u32) -> Option<u64> {
        let groups = self.groups();
        groups.iter().filter_map(|g| g.cursor(partition).map(|c| c.settled().watermark())).min()
    }

    /// The same without whoever looks after dead letters: letters that nobody looks at must not outgrow the limits.
    fn settled_by_readers(&self, partition: u32) -> Option<u64> {
        let groups = self.groups();
        let readers = groups.iter().filter(|g| &*g.name != crate::dead::READER);
        readers.filter_map(|g| g.cursor(partition).map(|c| c.settled().watermark())).min()
    }

    fn trim(&self, partition: u32, below: u64) -> Result<u64, LogError> {
        let storage = self.partition(partition)?;
        if below <= storage.first() {
            return Ok(0);
        }
        let freed = storage.trim(below).map_err(|error| self.error(partition, error))?;
        if freed > 0 {
            self.shared.room.notify_waiters();
            self.weigh();
        }
        Ok(freed)
    }

    /// Something was settled: what all have settled goes, where the log keeps no more than that.
    pub(super) fn collect_settled(&self, partition: u32) {
        let is_disk = self.journal.is_some();
        if is_disk || self.options.retention.settled == Keep::Keep && !self.is_low() {
            return;
        }
        if let Some(settled) = self.settled_by_all(partition) {
            // Memory only: nothing that can fail.
            let _ = self.trim(partition, settled);
        }
    }

    fn is_low(&self) -> bool {
        self.bytes() >= self.threshold.load(Ordering::Relaxed)
    }

    /// Tells when the threshold is crossed, either way.
    pub(super) fn weigh(&self) {
        if self.journal.is_some() {
            return;
        }
        let (bytes, threshold) = (self.bytes(), self.threshold.load(Ordering::Relaxed));
        let low = bytes >= threshold;
        if self.low.swap(low, Ordering::AcqRel) != low {
            let stream = self.shared.name.clone();
            self.shared.events.tell(match low {
                true => Event::MemoryLow { stream, bytes, threshold },
                false => Event::MemoryNormal { stream, bytes },
            });
        }
    }

    /// Whether so many messages may be appended to memory now; makes room first, where the log may.
    pub(super) fn admit(&self, messages: usize, weight: u64) -> Result<bool, LogError> {
        if weight > self.options.bytes && messages > 1 {
            let stream = self.shared.name.to_string();
            return Err(LogError::MessageTooLarge { stream, bytes: weight, most: self.options.bytes });
        }
        if self.has_room(messages, weight) {
            return Ok(true);
        }
        for partition in 0..self.partitions.len() as u32 {
            if let Some(settled) = self.settled_by_all(partition) {
                self.trim(partition, settled)?;
            }
        }
        if self.has_room(messages, weight) {
            return Ok(true);
        }
        match self.options.when_full {
            WhenFull::Block => Ok(false),
            WhenFull::Reject => Err(LogError::QueueFull { stream: self.shared.name.to_string() }),
            WhenFull::DropOldest => self.drop_oldest(messages, weight).map(|()| true),
        }
    }

    /// Whether an append to memory goes on at once: there is room, or it is not waited for.
    pub(super) fn waits_not_or_has_room(&self) -> bool {
        if self.options.when_full != WhenFull::Block {
            return true;
        }
        let _turn = lock(&self.admission);
        // Nothing can fail: a log that waits refuses nothing, and nor does memory.
        !matches!(self.admit(1, 1), Ok(false))
    }

    /// Messages in parts, in order, each of which a log in memory holds at once; one at a time where what finds no room is
    /// dropped, so that no other goes with it.
    pub(super) fn portions(&self, messages: Vec<Message>) -> Vec<Vec<Message>> {
        let is_disk = self.partitions.iter().any(|p| p.disk().is_some());
        let fits = |count: usize, weight: u64| count <= self.options.messages && weight <= self.options.bytes;
        let all = messages.iter().map(Message::weight).sum();
        let blocks = self.options.when_full == WhenFull::Block;
        if messages.is_empty() {
            return Vec::new();
        }
        if is_disk || blocks && fits(messages.len(), all) {
            return vec![messages];
        }
        let mut portions: Vec<Vec<Message>> = Vec::new();
        let mut weight = 0;
        for message in messages {
            weight += message.weight();
            match portions.last_mut() {
                Some(last) if blocks && fits(last.len() + 1, weight) => last.push(message),
                _ => {
                    weight = message.weight();
                    portions.push(vec![message]);
                }
            }
        }
        portions
    }

    fn has_room(&self, messages: usize, weight: u64) -> bool {
        let held: u64 = self.partitions.iter().map(|p| p.next() - p.first()).sum();
        // One message larger than the whole passes alone.
        held == 0
            || held + messages as u64 <= self.options.messages as u64
                && self.bytes().saturating_add(weight) <= self.options.bytes
    }

    /// Drops the oldest messages, none of which a reader has in hand.
    fn drop_oldest(&self, messages: usize, weight: u64) -> Result<(), LogError> {
        while !self.has_room(messages, weight) {
            let droppable = |partition: u32, storage: &dyn Storage| {
                let leased = self.groups().iter().filter_map(|g| g.cursor(partition)?.lowest_leased()).min();
                let first = storage.first();
                first < storage.next() && leased.is_none_or(|leased| first < leased)
            };
            let fullest = (0..)
                .zip(&self.partitions)
                .filter(|(p, storage)| droppable(*p, storage.as_ref()))
                .max_by_key(|(_, storage)| storage.bytes());
            let Some((partition, storage)) = fullest else {
                return Err(LogError::QueueFull { stream: self.shared.name.to_string() });
            };
            self.trim(partition, storage.first() + 1)?;
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
