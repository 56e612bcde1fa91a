//! What an append under way needs when it has ended.

use super::acks::Awaited;
use super::group::Group;
use super::{LogError, failed, lock};
use crate::broker::{Ack, AckToken};
use crate::events::{Event, Events};
use crate::message::{Message, Position};
use crate::stream::Acks;
use crate::stream::disk::DiskError;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc};

/// What an append under way needs when it has ended; not the storage, whose own thread may be the one that says so.
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) events: Events,
    pub(super) announce: bool,
    pub(super) closed: AtomicBool,
    /// Told when there is more to read.
    pub(super) grown: Notify,
    /// Told when there is room again.
    pub(super) room: Notify,
    /// Appends under way.
    pub(super) writing: AtomicU64,
    /// Told when something was settled, an append has ended, or the storage has failed.
    pub(super) settled: Notify,
    /// Why the storage takes nothing more.
    pub(super) failed: Mutex<Option<LogError>>,
    /// By partition.
    pub(super) awaited: Vec<Mutex<Awaited>>,
    /// Readers that sources wait for.
    pub(super) required: Mutex<Vec<Arc<Group>>>,
    pub(super) acks: mpsc::UnboundedSender<Vec<(AckToken, Ack)>>,
    pub(super) acked: Mutex<Option<Acks>>,
}

impl Shared {
    /// Messages from a place on can be read.
    pub(super) fn appended(&self, first: Position, groups: Vec<Option<Arc<str>>>, tokens: Vec<AckToken>) {
        if let Some(awaited) = self.awaited.get(first.partition as usize).filter(|_| !tokens.is_empty()) {
            let mut done = Vec::new();
            let required = lock(&self.required);
            let mut awaited = lock(awaited);
            for (seq, token) in (first.seq..).zip(tokens) {
                // A quick reader may have settled it by now.
                let unsettled = |g: &Group| g.cursor(first.partition).is_some_and(|c| !c.settled().contains(seq));
                let waits = |g: &Group| !g.is_removed() && unsettled(g);
                let readers = (0..).zip(required.iter()).filter(|(_, g)| waits(g)).map(|(id, _)| id).collect();
                awaited.add(seq, token, readers, &mut done);
            }
            drop((awaited, required));
            self.acknowledge(done);
        }
        self.grown.notify_waiters();
        for (seq, group) in (first.seq..).zip(groups) {
            let at = Position { seq, ..first };
            self.events.tell(Event::MessageAdded { stream: self.name.clone(), at, group });
        }
    }

    pub(super) fn fail(&self, error: &DiskError) {
        lock(&self.failed).get_or_insert_with(|| failed(&self.name, error.clone()));
        self.settled.notify_waiters();
    }

    /// Whatever became of these messages, their source may forget them.
    pub(super) fn accept(&self, tokens: Vec<AckToken>) {
        self.acknowledge(tokens.into_iter().map(|token| (token, Ack::Accept)).collect());
    }

    pub(super) fn acknowledge(&self, done: Vec<(AckToken, Ack)>) {
        if !done.is_empty() {
            // Nobody listens where the pump has ended: then there is nothing to tell.
            drop(self.acks.send(done));
        }
    }
}

pub(super) fn announced(messages: &[Message]) -> Vec<Option<Arc<str>>> {
    messages.iter().map(|m| m.group().map(|g| Arc::from(g.id))).collect()
}
