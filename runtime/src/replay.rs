//! Replay: runs past messages of a log through a handler, as a worker would, and says what it would do. Nothing is settled and
//! nothing is published.
//!
//! A message is given to the handler once: what it asks to have retried is told and not tried again. Messages whose call failed
//! as a whole are given again singly, as a worker does, so that batches do not change what is found.

use crate::config::{Deliver, HandlerConfig, Start};
use crate::handler::{Handler, HandlerError};
use crate::log::{LogError, SequenceLog, meant_for};
use crate::message::{Batch, Entry, Handled, Message, Outcome};
use crate::stream::Limit;
use crate::stream::assembly::{Assembled, Assembly};
use crate::worker::{BatchSize, Tuning};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// So much is read, and held, at once.
const AT_ONCE: Limit = Limit { messages: 4096, bytes: 4 << 20 };

/// Which messages of a log.
#[derive(Clone, Debug)]
pub struct Span {
    /// The first.
    pub from: Start,
    /// The last sequence; or the time, or the end, that they were appended before.
    pub to: Start,
    /// Only this partition; all, one after the other, where there is none.
    pub partition: Option<u32>,
    /// The most of them.
    pub most: u64,
}

/// Goes through past messages.
pub struct Past {
    log: SequenceLog,
    /// Whose messages, where it is a reader of the log.
    reader: Option<String>,
    rest: VecDeque<(u32, Range<u64>)>,
    left: u64,
}

impl Past {
    /// The messages of a span, as far as the log goes by now; without those that were put back for another reader than this.
    ///
    /// # Errors
    /// [`LogError::SequenceOutOfBounds`] where they begin with a sequence that a partition, named or the only one, does not hold;
    /// [`LogError::PartitionNotFound`], and where the log can't be read.
    pub fn new(log: &SequenceLog, span: &Span, reader: Option<&str>) -> Result<Past, LogError> {
        let mut rest = VecDeque::new();
        let is_one = span.partition.is_some() || log.partitions() == 1;
        for partition in span.partition.map_or(0..log.partitions(), |p| p..p.saturating_add(1)) {
            let (first, next) = log.bounds(partition)?;
            let from = match span.from {
                Start::Sequence(seq) if !is_one => seq.clamp(first, next),
                from => log.resolve(partition, from)?,
            };
            let to = match span.to {
                Start::Sequence(seq) => seq.saturating_add(1).min(next),
                to => log.resolve(partition, to)?,
            };
            rest.push_back((partition, from..to));
        }
        Ok(Past { log: log.clone(), reader: reader.map(str::to_owned), rest, left: span.most })
    }

    /// The next messages, as many as come from one read; none at the end.
    ///
    /// # Errors
    /// Where the log can't be read, or its retention has taken what comes next.
    pub fn next_batch(&mut self) -> Result<Vec<Entry>, LogError> {
        while let Some((partition, range)) = self.rest.front_mut().filter(|_| self.left > 0) {
            let read = if range.is_empty() { Vec::new() } else { self.log.read(*partition, range.start, AT_ONCE)? };
            let Some(last) = read.last().map(|e| e.at.seq) else {
                self.rest.pop_front();
                continue;
            };
            let end = range.end;
            range.start = last + 1;
            let mine = |e: Entry| match &self.reader {
                Some(reader) => Some(Entry { message: meant_for(reader, e.message)?, ..e }),
                None => Some(e),
            };
            let within = read.into_iter().filter(|e| e.at.seq < end).filter_map(mine);
            let taken: Vec<Entry> = within.take(usize::try_from(self.left).unwrap_or(usize::MAX)).collect();
            if !taken.is_empty() {
                self.left -= taken.len() as u64;
                return Ok(taken);
            }
        }
        Ok(Vec::new())
    }
}

/// What a handler did with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It said so.
    Said(Outcome),
    /// Its call failed, with this message alone in it. A host would try again.
    Fault(String),
}

