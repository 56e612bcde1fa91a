//! Handlers, and all that is set for one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Start;

/// A WebAssembly component that reads one stream and may emit to others.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerConfig {
    /// Its name: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// The `.wasm` file; where the handler is enabled, it existed and could be read when the configuration was checked.
    pub module: PathBuf,
    /// The stream that it reads; exists.
    pub stream: String,
    /// The stream of outputs for which the guest names none; exists.
    pub output: Option<String>,
    /// Names that the guest may use for outputs, each with its stream, which exists.
    pub outputs: BTreeMap<String, String>,
    /// The stream of messages that were given up; exists. `None` drops and counts them.
    pub dead_letter: Option<String>,
    /// How many instances work side by side.
    pub workers: Workers,
    /// How many messages one call takes.
    pub batch: BatchConfig,
    /// Whether it gets messages or whole groups of them.
    pub deliver: Deliver,
    /// Where it begins in a stream with storage that it has not read before.
    pub start: Start,
    /// What must not be overtaken; nothing where it gets groups.
    pub ordering: Ordering,
    /// How long an instance is used.
    pub instance: InstancePolicy,
    /// What happens to a message that asked to be tried again.
    pub retry: RetryConfig,
    /// What a guest may use.
    pub limits: Limits,
    /// How a changed module is noticed.
    pub reload: ReloadConfig,
    /// What the guest is told at its start, as text.
    pub config: BTreeMap<String, String>,
    /// Whether it runs.
    pub enabled: bool,
}

/// How many workers a handler has: `1 <= min <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// The number at the start, and the least ever.
    pub min: usize,
    /// The most ever.
    pub max: usize,
}

/// How many messages one call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// The most, from 1 to 65536.
    pub max: usize,
    /// How long a worker waits for a batch to fill; zero takes what is there.
    pub wait: Duration,
}

/// What a handler is given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deliver {
    /// Messages, in batches as they come.
    Messages,
    /// All messages of a group together, once the group is complete.
    Groups {
        /// How long a group waits to be complete; above zero.
        timeout: Duration,
        /// The most messages of a group, from 1 to 65536.
        most: usize,
    },
}

/// What must not be overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// Nothing: messages are handled as workers are free.
    None,
    /// Messages with the same key.
    Key,
    /// Any message; there is one worker then.
    Total,
}

/// How long an instance of a module is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstancePolicy {
    /// Until it traps, or the module changes.
    UntilTrap,
    /// For one batch.
    PerBatch,
    /// For one message.
    PerMessage,
}

/// Retries with growing delays, each at most `max_delay`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryConfig {
    /// How often a message is tried in all, from 1; then it is rejected.
    pub max_attempts: u32,
    /// The delay after the first attempt; at most `max_delay`.
    pub initial_delay: Duration,
    /// The longest delay.
    pub max_delay: Duration,
    /// By what each delay exceeds the one before; at least 1.
    pub multiplier: f64,
}

/// What a guest may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most linear memory of an instance in bytes, from 1 MiB to 4 GiB.
    pub memory: u64,
    /// The longest a call may take; above zero.
    pub deadline: Duration,
    /// The most bytes of outputs of one batch; at least 1.
    pub output: u64,
}

/// How a changed module is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadConfig {
    /// Whether the file is watched at all.
    pub watch: bool,
    /// How often the file is looked at besides, since some file systems tell nothing; above zero.
    pub poll: Duration,
}
