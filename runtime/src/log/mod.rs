//! The sequence log: what is appended keeps its place, in memory or on disk, and any number of readers go through it, each
//! at its own pace.
//!
//! # Layout
//! - `mod`: [`SequenceLog`]: open, read; `append` and `waits` the rest of it; `shared` what an append needs when it has ended
//! - `consumer`: what a member of a group of readers holds; `group` and `cursor` are its state
//! - `publisher`: a producer that stamps its messages
//! - `storage`: the contract of one partition's storage, with `memory` and [`crate::stream::disk`] behind it
//! - `readers`: starting, seeking and removing readers, their lag, settling
//! - `upkeep`: retention, collection, stale readers
//! - `repair`: finding damage and giving up what is lost
//! - `written`: appends that nobody waits for; `acks`: sources that wait for every reader
//!
//! # Invariants
//! - Sequences of a partition rise; a message keeps its place for good.
//! - A message is given to one member of a group at a time, and again, with an attempt one higher, where it was given back,
//!   its lease has ended or the member is gone.
//! - What a group has settled stays settled, also when the process is killed; only [`SequenceLog::seek`] takes it back.
//! - Nothing that a group has not settled is given up, unless retention says `unsettled: drop`; what it missed is counted.
//!
//! Lock order: admission, then a group's message groups under way, then the journal of places, then one group's cursor,
//! then the storage's own.

mod acks;
mod append;
mod consumer;
mod cursor;
mod directory;
mod error;
mod group;
mod memory;
mod options;
mod publisher;
mod readers;
mod repair;
mod shared;
mod source;
mod storage;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
mod waits;
mod written;

pub use consumer::{Consumer, MessageGroup};
pub use error::LogError;
pub use options::*;
pub use publisher::{ProducerStats, Publisher, SOURCE, TYPE};
pub use readers::{GroupStats, LagStats};
pub use repair::{inspect, repair};
pub use source::REDRIVEN_FOR;
pub(crate) use source::{LogSource, meant_for, meant_for_all};
pub use upkeep::Pressure;
pub use written::Written;

pub use crate::stream::disk::{Appended, Damage, ProducerBatch, Recovery, Repair};

use crate::events::{Event, Events};
use crate::message::Entry;
use crate::stream::Limit;
use crate::stream::disk::{DiskError, Journal};
use group::Groups;
use publisher::Producers;
use shared::Shared;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::Storage;
use tokio::sync::{Notify, mpsc};

/// A named log of messages. Cloning it shares it.
///
/// ```
/// # use pelton::{message::Message, log::*, stream::Limit};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let (log, _) = SequenceLog::open("orders", directory.path(), LogOptions::default())?;
/// let at = log.publish(Message::new(b"one")?).await?;
/// assert_eq!((at.partition, at.seq), (0, 1));
/// let mut billing = log.consumer("billing", ConsumerOptions::default())?;
/// let batch = billing.next_batch(Limit::messages(100)).await?;
/// billing.settle_batch(&batch)?;
/// assert_eq!(log.lag("billing")?, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SequenceLog(Arc<Inner>);

