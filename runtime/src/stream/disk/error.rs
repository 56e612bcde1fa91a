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
    /// Something stands where a segment should.
    #[error("{name} is no segment of this version; move it out of the log's directory")]
    Foreign {
        /// The file.
        name: String,
    },
    /// What had been synced can't be read.
    #[error("{segment} is damaged at byte {offset}, from sequence {seq} on; restore it from a copy")]
    Damaged {
        /// The file.
        segment: String,
        /// Where.
        offset: u64,
        /// The first sequence that can't be read.
        seq: u64,
    },
    /// A segment is gone.
    #[error("sequences {from} to {to} are missing before {segment}; restore the segments between")]
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
    /// The log is being closed.
    #[error("the log is closed")]
    Closed,
}

impl DiskError {
    pub(super) fn io(name: &str, what: &'static str, error: io::Error) -> DiskError {
        DiskError::Io { name: name.to_owned(), what, reason: error.to_string() }
    }
}
