use super::runs;
use super::state::State;
use super::{DropReason, Inner};
use crate::message::Batch;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What becomes of one message of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Settled at once.
    Settle,
    /// Rejected, with nowhere to keep it: settled at once, counted as dropped, and the source is told.
    Reject,
    /// Settled later, by the claim that [`Delivery::complete`] returns.
    Later,
    /// Comes again with an attempt one higher.
    Retry {
        /// How long it waits.
        after: Duration,
        /// Whether it may take a batch down with it, and so must come by itself.
        alone: bool,
    },
    /// Comes again as it is.
    NotBegun,
}

/// A batch, and the duty to say what became of it: [`Delivery::complete`], or [`Delivery::settle`] where all is done.
pub struct Delivery {
    claim: Claim,
    batch: Batch,
    incomplete: Option<String>,
}

impl Delivery {
    pub(super) fn new(stream: Arc<Inner>, reader: usize, batch: Batch, incomplete: Option<String>) -> Delivery {
        let mut all = Vec::new();
        batch.entries.iter().for_each(|e| runs::push(&mut all, e.slot));
        Delivery { claim: Claim { stream, reader, runs: all, called: false }, batch, incomplete }
    }

    /// The messages.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Why the messages are a group that did not become whole; none where they are.
    pub fn incomplete(&self) -> Option<&str> {
        self.incomplete.as_deref()
    }

    /// All messages are done with.
    pub fn settle(self) {
        let fates = vec![Fate::Settle; self.batch.entries.len()];
        self.complete(&fates);
    }

    /// Says what becomes of each message, in order; those without a fate were not begun. Returns the claim on those to be
    /// settled later.
    pub fn complete(mut self, fates: &[Fate]) -> Claim {
        let (mut now, mut rejected, mut later) = (Vec::new(), Vec::new(), Vec::new());
        let mut back = Vec::new();
        let instant = Instant::now();
        self.claim.runs.clear();
        let mut state = self.claim.stream.lock();
        let State { readers, .. } = &mut *state;
        if let Some(reader) = readers.get_mut(self.claim.reader) {
            for (i, entry) in self.batch.entries.iter().enumerate() {
                let seq = entry.slot;
                let fate = fates.get(i).copied().unwrap_or(Fate::NotBegun);
                match fate {
                    Fate::Settle => runs::push(&mut now, seq),
                    Fate::Reject => runs::push(&mut rejected, seq),
                    Fate::Later => runs::push(&mut later, seq),
                    Fate::Retry { after, alone } => reader.retry(entry, instant + after, now_ns(), alone),
                    Fate::NotBegun => back.push(reader.queued(entry)),
                }
                if matches!(fate, Fate::Settle | Fate::Reject | Fate::Later) {
                    reader.finished(entry);
                }
            }
            if !back.is_empty() {
                reader.put_back(back);
            }
        }
        state.settle(self.claim.reader, &now, false);
        state.settle(self.claim.reader, &rejected, true);
        for _ in rejected.iter().flat_map(|run| run.clone()) {
            state.count_drop(DropReason::Rejected);
        }
        state.settled();
        state.wake_readers();
        let fired = state.take_fired();
        drop(state);
        self.claim.stream.fire(fired);
        let (stream, reader) = (self.claim.stream.clone(), self.claim.reader);
        Claim { stream, reader, runs: later, called: true }
    }
}

/// Messages that were delivered and are not settled yet. Using it up is the only way to be rid of it; a claim that is
/// dropped instead brings its messages back, with an attempt one higher, and is counted.
pub struct Claim {
    stream: Arc<Inner>,
    reader: usize,
    runs: Vec<Range<u64>>,
    /// Whether the call with these messages has ended.
    called: bool,
}

impl Claim {
    /// Its messages are done with.
    pub fn settle(mut self) {
        let runs = std::mem::take(&mut self.runs);
        if runs.is_empty() {
            return;
        }
        let mut state = self.stream.lock();
        state.settle(self.reader, &runs, false);
        state.settled();
        let fired = state.take_fired();
        drop(state);
        self.stream.fire(fired);
    }

    /// Takes out the first `count` messages.
    pub fn split_first(&mut self, count: usize) -> Claim {
        let mut first = Vec::new();
        let mut left = count as u64;
        while left > 0
            && let Some(run) = self.runs.first_mut()
        {
            let taken = left.min(run.end - run.start);
            first.push(run.start..run.start + taken);
            run.start += taken;
            left -= taken;
            if run.is_empty() {
                self.runs.remove(0);
            }
        }
        Claim { stream: self.stream.clone(), reader: self.reader, runs: first, called: self.called }
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let mut state = self.stream.lock();
        state.abandon(self.reader, &self.runs, now_ns(), self.called);
        state.wake_readers();
        let fired = state.take_fired();
        drop(state);
        self.stream.fire(fired);
    }
}

/// ns since 1970, for people; what must be measured is measured by a steady clock.
pub(crate) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