/// What a handler would do with a message.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The message.
    pub entry: Entry,
    /// What became of it.
    pub verdict: Verdict,
    /// What it would publish, with the target, as in [`Output`](crate::message::Output).
    pub outputs: Vec<(usize, Message)>,
}

impl Trial {
    fn said(entry: &Entry, outcome: Outcome) -> Trial {
        Trial { entry: entry.clone(), verdict: Verdict::Said(outcome), outputs: Vec::new() }
    }

    /// Whether nothing would come of the message.
    pub fn is_nothing(&self) -> bool {
        self.is_done() && self.outputs.is_empty()
    }

    /// Whether the message would be done with.
    pub fn is_done(&self) -> bool {
        self.verdict == Verdict::Said(Outcome::Done)
    }

    /// Whether another handler would do the same: verdict and reason, and the targets, subjects, headers and bodies of the
    /// outputs. Their times are their makers' own.
    pub fn is_like(&self, other: &Trial) -> bool {
        let alike = |((target, a), (other, b)): (&(usize, Message), &(usize, Message))| {
            target == other && a.subject() == b.subject() && a.headers().eq(b.headers()) && a.body() == b.body()
        };
        self.verdict == other.verdict
            && self.outputs.len() == other.outputs.len()
            && self.outputs.iter().zip(&other.outputs).all(alike)
    }
}

/// How many messages came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub messages: u64,
    /// Done with.
    pub done: u64,
    /// To be tried again.
    pub retry: u64,
    /// Given up by the handler.
    pub reject: u64,
    /// Their calls failed.
    pub faults: u64,
    /// Published by all of them.
    pub outputs: u64,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, trial: &Trial) {
        self.messages += 1;
        self.outputs += trial.outputs.len() as u64;
        *match &trial.verdict {
            Verdict::Said(Outcome::Done) => &mut self.done,
            Verdict::Said(Outcome::Retry { .. }) => &mut self.retry,
            Verdict::Said(Outcome::Reject { .. }) => &mut self.reject,
            Verdict::Fault(_) => &mut self.faults,
        } += 1;
    }
}

/// A handler that past messages are given to; it keeps its state from one to the next, as in a host.
pub struct Runner {
    handler: Box<dyn Handler>,
    stream: Arc<str>,
    size: BatchSize,
    /// Groups under way, where the handler gets whole ones; and how long they would be waited for.
    groups: Option<(Assembly<Entry>, Duration)>,
    begun: Instant,
}

impl Runner {
    /// Gives a handler messages of a stream as its configuration says.
    pub fn new(handler: Box<dyn Handler>, config: &HandlerConfig, stream: &str) -> Runner {
        let groups = match config.deliver {
            Deliver::Messages => None,
            Deliver::Groups { timeout, most } => Some((Assembly::new(timeout, most), timeout)),
        };
        let size = BatchSize::new(&Tuning::new(config));
        Runner { handler, stream: Arc::from(stream), size, groups, begun: Instant::now() }
    }

    /// What the handler does with the next messages, in their order; where it gets groups, with those that became whole.
    ///
    /// # Errors
    /// [`HandlerError::Unavailable`] where no instance can be made.
    pub async fn run(&mut self, entries: Vec<Entry>) -> Result<Vec<Trial>, HandlerError> {
        let mut trials = Vec::new();
        if self.groups.is_none() {
            self.give(entries, false, &mut trials).await?;
            return Ok(trials);
        }
        for entry in entries {
            let message = entry.message.clone();
            // Time stands still: a group is not late before the end.
            let begun = self.begun;
            if let Some(assembled) = self.groups.as_mut().and_then(|(groups, _)| groups.add(&message, entry, begun)) {
                self.give_group(assembled, &mut trials).await?;
            }
        }
        Ok(trials)
    }

