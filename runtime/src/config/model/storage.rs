//! Streams that keep their messages, and where readers begin in them.

use std::path::PathBuf;
use std::time::Duration;

/// How a stream keeps its messages.
#[derive(Debug, Clone, PartialEq)]
pub struct StorageConfig {
    /// Where they are kept.
    pub kind: StorageKind,
    /// How many logs share the messages by their keys, from 1 to 1024.
    pub partitions: u32,
    /// What is given up, and when.
    pub retention: Retention,
    /// When who sent a message is told that it is safe.
    pub ack: AckWhen,
    /// Which readers are removed.
    pub stale: StalePolicy,
}

/// Where a stream's messages are kept.
#[derive(Debug, Clone, PartialEq)]
pub enum StorageKind {
    /// On disk; they outlast the process.
    Disk(DiskConfig),
    /// In memory, within the stream's buffer.
    Memory {
        /// The share of the buffer above which the oldest are given up, from 0.01 to 1.
        threshold: f64,
    },
}

/// A stream on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskConfig {
    /// Its directory, which no other stream uses or has inside its own. It may not exist yet.
    pub path: PathBuf,
    /// When an append is acknowledged.
    pub durability: Durability,
    /// A segment that has so many bytes is sealed, and the next one begun; from 64 KiB to 1 GiB.
    pub segment_bytes: u64,
    /// A segment whose first message is so old is sealed too; above zero.
    pub segment_age: Option<Duration>,
}

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is synced. Appends that come in during a sync share the next one.
    EveryBatch,
    /// Once it is written; it is synced after this long at most. A power cut may lose what came in since.
    Interval(Duration),
    /// Once it is written; the operating system syncs when it likes.
    Os,
}

/// What a stream gives up, from its oldest messages on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The most bytes kept; above zero. `None` has no such limit.
    pub bytes: Option<u64>,
    /// How long a message is kept; above zero. `None` has no such limit.
    pub age: Option<Duration>,
    /// What every reader has settled: dropped at once, or kept within the limits.
    pub settled: Keep,
    /// What a reader has yet to settle: dropped at the limits, or kept beyond them.
    pub unsettled: Keep,
}

impl Default for Retention {
    /// Everything, for ever.
    fn default() -> Retention {
        crate::config::defaults::RETENTION
    }
}

/// Whether messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// They are.
    Keep,
    /// They are not.
    Drop,
}

/// When who sent a message to a stream is told that it is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckWhen {
    /// Once every reader has settled it.
    Settled,
    /// Once it is in the stream, as safe as its storage makes it.
    Appended,
}

/// Readers that are removed, so that they hold nothing up; `None` twice removes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StalePolicy {
    /// Those that have been away for this long; above zero.
    pub age: Option<Duration>,
    /// Those that are more than so many messages behind; above zero.
    pub lag: Option<u64>,
}

/// Where a reader begins that a stream does not know yet. From text: `earliest` or `-2`, `latest` or `-1`, a sequence
/// number, or a time as [`parse_time`](crate::config::parse_time) reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest message that is kept.
    Earliest,
    /// The next message to come.
    Latest,
    /// This sequence; at most `i64::MAX`.
    Sequence(u64),
    /// The first message appended at this time or later; ns since 1970.
    Time(i64),
}
