//! The one thread that writes: many appends, one write, one sync.

use super::files::{Files, Handle};
use super::frame::{self, Header};
use super::segment::{self, Contents, START};
use super::{Durability, DiskError, Segment, Shared};
use crate::message::Message;
use crate::stream::now_ns;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Messages to append, and whom to tell the first one's sequence.
pub(super) struct Request {
    pub(super) messages: Vec<Message>,
    pub(super) done: oneshot::Sender<Result<u64, DiskError>>,
}

/// So many bytes at least are gathered into one write, where that many are waiting.
const GATHER: u64 = 8 << 20;
/// How often a full disk is looked at.
const FULL: Duration = Duration::from_millis(100);

/// Makes the segment that begins with `base`, durably.
pub(super) fn create(files: &dyn Files, base: u64) -> Result<Box<dyn Handle>, DiskError> {
    let name = segment::name(base);
    let mut handle = files.create(&name).map_err(|e| DiskError::io(&name, "make", e))?;
    let begun = handle.append(&segment::head(base)).and_then(|()| handle.sync());
    begun.map_err(|e| DiskError::io(&name, "begin", e))?;
    files.sync_directory().map_err(|e| DiskError::io("the log's directory", "sync", e))?;
    Ok(handle)
}

/// Starts the thread. It ends when the last sender is gone, after a last sync.
pub(super) fn start(shared: Arc<Shared>, last: &Arc<Segment>) -> Result<(Sender<Request>, JoinHandle<()>), DiskError> {
    let name = segment::name(last.base);
    let failed = |what| move |e| DiskError::io(&segment::name(last.base), what, e);
    let mut handle = shared.files.open(&name).map_err(failed("open"))?;
    if last.contents().end < START {
        handle.append(&segment::head(last.base)).map_err(failed("begin"))?;
        last.contents().end = START;
    }
    // What was written before a crash and not synced is read from now on, so it must be as durable as the rest.
    handle.sync().map_err(failed("sync"))?;
    shared.files.sync_directory().map_err(|e| DiskError::io("the log's directory", "sync", e))?;
    let is_sealed = segment::read_seal(handle.as_ref()).map_err(failed("read"))?.is_some();
    let next = last.contents().next;
    let (segment, buffer, waiting) = (last.clone(), Vec::new(), VecDeque::new());
    let mut writer = Writer { shared, handle, segment, next, synced: next, dirty: None, buffer, waiting };
    if is_sealed {
        writer.begin_segment()?;
    }
    let (sender, requests) = channel();
    let thread = std::thread::Builder::new().name("pelton-log".into()).spawn(move || writer.run(&requests));
    let thread = thread.map_err(|e| DiskError::io(&name, "start the writer of", e))?;
    Ok((sender, thread))
}

struct Writer {
    shared: Arc<Shared>,
    handle: Box<dyn Handle>,
    segment: Arc<Segment>,
    next: u64,
    /// Everything below is synced.
    synced: u64,
    /// Since when something has not been.
    dirty: Option<Instant>,
    buffer: Vec<u8>,
    /// Came in while the disk was full.
    waiting: VecDeque<Request>,
}

