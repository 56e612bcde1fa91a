//! A member of a group of readers.

use super::group::{ASSEMBLING, Group, MOST_ASSEMBLING};
use super::{Commit, ConsumerOptions, Deliver, LogError, SequenceLog, Start};
use crate::events::Event;
use crate::message::{Entry, Position};
use crate::stream::assembly::{Assembled, Assembly};
use crate::stream::{Limit, now_ns};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// Reads a log as a member of a group: the members share its messages, and each message is with one of them at a time.
/// Dropping it gives back what it had in hand.
///
/// ```
/// # use pelton::{message::Message, log::*, stream::Limit};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = SequenceLog::memory("orders", LogOptions::default())?;
/// log.append(vec![Message::new(b"one")?, Message::new(b"two")?]).await?;
/// let mut first = log.consumer("billing", ConsumerOptions::default())?;
/// let mut second = log.consumer("billing", ConsumerOptions::default())?;
/// let one = first.next().await?;
/// let two = second.next().await?;
/// first.settle(one.at)?;
/// drop(second); // gives `two` back
/// let again = first.next().await?;
/// assert_eq!((again.at, again.attempt), (two.at, 2));
/// # Ok(()) }
/// ```
pub struct Consumer {
    log: SequenceLog,
    group: Arc<Group>,
    member: u64,
    options: ConsumerOptions,
    /// Given by earlier calls and not settled yet, where the consumer settles by itself.
    given: Vec<(u32, Range<u64>)>,
    /// How often the group had been moved when that was given.
    moves: u64,
    committed: Instant,
    /// The partition to look at first.
    turn: u32,
}

/// Messages that belong together, in order.
#[derive(Clone, Debug)]
pub struct MessageGroup {
    /// What they have in common; none for a message by itself.
    pub group: Option<Arc<str>>,
    /// At least one.
    pub entries: Vec<Entry>,
    /// Why it is not whole, where it is not.
    pub incomplete: Option<String>,
}

impl Consumer {
    pub(super) fn new(log: SequenceLog, group: Arc<Group>, options: ConsumerOptions) -> Consumer {
        let member = group.join();
        if let Deliver::Groups { timeout, most } = options.deliver {
            group.assembly().get_or_insert_with(|| Assembly::new(timeout, most));
        }
        let moves = group.moves();
        Consumer { log, group, member, options, given: Vec::new(), moves, committed: Instant::now(), turn: 0 }
    }

    /// The group's name.
    pub fn group(&self) -> &Arc<str> {
        &self.group.name
    }

    /// The next message, as soon as there is one. Cancel-safe.
    ///
    /// # Errors
    /// As for [`Consumer::next_batch`].
    pub async fn next(&mut self) -> Result<Entry, LogError> {
        loop {
            if let Some(entry) = self.next_batch(Limit::messages(1)).await?.pop() {
                return Ok(entry);
            }
        }
    }

    /// The next messages, at least one and as many as there are within the limit, as soon as there is one. Cancel-safe: a
    /// dropped call has taken nothing.
    ///
    /// # Errors
    /// [`LogError::Closed`]; [`LogError::ConsumerNotFound`] where the group was removed; [`LogError::OperationFailed`] where
    /// the storage can't be read.
    pub async fn next_batch(&mut self, limit: Limit) -> Result<Vec<Entry>, LogError> {
        loop {
            let group = self.group.clone();
            let shared = self.log.0.shared.clone();
            let (grown, woken) = (shared.grown.notified(), group.wake.notified());
            tokio::pin!(grown, woken);
            grown.as_mut().enable();
            woken.as_mut().enable();
            self.check()?;
            self.commit_if_due();
            let batch = self.take(limit, self.member)?;
            if !batch.is_empty() {
                if self.options.commit != Commit::Manual {
                    runs(&batch, |partition, run| self.given.push((partition, run)));
                }
                return Ok(batch);
            }
            tokio::select! {
                () = grown => {}
                () = woken => {}
                () = until(self.due()) => {}
            }
        }
    }

