//! The sequence log: what is appended keeps its place, in memory or on disk, and any number of readers go through it, each
//! at its own pace.
//!
//! # Layout
//! - `mod`: [`SequenceLog`]: open, append, read
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
mod source;
mod storage;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;
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

use crate::broker::{Ack, AckToken};
use crate::events::{Event, Events};
use crate::message::{Entry, Message, Position};
use crate::stream::disk::{DiskError, Journal};
use crate::stream::{Acks, Limit};
use acks::Awaited;
use group::{Group, Groups};
use publisher::Producers;
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

/// What an append under way needs when it has ended; not the storage, whose own thread may be the one that says so.
struct Shared {
    name: Arc<str>,
    events: Events,
    announce: bool,
    closed: AtomicBool,
    /// Told when there is more to read.
    grown: Notify,
    /// Told when there is room again.
    room: Notify,
    /// Appends under way.
    writing: AtomicU64,
    /// Told when something was settled, an append has ended, or the storage has failed.
    settled: Notify,
    /// Why the storage takes nothing more.
    failed: Mutex<Option<LogError>>,
    /// By partition.
    awaited: Vec<Mutex<Awaited>>,
    /// Readers that sources wait for.
    required: Mutex<Vec<Arc<Group>>>,
    acks: mpsc::UnboundedSender<Vec<(AckToken, Ack)>>,
    acked: Mutex<Option<Acks>>,
}

