//! Where one group stands in one partition: what is settled, what is leased to whom, what comes again. Plain state; the
//! time is passed in.

use super::storage::Storage;
use crate::message::Entry;
use crate::stream::Limit;
use crate::stream::disk::DiskError;
use crate::stream::runs::Settled;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use tokio::time::Instant;

pub(super) struct Cursor {
    settled: Settled,
    /// The first sequence that was never given out.
    next: u64,
    /// Given out, by first sequence; runs do not overlap.
    leased: BTreeMap<u64, Lease>,
    in_flight: u64,
    /// Not before this time does a lease end.
    earliest: Option<Instant>,
    /// To be given out again.
    again: BTreeSet<u64>,
    /// How often messages were given out that were not settled then.
    attempts: HashMap<u64, u32>,
    /// Messages that were gone before this group had them.
    missed: u64,
}

struct Lease {
    end: u64,
    member: u64,
    until: Option<Instant>,
}

impl Cursor {
    /// Everything below `settled`'s watermark, and its runs, are done with.
    pub(super) fn new(settled: Settled) -> Cursor {
        Cursor {
            next: settled.watermark(),
            settled,
            leased: BTreeMap::new(),
            in_flight: 0,
            earliest: None,
            again: BTreeSet::new(),
            attempts: HashMap::new(),
            missed: 0,
        }
    }

