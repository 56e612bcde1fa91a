//! The one thread that writes: many appends, one write, one sync.

use super::files::Handle;
use super::frame::{self, Header};

use super::producers::{Known, Producers};
use super::recover::Recovered;
use super::request::Request;
use super::salt::Salt;
use super::segment::{self, Contents};
use super::shared::{Segment, Shared};
use super::{Appended, DiskError, Durability, seal};
use crate::stream::now_ns;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many bytes at least are gathered into one write, where that many are waiting.
const GATHER: u64 = 8 << 20;
/// After so long without an append, the log says that it is synced.
const QUIET: Duration = Duration::from_secs(1);
/// How often a full disk is looked at.
const FULL: Duration = Duration::from_millis(100);

/// Starts the thread. It ends when the last sender is gone, after a last sync.
pub(super) fn start(
    shared: Arc<Shared>,
    last: Arc<Segment>,
    recovered: Recovered,
) -> Result<(Sender<Request>, JoinHandle<()>), DiskError> {
    let name = segment::name(last.base);
    let mut handle = shared.files.open(&name).map_err(|e| DiskError::io(&name, "open", e))?;
    // What was written before a crash and not synced is read from now on, so it must be as durable as the rest.
    handle.sync().map_err(|e| DiskError::io(&name, "sync", e))?;
    shared.files.sync_directory().map_err(DiskError::directory("sync"))?;
    let next = last.contents().next;
    let mut writer = Writer {
        shared,
        handle,
        segment: last,
        producers: recovered.producers,
        next,
        synced: next,
        dirty: None,
        buffer: Vec::new(),
        waiting: VecDeque::new(),
    };
    if recovered.is_sealed {
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
    producers: Producers,
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
                    let kept =
                        self.sync().and_then(|()| if self.is_old() { self.rotate(requests) } else { self.mark() });
                    // Poisoned or not, what comes next finds out.
                    match self.check(kept) {
                        Err(DiskError::Closed) => break,
                        _ => continue,
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let many = self.gather(first, requests);
            let poisoned = self.shared.state().poisoned.clone().map(DiskError::Poisoned);
            let committed = poisoned.map_or(Ok(()), Err).and_then(|()| self.commit(&many, requests));
            match self.check(committed) {
                Ok(answers) => many.into_iter().zip(answers).for_each(|(r, answer)| r.done.tell(answer)),
                // The disk is full and nobody waits for room any more: those that are left are told so as they are dropped.
                Err(DiskError::Closed) => break,
                Err(error) => many.into_iter().for_each(|r| r.done.tell(Err(error.clone()))),
            }
        }
        let synced = self.sync().and_then(|()| self.mark()).and_then(|()| self.sync());
        // Nobody is left to be told but the log.
        let _ = self.check(synced);
    }

    fn wait(&mut self, requests: &Receiver<Request>) -> Result<Request, RecvTimeoutError> {
        if let Some(request) = self.waiting.pop_front() {
            return Ok(request);
        }
        let sync = match (self.shared.options.durability, self.dirty) {
            (Durability::Interval(every), Some(since)) => Some(every.saturating_sub(since.elapsed())),
            _ => None,
        };
        let mark = self.is_unmarked().then_some(QUIET);
        match [sync, mark, self.old_in()].into_iter().flatten().min() {
            Some(timeout) => requests.recv_timeout(timeout),
            None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Whether what is written is to be synced before anything else is: while appends come without a pause, nothing else
    /// looks at the interval.
    fn is_sync_due(&self) -> bool {
        match self.shared.options.durability {
            Durability::EveryBatch => true,
            Durability::Interval(every) => self.dirty.is_some_and(|since| since.elapsed() >= every),
            Durability::Os => false,
        }
    }

    /// How long until the segment is so old that it is sealed; none where it never is.
    fn old_in(&self) -> Option<Duration> {
        let age = self.shared.options.segment_age.filter(|_| self.shared.state().poisoned.is_none())?;
        let first = Some(self.segment.contents().first_time).filter(|time| *time != 0)?;
        let now = u64::try_from(now_ns().saturating_sub(first)).unwrap_or(0);
        Some(age.saturating_sub(Duration::from_nanos(now)))
    }

    fn is_old(&self) -> bool {
        self.old_in() == Some(Duration::ZERO)
    }

    /// What goes into one write: this, and what is there behind it.
    fn gather(&mut self, first: Request, requests: &Receiver<Request>) -> Vec<Request> {
        let mut bytes = first.done.weight;
        let mut many = vec![first];
        while bytes < GATHER
            && let Some(more) = self.waiting.pop_front().or_else(|| requests.try_recv().ok())
        {
            bytes += more.done.weight;
            many.push(more);
        }
        many
    }

    /// A failure poisons the log: what is on disk is not known any more.
    fn check<T>(&self, result: Result<T, DiskError>) -> Result<T, DiskError> {
        if let Err(error @ (DiskError::Io { .. } | DiskError::Gone { .. } | DiskError::Full { .. })) = &result {
            tracing::error!(%error, "log poisoned");
            self.shared.state().poisoned.get_or_insert_with(|| error.to_string());
        }
        result
    }

    /// Writes one frame a request and makes them as safe as was asked for; what became of each.
    fn commit(
        &mut self,
        many: &[Request],
        requests: &Receiver<Request>,
    ) -> Result<Vec<Result<Appended, DiskError>>, DiskError> {
        // Only one that holds something is sealed: the next one must have another base.
        let frames = self.segment.contents().frames();
        if frames > 0 && (frames >= self.shared.options.segment_bytes || self.is_old()) {
            self.rotate(requests)?;
        }
        let time = now_ns();
        let mut contents = self.segment.contents().clone();
        let start = contents.end;
        self.buffer.clear();
        let answers = many.iter().map(|request| self.encode(request, time, &mut contents)).collect();
        if self.buffer.is_empty() {
            return Ok(answers);
        }
        self.write(start, requests)?;
        self.next = contents.next;
        self.dirty.get_or_insert_with(Instant::now);
        if self.is_sync_due() {
            self.sync()?;
        }
        *self.segment.contents() = contents;
        {
            let mut state = self.shared.state();
            (state.visible, state.held) = (self.next, self.next);
        }
        self.shared.grown.notify_waiters();
        self.buffer.shrink_to(GATHER as usize);
        Ok(answers)
    }

    /// Adds a request's frame to the buffer, where it is new.
    fn encode(&mut self, request: &Request, time: i64, contents: &mut Contents) -> Result<Appended, DiskError> {
        let (base, count) = (contents.next, u32::try_from(request.messages.len()).unwrap_or(u32::MAX));
        let appended = Appended { seq: Some(base), count, duplicate: false };
        if count == 0 {
            return Ok(appended);
        }
        let producer = request.producer.filter(|p| p.producer != 0);
        if let Some(batch) = producer
            && let Known::Duplicate(seq) = self.producers.check(batch, count)?
        {
            return Ok(Appended { seq, count, duplicate: true });
        }
        let (producer, sequence) = producer.map_or((0, 0), |p| (p.producer, p.sequence));
        let header = Header { base, count, time, synced: self.synced, producer, sequence };
        let start = self.buffer.len();
        frame::encode(&mut self.buffer, contents.salt, header, &request.messages);
        let whole = self.buffer.len() - start;
        if whole > frame::MOST {
            self.buffer.truncate(start);
            return Err(DiskError::TooLarge { bytes: whole as u64 });
        }
        contents.add(&header, whole as u64);
        // Where the write fails, the log is poisoned: nobody asks any more what producers have appended.
        self.producers.add(&header);
        Ok(appended)
    }

    /// Appends the buffer. Where the disk is full, takes back what was written of it and waits for room.
    fn write(&mut self, start: u64, requests: &Receiver<Request>) -> Result<(), DiskError> {
        let name = segment::name(self.segment.base);
        loop {
            match self.handle.append(&self.buffer).map_err(|e| DiskError::io(&name, "write to", e)) {
                Err(error @ DiskError::Full { .. }) => {
                    self.handle.truncate(start).map_err(|e| DiskError::io(&name, "take back a write to", e))?;
                    self.wait_for_room(&error, requests)?;
                }
                written => {
                    self.shared.full.store(false, Ordering::Relaxed);
                    return written;
                }
            }
        }
    }

    /// Waits a while, since the disk is full; an error where nobody is left to write for.
    fn wait_for_room(&mut self, error: &DiskError, requests: &Receiver<Request>) -> Result<(), DiskError> {
        if !self.shared.full.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "no room for the log; waiting until there is some");
        }
        std::thread::sleep(FULL);
        // All of them: only behind the last one is seen that nobody is left.
        loop {
            match requests.try_recv() {
                Ok(request) => self.waiting.push_back(request),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(DiskError::Closed),
            }
        }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        if self.dirty.take().is_some() {
            self.handle.sync().map_err(|e| DiskError::io(&segment::name(self.segment.base), "sync", e))?;
            self.shared.syncs.fetch_add(1, Ordering::Relaxed);
            self.synced = self.next;
        }
        Ok(())
    }

    /// Whether no frame says yet that the last ones were synced.
    fn is_unmarked(&self) -> bool {
        let empty = self.next == self.segment.base;
        !empty && self.synced == self.next && self.segment.contents().synced < self.synced
    }

    /// Says by an empty frame that everything was synced, so that what is damaged of it later is no torn tail. Where there is
    /// no room for it, it is left out.
    fn mark(&mut self) -> Result<(), DiskError> {
        if !self.is_unmarked() || self.shared.state().poisoned.is_some() {
            return Ok(());
        }
        let (start, time, salt) = {
            let contents = self.segment.contents();
            (contents.end, contents.last_time, contents.salt)
        };
        let header = Header { base: self.next, count: 0, time, synced: self.synced, producer: 0, sequence: 0 };
        self.buffer.clear();
        frame::encode(&mut self.buffer, salt, header, &[]);
        let name = segment::name(self.segment.base);
        match self.handle.append(&self.buffer).map_err(|e| DiskError::io(&name, "write to", e)) {
            Ok(()) => {
                self.segment.contents().add(&header, self.buffer.len() as u64);
                self.dirty.get_or_insert_with(Instant::now);
                Ok(())
            }
            Err(DiskError::Full { .. }) => {
                self.handle.truncate(start).map_err(|e| DiskError::io(&name, "take back a write to", e))
            }
            Err(error) => Err(error),
        }
    }

    /// Seals the segment and begins the next one.
    fn rotate(&mut self, requests: &Receiver<Request>) -> Result<(), DiskError> {
        self.sync()?;
        let (seal, end) = {
            let contents = self.segment.contents();
            (seal::encode(&contents), contents.end)
        };
        self.buffer = seal;
        self.write(end, requests)?;
        self.handle.sync().map_err(|e| DiskError::io(&segment::name(self.segment.base), "seal", e))?;
        self.segment.contents().length += self.buffer.len() as u64;
        loop {
            match self.begin_segment() {
                Err(error @ DiskError::Full { .. }) => self.wait_for_room(&error, requests)?,
                begun => {
                    self.shared.full.store(false, Ordering::Relaxed);
                    return begun;
                }
            }
        }
    }

    fn begin_segment(&mut self) -> Result<(), DiskError> {
        let (base, salt) = (self.next, Salt::random());
        let head = segment::head(base, salt, &self.producers);
        let files = self.shared.files.as_ref();
        segment::create(files, base, &head)?;
        let name = segment::name(base);
        self.handle = files.open(&name).map_err(|e| DiskError::io(&name, "open", e))?;
        self.segment = Segment::new(base, Contents::empty(base, salt, head.len() as u64));
        self.shared.state().segments.push(self.segment.clone());
        Ok(())
    }
}
