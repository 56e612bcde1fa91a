//! The log as its users see it.

use super::files::{Directory, Files, lock};
use super::read::{Reading, frames};
use super::recover::{self, Access};
use super::request::{Done, Request};
use super::segment;
use super::shared::{BUDGET, Segment, Shared};
use super::{Appended, DiskError, LogOptions, ProducerBatch, Recovery, SegmentInfo, writer};
use crate::message::{Entry, Message};
use crate::stream::Limit;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

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
    /// None where it is opened to be read.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Handles {
    /// Waits for the last sync: whoever opens the directory next finds it closed.
    fn drop(&mut self) {
        self.requests = None;
        // One who is told of an append may drop the last log on the writer's own thread, which can't wait for itself.
        let writer = self.writer.take().filter(|w| w.thread().id() != std::thread::current().id());
        // The thread does not panic; where it did, there is nothing left to close.
        let _ = writer.map(JoinHandle::join);
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
        // Nothing is put into a directory of another program.
        recover::list(&Directory(directory.to_owned()))?;
        let lock = lock(directory).map_err(named("lock this directory"))?;
        let lock = lock.ok_or_else(|| DiskError::Locked { directory: directory.to_owned() })?;
        Log::open_in(Box::new(Directory(directory.to_owned())), options, Some(lock))
    }

    pub(crate) fn open_in(
        files: Box<dyn Files>,
        options: LogOptions,
        lock: Option<File>,
    ) -> Result<(Log, Recovery), DiskError> {
        let mut recovered = recover::recover(files.as_ref(), Access::Write)?;
        let recovery = std::mem::take(&mut recovered.recovery);
        let segments = std::mem::take(&mut recovered.segments);
        let last = segments.last().cloned().ok_or(DiskError::Closed)?;
        let shared = Shared::new(files, options, segments, lock);
        let (requests, writer) = writer::start(shared.clone(), last, recovered)?;
        let handles = Handles { shared, requests: Some(requests), writer: Some(writer) };
        Ok((Log(Arc::new(handles)), recovery))
    }

    /// Opens the log in a directory to be read, as it is now and up to the last whole frame, while another process may be
    /// writing it. Nothing is changed, and a torn tail is left alone. What is appended later is not seen; what is trimmed
    /// later is out of bounds.
    ///
    /// # Errors
    /// What is damaged, and where the directory can't be read.
    pub fn open_read_only(directory: &Path) -> Result<Log, DiskError> {
        Log::open_read_only_in(Box::new(Directory(directory.to_owned())))
    }

    pub(super) fn open_read_only_in(files: Box<dyn Files>) -> Result<Log, DiskError> {
        // The writer may trim or begin a segment between listing and reading: then what was listed is not all there.
        const TRIES: usize = 10;
        let mut tries = 0;
        let recovered = loop {
            tries += 1;
            match recover::recover(files.as_ref(), Access::Read) {
                Err(DiskError::Gone { .. } | DiskError::Missing { .. }) if tries < TRIES => {}
                recovered => break recovered?,
            }
        };
        let shared = Shared::new(files, LogOptions::default(), recovered.segments, None);
        Ok(Log(Arc::new(Handles { shared, requests: None, writer: None })))
    }

    /// Appends messages, and returns the sequence of the first once they are as safe as the log's durability says. They
    /// are one frame: all of them are there after a crash, or none. It waits for [`Log::room`] before. Cancelling it does
    /// not take back what it has queued.
    ///
    /// # Errors
    /// [`DiskError::Poisoned`] after a failed write or sync, [`DiskError::TooLarge`], [`DiskError::ReadOnly`].
    pub async fn append(&self, messages: Vec<Message>) -> Result<u64, DiskError> {
        self.room().await;
        let (done, result) = oneshot::channel();
        // Whoever no longer waits for the answer has its messages appended all the same.
        self.submit(messages, None, move |appended| drop(done.send(appended)));
        let appended = result.await.map_err(|_| self.0.shared.closed())??;
        appended.seq.ok_or(DiskError::Closed)
    }

    /// As [`Log::append`], but returns at once and waits for no room: [`Log::room`] does. What one thread submits is
    /// appended in its order. A batch of a producer that comes again is not appended again.
    ///
    /// `done` is called exactly once, on the writer's thread or on this one, and must be quick. It is told
    /// [`DiskError::OutOfOrder`] where the batch does not follow the producer's last one, and whatever `append` returns.
    pub fn submit(
        &self,
        messages: Vec<Message>,
        producer: Option<ProducerBatch>,
        done: impl FnOnce(Result<Appended, DiskError>) + Send + 'static,
    ) {
        let Some(requests) = self.0.requests.as_ref() else {
            return done(Err(DiskError::ReadOnly));
        };
        let weight = messages.iter().map(Message::weight).sum();
        let done = Done::new(self.0.shared.clone(), weight, Box::new(done));
        // Where the writer is gone, the request is dropped with the error, and tells so.
        drop(requests.send(Request { messages, producer, done }));
    }

    /// Waits until less than the writer's budget, 64 MiB of messages, is queued. Cancelling it loses nothing.
    pub async fn room(&self) {
        let shared = &self.0.shared;
        loop {
            let room = shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if shared.queued.load(Ordering::Acquire) < BUDGET {
                return;
            }
            room.await;
        }
    }

    /// The messages from `seq` on, as many as there are within the limit; none where `seq` is the next one to come.
    /// Sequences that were lost and given up by a repair are passed over.
    ///
    /// # Errors
    /// [`DiskError::OutOfBounds`] before the first and beyond the next, [`DiskError::Damaged`] where they can't be read.
    pub fn read(&self, seq: u64, limit: Limit) -> Result<Vec<Entry>, DiskError> {
        let (segments, visible) = self.0.shared.within(seq)?;
        let partition = self.0.shared.options.partition;
        let mut reading = Reading { partition, limit, visible, next: seq, entries: Vec::new(), bytes: 0 };
        for segment in &segments {
            if reading.next >= visible {
                break;
            }
            match reading.read(self.0.shared.files.as_ref(), segment) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let trimmed = self.is_trimmed(segment, &error);
                    return if trimmed { self.0.shared.within(seq).and(Err(error)) } else { Err(error) };
                }
            }
        }
        Ok(reading.entries)
    }

    /// Whether reading a segment has failed since it was trimmed meanwhile, here or by the process that writes the log.
    fn is_trimmed(&self, segment: &Segment, error: &DiskError) -> bool {
        if !matches!(error, DiskError::Gone { .. }) {
            return false;
        }
        if self.0.requests.is_none() {
            self.0.shared.state().segments.retain(|s| s.base > segment.base);
        }
        self.first() > segment.base
    }

    /// Waits until there is a message at `seq` or behind it.
    pub async fn ready(&self, seq: u64) {
        loop {
            let grown = self.0.shared.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if self.0.shared.state().held > seq {
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

    /// Bytes of all segments' files.
    pub fn bytes(&self) -> u64 {
        self.0.shared.state().segments.iter().map(|s| s.contents().length).sum()
    }

    /// All segments, rising; the last one is being written.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Arc<Segment>| {
            let contents = segment.contents();
            let (next, bytes, last_time) = (contents.next, contents.length, contents.last_time);
            SegmentInfo { base: segment.base, next, bytes, last_time }
        };
        self.0.shared.state().segments.iter().map(info).collect()
    }

    /// Whether the writer is waiting for room on the disk: then no more should be taken in.
    pub fn full(&self) -> bool {
        self.0.shared.full.load(Ordering::Relaxed)
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
            let files = self.0.shared.files.as_ref();
            let from = segment.contents().index.before(0);
            let read = frames(files, segment, from, |_, header, _| {
                found = (header.time >= time).then_some(header.base);
                Ok(found.is_none())
            });
            match read {
                Err(error) if self.is_trimmed(segment, &error) => continue,
                read => read?,
            }
            if let Some(seq) = found {
                return Ok(seq.min(visible));
            }
        }
        Ok(visible)
    }

    /// How often messages were synced since the log was opened.
    pub fn syncs(&self) -> u64 {
        self.0.shared.syncs.load(Ordering::Relaxed)
    }

    /// Gives up whole segments all of whose sequences are below `seq`, and returns how many bytes that freed.
    ///
    /// # Errors
    /// Where a file can't be removed, or its removal not be synced: those before it are gone, the rest is there.
    pub fn trim(&self, seq: u64) -> Result<u64, DiskError> {
        if self.0.requests.is_none() {
            return Err(DiskError::ReadOnly);
        }
        let shared = &self.0.shared;
        let mut freed = 0;
        // One at a time: where a file stays, none behind it may go, or the log has a hole when it is opened again.
        let mut unsynced = shared.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // A power cut may undo one removal and keep a later one that was not synced after it: a hole as well.
            if *unsynced {
                shared.files.sync_directory().map_err(DiskError::directory("sync"))?;
                *unsynced = false;
            }
            let first = {
                let mut state = shared.state();
                let full = state.segments.len() > 1 && state.segments.get(1).is_some_and(|second| second.base <= seq);
                if !full {
                    break;
                }
                state.segments.remove(0)
            };
            let name = segment::name(first.base);
            match shared.files.remove(&name) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    shared.state().segments.insert(0, first);
                    return Err(DiskError::io(&name, "remove", error));
                }
                _ => {
                    *unsynced = true;
                    freed += first.contents().length;
                }
            }
        }
        Ok(freed)
    }
}
