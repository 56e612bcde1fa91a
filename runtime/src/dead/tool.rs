//! Dead letters as a tool: finding them, putting them back where they came from, giving them up.

use super::{Letter, READER, Why};
use crate::config::{Config, DiskConfig, Durability, StorageKind, StreamConfig};
use crate::events::Events;
use crate::host::open_log;
use crate::log::{Commit, Consumer, ConsumerOptions, LogError, REDRIVEN_FOR, SequenceLog, Start};
use crate::message::{Entry, Message, MessageBuilder, MessageTooLarge};
use crate::stream::Limit;
use crate::stream::disk::DiskError;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

/// So many letters are put back by one append.
const AT_ONCE: Limit = Limit { messages: 500, bytes: 4 << 20 };

/// What is wrong with dead letters, or with where they are to go.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// No stream has this name.
    #[error("the configuration has no stream '{0}'; it names them under 'streams'")]
    NoStream(String),
    /// The stream forgets its messages when its host ends.
    #[error("stream '{0}' is not kept on disk; give it 'storage: {{ type: disk, path: … }}'")]
    NotOnDisk(String),
    /// A letter's own stream is not on disk, so that nothing can be put into it while no host runs.
    #[error("it came from stream '{0}', which the configuration does not keep on disk; name one that is with --to")]
    OriginNotOnDisk(String),
    /// Nothing has been written to the stream.
    #[error("stream '{stream}': there is no log in {path} yet; run the host first")]
    NotThere {
        /// The stream.
        stream: String,
        /// Its directory.
        path: String,
    },
    /// A host runs.
    #[error("stream '{stream}' is open in another process, which must be stopped first: {error}")]
    InUse {
        /// The stream.
        stream: String,
        /// What opening it said.
        error: LogError,
    },
    /// A letter does not say where it came from.
    #[error("it does not say which stream it came from; name one with --to")]
    NoOrigin,
    /// Nobody would read the letter where it came from.
    #[error(
        "handler '{handler}', which gave up on it, does not read stream '{stream}' any more; with --to {stream} all its \
         readers get it"
    )]
    NoReader {
        /// The handler.
        handler: String,
        /// The stream that it read.
        stream: String,
    },
    /// A letter was to be put back among the dead.
    #[error("stream '{0}' holds the dead letters themselves; name another with --to")]
    ToItself(String),
    /// A letter can't be put together.
    #[error(transparent)]
    TooLarge(#[from] MessageTooLarge),
    /// A log has failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Which letters.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this handler.
    pub handler: Option<String>,
    /// Whose reason has this in it.
    pub reason: Option<String>,
    /// That died so.
    pub why: Option<Why>,
    /// Whose last failure is longer ago.
    pub older_than: Option<Duration>,
    /// Whose last failure is no longer ago.
    pub newer_than: Option<Duration>,
    /// At these sequences.
    pub sequences: Option<RangeInclusive<u64>>,
    /// In this partition.
    pub partition: Option<u32>,
    /// The first so many.
    pub most: Option<u64>,
}

impl Filter {
    /// Whether it takes any letter.
    pub fn is_all(&self) -> bool {
        let Filter { handler, reason, why, older_than, newer_than, sequences, partition, most } = self;
        let by_story = handler.is_some() || reason.is_some() || why.is_some();
        let by_place = sequences.is_some() || partition.is_some() || most.is_some();
        !by_story && !by_place && older_than.is_none() && newer_than.is_none()
    }

    /// Whether it takes this letter; `now` is in ns since 1970. A letter that does not say when it failed has no age.
    fn takes(&self, letter: &Letter, now: i64) -> bool {
        let age = letter.last_failed().map(|last| Duration::from_nanos(now.saturating_sub(last).max(0) as u64));
        self.handler.as_deref().is_none_or(|handler| letter.handler() == Some(handler))
            && self.reason.as_deref().is_none_or(|part| letter.reason().is_some_and(|reason| reason.contains(part)))
            && self.why.is_none_or(|why| letter.why() == Some(why))
            && self.older_than.is_none_or(|than| age.is_some_and(|age| age > than))
            && self.newer_than.is_none_or(|than| age.is_some_and(|age| age <= than))
            && self.sequences.as_ref().is_none_or(|sequences| sequences.contains(&letter.at.seq))
    }
}

/// Goes through the letters of a stream that were neither put back nor given up, in the order of their places.
pub struct Letters {
    log: SequenceLog,
    filter: Filter,
    now: i64,
    left: u64,
    /// What is yet to be read, and what of it is settled, by partition.
    rest: VecDeque<(u32, Range<u64>, Vec<Range<u64>>)>,
}

