//! The order of a reader that gets whole message groups.

use super::assembly::{Assembled, Assembly};
use crate::message::Message;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub(super) struct Groups {
    assembly: Assembly<u64>,
    ready: VecDeque<Vec<u64>>,
    /// By message, until it is settled: why its group did not become whole.
    incomplete: HashMap<u64, Arc<str>>,
    /// Given to a worker and not yet done with, by their own numbers.
    out: HashMap<u64, Out>,
    /// Which of these a message belongs to.
    of: HashMap<u64, u64>,
    number: u64,
    wake: Arc<Notify>,
    new: bool,
}

struct Out {
    /// Messages without a final verdict.
    left: usize,
    /// Those that come again.
    back: Vec<u64>,
}

impl Groups {
    pub(super) fn new(timeout: Duration, most: usize) -> Groups {
        let assembly = Assembly::new(timeout, most);
        let (ready, incomplete, out, of) = (VecDeque::new(), HashMap::new(), HashMap::new(), HashMap::new());
        Groups { assembly, ready, incomplete, out, of, number: 0, wake: Arc::default(), new: false }
    }

    /// A message has come in.
    pub(super) fn add(&mut self, seq: u64, message: &Message) {
        let whole = self.assembly.add(message, seq, Instant::now());
        // Whoever sleeps must learn when a group that has just begun is over.
        self.new = true;
        whole.into_iter().for_each(|group| self.assembled(group));
    }

    fn assembled(&mut self, assembled: Assembled<u64>) {
        let Assembled { group, items, broken } = assembled;
        if let Some((group, broken)) = group.zip(broken) {
            let reason: Arc<str> = Arc::from(broken.reason(&group));
            self.incomplete.extend(items.iter().map(|seq| (*seq, reason.clone())));
        }
        self.ready.push_back(items);
    }

    /// Groups whose time is over are ready to be given up. Whether there are any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.ready.len();
        while let Some(expired) = self.assembly.expired(now) {
            self.assembled(expired);
        }
        self.new |= self.ready.len() > before;
        self.ready.len() > before
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.assembly.due()
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn notify(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    pub(super) fn look_again(&mut self) {
        self.new = true;
    }

    pub(super) fn wake(&mut self, fired: &mut Vec<Arc<Notify>>) {
        fired.extend(std::mem::take(&mut self.new).then(|| self.wake.clone()));
    }

    /// One group: its messages, and why it is not whole.
    pub(super) fn take(&mut self) -> Option<(Vec<u64>, Option<String>)> {
        let items = self.ready.pop_front()?;
        // Whoever takes one and leaves more wakes the next.
        self.new = !self.ready.is_empty();
        self.number += 1;
        self.of.extend(items.iter().map(|seq| (*seq, self.number)));
        self.out.insert(self.number, Out { left: items.len(), back: Vec::new() });
        let reason = items.first().and_then(|seq| self.incomplete.get(seq)).map(|reason| reason.to_string());
        Some((items, reason))
    }

    /// A message has a final verdict.
    pub(super) fn finished(&mut self, seq: u64) {
        let Some(number) = self.of.remove(&seq) else { return };
        if let Some(out) = self.out.get_mut(&number) {
            out.left -= 1;
        }
        self.return_whole(number);
    }

    /// Some messages of a group that was taken were dropped before that, so the others are not whole. Returns why.
    pub(super) fn lost(&mut self, left: &[u64], gone: &[u64]) -> String {
        for seq in gone {
            self.finished(*seq);
            self.incomplete.remove(seq);
        }
        let count = gone.len();
        let reason: Arc<str> = format!("message group is incomplete: {count} of its messages found no room").into();
        self.incomplete.extend(left.iter().map(|seq| (*seq, reason.clone())));
        reason.to_string()
    }

    /// A message comes again, with all of its group that do.
    pub(super) fn back(&mut self, seq: u64) {
        let Some(number) = self.of.remove(&seq) else { return };
        if let Some(out) = self.out.get_mut(&number) {
            out.back.push(seq);
        }
        self.return_whole(number);
    }

    /// Messages that had a verdict come again after all, together.
    pub(super) fn again(&mut self, items: Vec<u64>) {
        self.ready.push_front(items);
        self.new = true;
    }

    /// Messages are settled.
    pub(super) fn settled(&mut self, run: Range<u64>) {
        if !self.incomplete.is_empty() {
            run.for_each(|seq| drop(self.incomplete.remove(&seq)));
        }
    }

    fn return_whole(&mut self, number: u64) {
        if self.out.get(&number).is_none_or(|out| out.back.len() != out.left) {
            return;
        }
        let Some(Out { back: mut items, .. }) = self.out.remove(&number) else { return };
        if !items.is_empty() {
            items.sort_unstable();
            self.ready.push_front(items);
            self.new = true;
        }
    }
}
