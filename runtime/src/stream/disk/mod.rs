//! A log on disk: append-only segments, one sync for many appends, recovery that loses nothing which was acknowledged.
//!
//! # Files
//! A directory holds one log: `lock`, and segments named by the sequence of their first message, in 20 digits. Grammar;
//! all numbers are little-endian, `bytes` are a 32-bit length and so many bytes:
//!
//! ```text
//! segment := "PELTLOG\x01" base:u64 frame* seal?
//! frame   := length:u32 crc:u32 base:u64 count:u32 time:i64 synced:u64 message*      crc, length: of all behind it
//! message := length:u32 timestamp:i64 subject:bytes id:bytes headers:u32 header* body
//! header  := kind:u8 name:bytes value:bytes
//! seal    := ffffffff entries:u32 (seq:u64 place:u64)* next:u64 time:i64 end:u64 crc:u32 length:u32 "PELTSEAL"
//! ```
//!
//! `crc` is CRC-32C (Castagnoli; RFC 3720, 12.1). `time` is when the batch was appended, in ns since 1970.
//!
//! # Recovery
//! Sealed segments are trusted by their seals and checked when they are read; the last one is scanned. Every frame says
//! up to where the log had been synced when it was written. So what is broken and was never synced is a torn tail: it is
//! cut and reported. What is broken and had been synced stops the start, with the place named.
//!
//! # Failure
//! After a failed write or sync the log is poisoned: nothing later is acknowledged, and it must be opened anew. A full disk
//! is no such failure: appends wait until there is room.
//!
//! After fjall's journal and Kafka's log.

mod error;
mod files;
mod frame;
mod recover;
mod segment;
mod writer;

pub use error::DiskError;

use crate::message::{Entry, Message, MessageBuilder, Position};
use crate::stream::Limit;
use files::{Directory, Files, Handle, lock};
use segment::{Contents, START};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

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

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// When an append is acknowledged.
    pub durability: Durability,
    /// A segment that has so many bytes is sealed, and the next one begun.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { durability: Durability::EveryBatch, segment_bytes: 64 << 20 }
    }
}

/// What opening a log has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// A torn tail that was cut: the segment, and how many bytes.
    pub cut: Option<(String, u64)>,
}

/// A log on disk. Cloning it shares it; it closes when the last one is dropped.
///
/// ```
/// # use pelton::{message::Message, stream::{Limit, disk::*}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let (log, _) = Log::open(directory.path(), LogOptions::default())?;
/// let seq = log.append(vec![Message::new(b"one")?, Message::new(b"two")?]).await?;
/// let entries = log.read(seq, Limit::messages(10))?;
/// assert_eq!(entries[1].message.body(), b"two");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Log(Arc<Handles>);