pub(crate) struct Inner {
    shared: Arc<Shared>,
    partitions: Vec<Box<dyn Storage>>,
    options: LogOptions,
    threshold: AtomicU64,
    groups: Mutex<Groups>,
    /// Where groups stand, on disk.
    journal: Option<Mutex<Journal>>,
    producers: Producers,
    /// Which partition the next message without a key goes to.
    turn: AtomicU32,
    /// Appends to memory, one at a time: what is found to fit is appended before the next one looks.
    admission: Mutex<()>,
    low: AtomicBool,
    dropped: AtomicU64,
    /// Made durable: the last to go.
    _lock: Option<std::fs::File>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl SequenceLog {
    /// An empty log in memory.
    ///
    /// # Errors
    /// [`LogError::InvalidConfiguration`].
    pub fn memory(name: &str, options: LogOptions) -> Result<SequenceLog, LogError> {
        check(name, &options)?;
        let partitions = (0..options.partitions).map(|p| Box::new(memory::Memory::new(p)) as Box<dyn Storage>);
        Ok(SequenceLog::new(name, partitions.collect(), None, Groups::new(), None, options))
    }

    /// Opens the log in a directory, which is made where it is not there, and says what recovery has found.
    ///
    /// # Errors
    /// [`LogError::OperationFailed`] where another process has it, where it is damaged or the file system fails;
    /// [`LogError::InvalidConfiguration`] where it has another number of partitions, or is something else.
    pub fn open(name: &str, path: &Path, options: LogOptions) -> Result<(SequenceLog, Recovery), LogError> {
        check(name, &options)?;
        let opened = directory::open(name, path, &options)?;
        Ok(SequenceLog::opened(name, opened, options))
    }

    fn opened(name: &str, opened: directory::Opened, options: LogOptions) -> (SequenceLog, Recovery) {
        let log = SequenceLog::new(name, opened.partitions, opened.journal, opened.groups, opened.lock, options);
        (log, opened.recovery)
    }

    /// Opens what another process may be writing: as far as it has come by now. Nothing can be appended or settled.
    ///
    /// # Errors
    /// As for [`SequenceLog::open`].
    pub fn open_read_only(name: &str, path: &Path) -> Result<SequenceLog, LogError> {
        let opened = directory::open_read_only(name, path)?;
        let options = LogOptions { partitions: opened.partitions.len() as u32, ..LogOptions::default() };
        Ok(SequenceLog::new(name, opened.partitions, None, opened.groups, None, options))
    }

    fn new(
        name: &str,
        partitions: Vec<Box<dyn Storage>>,
        journal: Option<Journal>,
        groups: Groups,
        lock: Option<std::fs::File>,
        options: LogOptions,
    ) -> SequenceLog {
        let (acks, acked) = mpsc::unbounded_channel();
        let shared = Shared {
            name: Arc::from(name),
            events: options.events.clone(),
            announce: options.announce,
            closed: AtomicBool::new(false),
            grown: Notify::new(),
            room: Notify::new(),
            writing: AtomicU64::new(0),
            settled: Notify::new(),
            failed: Mutex::default(),
            awaited: partitions.iter().map(|_| Mutex::default()).collect(),
            required: Mutex::default(),
            acks,
            acked: Mutex::new(Some(acked)),
        };
        shared.events.tell(Event::Started { stream: shared.name.clone() });
        let log = SequenceLog(Arc::new(Inner {
            shared: Arc::new(shared),
            partitions,
            threshold: AtomicU64::new(options.threshold),
            options,
            groups: Mutex::new(groups),
            journal: journal.map(Mutex::new),
            producers: Producers::default(),
            turn: AtomicU32::new(0),
            admission: Mutex::new(()),
            low: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            _lock: lock,
        }));
        upkeep::start(&log);
        log
    }

    /// The stream's name.
    pub fn name(&self) -> &Arc<str> {
        &self.0.shared.name
    }

    /// How many partitions there are, from 0 on.
    pub fn partitions(&self) -> u32 {
        self.0.partitions.len() as u32
    }

    /// What happens here.
    pub fn events(&self) -> &Events {
        &self.0.shared.events
    }

    /// The messages of a partition from `seq` on, as many as are there within the limit; none where `seq` is the next one
    /// to come.
    ///
    /// # Errors
    /// [`LogError::SequenceOutOfBounds`], [`LogError::PartitionNotFound`], and where the storage can't be read.
    pub fn read(&self, partition: u32, seq: u64, limit: Limit) -> Result<Vec<Entry>, LogError> {
        let storage = self.0.partition(partition)?;
        storage.read(seq, limit).map_err(|error| self.0.error(partition, error))
    }

    /// The first sequence that a partition holds, and the one that the next message gets.
    ///
    /// # Errors
    /// [`LogError::PartitionNotFound`].
    pub fn bounds(&self, partition: u32) -> Result<(u64, u64), LogError> {
        let storage = self.0.partition(partition)?;
        Ok((storage.first(), storage.next()))
    }

    /// Where a partition is to be read from.
    ///
    /// # Errors
    /// [`LogError::SequenceOutOfBounds`], [`LogError::PartitionNotFound`], and where the storage can't be read.
    pub fn resolve(&self, partition: u32, start: Start) -> Result<u64, LogError> {
        let storage = self.0.partition(partition)?;
        let (first, next) = (storage.first(), storage.next());
        match start {
            Start::Earliest => Ok(first),
            Start::Latest => Ok(next),
            Start::Sequence(seq) if (first..=next).contains(&seq) => Ok(seq),
            Start::Sequence(seq) => Err(self.0.out_of_bounds(partition, seq)),
            Start::Time(time) => storage.seek(time).map_err(|error| self.0.error(partition, error)),
        }
    }

    /// Whether what is in it is there after the process has ended.
    pub(crate) fn outlives_the_process(&self) -> bool {
        self.0.partitions.iter().any(|p| p.disk().is_some())
    }

    /// Bytes held, in memory or on disk.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Messages held.
    pub fn messages(&self) -> u64 {
        self.0.partitions.iter().map(|p| p.next().saturating_sub(p.first())).sum()
    }

    /// Messages ever appended.
    pub fn appended(&self) -> u64 {
        self.0.partitions.iter().map(|p| p.next() - 1).sum()
    }

    /// Whether the disk is full, so that appends wait.
    pub fn is_full(&self) -> bool {
        self.0.partitions.iter().any(|p| p.is_full())
    }

    /// Why the storage takes nothing more, where it has failed.
    pub fn failure(&self) -> Option<LogError> {
        lock(&self.0.shared.failed).clone()
    }

    pub(crate) fn count_dropped(&self, messages: u64) {
        self.0.dropped.fetch_add(messages, Ordering::Relaxed);
    }

    /// Messages that were refused or given up unsettled for want of room, as the stream wants it.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Takes no more messages and gives none; whoever waits is told so. What was begun is written. The directory is free
    /// when the last clone is dropped.
    pub async fn close(&self) {
        self.0.close();
        if let Some(mut journal) = self.0.journal.as_ref().map(lock) {
            // Where something could not be written, there may be room for it by now.
            let synced = journal.sync().or_else(|_| journal.make_anew(&self.0.places()));
            if let Err(error) = synced {
                tracing::warn!(stream = &**self.name(), %error, "cursors not synced");
            }
        }
    }
}

impl Inner {
    fn close(&self) {
        if !self.shared.closed.swap(true, Ordering::AcqRel) {
            self.shared.events.tell(Event::Shutdown { stream: self.shared.name.clone() });
            self.shared.grown.notify_waiters();
            self.shared.room.notify_waiters();
            self.shared.settled.notify_waiters();
        }
    }

