//! What producers have appended, so that a batch which comes again is known. After Kafka's KIP-98.

use super::frame::{Header, Read};
use super::{DiskError, ProducerBatch};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// So many producers are remembered; the one whose last append is oldest is forgotten.
pub(super) const MOST: usize = 10_000;
/// So many batches of each are remembered with their places.
const BATCHES: usize = 5;

/// One batch of a producer: its own sequence, how many messages, and where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    sequence: u64,
    count: u32,
    base: u64,
}

impl Batch {
    fn next(&self) -> u64 {
        self.sequence.saturating_add(u64::from(self.count))
    }
}

/// What a batch is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It comes next.
    New,
    /// It has been appended, at this sequence where that is remembered.
    Duplicate(Option<u64>),
}

/// The producers of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producers {
    /// Each one's last batches, the latest last.
    all: HashMap<u64, VecDeque<Batch>>,
    /// Who appended the batch at a base, where it is that producer's last: the first of these is forgotten first.
    by_age: BTreeMap<u64, u64>,
}

impl Producers {
    /// Whether a batch of `count` messages is new.
    pub(crate) fn check(&self, batch: ProducerBatch, count: u32) -> Result<Known, DiskError> {
        let Some((batches, last)) = self.all.get(&batch.producer).and_then(|b| Some((b, b.back()?))) else {
            return Ok(Known::New);
        };
        let (expected, got) = (last.next(), batch.sequence);
        if got == expected {
            return Ok(Known::New);
        }
        if got.saturating_add(u64::from(count)) > expected {
            return Err(DiskError::OutOfOrder { producer: batch.producer, expected, got });
        }
        let original = batches.iter().find(|b| (b.sequence..b.next()).contains(&got));
        Ok(Known::Duplicate(original.map(|b| b.base + (got - b.sequence))))
    }

    /// Remembers the batch of a frame.
    pub(super) fn add(&mut self, header: &Header) {
        if header.producer != 0 && header.count > 0 {
            let batch = Batch { sequence: header.sequence, count: header.count, base: header.base };
            self.remember(header.producer, batch);
        }
    }

    /// Remembers a batch that was appended at a base.
    pub(crate) fn appended(&mut self, batch: ProducerBatch, count: u32, base: u64) {
        if batch.producer != 0 && count > 0 {
            self.remember(batch.producer, Batch { sequence: batch.sequence, count, base });
        }
    }

    fn remember(&mut self, producer: u64, batch: Batch) {
        let batches = self.all.entry(producer).or_default();
        if let Some(last) = batches.back() {
            self.by_age.remove(&last.base);
        }
        if batches.len() == BATCHES {
            batches.pop_front();
        }
        batches.push_back(batch);
        self.by_age.insert(batch.base, producer);
        if self.all.len() > MOST
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.all.remove(&oldest);
        }
    }

    /// Appends the last batch of each to `out`, the oldest first.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let last = |producer: &u64| Some((*producer, *self.all.get(producer)?.back()?));
        let all: Vec<(u64, Batch)> = self.by_age.values().filter_map(last).collect();
        out.extend_from_slice(&(all.len() as u32).to_le_bytes());
        for (producer, batch) in all {
            out.extend_from_slice(&producer.to_le_bytes());
            out.extend_from_slice(&batch.sequence.to_le_bytes());
            out.extend_from_slice(&batch.count.to_le_bytes());
            out.extend_from_slice(&batch.base.to_le_bytes());
        }
    }

    pub(super) fn decode(read: &mut Read<'_>) -> Option<Producers> {
        let mut producers = Producers::default();
        for _ in 0..read.u32()? {
            let producer = read.u64()?;
            let batch = Batch { sequence: read.u64()?, count: read.u32()?, base: read.u64()? };
            producers.remember(producer, batch);
        }
        Some(producers)
    }
}
