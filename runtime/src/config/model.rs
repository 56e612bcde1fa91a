//! A valid configuration as plain data: whatever exists here has passed every check of [`super::resolve`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A whole configuration, valid and complete: defaults are filled in, references name what exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
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
}

/// Where messages come from.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceConfig {
    /// One message a line of a file.
    File(FileSource),
    /// One message a line of the standard input.
    Stdin(StdinSource),
    /// Messages that Pelton makes up, for tests and measurements.
    Generate(GenerateSource),
}

impl SourceConfig {
    /// Whether somebody outside waits to hear that each message was handled. Such a source must not feed a stream
    /// that drops messages: the acknowledgement would be a lie.
    pub fn awaits_acknowledgement(&self) -> bool {
        match self {
            SourceConfig::File(_) | SourceConfig::Stdin(_) | SourceConfig::Generate(_) => false,
        }
    }
}

/// One message a line of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    /// The file; it existed and could be read when the configuration was checked.
    pub path: PathBuf,
    /// Wait at the end for more lines instead of ending there. Never together with `repeat`.
    pub follow: bool,
    /// Start again at the end, for demonstrations.
    pub repeat: bool,
    /// Lines a second; `None` reads as fast as the stream takes them.
    pub rate: Option<f64>,
    /// The longest line in bytes; never above the stream's `buffer.bytes`.
    pub max_message: u64,
}

/// One message a line of the standard input.
#[derive(Debug, Clone, PartialEq)]
pub struct StdinSource {
    /// The longest line in bytes; never above the stream's `buffer.bytes`.
    pub max_message: u64,
}

/// Messages that Pelton makes up.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateSource {
    /// How many messages; `None` never ends.
    pub count: Option<u64>,
    /// Messages a second, above zero; `None` makes them as fast as the stream takes them.
    pub rate: Option<f64>,
    /// The size of each body in bytes.
    pub size: usize,
    /// The same seed makes the same messages.
    pub seed: u64,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkConfig {
    /// To a file.
    File(FileSink),
    /// To the standard output.
    Stdout(StdoutSink),
}

/// Writes messages to a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSink {
    /// The file; where it did not exist when the configuration was checked, its directory could be written to.
    pub path: PathBuf,
    /// How a message is written.
    pub format: Format,
    /// Keep what the file holds already, rather than emptying it at the start.
    pub append: bool,
}

/// Writes messages to the standard output.
#[derive(Debug, Clone, PartialEq)]
pub struct StdoutSink {
    /// How a message is written.
    pub format: Format,
}

/// How a sink writes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The body and a line break.
    Lines,
    /// One JSON object a line, with the headers.
    Json,
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
    /// What must not be overtaken.
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
