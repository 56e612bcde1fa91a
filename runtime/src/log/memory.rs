//! One partition in memory. Readers share its messages; nothing is copied.

use super::storage::{Done, Storage};
use crate::message::{Entry, Message, Position};
use crate::stream::disk::{Appended, DiskError, Known, ProducerBatch, Producers};
use crate::stream::{Limit, now_ns};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Appends within so many ns share an entry of the index by time.
const GRAIN: i64 = 1_000_000;

pub(super) struct Memory {
    partition: u32,
    state: Mutex<State>,
}

struct State {
    first: u64,
    messages: VecDeque<Message>,
    bytes: u64,
    /// From which sequence on messages were appended at which time, ns since 1970; both rise.
    times: VecDeque<(u64, i64)>,
    producers: Producers,
}

impl State {
    fn next(&self) -> u64 {
        self.first + self.messages.len() as u64
    }

    /// The first sequence that may be of this time or later; what is before it is older.
    fn since(&self, time: i64) -> u64 {
        // An entry covers messages of up to a grain later.
        let at = self.times.partition_point(|(_, t)| t.saturating_add(GRAIN) <= time);
        self.times.get(at).map_or(self.next(), |(seq, _)| (*seq).max(self.first))
    }
}

impl Memory {
    pub(super) fn new(partition: u32) -> Memory {
        let state = State {
            first: 1,
            messages: VecDeque::new(),
            bytes: 0,
            times: VecDeque::new(),
            producers: Producers::default(),
        };
        Memory { partition, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, messages: Vec<Message>, producer: Option<ProducerBatch>) -> Result<Appended, DiskError> {
        let mut state = self.lock();
        let seq = state.next();
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        if let Some(batch) = producer {
            match state.producers.check(batch, count)? {
                Known::New => state.producers.appended(batch, count, seq),
                Known::Duplicate(before) => return Ok(Appended { seq: before, count, duplicate: true }),
            }
        }
        let now = now_ns();
        if state.times.back().is_none_or(|(_, time)| now >= time + GRAIN) {
            state.times.push_back((seq, now));
        }
        state.bytes += messages.iter().map(Message::weight).sum::<u64>();
        state.messages.extend(messages);
        Ok(Appended { seq: Some(seq), count, duplicate: false })
    }
}

impl Storage for Memory {
    fn submit(&self, messages: Vec<Message>, producer: Option<ProducerBatch>, done: Done) {
        let appended = self.append(messages, producer);
        done(appended);
    }

    fn read(&self, seq: u64, limit: Limit) -> Result<Vec<Entry>, DiskError> {
        let state = self.lock();
        let (first, next) = (state.first, state.next());
        if seq < first || seq > next {
            return Err(DiskError::OutOfBounds { seq, first, last: next - 1 });
        }
        let from = usize::try_from(seq - first).unwrap_or(usize::MAX);
        let mut bytes = 0u64;
        let mut entries = Vec::with_capacity(limit.messages.min(state.messages.len() - from));
        for (seq, message) in (seq..).zip(state.messages.range(from..)).take(limit.messages) {
            bytes = bytes.saturating_add(message.weight());
            if bytes > limit.bytes && !entries.is_empty() {
                break;
            }
            let at = Position { partition: self.partition, seq };
            entries.push(Entry::new(at, 1, message.clone()));
        }
        Ok(entries)
    }

    fn first(&self) -> u64 {
        self.lock().first
    }

    fn next(&self) -> u64 {
        self.lock().next()
    }

    fn seek(&self, time: i64) -> Result<u64, DiskError> {
        Ok(self.lock().since(time))
    }

    fn trim(&self, seq: u64) -> Result<u64, DiskError> {
        let mut freed = 0;
        let mut state = self.lock();
        let count = usize::try_from(seq.saturating_sub(state.first)).unwrap_or(usize::MAX).min(state.messages.len());
        let gone: Vec<Message> = state.messages.drain(..count).collect();
        freed += gone.iter().map(Message::weight).sum::<u64>();
        state.first += count as u64;
        state.bytes -= freed;
        let first = state.first;
        while state.times.get(1).is_some_and(|(next, _)| *next <= first) {
            state.times.pop_front();
        }
        drop(state);
        // The allocator's work, outside the lock.
        drop(gone);
        Ok(freed)
    }

    fn excess(&self, bytes: Option<u64>, time: Option<i64>) -> u64 {
        let state = self.lock();
        let mut held = state.bytes;
        let mut below = state.first;
        for message in &state.messages {
            if bytes.is_none_or(|most| held <= most) {
                break;
            }
            held -= message.weight();
            below += 1;
        }
        below.max(time.map_or(0, |oldest| state.since(oldest)))
    }

    fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn is_full(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Appends within a grain share an entry, which tells the time of the first alone.
    #[test]
    fn a_time_within_a_grain_is_found_at_its_beginning_and_the_grain_grows_old_as_a_whole() {
        let memory = Memory::new(0);
        let messages = (0..3).map(|_| Message::new(b"m").unwrap()).collect();
        memory.append(messages, None).unwrap();
        let at = 1_000 * GRAIN;
        memory.lock().times = VecDeque::from([(1, at), (3, at + 5 * GRAIN)]);
        for (time, seq) in [(0, 1), (at, 1), (at + GRAIN / 2, 1), (at + GRAIN, 3), (at + 5 * GRAIN, 3)] {
            assert_eq!((memory.seek(time), memory.excess(None, Some(time))), (Ok(seq), seq), "{time}");
        }
        let over = at + 6 * GRAIN;
        assert_eq!((memory.seek(over), memory.excess(None, Some(over))), (Ok(4), 4));
    }
}
