//! Groups of readers: starting, seeking and removing them, what they have settled, and how far they lag.

use super::consumer::Consumer;
use super::cursor::Cursor;
use super::group::Group;
use super::{ConsumerOptions, Inner, LogError, SequenceLog, StalePolicy, Start, lock};
use crate::events::Event;
use crate::message::Position;
use crate::stream::disk::{Journal, Places};
use crate::stream::now_ns;
use crate::stream::runs::Settled;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStats {
    /// Its name.
    pub name: Arc<str>,
    /// Consumers that are members now.
    pub members: u64,
    /// Messages that it has yet to settle.
    pub lag: u64,
    /// Messages that members have in hand.
    pub in_flight: u64,
    /// Messages that were gone before it had them.
    pub missed: u64,
    /// For each partition, in order: everything below is settled.
    pub watermarks: Vec<u64>,
    /// How long it has not been heard of.
    pub idle: Duration,
}

/// How far the groups of a log lag, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LagStats {
    /// How many groups there are.
    pub count: usize,
    /// The largest lag.
    pub max: u64,
    /// The mean of all.
    pub mean: f64,
}

impl SequenceLog {
    /// A new member of a group. A group that is not known yet begins where the options say; one that is goes on where it
    /// stands.
    ///
    /// # Errors
    /// [`LogError::SequenceOutOfBounds`] for a start that the log does not hold, [`LogError::PartitionNotFound`].
    pub fn consumer(&self, group: &str, options: ConsumerOptions) -> Result<Consumer, LogError> {
        for partition in &options.partitions {
            self.0.partition(*partition)?;
        }
        let group = self.start(group, options.start)?;
        Ok(Consumer::new(self.clone(), group, options))
    }

    /// Makes a group that is not known yet, at this start.
    pub(super) fn start(&self, name: &str, start: Start) -> Result<Arc<Group>, LogError> {
        if name.is_empty() {
            return Err(LogError::InvalidConfiguration(format!("stream '{}': a reader needs a name", self.name())));
        }
        // The journal first, so that no place is written before its group is known.
        let journal = self.0.journal.as_ref().map(lock);
        let mut groups = lock(&self.0.groups);
        if let Some(group) = groups.get(name) {
            return Ok(group.clone());
        }
        let starts: Vec<u64> =
            (0..self.partitions()).map(|p| self.resolve(p, start)).collect::<Result<_, LogError>>()?;
        let cursors = starts.iter().map(|seq| Cursor::new(Settled::new(*seq))).collect();
        let group = Arc::new(Group::new(name, cursors, now_ns()));
        groups.insert(group.name.clone(), group.clone());
        drop(groups);
        if let Some(mut journal) = journal {
            for (partition, seq) in (0..).zip(&starts) {
                journal.set(name, partition, &Settled::new(*seq), || self.0.places());
            }
            // A reader that begins at the latest must not begin later still after a power cut.
            self.0.sync(&mut journal);
        }
        Ok(group)
    }

    pub(super) fn group(&self, name: &str) -> Result<Arc<Group>, LogError> {
        lock(&self.0.groups)
            .get(name)
            .cloned()
            .ok_or_else(|| LogError::ConsumerNotFound { stream: self.name().to_string(), group: name.to_owned() })
    }

    /// Sources wait from now on until this group has settled their messages.
    pub(crate) fn require(&self, group: &str, start: Start) -> Result<(), LogError> {
        let group = self.start(group, start)?;
        if !group.required.swap(true, Ordering::AcqRel) {
            lock(&self.0.shared.required).push(group);
        }
        Ok(())
    }

    /// A group is done with everything below a place; it never goes back by this.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`], [`LogError::PartitionNotFound`], [`LogError::SequenceOutOfBounds`] beyond the next
    /// sequence.
    pub fn commit(&self, group: &str, place: Position) -> Result<(), LogError> {
        let next = self.0.partition(place.partition)?.next();
        if place.seq > next {
            return Err(self.0.out_of_bounds(place.partition, place.seq));
        }
        let group = self.group(group)?;
        self.0.settle(&group, place.partition, Some(0..place.seq), false);
        Ok(())
    }

