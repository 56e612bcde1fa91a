use crate::stream::StreamStats;
use std::time::Duration;

/// What a host has done so far.
#[derive(Clone, Debug)]
pub struct Report {
    /// Since it was started.
    pub elapsed: Duration,
    /// One for each stream, in the order of the configuration.
    pub streams: Vec<(String, StreamStats)>,
    /// One for each handler that runs.
    pub handlers: Vec<HandlerReport>,
    /// Connections that have stopped for good, with the reason: stream, then why.
    pub failed: Vec<(String, String)>,
}

/// What a handler has done so far; messages.
#[derive(Clone, Debug)]
pub struct HandlerReport {
    /// Its name.
    pub name: String,
    /// Done, dead and dropped together.
    pub handled: u64,
    /// Emitted.
    pub outputs: u64,
    /// Given again.
    pub retried: u64,
    /// Put into the dead-letter stream.
    pub dead: u64,
    /// Rejected with no stream to go to.
    pub dropped: u64,
    /// Half of the messages took no longer.
    pub p50: Option<Duration>,
    /// 99 of 100 took no longer.
    pub p99: Option<Duration>,
    /// Yet to be settled.
    pub lag: u64,
    /// The generation that serves.
    pub generation: u64,
    /// How many workers there are.
    pub workers: usize,
}
