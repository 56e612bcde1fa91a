//! What can go wrong with a log.

use crate::stream::disk::DiskError;

/// What went wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// There is no room, and the log is not one that waits.
    #[error("stream '{stream}' is full; let its readers catch up, or give it a larger buffer")]
    QueueFull {
        /// The stream.
        stream: String,
    },
    /// One message is larger than all that the stream may hold.
    #[error(
        "a message of {bytes} bytes does not fit stream '{stream}', which holds {most}; send the payload another way"
    )]
    MessageTooLarge {
        /// The stream.
        stream: String,
        /// What the message weighs.
        bytes: u64,
        /// What there may be.
        most: u64,
    },
    /// No reader group has this name.
    #[error("stream '{stream}' has no reader '{group}'; subscribe or commit as it first")]
    ConsumerNotFound {
        /// The stream.
        stream: String,
        /// The group.
        group: String,
    },
    /// No publisher has this identifier.
    #[error("stream '{stream}' has no producer '{producer}'; make its publisher first")]
    ProducerNotFound {
        /// The stream.
        stream: String,
        /// The producer.
        producer: String,
    },
    /// The stream has fewer partitions.
    #[error("stream '{stream}' has no partition {partition}; it has {partitions}, from 0 on")]
    PartitionNotFound {
        /// The stream.
        stream: String,
        /// What was asked for.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// The sequence is not, or no longer, in the log.
    #[error(
        "stream '{stream}', partition {partition}: sequence {seq} is out of bounds; it holds {first} up to, not including, {next}"
    )]
    SequenceOutOfBounds {
        /// The stream.
        stream: String,
        /// The partition.
        partition: u32,
        /// What was asked for.
        seq: u64,
        /// The first that is held.
        first: u64,
        /// The one that the next message gets.
        next: u64,
    },
    /// What was asked for contradicts itself, or what is there.
    #[error("{0}")]
    InvalidConfiguration(String),
    /// The storage has failed.
    #[error("stream '{stream}': {error}")]
    OperationFailed {
        /// The stream.
        stream: String,
        /// What failed.
        #[source]
        error: DiskError,
    },
    /// The log was closed.
    #[error("stream '{stream}' is closed")]
    Closed {
        /// The stream.
        stream: String,
    },
}
