//! One group of readers: a cursor in each partition, and who is a member.

use super::cursor::Cursor;
use crate::message::Entry;
use crate::stream::assembly::Assembly;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

pub(super) struct Group {
    pub(super) name: Arc<str>,
    cursors: Vec<Mutex<Cursor>>,
    /// Told when something comes again.
    pub(super) wake: Notify,
    /// Message groups under way; a member that takes a part of one holds it for all.
    assembly: Mutex<Option<Assembly<Entry>>>,
    members: AtomicU64,
    next_member: AtomicU64,
    /// When it was last heard of, ns since 1970.
    active: AtomicI64,
    /// Whether sources wait for it.
    pub(super) required: AtomicBool,
    removed: AtomicBool,
    /// How often it was moved: what was given before that is void.
    moves: AtomicU64,
}

/// Holds what is put together to message groups; no member has it.
pub(super) const ASSEMBLING: u64 = 0;
/// So many messages of groups that are under way are held, and no more: then some must become whole, or their time be over.
pub(super) const MOST_ASSEMBLING: usize = 65_536;

impl Group {
    pub(super) fn new(name: &str, cursors: Vec<Cursor>, now: i64) -> Group {
        Group {
            name: Arc::from(name),
            cursors: cursors.into_iter().map(Mutex::new).collect(),
            wake: Notify::new(),
            assembly: Mutex::new(None),
            members: AtomicU64::new(0),
            next_member: AtomicU64::new(1),
            active: AtomicI64::new(now),
            required: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            moves: AtomicU64::new(0),
        }
    }

    /// The cursor in a partition, which must be there.
    pub(super) fn cursor(&self, partition: u32) -> Option<MutexGuard<'_, Cursor>> {
        self.cursors.get(partition as usize).map(|c| c.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn cursors(&self) -> impl Iterator<Item = (u32, MutexGuard<'_, Cursor>)> {
        (0..).zip(self.cursors.iter().map(|c| c.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(super) fn join(&self) -> u64 {
        self.members.fetch_add(1, Ordering::Relaxed);
        self.next_member.fetch_add(1, Ordering::Relaxed)
    }

    /// A member is gone, and what it had comes again. With the last one go message groups under way: who comes next may
    /// not want groups.
    pub(super) fn leave(&self, member: u64) {
        let mut assembly = self.assembly();
        self.cursors().for_each(|(_, mut cursor)| cursor.leave(member));
        if self.members.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.give_up_groups(&mut assembly);
        }
        drop(assembly);
        self.wake.notify_waiters();
    }

    pub(super) fn assembly(&self) -> MutexGuard<'_, Option<Assembly<Entry>>> {
        self.assembly.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parts of message groups under way come again as they are.
    fn give_up_groups(&self, assembly: &mut Option<Assembly<Entry>>) {
        if let Some(assembly) = assembly {
            assembly.clear();
            self.cursors().for_each(|(_, mut cursor)| cursor.give_back(ASSEMBLING));
        }
    }

    /// Moves the cursor in a partition. What members have in hand there is void, and so are message groups under way.
    pub(super) fn seek(&self, partition: u32, seq: u64, assembly: &mut Option<Assembly<Entry>>) {
        self.moves.fetch_add(1, Ordering::AcqRel);
        if let Some(mut cursor) = self.cursor(partition) {
            cursor.seek(seq);
        }
        self.give_up_groups(assembly);
    }

    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    pub(super) fn members(&self) -> u64 {
        self.members.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, now: i64) {
        self.active.store(now, Ordering::Relaxed);
    }

    pub(super) fn idle(&self, now: i64) -> Duration {
        let ns = now.saturating_sub(self.active.load(Ordering::Relaxed));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
    }

    pub(super) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
}

/// All groups of a log, by their names.
pub(super) type Groups = BTreeMap<Arc<str>, Arc<Group>>;
