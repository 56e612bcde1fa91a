//! How a log is kept and read.

pub use crate::config::{Durability, Keep, Retention, StalePolicy, Start, WhenFull};
use crate::events::Events;
use std::time::Duration;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Messages of one key go to one partition, by the key's hash; those without a key by that of their message group, or in
    /// turn. At least 1.
    pub partitions: u32,
    /// The most messages held. In memory only.
    pub messages: usize,
    /// The most bytes held, as [`Message::weight`](crate::message::Message::weight) counts them. In memory only.
    pub bytes: u64,
    /// What happens to an append that finds no room. In memory only: a full disk makes appends wait.
    pub when_full: WhenFull,
    /// [`Event::MemoryLow`](crate::events::Event::MemoryLow) is told when so many bytes are held. In memory only.
    pub threshold: u64,
    /// When an append is acknowledged. On disk only.
    pub durability: Durability,
    /// A segment that has so many bytes is sealed, and the next one begun. On disk only.
    pub segment_bytes: u64,
    /// As is one whose first message is so old.
    pub segment_age: Option<Duration>,
    /// What is given up, and when.
    pub retention: Retention,
    /// Which readers are removed.
    pub stale: StalePolicy,
    /// Whether every message that comes in is told as an event.
    pub announce: bool,
    /// Where events are told.
    pub events: Events,
}

impl Default for LogOptions {
    /// One partition; in memory 64 MiB that appends wait for, told at 80 %; on disk synced with every batch, kept for ever.
    fn default() -> LogOptions {
        let disk = crate::stream::disk::LogOptions::default();
        LogOptions {
            partitions: 1,
            messages: usize::MAX,
            bytes: 64 << 20,
            when_full: WhenFull::Block,
            threshold: (64 << 20) / 5 * 4,
            durability: disk.durability,
            segment_bytes: disk.segment_bytes,
            segment_age: None,
            retention: Retention::default(),
            stale: StalePolicy::default(),
            announce: false,
            events: Events::default(),
        }
    }
}

/// How a consumer reads.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Where the group begins if it is not known yet.
    pub start: Start,
    /// Only these partitions; all where there are none.
    pub partitions: Vec<u32>,
    /// What is not settled within this time comes again. None: not before the consumer is dropped.
    pub lease: Option<Duration>,
    /// Who settles.
    pub commit: Commit,
    /// Whether message groups come whole, by [`Consumer::next_group`](super::Consumer::next_group).
    pub deliver: Deliver,
}

impl Default for ConsumerOptions {
    /// From the earliest, all partitions, 30 seconds, settled by the caller.
    fn default() -> ConsumerOptions {
        ConsumerOptions {
            start: Start::Earliest,
            partitions: Vec::new(),
            lease: Some(Duration::from_secs(30)),
            commit: Commit::Manual,
            deliver: Deliver::Messages,
        }
    }
}

/// Who settles what a consumer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The caller.
    Manual,
    /// The consumer itself: this often, and when it is closed, it settles what earlier calls had given.
    Auto(Duration),
}

pub use crate::config::Deliver;