    /// Moves a group: everything before counts as settled, everything from there on comes, again or for the first time.
    /// What its members have in hand is void: it comes again where it is to. What they settle of it afterwards counts all the
    /// same.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`], [`LogError::SequenceOutOfBounds`].
    pub fn seek(&self, group: &str, start: Start) -> Result<(), LogError> {
        let found = self.group(group)?;
        let to: Vec<u64> = (0..self.partitions()).map(|p| self.resolve(p, start)).collect::<Result<_, LogError>>()?;
        for (partition, seq) in (0..).zip(to) {
            self.move_to(&found, Position { partition, seq });
        }
        Ok(())
    }

    /// As [`SequenceLog::seek`], for one partition.
    ///
    /// # Errors
    /// As for [`SequenceLog::seek`]; [`LogError::PartitionNotFound`].
    pub fn seek_to(&self, group: &str, place: Position) -> Result<(), LogError> {
        let found = self.group(group)?;
        self.resolve(place.partition, Start::Sequence(place.seq))?;
        self.move_to(&found, place);
        Ok(())
    }

    fn move_to(&self, group: &Group, place: Position) {
        let mut assembly = group.assembly();
        let mut journal = self.0.journal.as_ref().map(lock);
        group.seek(place.partition, place.seq, &mut assembly);
        if let Some(journal) = journal.as_mut().filter(|_| !group.is_removed()) {
            journal.set(&group.name, place.partition, &Settled::new(place.seq), || self.0.places());
            self.0.sync(journal);
        }
        drop((journal, assembly));
        group.wake.notify_waiters();
        self.0.after_settling(group, place.partition, std::slice::from_ref(&(0..place.seq)), false);
    }

    /// Forgets a group: its consumers end, and what it had yet to settle is kept for it no longer.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`].
    pub fn remove(&self, group: &str) -> Result<(), LogError> {
        let found = self.group(group)?;
        let mut journal = self.0.journal.as_ref().map(lock);
        lock(&self.0.groups).remove(group);
        // Before anyone else writes to the journal, which is to say no more of it.
        found.remove();
        if let Some(journal) = &mut journal {
            journal.removed(group, || self.0.places());
            self.0.sync(journal);
        }
        drop(journal);
        for partition in 0..self.partitions() {
            // Nobody has to wait for it any more.
            self.0.after_settling(&found, partition, std::slice::from_ref(&(0..u64::MAX)), false);
        }
        Ok(())
    }

    /// Messages that a group has yet to settle.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`].
    pub fn lag(&self, group: &str) -> Result<u64, LogError> {
        Ok(self.0.lag(&*self.group(group)?))
    }

    /// The lag of all groups.
    pub fn lag_stats(&self) -> LagStats {
        let groups = self.0.groups();
        let lags: Vec<u64> = groups.iter().map(|g| self.0.lag(g)).collect();
        let sum: u64 = lags.iter().sum();
        let mean = if lags.is_empty() { 0.0 } else { sum as f64 / lags.len() as f64 };
        LagStats { count: lags.len(), max: lags.into_iter().max().unwrap_or(0), mean }
    }

    /// Every group, by name.
    pub fn groups(&self) -> Vec<GroupStats> {
        let now = now_ns();
        self.0.groups().iter().map(|g| self.0.group_stats(g, now)).collect()
    }

    /// One group.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`].
    pub fn group_stats(&self, group: &str) -> Result<GroupStats, LogError> {
        Ok(self.0.group_stats(&*self.group(group)?, now_ns()))
    }

    /// What is settled in one partition beyond a group's watermark: runs of sequences, rising.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`], [`LogError::PartitionNotFound`].
    pub fn settled_beyond(&self, group: &str, partition: u32) -> Result<Vec<Range<u64>>, LogError> {
        self.0.partition(partition)?;
        let group = self.group(group)?;
        Ok(group.cursor(partition).map(|c| c.settled().runs().collect()).unwrap_or_default())
    }

    /// Groups that have not been heard of for so long, or lag by more than so much; not those that a source of this host waits
    /// for. What stands for whoever looks after dead
    /// letters is never stale: without it, letters that were given up would be there again.
    pub fn stale(&self, policy: StalePolicy) -> Vec<GroupStats> {
        let is_stale = |g: &GroupStats| {
            let quiet = g.members == 0 && policy.age.is_some_and(|age| g.idle > age);
            let is_stale = quiet || policy.lag.is_some_and(|lag| g.lag > lag);
            is_stale && &*g.name != crate::dead::READER
        };
        // Sources wait for the host's own: it is not they who are forgotten.
        let required: Vec<Arc<str>> = lock(&self.0.shared.required).iter().map(|g| g.name.clone()).collect();
        self.groups().into_iter().filter(|g| is_stale(g) && !required.contains(&g.name)).collect()
    }