impl Writer {
    fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let first = match self.wait(requests) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    let synced = self.sync();
                    // Poisoned or not, what comes next finds out.
                    let _ = self.check(synced);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut many = vec![first];
            let mut bytes = 0;
            while bytes < GATHER
                && let Some(more) = self.waiting.pop_front().or_else(|| requests.try_recv().ok())
            {
                bytes += more.messages.iter().map(Message::weight).sum::<u64>();
                many.push(more);
            }
            let poisoned = self.shared.state().poisoned.clone().map(DiskError::Poisoned);
            let committed = poisoned.map_or(Ok(()), Err).and_then(|()| self.commit(&many, requests));
            // Whoever no longer waits for the answer has its messages appended all the same.
            match self.check(committed) {
                Ok(bases) => many.into_iter().zip(bases).for_each(|(r, base)| drop(r.done.send(Ok(base)))),
                Err(error) => many.into_iter().for_each(|r| drop(r.done.send(Err(error.clone())))),
            }
        }
        let synced = self.sync();
        // Nobody is left to be told but the log.
        let _ = self.check(synced);
    }

    fn wait(&mut self, requests: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        if let Some(request) = self.waiting.pop_front() {
            return Ok(request);
        }
        match (self.shared.options.durability, self.dirty) {
            (Durability::Interval(every), Some(since)) => requests.recv_timeout(every.saturating_sub(since.elapsed())),
            _ => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// A failure poisons the log: what is on disk is not known any more.
    fn check<T>(&self, result: Result<T, DiskError>) -> Result<T, DiskError> {
        if let Err(error @ DiskError::Io { .. }) = &result {
            tracing::error!(%error, "log poisoned");
            self.shared.state().poisoned.get_or_insert_with(|| error.to_string());
        }
        result
    }

    /// Writes one frame a request and makes them as safe as was asked for; the sequences of their first messages.
    fn commit(&mut self, many: &[Request], requests: &Receiver<Request>) -> Result<Vec<u64>, DiskError> {
        if self.segment.contents().end >= self.shared.options.segment_bytes {
            self.rotate()?;
        }
        let (time, start) = (now_ns(), self.segment.contents().end);
        let mut contents = self.segment.contents().clone();
        let mut bases = Vec::with_capacity(many.len());
        self.buffer.clear();
        let mut next = self.next;
        for request in many {
            bases.push(next);
            let count = u32::try_from(request.messages.len()).unwrap_or(u32::MAX);
            if count > 0 {
                contents.index.add(next, start + self.buffer.len() as u64);
                let header = Header { base: next, count, time, synced: self.synced };
                frame::encode(&mut self.buffer, header, &request.messages);
                next += u64::from(count);
            }
        }
        contents.end = start + self.buffer.len() as u64;
        (contents.next, contents.last_time) = (next, time);
        self.write(start, requests)?;
        self.next = next;
        self.dirty.get_or_insert_with(Instant::now);
        if self.shared.options.durability == Durability::EveryBatch {
            self.sync()?;
        }
        *self.segment.contents() = contents;
        self.shared.state().visible = next;
        self.shared.grown.notify_waiters();
        self.buffer.shrink_to(GATHER as usize);
        Ok(bases)
    }

    /// Appends the buffer. Where the disk is full, takes back what was written of it and waits for room.
    fn write(&mut self, start: u64, requests: &Receiver<Request>) -> Result<(), DiskError> {
        let name = segment::name(self.segment.base);
        let mut told = false;
        loop {
            match self.handle.append(&self.buffer) {
                Ok(()) => return Ok(()),
                Err(error) if is_full(&error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(segment = name, %error, "no room for the log; waiting until there is some");
                    }
                    self.handle.truncate(start).map_err(|e| DiskError::io(&name, "take back a write to", e))?;
                    std::thread::sleep(FULL);
                    match requests.try_recv() {
                        Ok(request) => self.waiting.push_back(request),
                        Err(TryRecvError::Empty) => {}
                        Err(TryRecvError::Disconnected) => return Err(DiskError::Closed),
                    }
                }
                Err(error) => return Err(DiskError::io(&name, "write to", error)),
            }
        }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        if self.dirty.take().is_some() {
            self.handle.sync().map_err(|e| DiskError::io(&segment::name(self.segment.base), "sync", e))?;
            self.synced = self.next;
        }
        Ok(())
    }

    /// Seals the segment and begins the next one.
    fn rotate(&mut self) -> Result<(), DiskError> {
        self.sync()?;
        let name = segment::name(self.segment.base);
        let seal = self.segment.contents().seal();
        let sealed = self.handle.append(&seal).and_then(|()| self.handle.sync());
        sealed.map_err(|e| DiskError::io(&name, "seal", e))?;
        self.begin_segment()
    }

    fn begin_segment(&mut self) -> Result<(), DiskError> {
        self.handle = create(self.shared.files.as_ref(), self.next)?;
        self.segment = Segment::open(self.shared.files.as_ref(), self.next, Contents::empty(self.next))?;
        self.shared.state().segments.push(self.segment.clone());
        Ok(())
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