    fn partition(&self, partition: u32) -> Result<&dyn Storage, LogError> {
        self.partitions.get(partition as usize).map(Box::as_ref).ok_or_else(|| LogError::PartitionNotFound {
            stream: self.shared.name.to_string(),
            partition,
            partitions: self.partitions.len() as u32,
        })
    }

    fn bytes(&self) -> u64 {
        self.partitions.iter().map(|p| p.bytes()).sum()
    }

    fn closed(&self) -> LogError {
        LogError::Closed { stream: self.shared.name.to_string() }
    }

    fn out_of_bounds(&self, partition: u32, seq: u64) -> LogError {
        let bounds = self.partition(partition).map_or((0, 0), |p| (p.first(), p.next()));
        let stream = self.shared.name.to_string();
        LogError::SequenceOutOfBounds { stream, partition, seq, first: bounds.0, next: bounds.1 }
    }

    fn error(&self, partition: u32, error: DiskError) -> LogError {
        match error {
            DiskError::OutOfBounds { seq, .. } => self.out_of_bounds(partition, seq),
            error => failed(&self.shared.name, error),
        }
    }
}

fn failed(stream: &str, error: DiskError) -> LogError {
    match error {
        DiskError::Closed => LogError::Closed { stream: stream.to_owned() },
        error => LogError::OperationFailed { stream: stream.to_owned(), error },
    }
}

fn check(name: &str, options: &LogOptions) -> Result<(), LogError> {
    let wrong = |what: &str| Err(LogError::InvalidConfiguration(format!("stream '{name}': {what}")));
    if name.is_empty() {
        return wrong("a stream needs a name");
    }
    if options.partitions == 0 {
        return wrong("0 partitions hold nothing; 1 at least");
    }
    if options.messages == 0 || options.bytes == 0 {
        return wrong("a budget of 0 holds nothing; allow 1 message and 1 byte at least");
    }
    if options.segment_bytes == 0 {
        return wrong("segments of 0 bytes hold nothing; 64 KiB at least");
    }
    Ok(())
}
