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
        let state = self.lock();
        let at = state.times.partition_point(|(_, t)| *t < time);
        Ok(state.times.get(at).map_or(state.next(), |(seq, _)| (*seq).max(state.first)))
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
        let old = time.map_or(0, |oldest| {
            let at = state.times.partition_point(|(_, t)| *t < oldest);
            // The last old entry covers messages of up to a grain later: they may be young.
            at.checked_sub(1).and_then(|i| state.times.get(i)).map_or(0, |(seq, _)| *seq)
        });
        below.max(old)
    }

    fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn is_full(&self) -> bool {
        false
    }
}
