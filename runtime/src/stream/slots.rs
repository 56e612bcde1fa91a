use crate::broker::AckToken;
use crate::message::{Message, Position};
use std::collections::{BTreeMap, VecDeque};

/// One message in memory, and who has yet to settle it.
pub(super) struct Slot {
    /// None once all have settled it.
    pub(super) message: Option<Message>,
    pub(super) token: Option<AckToken>,
    /// Where it stands in the log that it was read from.
    pub(super) at: Option<Position>,
    /// How many cursors have yet to settle it.
    pub(super) waiting: u32,
    /// Whether any of them rejected it with nowhere to keep it.
    pub(super) rejected: bool,
}

/// Slots by sequence: a deque of the recent ones, and the few that are held up while what came after them is long gone,
/// so that one message that waits for its retry does not keep the places of millions.
pub(super) struct Slots {
    first: u64,
    recent: VecDeque<Slot>,
    stragglers: BTreeMap<u64, Slot>,
    live: usize,
}

impl Slots {
    /// Sequences start at 1.
    pub(super) fn new() -> Slots {
        Slots { first: 1, recent: VecDeque::new(), stragglers: BTreeMap::new(), live: 0 }
    }

    /// The sequence that the next message gets.
    pub(super) fn tail(&self) -> u64 {
        self.first + self.recent.len() as u64
    }

    /// How many messages are held.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn push(&mut self, slot: Slot) -> u64 {
        let seq = self.tail();
        self.recent.push_back(slot);
        self.live += 1;
        seq
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Slot> {
        match seq.checked_sub(self.first) {
            Some(i) => self.recent.get(usize::try_from(i).ok()?),
            None => self.stragglers.get(&seq),
        }
    }

    pub(super) fn get_mut(&mut self, seq: u64) -> Option<&mut Slot> {
        match seq.checked_sub(self.first) {
            Some(i) => self.recent.get_mut(usize::try_from(i).ok()?),
            None => self.stragglers.get_mut(&seq),
        }
    }

    /// The slots from `seq` on, with their sequences.
    pub(super) fn from(&self, seq: u64) -> impl Iterator<Item = (u64, &Slot)> {
        let start = seq.max(self.first);
        let skip = usize::try_from(start - self.first).unwrap_or(usize::MAX).min(self.recent.len());
        let stragglers = self.stragglers.range(seq..).map(|(seq, slot)| (*seq, slot));
        stragglers.chain((start..).zip(self.recent.range(skip..)))
    }

    /// All that are held.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (u64, &mut Slot)> {
        let stragglers = self.stragglers.iter_mut().map(|(seq, slot)| (*seq, slot));
        stragglers.chain((self.first..).zip(self.recent.iter_mut())).filter(|(_, s)| s.message.is_some())
    }

    /// Takes the message out of a slot that nobody waits for any more.
    pub(super) fn free(&mut self, seq: u64) -> Option<Message> {
        let message = self.get_mut(seq)?.message.take()?;
        self.live -= 1;
        if seq < self.first {
            self.stragglers.remove(&seq);
        }
        Some(message)
    }

    #[cfg(test)]
    pub(super) fn span(&self) -> usize {
        self.recent.len() + self.stragglers.len()
    }

    /// Forgets freed slots at the front, moving held ones out of the way where they are few among many.
    pub(super) fn trim(&mut self) {
        const SLACK: usize = 1024;
        while let Some(front) = self.recent.front() {
            let held = front.message.is_some();
            if held && self.recent.len() <= 2 * self.live + SLACK {
                return;
            }
            let Some(slot) = self.recent.pop_front() else { return };
            if held {
                self.stragglers.insert(self.first, slot);
            }
            self.first += 1;
        }
    }
}