impl Letters {
    /// Those that the filter takes; `now` is in ns since 1970.
    ///
    /// # Errors
    /// [`LogError::PartitionNotFound`].
    pub fn new(log: &SequenceLog, filter: Filter, now: i64) -> Result<Letters, LogError> {
        let watermarks = log.group_stats(READER).map(|stats| stats.watermarks).unwrap_or_default();
        let mut rest = VecDeque::new();
        for partition in filter.partition.map_or(0..log.partitions(), |p| p..p.saturating_add(1)) {
            let (first, next) = log.bounds(partition)?;
            let watermark = watermarks.get(partition as usize).copied().unwrap_or(0);
            // Where nobody has looked after the letters yet, nothing is settled.
            let settled = log.settled_beyond(READER, partition).unwrap_or_default();
            let (mut from, mut to) = (first.max(watermark), next);
            if let Some(sequences) = &filter.sequences {
                (from, to) = (from.max(*sequences.start()), to.min(sequences.end().saturating_add(1)));
            }
            rest.push_back((partition, from..to, settled));
        }
        Ok(Letters { log: log.clone(), left: filter.most.unwrap_or(u64::MAX), filter, now, rest })
    }

    /// The next ones, as many as come from one read; none at the end.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn next_batch(&mut self) -> Result<Vec<Letter>, LogError> {
        while let Some((partition, range, settled)) = self.rest.front_mut().filter(|_| self.left > 0) {
            let read = if range.is_empty() { Vec::new() } else { self.log.read(*partition, range.start, AT_ONCE)? };
            let Some(last) = read.last().map(|e| e.at.seq) else {
                self.rest.pop_front();
                continue;
            };
            let is_open = |e: &Entry| range.contains(&e.at.seq) && !settled.iter().any(|run| run.contains(&e.at.seq));
            let letters = read.into_iter().filter(is_open).map(|e| Letter { at: e.at, message: e.message });
            let taken = letters.filter(|letter| self.filter.takes(letter, self.now));
            let taken: Vec<Letter> = taken.take(usize::try_from(self.left).unwrap_or(usize::MAX)).collect();
            range.start = last + 1;
            if !taken.is_empty() {
                self.left -= taken.len() as u64;
                return Ok(taken);
            }
        }
        Ok(Vec::new())
    }
}

/// Where a letter goes back to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target<'c> {
    /// The stream.
    pub stream: &'c StreamConfig,
    /// The one reader it is meant for; none where all get it.
    pub reader: Option<&'c str>,
}

/// Where a letter of the stream `dead` goes back to: the stream it came from, for the handler that gave up on it; or the
/// stream `to`, for that handler where it reads it, else for every reader.
///
/// # Errors
/// [`ToolError::NoOrigin`], [`ToolError::NoReader`], [`ToolError::NoStream`], [`ToolError::OriginNotOnDisk`],
/// [`ToolError::NotOnDisk`], [`ToolError::ToItself`].
pub fn target<'c>(config: &'c Config, dead: &str, letter: &Letter, to: Option<&str>) -> Result<Target<'c>, ToolError> {
    let name = to.or(letter.stream()).ok_or(ToolError::NoOrigin)?;
    if name == dead {
        return Err(ToolError::ToItself(name.to_owned()));
    }
    let (stream, _) = log_on_disk(config, name).map_err(|error| match (error, to) {
        (ToolError::NotOnDisk(name) | ToolError::NoStream(name), None) => ToolError::OriginNotOnDisk(name),
        (error, _) => error,
    })?;
    let reads = |handler: &str| config.handlers.iter().find(|h| h.name == handler && h.stream == name);
    let handler = letter.handler().unwrap_or_default();
    let reader = reads(handler).map(|h| h.name.as_str());
    if reader.is_none() && to.is_none() {
        return Err(ToolError::NoReader { handler: handler.to_owned(), stream: name.to_owned() });
    }
    Ok(Target { stream, reader })
}

/// A stream of the configuration that is kept on disk.
///
/// # Errors
/// [`ToolError::NoStream`], [`ToolError::NotOnDisk`].
pub fn log_on_disk<'c>(config: &'c Config, name: &str) -> Result<(&'c StreamConfig, &'c DiskConfig), ToolError> {
    let stream = config.streams.iter().find(|s| s.name == name).ok_or_else(|| ToolError::NoStream(name.to_owned()))?;
    match stream.storage.as_ref().map(|storage| &storage.kind) {
        Some(StorageKind::Disk(disk)) => Ok((stream, disk)),
        _ => Err(ToolError::NotOnDisk(name.to_owned())),
    }
}

