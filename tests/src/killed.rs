//! What a process that writes a log until it is killed, and the test that kills it, both know.

use pelton::log::{Keep, LogOptions, Retention, SequenceLog};
use pelton::message::{Entry, Message};
use std::path::Path;

/// Who reads.
pub const GROUPS: [&str; 2] = ["a", "b"];
/// Everything in the second one is from a producer, whose sequences are the log's.
pub const PARTITIONS: u32 = 2;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// The log.
pub fn open(path: &Path) -> SequenceLog {
    let retention = Retention { settled: Keep::Drop, ..Retention::default() };
    let options = LogOptions { partitions: PARTITIONS, segment_bytes: 8 << 10, retention, ..LogOptions::default() };
    SequenceLog::open("crash", path, options).unwrap().0
}

/// Which message this is: its place, its batch, and the life of the process that made it.
pub fn body(seq: u64, batch: (u64, u64), life: u64) -> String {
    format!("{seq} {} {} {life} {}", batch.0, batch.1, "x".repeat((seq % 50) as usize))
}

/// The sequence, the batch and the life that a body tells.
pub fn parse(entry: &Entry) -> (u64, (u64, u64), u64) {
    let text = std::str::from_utf8(entry.message.body()).unwrap();
    let numbers: Vec<u64> = text.split(' ').take(4).map(|n| n.parse().unwrap()).collect();
    (numbers[0], (numbers[1], numbers[2]), numbers[3])
}

/// Messages from a sequence on.
pub fn batch(first: u64, count: u64, life: u64) -> Vec<Message> {
    (first..first + count).map(|seq| Message::new(body(seq, (first, count), life).as_bytes()).unwrap()).collect()
}