struct Handles {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<writer::Request>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Handles {
    /// Waits for the last sync: whoever opens the directory next finds it closed.
    fn drop(&mut self) {
        self.requests = None;
        // The thread does not panic; where it did, there is nothing left to close.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// What the writer and the readers share.
struct Shared {
    files: Box<dyn Files>,
    options: LogOptions,
    state: Mutex<State>,
    /// Told whenever there is more to read.
    grown: Notify,
    /// Goes with the log.
    _lock: Option<File>,
}

struct State {
    /// By their bases, rising; the last one is being written.
    segments: Vec<Arc<Segment>>,
    /// Readers see what is below.
    visible: u64,
    poisoned: Option<String>,
}

/// A segment as readers see it.
struct Segment {
    base: u64,
    handle: Box<dyn Handle>,
    contents: Mutex<Contents>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    fn open(files: &dyn Files, base: u64, contents: Contents) -> Result<Arc<Segment>, DiskError> {
        let name = segment::name(base);
        let handle = files.open(&name).map_err(|e| DiskError::io(&name, "open", e))?;
        Ok(Arc::new(Segment { base, handle, contents: Mutex::new(contents) }))
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Opens the log in a directory, which is made where it is not there.
    ///
    /// # Errors
    /// [`DiskError::Locked`], and whatever recovery finds.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Log, Recovery), DiskError> {
        let named = |what| move |e| DiskError::io(&directory.display().to_string(), what, e);
        std::fs::create_dir_all(directory).map_err(named("make this directory"))?;
        let lock = lock(directory).map_err(named("lock this directory"))?;
        let lock = lock.ok_or_else(|| DiskError::Locked { directory: directory.to_owned() })?;
        Log::open_in(Box::new(Directory(directory.to_owned())), options, Some(lock))
    }

    fn open_in(files: Box<dyn Files>, options: LogOptions, lock: Option<File>) -> Result<(Log, Recovery), DiskError> {
        let (segments, recovery) = recover::recover(files.as_ref())?;
        let last = segments.last().cloned().ok_or(DiskError::Closed)?;
        let visible = last.contents().next;
        let state = Mutex::new(State { segments, visible, poisoned: None });
        let shared = Arc::new(Shared { files, options, state, grown: Notify::new(), _lock: lock });
        let (requests, writer) = writer::start(shared.clone(), &last)?;
        let handles = Handles { shared, requests: Some(requests), writer: Some(writer) };
        Ok((Log(Arc::new(handles)), recovery))
    }

    /// Appends messages, and returns the sequence of the first once they are as safe as the log's durability says. They
    /// are one frame: all of them are there after a crash, or none. Cancelling it does not take them back.
    ///
    /// # Errors
    /// [`DiskError::Poisoned`], after a failed write or sync.
    pub async fn append(&self, messages: Vec<Message>) -> Result<u64, DiskError> {
        let (done, result) = oneshot::channel();
        let request = writer::Request { messages, done };
        let requests = self.0.requests.as_ref().ok_or(DiskError::Closed)?;
        requests.send(request).map_err(|_| self.closed())?;
        result.await.map_err(|_| self.closed())?
    }

    fn closed(&self) -> DiskError {
        let poisoned = self.0.shared.state().poisoned.clone();
        poisoned.map_or(DiskError::Closed, DiskError::Poisoned)
    }

    /// The messages from `seq` on, as many as there are within the limit; none where `seq` is the next one to come.
    ///
    /// # Errors
    /// [`DiskError::OutOfBounds`] before the first and beyond the next, [`DiskError::Damaged`] where they can't be read.
    pub fn read(&self, seq: u64, limit: Limit) -> Result<Vec<Entry>, DiskError> {
        let (segments, visible) = {
            let state = self.0.shared.state();
            (state.segments.clone(), state.visible)
        };
        let first = segments.first().map_or(visible, |s| s.base);
        if seq < first || seq > visible {
            return Err(DiskError::OutOfBounds { seq, first, last: visible - 1 });
        }
        let mut entries = Vec::new();
        let mut next = seq;
        let at = segments.partition_point(|s| s.base <= seq).saturating_sub(1);
        for segment in segments.get(at..).unwrap_or_default() {
            if next >= visible || !read_segment(segment, &mut next, visible, limit, &mut entries)? {
                break;
            }
        }
        Ok(entries)
    }

    /// Waits until there is something at `seq`.
    pub async fn ready(&self, seq: u64) {
        loop {
            let grown = self.0.shared.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if self.next() > seq {
                return;
            }
            grown.await;
        }
    }

    /// The first sequence that is held, or the next where none is.
    pub fn first(&self) -> u64 {
        let state = self.0.shared.state();
        state.segments.first().map_or(state.visible, |s| s.base)
    }

    /// The sequence that the next message gets.
    pub fn next(&self) -> u64 {
        self.0.shared.state().visible
    }

    /// The first sequence that was appended at this time or later, as far as batches tell; the next where there is none.
    ///
    /// # Errors
    /// Where the log can't be read.
    pub fn seek(&self, time: i64) -> Result<u64, DiskError> {
        let (segments, visible) = {
            let state = self.0.shared.state();
            (state.segments.clone(), state.visible)
        };
        for segment in &segments {
            if segment.contents().last_time < time {
                continue;
            }
            let mut found = None;
            frames(segment, START, |header, _| {
                found = (header.time >= time).then_some(header.base);
                Ok(found.is_none())
            })?;
            if let Some(seq) = found {
                return Ok(seq.min(visible));
            }
        }
        Ok(visible)
    }

    /// Gives up whole segments all of whose sequences are below `seq`, and returns how many bytes that freed.
    ///
    /// # Errors
    /// Where a file can't be removed: those before it are gone, the rest is there.
    pub fn trim(&self, seq: u64) -> Result<u64, DiskError> {
        let shared = &self.0.shared;
        let mut freed = 0;
        loop {
            let name = {
                let mut state = shared.state();
                let full = state.segments.len() > 1 && state.segments.get(1).is_some_and(|second| second.base <= seq);
                if !full {
                    break;
                }
                let first = state.segments.remove(0);
                freed += first.contents().end;
                segment::name(first.base)
            };
            shared.files.remove(&name).map_err(|e| DiskError::io(&name, "remove", e))?;
        }
        if freed > 0 {
            shared.files.sync_directory().map_err(|e| DiskError::io("the log's directory", "sync", e))?;
        }
        Ok(freed)
    }
}

/// Calls `visit` with each frame from a place on, until it says no.
fn frames(
    segment: &Segment,
    from: u64,
    mut visit: impl FnMut(frame::Header, &[u8]) -> Result<bool, DiskError>,
) -> Result<(), DiskError> {
    const CHUNK: usize = 256 << 10;
    let name = || segment::name(segment.base);
    let end = segment.contents().end;
    let (mut place, mut seq) = (from, segment.base);
    let mut buffer = Vec::new();
    while place < end {
        let damaged = DiskError::Damaged { segment: name(), offset: place, seq };
        let whole = frame::length(&buffer).filter(|whole| *whole <= buffer.len());
        if whole.is_none() {
            let wanted = frame::length(&buffer).unwrap_or(0).max(CHUNK).min((end - place) as usize);
            if wanted <= buffer.len() {
                return Err(damaged);
            }
            buffer.resize(wanted, 0);
            let read = segment.handle.read_at(&mut buffer, place).map_err(|e| DiskError::io(&name(), "read", e))?;
            buffer.truncate(read);
            if read < wanted {
                return Err(damaged);
            }
            continue;
        }
        let (header, bytes, whole) = frame::decode(&buffer).map_err(|_| damaged)?;
        if !visit(header, bytes)? {
            return Ok(());
        }
        seq = header.base + u64::from(header.count);
        place += whole as u64;
        buffer.drain(..whole);
    }
    Ok(())
}

/// Adds a segment's messages from `next` on; false where the limit is reached.
fn read_segment(
    segment: &Segment,
    next: &mut u64,
    visible: u64,
    limit: Limit,
    entries: &mut Vec<Entry>,
) -> Result<bool, DiskError> {
    let from = segment.contents().index.before(*next);
    let mut builder = MessageBuilder::new();
    let mut bytes: u64 = entries.iter().map(|e| e.message.weight()).sum();
    let mut more = true;
    frames(segment, from, |header, payload| {
        if header.base + u64::from(header.count) <= *next {
            return Ok(true);
        }
        let broken = |_| DiskError::Damaged { segment: segment::name(segment.base), offset: from, seq: header.base };
        let messages = frame::messages(header, payload, &mut builder).map_err(broken)?;
        let wanted = *next;
        for (seq, message) in (header.base..).zip(messages).skip_while(|(seq, _)| *seq < wanted) {
            bytes += message.weight();
            more = seq < visible && entries.len() < limit.messages && (entries.is_empty() || bytes <= limit.bytes);
            if !more {
                return Ok(false);
            }
            entries.push(Entry { at: Position { partition: 0, seq }, attempt: 1, message });
            *next = seq + 1;
        }
        Ok(true)
    })?;
    Ok(more)
}

#[cfg(test)]
mod tests;
