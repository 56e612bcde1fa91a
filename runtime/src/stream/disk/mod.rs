//! A log on disk: append-only segments, one sync for many appends, recovery that loses nothing which was acknowledged.
//!
//! # Files
//! A directory holds one log and nothing else: `lock`, and segments named by the sequence of their first message, in 20
//! digits. A segment being made has `.tmp` at its end until its head is synced. Grammar; all numbers are little-endian,
//! `bytes` are a 32-bit length and so many bytes:
//!
//! ```text
//! segment  := "PELTLOG\x01" base:u64 salt:u64 salt:u64 known:u32 producer* crc:u32 frame* seal?
//!                                                                               crc: of all before it
//! producer := id:u64 sequence:u64 count:u32 base:u64
//! frame    := length:u32 crc:u32 salt:u64 base:u64 count:u32 time:i64 synced:u64 producer:u64 sequence:u64
//!             message*                                                          length, crc: of all behind it
//! message  := length:u32 timestamp:i64 subject:bytes id:bytes headers:u32 header* body
//! header   := kind:u8 name:bytes value:bytes
//! seal     := ffffffff salt:u64 entries:u32 (seq:u64 place:u64)* next:u64 held:u64 time:i64 end:u64
//!             crc:u32 length:u32 "PELTSEAL"                                     crc: of all of the seal before it
//! ```
//!
//! `crc` is CRC-32C (Castagnoli; RFC 3720, 12.1). `time` is when the batch was appended, in ns since 1970.
//! `synced`: everything below had been synced when the frame was written. A frame of count 0 is a gap: the sequences from
//! the frame before up to its `base` are lost; where none are, it says no more than up to where the log was synced. Such a
//! one is written when nothing was appended for a second, and when the log is closed.
//!
//! # Salt
//! A message's body may hold any bytes, also those of a whole frame or seal, and where a crash tears a message or a disk
//! damages one, its body is searched for what comes behind it. So each segment has a random `salt`, which no message is
//! told: what has another one, or none, is no frame and no seal of the segment. Without the salt nothing in a segment is
//! known for what it is; so it stands in the head twice, and in the seal. Where all three are lost, so is the segment. One
//! that a repair makes anew keeps its salt, since its frames are copied.
//!
//! # Producers
//! A frame says who made it (`producer`, 0 where nobody said) and that producer's own number of its first message
//! (`sequence`), so that a batch which comes again is known and not appended again, as in Kafka's KIP-98. The last batch
//! of each producer, the oldest first, stands at the head of the next segment, so that it outlives the segment that it is
//! in: they are known again from the last segment alone.
//!
//! # Recovery
//! Sealed segments are trusted by their seals and checked when they are read; the last one is scanned. Every frame says
//! up to where the log had been synced when it was written. So what is broken and was never synced is a torn tail: it is
//! cut and reported. What is broken and had been synced stops the start, with the place named.
//!
//! # Repair
//! [`inspect`] reads everything and lists what is damaged; [`repair`] gives it up. Each segment that is repaired is made
//! anew beside the old one and takes its name, so an interrupted repair is repeated.
//!
//! # Failure
//! After a failed write or sync the log is poisoned: nothing later is acknowledged, and it must be opened anew. A full disk
//! is no such failure: appends wait until there is room.
//!
//! After fjall's journal and Kafka's log.

mod error;
mod files;
mod frame;
mod journal;
mod log;
mod producers;
mod read;
mod recover;
mod repair;
mod request;
mod salt;
mod scan;
mod seal;
mod segment;
mod shared;
mod writer;

pub use crate::config::Durability;
pub use error::DiskError;
pub(crate) use files::{Directory, Files, lock};
pub(crate) use journal::{Journal, Places};
pub use log::Log;
pub(crate) use producers::{Known, Producers};
pub use repair::{Damage, Repair, inspect, repair};

use std::time::Duration;

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// When an append is acknowledged.
    pub durability: Durability,
    /// A segment that has so many bytes of frames is sealed, and the next one begun.
    pub segment_bytes: u64,
    /// So is one whose first batch is so old.
    pub segment_age: Option<Duration>,
    /// Which partition of a stream this is, for the positions of what is read.
    pub partition: u32,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { durability: Durability::EveryBatch, segment_bytes: 64 << 20, segment_age: None, partition: 0 }
    }
}

/// What opening a log has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// A torn tail that was cut: the segment, and how many bytes.
    pub cut: Option<(String, u64)>,
}

/// Who made a batch, so that one which comes again is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// The producer; 0 is nobody.
    pub producer: u64,
    /// The producer's own number of the first message, from 1. Its next batch goes on where this one ends; its first may
    /// begin anywhere.
    pub sequence: u64,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of the first message. None where it had been appended before, so long ago that the place is forgotten:
    /// the places of a producer's last five batches are remembered; where the log was opened since, of its last at least.
    pub seq: Option<u64>,
    /// How many messages.
    pub count: u32,
    /// Whether it had been appended before, and was not again.
    pub duplicate: bool,
}

/// One segment of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The sequence of its first message.
    pub base: u64,
    /// The sequence after its last.
    pub next: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// When its last batch was appended, ns since 1970; 0 where it has none.
    pub last_time: i64,
}

#[cfg(test)]
pub(crate) mod tests;