    pub(super) fn settled(&self) -> &Settled {
        &self.settled
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    /// Messages from `first` up to `next` that are yet to be settled.
    pub(super) fn lag(&self, first: u64, next: u64) -> u64 {
        let watermark = self.settled.watermark();
        let beyond = match first <= watermark {
            true => self.settled.beyond(),
            // What is gone counts neither way.
            false => self.settled.runs().map(|run| run.end.saturating_sub(run.start.max(first))).sum(),
        };
        next.saturating_sub(watermark.max(first)).saturating_sub(beyond)
    }

    /// When the next lease may end.
    pub(super) fn due(&self) -> Option<Instant> {
        self.earliest
    }

    /// Gives a member what is to be had, up to the limit. Adds runs that turned out to be gone, which count as settled, to
    /// `gone`, also where it fails.
    pub(super) fn take(
        &mut self,
        storage: &dyn Storage,
        limit: Limit,
        member: u64,
        until: Option<Instant>,
        now: Instant,
        gone: &mut Vec<Range<u64>>,
    ) -> Result<Vec<Entry>, DiskError> {
        self.expire(now);
        let next = storage.next();
        gone.extend(self.pass(storage.first()));
        let mut entries = Vec::new();
        let mut rest = limit;
        while rest.messages > 0 {
            let run = match self.again.first() {
                Some(seq) => self.run_again(*seq, rest.messages),
                None => {
                    let gap = self.settled.gap(self.next);
                    gap.start..gap.end.min(next)
                }
            };
            if run.is_empty() {
                break;
            }
            let asked = (run.end - run.start).min(rest.messages as u64);
            let read = match storage.read(run.start, Limit { messages: asked as usize, bytes: rest.bytes }) {
                Ok(read) => read,
                // It was given up a moment ago.
                Err(DiskError::OutOfBounds { .. }) if run.start < storage.first() => {
                    gone.extend(self.pass(storage.first()));
                    continue;
                }
                // What was read before is given; the next call fails.
                Err(_) if !entries.is_empty() => break,
                Err(error) => return Err(error),
            };
            let bytes: u64 = read.iter().map(|e| e.message.weight()).sum();
            if read.is_empty() {
                // A repair has left nothing of it.
                gone.extend(self.lose(run));
                continue;
            }
            // One message larger than the limit comes alone.
            if !entries.is_empty() && bytes > rest.bytes {
                break;
            }
            let end = read.last().map_or(run.start, |e| e.at.seq + 1).min(run.start + asked);
            self.lease(run.start..end, member, until);
            let mut expected = run.start;
            for mut entry in read.into_iter().filter(|e| e.at.seq < end) {
                // A repair has left a gap.
                gone.extend(self.lose(expected..entry.at.seq));
                expected = entry.at.seq + 1;
                self.again.remove(&entry.at.seq);
                if let Some(before) = self.attempts.get(&entry.at.seq) {
                    entry.attempt = before.saturating_add(1);
                }
                entries.push(entry);
            }
            gone.extend(self.lose(expected..end));
            self.next = self.next.max(end);
            rest.messages = limit.messages.saturating_sub(entries.len());
            rest.bytes = rest.bytes.saturating_sub(bytes);
            if end < run.start + asked || rest.bytes == 0 {
                break;
            }
        }
        Ok(entries)
    }

    /// The run of what comes again that begins with `seq`.
    fn run_again(&self, seq: u64, most: usize) -> Range<u64> {
        let length = self.again.range(seq..).zip(seq..).take(most).take_while(|(a, b)| **a == *b).count();
        seq..seq + length as u64
    }

    /// What is below `first` can't be had any more.
    fn pass(&mut self, first: u64) -> Vec<Range<u64>> {
        if self.settled.watermark() >= first {
            return Vec::new();
        }
        self.next = self.next.max(first);
        self.lose(0..first)
    }

    fn lose(&mut self, run: Range<u64>) -> Vec<Range<u64>> {
        if run.is_empty() {
            return Vec::new();
        }
        let gone = self.settle(run);
        self.missed += gone.iter().map(|run| run.end - run.start).sum::<u64>();
        gone
    }

    fn lease(&mut self, run: Range<u64>, member: u64, until: Option<Instant>) {
        self.in_flight += run.end - run.start;
        self.earliest = self.earliest.into_iter().chain(until).min();
        self.leased.insert(run.start, Lease { end: run.end, member, until });
    }

    /// A run is done with, whether it was given out or not. Returns what was not settled before.
    pub(super) fn settle(&mut self, run: Range<u64>) -> Vec<Range<u64>> {
        self.end_leases(run.clone());
        while let Some(seq) = self.again.range(run.clone()).next().copied() {
            self.again.remove(&seq);
        }
        // Whichever is shorter is gone through.
        if run.end - run.start < self.attempts.len() as u64 {
            for seq in run.clone() {
                self.attempts.remove(&seq);
            }
        } else {
            self.attempts.retain(|seq, _| !run.contains(seq));
        }
        self.settled.insert_missing(run)
    }

    /// Takes a run out of what is leased; returns the parts that were.
    fn end_leases(&mut self, run: Range<u64>) -> Vec<Range<u64>> {
        let mut ended = Vec::new();
        let first = self.leased.range(..=run.start).next_back().map_or(run.start, |(start, _)| *start);
        let touched: Vec<u64> = self.leased.range(first..run.end.max(first)).map(|(start, _)| *start).collect();
        for start in touched {
            let Some(lease) = self.leased.remove(&start) else { continue };
            let part = run.start.max(start)..run.end.min(lease.end);
            if part.is_empty() {
                self.leased.insert(start, lease);
                continue;
            }
            let (member, until) = (lease.member, lease.until);
            if start < part.start {
                self.leased.insert(start, Lease { end: part.start, member, until });
            }
            if part.end < lease.end {
                self.leased.insert(part.end, Lease { end: lease.end, member, until });
            }
            self.in_flight -= part.end - part.start;
            ended.push(part);
        }
        ended
    }

    /// A run that was given out comes again, with an attempt one higher. What was not given out is left alone.
    pub(super) fn release(&mut self, run: Range<u64>) {
        for part in self.end_leases(run) {
            for seq in part {
                let attempts = self.attempts.entry(seq).or_insert(0);
                *attempts = attempts.saturating_add(1);
                self.again.insert(seq);
            }
        }
    }

    /// A run that one member holds goes to another.
    pub(super) fn hand_over(&mut self, run: Range<u64>, member: u64, until: Option<Instant>) {
        for part in self.end_leases(run) {
            self.lease(part, member, until);
        }
    }

    /// A member is gone: what it had comes again.
    pub(super) fn leave(&mut self, member: u64) {
        let runs: Vec<Range<u64>> =
            self.leased.iter().filter(|(_, l)| l.member == member).map(|(start, l)| *start..l.end).collect();
        runs.into_iter().for_each(|run| self.release(run));
    }

    /// What a member had comes again as it is: it was never given to anyone.
    pub(super) fn give_back(&mut self, member: u64) {
        let runs: Vec<Range<u64>> =
            self.leased.iter().filter(|(_, l)| l.member == member).map(|(start, l)| *start..l.end).collect();
        for run in runs {
            for part in self.end_leases(run) {
                self.again.extend(part);
            }
        }
    }

    /// Leases that have ended: their messages come again.
    fn expire(&mut self, now: Instant) {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return;
        }
        let over = |l: &Lease| l.until.is_some_and(|until| until <= now);
        let runs: Vec<Range<u64>> = self.leased.iter().filter(|(_, l)| over(l)).map(|(s, l)| *s..l.end).collect();
        runs.into_iter().for_each(|run| self.release(run));
        self.earliest = self.leased.values().filter_map(|l| l.until).min();
    }

    /// A member still works on what it was given.
    pub(super) fn extend(&mut self, member: u64, until: Instant) {
        for lease in self.leased.values_mut().filter(|l| l.member == member && l.until.is_some()) {
            lease.until = Some(until);
        }
        self.earliest = self.leased.values().filter_map(|l| l.until).min();
    }

    /// Starts anew at `seq`: all before it counts as settled, nothing from it on; what was given out is void.
    pub(super) fn seek(&mut self, seq: u64) {
        *self = Cursor { missed: self.missed, ..Cursor::new(Settled::new(seq)) };
    }

    /// The lowest sequence that some member has in hand.
    pub(super) fn lowest_leased(&self) -> Option<u64> {
        self.leased.first_key_value().map(|(start, _)| *start)
    }

    /// Whether a message could be had, as far as is known here.
    pub(super) fn has_more(&self, next: u64) -> bool {
        !self.again.is_empty() || self.settled.gap(self.next).start < next
    }
}

#[cfg(test)]
mod tests;
