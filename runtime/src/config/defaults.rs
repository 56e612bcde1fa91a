//! What holds where the configuration says nothing. Sizes are in bytes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Environment;
use super::model::{
    AckWhen, BatchConfig, BufferConfig, Deliver, Durability, Format, HandlerConfig, InstancePolicy, Keep, Limits,
    Ordering, ReloadConfig, Retention, RetryConfig, Start, WhenFull, Workers,
};

/// Orchestrators send SIGKILL 30 s after SIGTERM: longer would not be granted.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Far above what brokers let through, and low enough that a file without line breaks does not fill the memory.
pub(in crate::config) const MAX_MESSAGE: u64 = 16 << 20;

/// Ten thousand small messages hide the pauses of a source; the bytes bind where messages are large. Waiting is the
/// only choice that loses nothing.
pub(super) const BUFFER: BufferConfig = BufferConfig { messages: 10_000, bytes: 64 << 20, when_full: WhenFull::Block };

/// Where an embedded broker listens: on this machine only, so that nothing is open that nobody opened.
pub(in crate::config) const GRPC_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 50_051));
/// A connection across the world takes a second; a host that starts, some more.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer that takes longer than a sync of a slow disk is not going to come.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// One log keeps the order of all messages.
pub(super) const PARTITIONS: u32 = 1;
/// Few files, and each small enough that giving one up frees room soon.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;
/// The only one that a power cut takes nothing from.
pub(super) const DURABILITY: Durability = Durability::EveryBatch;
/// Room for a reader that comes back to find what it missed, and for what comes in meanwhile.
pub(super) const THRESHOLD: f64 = 0.8;
/// A log that nobody limits is a log that somebody wants whole; what a reader has not seen is never given up unasked.
pub(in crate::config) const RETENTION: Retention =
    Retention { bytes: None, age: None, settled: Keep::Keep, unsettled: Keep::Keep };
/// As without storage: a source forgets a message only when it was handled.
pub(super) const ACK: AckWhen = AckWhen::Settled;
/// A new reader wants what is there.
pub(super) const START: Start = Start::Earliest;

/// A message like those of most feeds.
pub(super) const GENERATE_SIZE: usize = 256;
/// Any fixed number would do: two runs make the same messages.
pub(super) const GENERATE_SEED: u64 = 0;

/// What people read and what `cat`, `grep` and `jq` take.
pub(super) const FORMAT: Format = Format::Lines;
/// A restart must not delete the results of the run before.
pub(super) const APPEND: bool = true;

/// One worker handles a million small messages a second; more is a choice, as it gives up the order.
pub(super) const WORKERS: Workers = Workers { min: 1, max: 1 };
/// Beyond 256 messages the cost of a call no longer shows in the cost of a message. Waiting would only add delay: while
/// a worker is busy, the next batch grows by itself.
pub(super) const BATCH: BatchConfig = BatchConfig { max: 256, wait: Duration::ZERO };
/// Groups are for handlers that say so.
pub(super) const DELIVER: Deliver = Deliver::Messages;
/// What belongs together is mostly sent together.
pub(super) const GROUP_TIMEOUT: Duration = Duration::from_secs(30);
/// A group beyond this is a key that everything has by mistake.
pub(super) const GROUP_MESSAGES: usize = 1000;
/// Order costs parallelism and lets one message that retries hold up others.
pub(super) const ORDERING: Ordering = Ordering::None;
/// A fresh instance costs about 20 µs, a thousand times what a message in a batch does.
pub(super) const INSTANCE: InstancePolicy = InstancePolicy::UntilTrap;
/// Delays of 0.1, 0.2, 0.4 and 0.8 s outlast a restart of what the guest calls; what fails five times fails again.
pub(super) const RETRY: RetryConfig = RetryConfig {
    max_attempts: 5,
    initial_delay: Duration::from_millis(100),
    max_delay: Duration::from_secs(30),
    multiplier: 2.0,
};
/// Room for a component with its own JavaScript engine; a second is for ever to a handler that computes; outputs have
/// room for one message of the largest size.
pub(super) const LIMITS: Limits = Limits { memory: 64 << 20, deadline: Duration::from_secs(1), output: MAX_MESSAGE };
/// The watch notices within milliseconds; the poll is for network file systems, and reads only the file's metadata.
pub(super) const RELOAD: ReloadConfig = ReloadConfig { watch: true, poll: Duration::from_secs(2) };

/// `$XDG_CACHE_HOME/pelton`, else `~/.cache/pelton`; `None` where the environment names neither.
pub(super) fn cache_dir(environment: &Environment) -> Option<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let absolute = |name: &str| environment.variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("pelton"))
}

impl Default for BufferConfig {
    fn default() -> Self {
        BUFFER
    }
}

impl Default for Limits {
    fn default() -> Self {
        LIMITS
    }
}

impl HandlerConfig {
    /// A handler with every default: no outputs, no dead letters, one worker.
    pub fn new(name: &str, module: &Path, stream: &str) -> Self {
        Self {
            name: name.to_owned(),
            module: module.to_owned(),
            stream: stream.to_owned(),
            output: None,
            outputs: BTreeMap::new(),
            dead_letter: None,
            workers: WORKERS,
            batch: BATCH,
            deliver: DELIVER,
            start: START,
            ordering: ORDERING,
            instance: INSTANCE,
            retry: RETRY,
            limits: LIMITS,
            reload: RELOAD,
            config: BTreeMap::new(),
            enabled: true,
        }
    }
}