/// How often a full disk is looked at.
const FULL: std::time::Duration = std::time::Duration::from_millis(100);

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

    /// Appends one message, and returns its place once it is as safe as the log's durability says.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`].
    pub async fn publish(&self, message: Message) -> Result<Position, LogError> {
        let partition = self.0.partition_of(&message);
        let appended = self.append_to(partition, vec![message], None).await?;
        Ok(Position { partition, seq: appended.seq.unwrap_or_default() })
    }

    /// Appends messages, each to the partition of its key, and waits until all are safe. Order is kept in each partition.
    /// What goes to one partition is there after a crash as a whole or not at all. Cancelling it does not take it back.
    ///
    /// # Errors
    /// [`LogError::QueueFull`] and [`LogError::MessageTooLarge`] in memory, before anything is appended to that partition;
    /// [`LogError::OperationFailed`] where the storage has failed.
    pub async fn append(&self, messages: Vec<Message>) -> Result<(), LogError> {
        self.submit(messages).await?.wait().await
    }

    /// As [`SequenceLog::append`], but waits for room only, not until the messages are safe.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`], before anything is appended.
    pub async fn submit(&self, messages: Vec<Message>) -> Result<Written, LogError> {
        let parts = self.0.split(messages);
        let written = Written::new(parts.len());
        for (i, (partition, messages)) in parts.into_iter().enumerate() {
            match self.begin(partition, messages, None, Vec::new(), self.part_of(&written)).await {
                Ok(()) => {}
                Err(error) if i == 0 => return Err(error),
                // A part that never began must not be waited for.
                Err(error) => written.part(Err(error)),
            }
        }
        Ok(written)
    }

    /// As [`SequenceLog::append_to`], but waits for room only, not until the messages are safe.
    ///
    /// # Errors
    /// As for [`SequenceLog::append_to`], before anything is appended.
    pub async fn submit_to(
        &self,
        partition: u32,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
    ) -> Result<Written, LogError> {
        let written = Written::new(1);
        self.begin(partition, messages, producer, Vec::new(), self.part_of(&written)).await?;
        Ok(written)
    }

    /// Messages by the partition that they go to, each in order.
    pub(crate) fn split(&self, messages: Vec<Message>) -> Vec<(u32, Vec<Message>)> {
        self.0.split(messages)
    }

    /// As [`SequenceLog::submit`], for what handlers emit: it may be more than the log holds, and what finds no room is
    /// dropped and counted where the stream wants it so. None where all of it was.
    pub(crate) async fn emit(&self, messages: Vec<Message>) -> Result<Option<Written>, LogError> {
        let parts = self.0.split(messages.into_iter().map(meant_for_all).collect()).into_iter();
        let parts = parts.flat_map(|(partition, m)| self.0.portions(m).into_iter().map(move |m| (partition, m)));
        let parts: Vec<(u32, Vec<Message>)> = parts.collect();
        let (written, mut left) = (Written::new(parts.len()), parts.len());
        for (partition, messages) in parts {
            let count = messages.len() as u64;
            match self.begin(partition, messages, None, Vec::new(), self.part_of(&written)).await {
                Ok(()) => {}
                Err(LogError::QueueFull { .. }) => {
                    self.count_dropped(count);
                    written.part(Ok(()));
                    left -= 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((left > 0).then_some(written))
    }

    /// What tells that one part has ended.
    fn part_of(&self, written: &Written) -> impl FnOnce(Result<Appended, DiskError>) + Send + 'static {
        let (part, name) = (written.clone(), self.name().clone());
        move |result| part.part(result.map(drop).map_err(|error| failed(&name, error)))
    }

    /// Appends messages to one partition as one batch: all are there after a crash, or none. With a producer's batch, one
    /// that comes again is appended once.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`]; [`LogError::PartitionNotFound`]; [`LogError::OperationFailed`] where the producer's
    /// sequence does not follow.
    pub async fn append_to(
        &self,
        partition: u32,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
    ) -> Result<Appended, LogError> {
        let (answer, result) = tokio::sync::oneshot::channel();
        // Whoever no longer waits has its messages appended all the same.
        self.begin(partition, messages, producer, Vec::new(), move |r| drop(answer.send(r))).await?;
        let result = result.await.map_err(|_| self.0.closed())?;
        result.map_err(|error| failed(self.name(), error))
    }

    /// Begins an append as soon as there is room for it.
    async fn begin(
        &self,
        partition: u32,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
        tokens: Vec<AckToken>,
        done: impl FnOnce(Result<Appended, DiskError>) + Send + 'static,
    ) -> Result<(), LogError> {
        let inner = &self.0;
        let storage = inner.partition(partition)?;
        if let Some(disk) = storage.disk() {
            disk.room().await;
        }
        if inner.shared.closed.load(Ordering::Acquire) {
            return Err(inner.closed());
        }
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let shared = inner.shared.clone();
        let notices = if shared.announce { announced(&messages) } else { Vec::new() };
        let done = Box::new(move |result: Result<Appended, DiskError>| {
            match &result {
                Ok(Appended { seq: Some(seq), duplicate: false, .. }) => {
                    shared.appended(Position { partition, seq: *seq }, notices, tokens);
                }
                Err(
                    error @ (DiskError::Io { .. }
                    | DiskError::Full { .. }
                    | DiskError::Gone { .. }
                    | DiskError::Poisoned(_)),
                ) => shared.fail(error),
                _ => {}
            }
            done(result);
            shared.writing.fetch_sub(1, Ordering::AcqRel);
            shared.settled.notify_waiters();
        });
        if let Some(disk) = storage.disk() {
            inner.shared.writing.fetch_add(1, Ordering::AcqRel);
            disk.submit(messages, producer, done);
            return Ok(());
        }
        let weight: u64 = messages.iter().map(Message::weight).sum();
        loop {
            let room = inner.shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let _turn = lock(&inner.admission);
                if inner.admit(messages.len(), weight)? {
                    inner.shared.writing.fetch_add(1, Ordering::AcqRel);
                    storage.submit(messages, producer, done);
                    break;
                }
            }
            if inner.shared.closed.load(Ordering::Acquire) {
                return Err(inner.closed());
            }
            room.await;
        }
        inner.weigh();
        Ok(())
    }

    /// Appends what a source gave, and tells the source of each message: `on_append` once it is safe, else once every
    /// required reader has settled it.
    pub(crate) async fn append_received(
        &self,
        received: Vec<crate::broker::Received>,
        on_append: bool,
    ) -> Result<(), LogError> {
        let mut parts: Vec<(Vec<Message>, Vec<AckToken>)> = vec![Default::default(); self.0.partitions.len()];
        for r in received {
            let partition = self.0.partition_of(&r.message);
            if let Some((messages, tokens)) = parts.get_mut(partition as usize) {
                messages.push(meant_for_all(r.message));
                tokens.push(r.token);
            }
        }
        for (partition, (messages, mut tokens)) in (0..).zip(parts) {
            for portion in self.0.portions(messages) {
                let rest = tokens.split_off(portion.len());
                let of_portion = std::mem::replace(&mut tokens, rest);
                match self.append_portion(partition, portion, of_portion.clone(), on_append).await {
                    Err(LogError::QueueFull { .. }) => {
                        self.count_dropped(of_portion.len() as u64);
                        self.0.shared.accept(of_portion);
                    }
                    result => result?,
                }
            }
        }
        Ok(())
    }

    async fn append_portion(
        &self,
        partition: u32,
        messages: Vec<Message>,
        tokens: Vec<AckToken>,
        on_append: bool,
    ) -> Result<(), LogError> {
        let at_once = on_append || lock(&self.0.shared.required).is_empty();
        let (now, later) = if at_once { (tokens, Vec::new()) } else { (Vec::new(), tokens) };
        let (shared, name) = (self.0.shared.clone(), self.name().clone());
        let done = move |result: Result<Appended, DiskError>| match result {
            Ok(_) => shared.accept(now),
            Err(error) => tracing::error!(stream = &*name, %error, "messages not stored; their source has them still"),
        };
        self.begin(partition, messages, None, later, done).await
    }

    /// Tokens of messages that their source may forget; to be taken once.
    pub(crate) fn take_acks(&self) -> Option<Acks> {
        lock(&self.0.shared.acked).take()
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

    /// Waits until a partition has something at `seq`.
    ///
    /// # Errors
    /// [`LogError::PartitionNotFound`], [`LogError::Closed`].
    pub async fn ready(&self, partition: u32, seq: u64) -> Result<(), LogError> {
        let storage = self.0.partition(partition)?;
        loop {
            let grown = self.0.shared.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if storage.next() > seq {
                return Ok(());
            }
            if self.0.shared.closed.load(Ordering::Acquire) {
                return Err(self.0.closed());
            }
            grown.await;
        }
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

    /// Waits until there is room for a message: in memory within the budget, on disk while it is not full; at once where
    /// the log does not wait for room. Cancel-safe.
    pub async fn room(&self) {
        loop {
            let room = self.0.shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let full = match self.0.partitions.iter().find_map(|p| p.disk()) {
                Some(_) => self.is_full(),
                None => !self.0.waits_not_or_has_room(),
            };
            if !full || self.0.shared.closed.load(Ordering::Acquire) {
                break;
            }
            // Nobody tells of room on a disk.
            let _ = tokio::time::timeout(FULL, room).await;
        }
        for disk in self.0.partitions.iter().filter_map(|p| p.disk()) {
            disk.room().await;
        }
    }

    /// Why the storage takes nothing more, where it has failed.
    pub fn failure(&self) -> Option<LogError> {
        lock(&self.0.shared.failed).clone()
    }

    /// Waits until the storage has failed.
    pub async fn failed(&self) {
        loop {
            let changed = self.0.shared.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.failure().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no append is under way.
    pub async fn written(&self) {
        loop {
            let changed = self.0.shared.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.0.shared.writing.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits until a group has settled all that there is.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`], also where it is removed meanwhile; [`LogError::Closed`].
    pub async fn caught_up(&self, group: &str) -> Result<(), LogError> {
        loop {
            let changed = self.0.shared.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.lag(group)? == 0 {
                return Ok(());
            }
            if self.0.shared.closed.load(Ordering::Acquire) {
                return Err(self.0.closed());
            }
            changed.await;
        }
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

    fn partition_of(&self, message: &Message) -> u32 {
        let count = self.partitions.len() as u32;
        match message.key() {
            _ if count == 1 => 0,
            // A key must find its partition again for as long as the log lives: a hash that no library may change.
            Some(key) => crc32c::crc32c(key) % count,
            // The order of a message group is that of its partition.
            None => match message.group() {
                Some(group) => crc32c::crc32c(group.id.as_bytes()) % count,
                None => self.turn.fetch_add(1, Ordering::Relaxed) % count,
            },
        }
    }

    /// Messages by the partition they go to, each in order.
    fn split(&self, messages: Vec<Message>) -> Vec<(u32, Vec<Message>)> {
        if self.partitions.len() == 1 {
            return if messages.is_empty() { Vec::new() } else { vec![(0, messages)] };
        }
        let mut parts: Vec<Vec<Message>> = vec![Vec::new(); self.partitions.len()];
        for message in messages {
            let partition = self.partition_of(&message);
            if let Some(part) = parts.get_mut(partition as usize) {
                part.push(message);
            }
        }
        (0..).zip(parts).filter(|(_, part)| !part.is_empty()).collect()
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

impl Shared {
    /// Messages from a place on can be read.
    fn appended(&self, first: Position, groups: Vec<Option<Arc<str>>>, tokens: Vec<AckToken>) {
        if let Some(awaited) = self.awaited.get(first.partition as usize).filter(|_| !tokens.is_empty()) {
            let mut done = Vec::new();
            let required = lock(&self.required);
            let mut awaited = lock(awaited);
            for (seq, token) in (first.seq..).zip(tokens) {
                // A quick reader may have settled it by now.
                let unsettled = |g: &Group| g.cursor(first.partition).is_some_and(|c| !c.settled().contains(seq));
                let waits = |g: &Group| !g.is_removed() && unsettled(g);
                let readers = (0..).zip(required.iter()).filter(|(_, g)| waits(g)).map(|(id, _)| id).collect();
                awaited.add(seq, token, readers, &mut done);
            }
            drop((awaited, required));
            self.acknowledge(done);
        }
        self.grown.notify_waiters();
        for (seq, group) in (first.seq..).zip(groups) {
            let at = Position { seq, ..first };
            self.events.tell(Event::MessageAdded { stream: self.name.clone(), at, group });
        }
    }

    fn fail(&self, error: &DiskError) {
        lock(&self.failed).get_or_insert_with(|| failed(&self.name, error.clone()));
        self.settled.notify_waiters();
    }

    /// Whatever became of these messages, their source may forget them.
    fn accept(&self, tokens: Vec<AckToken>) {
        self.acknowledge(tokens.into_iter().map(|token| (token, Ack::Accept)).collect());
    }

    fn acknowledge(&self, done: Vec<(AckToken, Ack)>) {
        if !done.is_empty() {
            // Nobody listens where the pump has ended: then there is nothing to tell.
            drop(self.acks.send(done));
        }
    }
}

fn announced(messages: &[Message]) -> Vec<Option<Arc<str>>> {
    messages.iter().map(|m| m.group().map(|g| Arc::from(g.id))).collect()
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