    /// Removes those groups, and says which.
    pub fn remove_stale(&self, policy: StalePolicy) -> Vec<GroupStats> {
        let mut removed = self.stale(policy);
        removed.retain(|g| self.remove(&g.name).is_ok());
        for group in &removed {
            let (stream, reader) = (self.name().clone(), group.name.clone());
            tracing::warn!(stream = &*stream, reader = &*reader, lag = group.lag, "stale reader removed");
            self.events().tell(Event::ReaderRemoved { stream, reader, lag: group.lag });
        }
        removed
    }
}

impl Inner {
    pub(super) fn groups(&self) -> Vec<Arc<Group>> {
        lock(&self.groups).values().cloned().collect()
    }

    /// Where every group stands, for the journal.
    pub(super) fn places(&self) -> Places {
        let mut places = Places::new();
        for group in self.groups() {
            for (partition, cursor) in group.cursors() {
                places.insert((group.name.to_string(), partition), cursor.settled().clone());
            }
        }
        places
    }

    /// A group is done with these runs.
    pub(super) fn settle(
        &self,
        group: &Group,
        partition: u32,
        runs: impl IntoIterator<Item = Range<u64>>,
        rejected: bool,
    ) {
        let mut journal = self.journal.as_ref().map(lock);
        let Some(mut cursor) = group.cursor(partition) else { return };
        let settled: Vec<Range<u64>> = runs.into_iter().flat_map(|run| cursor.settle(run)).collect();
        drop(cursor);
        if settled.is_empty() || group.is_removed() {
            return;
        }
        if let Some(journal) = &mut journal {
            journal.settled(&group.name, partition, &settled, || self.places());
        }
        drop(journal);
        self.after_settling(group, partition, &settled, rejected);
    }

    /// Runs that a cursor found to be gone count as settled.
    pub(super) fn passed(&self, group: &Group, partition: u32, runs: &[Range<u64>]) {
        if runs.is_empty() {
            return;
        }
        if let Some(mut journal) = self.journal.as_ref().map(lock).filter(|_| !group.is_removed()) {
            journal.settled(&group.name, partition, runs, || self.places());
        }
        self.after_settling(group, partition, runs, false);
    }

    /// Makes places durable. Where that fails a power cut may take them back, which is told.
    fn sync(&self, journal: &mut Journal) {
        if let Err(error) = journal.sync() {
            tracing::error!(stream = &*self.shared.name, %error, "the place of a reader is not safe from a power cut");
        }
    }

    fn after_settling(&self, group: &Group, partition: u32, settled: &[Range<u64>], rejected: bool) {
        if group.required.load(Ordering::Acquire) {
            self.acknowledge(group, partition, settled, rejected);
        }
        self.collect_settled(partition);
        // Whoever waits for room may make some of what is settled.
        self.shared.room.notify_waiters();
        self.shared.settled.notify_waiters();
    }

    fn acknowledge(&self, group: &Group, partition: u32, settled: &[Range<u64>], rejected: bool) {
        let Some(awaited) = self.shared.awaited.get(partition as usize) else { return };
        let required = lock(&self.shared.required);
        // Not by its name: one that was removed may have had the same.
        let Some(reader) = required.iter().position(|g| std::ptr::eq(&**g, group)) else { return };
        let mut awaited = lock(awaited);
        if awaited.is_empty() {
            return;
        }
        let mut done = Vec::new();
        awaited.settled(reader, settled, rejected, &mut done);
        drop((awaited, required));
        self.shared.acknowledge(done);
    }

    fn lag(&self, group: &Group) -> u64 {
        group.cursors().map(|(p, c)| self.partition(p).map_or(0, |s| c.lag(s.first(), s.next()))).sum()
    }

    fn group_stats(&self, group: &Group, now: i64) -> GroupStats {
        let (mut in_flight, mut missed, mut watermarks) = (0, 0, Vec::new());
        for (_, cursor) in group.cursors() {
            in_flight += cursor.in_flight();
            missed += cursor.missed();
            watermarks.push(cursor.settled().watermark());
        }
        GroupStats {
            name: group.name.clone(),
            members: group.members(),
            lag: self.lag(group),
            in_flight,
            missed,
            watermarks,
            idle: group.idle(now),
        }
    }
}