    /// The next whole message group, or message that belongs to none; one that did not become whole in time says why. For
    /// consumers that deliver groups. Cancel-safe.
    ///
    /// # Errors
    /// As for [`Consumer::next_batch`]; [`LogError::InvalidConfiguration`] where the consumer delivers messages.
    pub async fn next_group(&mut self) -> Result<MessageGroup, LogError> {
        loop {
            let group = self.group.clone();
            let shared = self.log.0.shared.clone();
            let (grown, woken) = (shared.grown.notified(), group.wake.notified());
            tokio::pin!(grown, woken);
            grown.as_mut().enable();
            woken.as_mut().enable();
            self.check()?;
            self.commit_if_due();
            if let Some(whole) = self.assemble()? {
                return Ok(whole);
            }
            let expiry = self.group.assembly().as_ref().and_then(Assembly::due);
            tokio::select! {
                () = grown => {}
                () = woken => {}
                () = until(self.due()) => {}
                () = until(expiry) => {}
            }
        }
    }

    /// What is given is handed over before another member looks: it must know when the lease ends.
    fn assemble(&mut self) -> Result<Option<MessageGroup>, LogError> {
        let shared = self.group.clone();
        let mut assembly = shared.assembly();
        let Some(assembly) = assembly.as_mut() else {
            let what = format!("reader '{}' delivers messages; ask for groups in its options", self.group.name);
            return Err(LogError::InvalidConfiguration(what));
        };
        loop {
            let now = Instant::now();
            if let Some(expired) = assembly.expired(now) {
                return Ok(Some(self.give(expired)));
            }
            if assembly.held() >= MOST_ASSEMBLING {
                return Ok(None);
            }
            // One at a time, so that nothing is held beside what is being put together.
            let Some(entry) = self.take(Limit::messages(1), ASSEMBLING)?.pop() else { return Ok(None) };
            let message = entry.message.clone();
            if let Some(assembled) = assembly.add(&message, entry, now) {
                return Ok(Some(self.give(assembled)));
            }
        }
    }

    fn give(&mut self, assembled: Assembled<Entry>) -> MessageGroup {
        let Assembled { group, items: entries, broken } = assembled;
        let until = self.options.lease.map(|lease| Instant::now() + lease);
        runs(&entries, |partition, run| {
            if let Some(mut cursor) = self.group.cursor(partition) {
                cursor.hand_over(run.clone(), self.member, until);
            }
            if self.options.commit != Commit::Manual {
                self.given.push((partition, run));
            }
        });
        let stream = self.log.name().clone();
        let incomplete = group.as_ref().zip(broken.as_ref()).map(|(group, broken)| broken.reason(group));
        if let Some(group) = group.clone() {
            let messages = entries.len();
            self.log.events().tell(match &broken {
                None => Event::GroupCompleted { stream, group, messages },
                Some(_) => Event::GroupExpired { stream, group, messages },
            });
        }
        MessageGroup { group, entries, incomplete }
    }

    /// What is there now.
    fn take(&mut self, limit: Limit, member: u64) -> Result<Vec<Entry>, LogError> {
        let now = Instant::now();
        self.group.touch(now_ns());
        let until = self.options.lease.filter(|_| member != ASSEMBLING).map(|lease| now + lease);
        let count = self.log.partitions();
        for i in 0..count {
            let partition = (self.turn + i) % count;
            let wanted = self.options.partitions.is_empty() || self.options.partitions.contains(&partition);
            if !wanted {
                continue;
            }
            let storage = self.log.0.partition(partition)?;
            let Some(mut cursor) = self.group.cursor(partition) else { continue };
            let mut gone = Vec::new();
            let taken = cursor.take(storage, limit, member, until, now, &mut gone);
            let more = cursor.has_more(storage.next());
            drop(cursor);
            self.log.0.passed(&self.group, partition, &gone);
            let batch = taken.map_err(|error| self.log.0.error(partition, error))?;
            if !batch.is_empty() {
                self.turn = (partition + 1) % count;
                if more {
                    // Another member may be waiting for what this one leaves.
                    self.group.wake.notify_waiters();
                }
                return Ok(batch);
            }
        }
        Ok(Vec::new())
    }

    /// When a lease may end.
    fn due(&self) -> Option<Instant> {
        let leases = self.group.cursors().filter_map(|(_, c)| c.due()).min();
        let commit = match self.options.commit {
            Commit::Auto(every) if !self.given.is_empty() => Some(self.committed + every),
            _ => None,
        };
        leases.into_iter().chain(commit).min()
    }

    fn check(&self) -> Result<(), LogError> {
        if self.group.is_removed() {
            let (stream, group) = (self.log.name().to_string(), self.group.name.to_string());
            return Err(LogError::ConsumerNotFound { stream, group });
        }
        if self.log.0.shared.closed.load(Ordering::Acquire) {
            return Err(self.log.0.closed());
        }
        Ok(())
    }

