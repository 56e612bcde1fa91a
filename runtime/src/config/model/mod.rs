//! A valid configuration as plain data: whatever exists here has passed every check of [`super::resolve`].

mod brokers;
mod ends;
mod handlers;
mod storage;

use std::path::PathBuf;
use std::time::Duration;

pub use brokers::*;
pub use ends::*;
pub use handlers::*;
pub use storage::*;

/// A whole configuration, valid and complete: defaults are filled in, references name what exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The brokers in the order of the file; names are unique.
    pub brokers: Vec<BrokerConfig>,
    /// The embedded broker that this host serves its streams by; `None` serves none.
    pub serve: Option<GrpcConfig>,
    /// The streams in the order of the file; names are unique.
    pub streams: Vec<StreamConfig>,
    /// The handlers in the order of the file; names are unique.
    pub handlers: Vec<HandlerConfig>,
    /// Where compiled modules are kept; `None` keeps nothing. It may not exist yet.
    pub cache_dir: Option<PathBuf>,
    /// How long a stop may take before what is still in hand is abandoned.
    pub shutdown_timeout: Duration,
    /// What is allowed and yet probably not meant, one line each with its place.
    pub warnings: Vec<String>,
}

/// A named sequence of messages inside the host.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// The name that handlers use: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// What feeds the stream from outside.
    pub from: Option<SourceConfig>,
    /// What drains the stream to the outside.
    pub to: Option<SinkConfig>,
    /// What the stream may hold in memory.
    pub buffer: BufferConfig,
    /// How the stream keeps its messages for readers that come later; `None` forgets what every reader has settled.
    pub storage: Option<StorageConfig>,
}

/// What a stream may hold in memory, and what happens at the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct BufferConfig {
    /// The most messages; at least 1.
    pub messages: usize,
    /// The most bytes of messages; at least 1.
    pub bytes: u64,
    /// What happens to a message that finds no room.
    pub when_full: WhenFull,
}

/// What happens to a message that finds no room in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits, and so does whoever sent it.
    Block,
    /// It is dropped, and counted.
    Reject,
    /// The oldest message that nobody has begun is dropped for it, and counted.
    DropOldest,
}