    /// What becomes of groups that are not whole at the end; then the handler is stopped.
    ///
    /// # Errors
    /// As for [`Runner::run`].
    pub async fn finish(mut self) -> Result<Vec<Trial>, HandlerError> {
        let mut trials = Vec::new();
        let begun = self.begun;
        while let Some(late) = self.groups.as_mut().and_then(|(groups, timeout)| groups.expired(begun + *timeout)) {
            self.give_group(late, &mut trials).await?;
        }
        self.handler.stop().await;
        Ok(trials)
    }

    async fn give_group(&mut self, group: Assembled<Entry>, trials: &mut Vec<Trial>) -> Result<(), HandlerError> {
        let Assembled { group, items, broken } = group;
        match group.zip(broken) {
            Some((group, broken)) => {
                let reject = Outcome::Reject { reason: broken.reason(&group) };
                trials.extend(items.iter().map(|entry| Trial::said(entry, reject.clone())));
                Ok(())
            }
            None => self.give(items, true, trials).await,
        }
    }

    /// Gives all of it, in as many calls as it takes; `whole` in one, as far as the handler considers it.
    async fn give(&mut self, entries: Vec<Entry>, whole: bool, trials: &mut Vec<Trial>) -> Result<(), HandlerError> {
        let mut given = 0;
        while let Some(rest) = entries.get(given..).filter(|rest| !rest.is_empty()) {
            let batch = if whole { rest } else { self.first_batch(rest) };
            let begun = Instant::now();
            match self.call(batch).await {
                Ok(handled) => {
                    self.size.took(handled.considered, begun.elapsed());
                    given += handled.considered;
                    conclude(batch, handled, trials);
                }
                Err(HandlerError::Failed(_)) => {
                    self.size.failed();
                    given += batch.len();
                    for entry in batch {
                        self.give_alone(entry, trials).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn give_alone(&mut self, entry: &Entry, trials: &mut Vec<Trial>) -> Result<(), HandlerError> {
        let alone = std::slice::from_ref(entry);
        match self.call(alone).await {
            Ok(handled) => conclude(alone, handled, trials),
            Err(HandlerError::Failed(reason)) => {
                trials.push(Trial { entry: entry.clone(), verdict: Verdict::Fault(reason), outputs: Vec::new() });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// As many as one call takes; at least one.
    fn first_batch<'e>(&self, entries: &'e [Entry]) -> &'e [Entry] {
        let limit = self.handler.limit();
        let most = self.size.now().min(limit.messages).max(1);
        let mut bytes = 0;
        let fits = entries.iter().take(most).take_while(|e| {
            bytes += e.message.weight();
            bytes <= limit.bytes
        });
        let count = fits.count().max(1);
        entries.get(..count).unwrap_or(entries)
    }

    async fn call(&mut self, entries: &[Entry]) -> Result<Handled, HandlerError> {
        let batch = Batch { stream: self.stream.clone(), entries: entries.to_vec() };
        let handled = self.handler.handle(&batch).await?;
        if handled.considered == 0 || handled.considered > entries.len() {
            let (verdicts, messages) = (handled.considered, entries.len());
            return Err(HandlerError::Failed(format!(
                "the handler returned {verdicts} verdicts for {messages} messages"
            )));
        }
        Ok(handled)
    }
}

/// What a call did with each message that it considered. Outputs of a message that is not done are void.
fn conclude(entries: &[Entry], handled: Handled, trials: &mut Vec<Trial>) {
    let first = trials.len();
    trials.extend(entries.iter().take(handled.considered).map(|entry| Trial::said(entry, Outcome::Done)));
    for (place, outcome) in handled.failures {
        if let Some(trial) = trials.get_mut(first + place) {
            trial.verdict = Verdict::Said(outcome);
        }
    }
    for output in handled.outputs {
        if let Some(trial) = trials.get_mut(first + output.input).filter(|trial| trial.is_done()) {
            trial.outputs.push((output.target, output.message));
        }
    }
}

#[cfg(test)]
mod tests;