    /// A message is done with.
    ///
    /// # Errors
    /// [`LogError::PartitionNotFound`], [`LogError::SequenceOutOfBounds`].
    pub fn settle(&self, at: Position) -> Result<(), LogError> {
        self.settle_run(at.partition, at.seq..at.seq.saturating_add(1), false)
    }

    /// These messages are done with.
    ///
    /// # Errors
    /// As for [`Consumer::settle`].
    pub fn settle_batch(&self, entries: &[Entry]) -> Result<(), LogError> {
        let mut result = Ok(());
        runs(entries, |partition, run| {
            if let Err(error) = self.settle_run(partition, run, false) {
                result = Err(error);
            }
        });
        result
    }

    pub(crate) fn settle_run(&self, partition: u32, run: Range<u64>, rejected: bool) -> Result<(), LogError> {
        let next = self.log.0.partition(partition)?.next();
        if run.end > next {
            return Err(self.log.0.out_of_bounds(partition, run.start));
        }
        self.group.touch(now_ns());
        self.log.0.settle(&self.group, partition, Some(run), rejected);
        Ok(())
    }

    /// A message was not handled: it comes again, to any member, with an attempt one higher.
    pub fn release(&self, at: Position) {
        if let Some(mut cursor) = self.group.cursor(at.partition) {
            cursor.release(at.seq..at.seq.saturating_add(1));
        }
        self.group.wake.notify_waiters();
    }

    /// As [`Consumer::release`], for a run; what of it is in nobody's hand is left alone.
    pub(crate) fn release_run(&self, partition: u32, run: Range<u64>) -> Result<(), LogError> {
        let next = self.log.0.partition(partition)?.next();
        if run.end > next {
            return Err(self.log.0.out_of_bounds(partition, run.start));
        }
        if let Some(mut cursor) = self.group.cursor(partition) {
            cursor.release(run);
        }
        self.group.wake.notify_waiters();
        Ok(())
    }

    /// Leases of all that it has in hand begin anew.
    pub fn extend(&self) {
        if let Some(lease) = self.options.lease {
            let until = Instant::now() + lease;
            self.group.cursors().for_each(|(_, mut cursor)| cursor.extend(self.member, until));
        }
    }

    /// Moves the whole group; see [`SequenceLog::seek`].
    ///
    /// # Errors
    /// As there.
    pub fn seek(&mut self, start: Start) -> Result<(), LogError> {
        self.log.seek(&self.group.name, start)
    }

    /// Messages that the group has yet to settle.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`] where the group was removed.
    pub fn lag(&self) -> Result<u64, LogError> {
        self.log.lag(&self.group.name)
    }

    /// Settles what earlier calls gave, where the consumer settles by itself and it is time.
    fn commit_if_due(&mut self) {
        self.forget_what_is_void();
        if let Commit::Auto(every) = self.options.commit
            && self.committed.elapsed() >= every
        {
            self.commit();
        }
    }

    /// Settles all that earlier calls gave, where the consumer settles by itself.
    pub fn commit(&mut self) {
        self.committed = Instant::now();
        self.forget_what_is_void();
        for (partition, run) in std::mem::take(&mut self.given) {
            self.log.0.settle(&self.group, partition, Some(run), false);
        }
    }

    /// What was given before the group was moved comes again, or is passed over: nobody settles it by itself.
    fn forget_what_is_void(&mut self) {
        let moves = self.group.moves();
        if std::mem::replace(&mut self.moves, moves) != moves {
            self.given.clear();
        }
    }

    /// Settles what is to be settled, and leaves the group.
    pub fn close(mut self) {
        self.commit();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.group.leave(self.member);
    }
}

/// Calls `each` with the runs of consecutive places.
pub(crate) fn runs(entries: &[Entry], mut each: impl FnMut(u32, Range<u64>)) {
    let mut open: Option<(u32, Range<u64>)> = None;
    for at in entries.iter().map(|e| e.at) {
        match &mut open {
            Some((partition, run)) if *partition == at.partition && run.end == at.seq => run.end += 1,
            _ => {
                if let Some((partition, run)) = open.replace((at.partition, at.seq..at.seq + 1)) {
                    each(partition, run);
                }
            }
        }
    }
    if let Some((partition, run)) = open {
        each(partition, run);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
