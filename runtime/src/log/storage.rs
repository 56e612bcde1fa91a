//! Where one partition's messages are kept: in memory or on disk, by the same contract.

use crate::message::{Entry, Message};
use crate::stream::Limit;
use crate::stream::disk::{self, Appended, DiskError, ProducerBatch};

/// What is called when an append has ended, one way or the other; on the thread that ended it, so it must be quick.
pub(super) type Done = Box<dyn FnOnce(Result<Appended, DiskError>) + Send>;

/// Sequences rise by one; what is below `first` is gone, `next` is what comes. Every call is quick but for reading what is
/// not in memory.
pub(super) trait Storage: Send + Sync {
    /// The log on disk, where it is one: its appends wait for the disk.
    fn disk(&self) -> Option<&disk::Log> {
        None
    }
    /// Appends all of it or nothing, and says so to `done`.
    fn submit(&self, messages: Vec<Message>, producer: Option<ProducerBatch>, done: Done);
    /// From `seq` on, as many as there are within the limit; `first <= seq <= next`.
    fn read(&self, seq: u64, limit: Limit) -> Result<Vec<Entry>, DiskError>;
    fn first(&self) -> u64;
    fn next(&self) -> u64;
    /// The first sequence of this time, ns since 1970, or later.
    fn seek(&self, time: i64) -> Result<u64, DiskError>;
    /// Gives up what is below `seq`, or a part of it, and says how many bytes that freed.
    fn trim(&self, seq: u64) -> Result<u64, DiskError>;
    /// How far `trim` must go to hold no more than so many bytes, and nothing that was appended before `time`.
    fn excess(&self, bytes: Option<u64>, time: Option<i64>) -> u64;
    fn bytes(&self) -> u64;
    /// Whether appends wait for room on the disk.
    fn is_full(&self) -> bool;
}

impl Storage for disk::Log {
    fn disk(&self) -> Option<&disk::Log> {
        Some(self)
    }

    fn submit(&self, messages: Vec<Message>, producer: Option<ProducerBatch>, done: Done) {
        disk::Log::submit(self, messages, producer, done);
    }

    fn read(&self, seq: u64, limit: Limit) -> Result<Vec<Entry>, DiskError> {
        disk::Log::read(self, seq, limit)
    }

    fn first(&self) -> u64 {
        disk::Log::first(self)
    }

    fn next(&self) -> u64 {
        disk::Log::next(self)
    }

    fn seek(&self, time: i64) -> Result<u64, DiskError> {
        disk::Log::seek(self, time)
    }

    fn trim(&self, seq: u64) -> Result<u64, DiskError> {
        disk::Log::trim(self, seq)
    }

    /// Whole segments only, and never the one that is being written.
    fn excess(&self, bytes: Option<u64>, time: Option<i64>) -> u64 {
        let segments = self.segments();
        let mut held: u64 = segments.iter().map(|s| s.bytes).sum();
        let mut below = 0;
        let sealed = segments.len().saturating_sub(1);
        for segment in segments.iter().take(sealed) {
            let too_much = bytes.is_some_and(|most| held > most);
            let too_old = time.is_some_and(|oldest| segment.last_time < oldest);
            if !too_much && !too_old {
                break;
            }
            held -= segment.bytes;
            below = segment.next;
        }
        below
    }

    fn bytes(&self) -> u64 {
        disk::Log::bytes(self)
    }

    fn is_full(&self) -> bool {
        self.full()
    }
}
