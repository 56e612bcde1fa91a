//! What is wrong with a log.

use std::io;
use std::path::PathBuf;

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// Another process has the directory.
    #[error("{}: another process has this log open; end it, or use another directory", directory.display())]
    Locked {
        /// The log's.
        directory: PathBuf,
    },
    /// The file system has failed.
    #[error("{name}: cannot {what}: {reason}")]
    Io {
        /// The file or directory.
        name: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// There is no room on the disk.
    #[error("{name}: no room on the disk; make some")]
    Full {
        /// The file or directory.
        name: String,
    },
    /// A file is not there any more.
    #[error("{name} is gone; restore it, or repair the log")]
    Gone {
        /// The file.
        name: String,
    },
    /// Something is in the directory, or stands where a segment should, that is not of a log of this version.
    #[error(
        "{name} is not of this log, or of another version of it; move it out of the log's directory, or use another"
    )]
    Foreign {
        /// The file.
        name: String,
    },
    /// What had been synced can't be read.
    #[error(
        "{segment} is damaged at byte {offset}, from sequence {seq} on; restore it from a copy, or give up what is lost: \
         `pelton log inspect` shows it, `pelton log repair` does it"
    )]
    Damaged {
        /// The file.
        segment: String,
        /// Where.
        offset: u64,
        /// The first sequence that can't be read.
        seq: u64,
    },
    /// A segment is gone.
    #[error(
        "sequences {from} to {to} are missing before {segment}; restore the segments between, or give up what is lost: \
         `pelton log inspect` shows it, `pelton log repair` does it"
    )]
    Missing {
        /// The first one.
        from: u64,
        /// The one before the next segment's first.
        to: u64,
        /// The segment behind the gap.
        segment: String,
    },
    /// An earlier write or sync has failed.
    #[error("the log takes nothing more since {0}; open it anew once that is mended")]
    Poisoned(String),
    /// A producer's batch does not follow its last one; nothing was appended.
    #[error("producer {producer} sent sequence {got} where {expected} comes next; send again from there")]
    OutOfOrder {
        /// Who sent it.
        producer: u64,
        /// What follows its last batch.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The messages of one append are more than a frame holds; nothing was appended.
    #[error("a batch of {bytes} bytes is more than a frame of the log holds; append it in parts")]
    TooLarge {
        /// What it takes on disk.
        bytes: u64,
    },
    /// The sequence is not, or no longer, in the log.
    #[error("sequence {seq} is out of bounds; the log holds {first} to {last}")]
    OutOfBounds {
        /// What was asked for.
        seq: u64,
        /// The first that is held.
        first: u64,
        /// The last that is held.
        last: u64,
    },
    /// The log was opened to be read.
    #[error("the log was opened to be read only; open it to write to change it")]
    ReadOnly,
    /// The log is being closed.
    #[error("the log is closed")]
    Closed,
}

impl DiskError {
    pub(crate) fn io(name: &str, what: &'static str, error: io::Error) -> DiskError {
        match error.kind() {
            io::ErrorKind::NotFound => DiskError::Gone { name: name.to_owned() },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full { name: name.to_owned() },
            _ => DiskError::Io { name: name.to_owned(), what, reason: error.to_string() },
        }
    }

    pub(super) fn directory(what: &'static str) -> impl Fn(io::Error) -> DiskError {
        move |e| DiskError::io("the log's directory", what, e)
    }
}