/// The dead letters of a stream, to be put back or given up; no host may have the stream open meanwhile.
pub struct DeadLetters<'c> {
    config: &'c Config,
    log: SequenceLog,
    reader: Consumer,
    /// Where letters were put back to.
    targets: BTreeMap<&'c str, SequenceLog>,
    builder: MessageBuilder,
}

impl<'c> DeadLetters<'c> {
    /// Opens the stream of this name.
    ///
    /// # Errors
    /// [`ToolError::InUse`], [`ToolError::NotThere`], and where it can't be opened.
    pub async fn open(config: &'c Config, name: &str) -> Result<DeadLetters<'c>, ToolError> {
        let (_, disk) = log_on_disk(config, name)?;
        if !disk.path.exists() {
            return Err(ToolError::NotThere { stream: name.to_owned(), path: disk.path.display().to_string() });
        }
        let log = open(config, name).await?;
        let options = ConsumerOptions {
            start: Start::Earliest,
            partitions: Vec::new(),
            lease: None,
            commit: Commit::Manual,
            ..ConsumerOptions::default()
        };
        let reader = log.consumer(READER, options)?;
        // What retention has taken is gone.
        for partition in 0..log.partitions() {
            reader.settle_run(partition, 0..log.bounds(partition)?.0, false)?;
        }
        Ok(DeadLetters { config, log, reader, targets: BTreeMap::new(), builder: MessageBuilder::new() })
    }

    /// The log of the letters.
    pub fn log(&self) -> &SequenceLog {
        &self.log
    }

    /// Puts letters back, and tells of each where it went or why it was left. They are settled only once they are safe where
    /// they went: a crash in between puts them back twice.
    ///
    /// # Errors
    /// Where a log fails; what was told before is done.
    pub async fn redrive(
        &mut self,
        letters: Vec<Letter>,
        to: Option<&str>,
        mut told: impl FnMut(&Letter, Result<Target<'_>, ToolError>),
    ) -> Result<(), ToolError> {
        let mut parts: BTreeMap<&'c str, Vec<(Letter, Target<'c>, Message)>> = BTreeMap::new();
        for letter in letters {
            match target(self.config, self.log.name(), &letter, to) {
                Ok(target) => {
                    let message = put_back(&letter.message, target.reader, &mut self.builder)?;
                    parts.entry(&target.stream.name).or_default().push((letter, target, message));
                }
                Err(error) => told(&letter, Err(error)),
            }
        }
        for (name, part) in parts {
            let log = match self.targets.get(name) {
                Some(log) => log.clone(),
                None => {
                    let log = open(self.config, name).await?;
                    self.targets.insert(name, log.clone());
                    log
                }
            };
            log.append(part.iter().map(|(_, _, message)| message.clone()).collect()).await?;
            for (letter, target, _) in part {
                self.reader.settle(letter.at)?;
                told(&letter, Ok(target));
            }
        }
        Ok(())
    }

    /// Gives letters up.
    ///
    /// # Errors
    /// Where a letter is not of this stream.
    pub fn purge(&self, letters: &[Letter]) -> Result<(), ToolError> {
        letters.iter().try_for_each(|letter| Ok(self.reader.settle(letter.at)?))
    }

    /// Ends it, and returns how many bytes the stream's retention gave up of what nobody needs any more.
    ///
    /// # Errors
    /// Where a file can't be removed.
    pub async fn close(self) -> Result<u64, ToolError> {
        let freed = self.log.enforce_retention();
        for log in self.targets.values().chain([&self.log]) {
            log.close().await;
        }
        Ok(freed?)
    }
}

async fn open(config: &Config, name: &str) -> Result<SequenceLog, ToolError> {
    let mut stream = log_on_disk(config, name)?.0.clone();
    if let Some(StorageKind::Disk(disk)) = stream.storage.as_mut().map(|storage| &mut storage.kind) {
        // What is settled here must be safe there.
        disk.durability = Durability::EveryBatch;
    }
    match open_log(&stream, &Events::default()).await {
        Ok(Some(log)) => Ok(log),
        Ok(None) => Err(ToolError::NotOnDisk(name.to_owned())),
        Err(error @ LogError::OperationFailed { error: DiskError::Locked { .. }, .. }) => {
            Err(ToolError::InUse { stream: name.to_owned(), error })
        }
        Err(error) => Err(error.into()),
    }
}

/// The message of a letter, with its story, for one reader or for all.
fn put_back(m: &Message, reader: Option<&str>, builder: &mut MessageBuilder) -> Result<Message, MessageTooLarge> {
    builder.subject(m.subject()).id(m.id()).timestamp(m.timestamp());
    builder.headers_of(m, |name| name != REDRIVEN_FOR);
    if let Some(reader) = reader {
        builder.header(REDRIVEN_FOR, reader);
    }
    builder.build(m.body())
}
