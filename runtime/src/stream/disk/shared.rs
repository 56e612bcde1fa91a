//! What the writer of a log and its readers share.

use super::files::Files;
use super::segment::Contents;
use super::{DiskError, LogOptions};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// So much weight may be queued for the writer.
pub(super) const BUDGET: u64 = 64 << 20;

/// What the writer and the readers share.
pub(super) struct Shared {
    pub(super) files: Box<dyn Files>,
    pub(super) options: LogOptions,
    state: Mutex<State>,
    /// Told whenever there is more to read.
    pub(super) grown: Notify,
    /// The weight of what the writer has not answered yet.
    pub(super) queued: AtomicU64,
    /// Told when that falls below the budget.
    pub(super) room: Notify,
    /// How often messages were synced.
    pub(super) syncs: AtomicU64,
    /// Whether the writer waits for room on the disk.
    pub(super) full: AtomicBool,
    /// Held while segments are given up: whether the removal of the last one is still to be synced.
    pub(super) trimming: Mutex<bool>,
    /// Goes with the log.
    _lock: Option<File>,
}

pub(super) struct State {
    /// By their bases, rising; the last one is being written.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Readers see what is below.
    pub(super) visible: u64,
    /// The sequence after the last message: below `visible` where a gap follows it.
    pub(super) held: u64,
    pub(super) poisoned: Option<String>,
}

/// A segment as readers see it.
pub(super) struct Segment {
    pub(super) base: u64,
    contents: Mutex<Contents>,
}

impl Shared {
    pub(super) fn new(
        files: Box<dyn Files>,
        options: LogOptions,
        segments: Vec<Arc<Segment>>,
        lock: Option<File>,
    ) -> Arc<Shared> {
        let visible = segments.last().map_or(1, |s| s.contents().next);
        let held = segments.iter().map(|s| s.contents().held).max().unwrap_or(0);
        Arc::new(Shared {
            files,
            options,
            state: Mutex::new(State { segments, visible, held, poisoned: None }),
            grown: Notify::new(),
            queued: AtomicU64::new(0),
            full: AtomicBool::new(false),
            room: Notify::new(),
            syncs: AtomicU64::new(0),
            trimming: Mutex::default(),
            _lock: lock,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segments from the one with `seq` on, and up to where they are visible; an error where it is not within them.
    pub(super) fn within(&self, seq: u64) -> Result<(Vec<Arc<Segment>>, u64), DiskError> {
        let state = self.state();
        let first = state.segments.first().map_or(state.visible, |s| s.base);
        if seq < first || seq > state.visible {
            return Err(DiskError::OutOfBounds { seq, first, last: state.visible - 1 });
        }
        let at = state.segments.partition_point(|s| s.base <= seq).saturating_sub(1);
        Ok((state.segments.get(at..).unwrap_or_default().to_vec(), state.visible))
    }

    pub(super) fn closed(&self) -> DiskError {
        let poisoned = self.state().poisoned.clone();
        poisoned.map_or(DiskError::Closed, DiskError::Poisoned)
    }

    /// So much of what was queued is answered.
    pub(super) fn give_back(&self, weight: u64) {
        let before = self.queued.fetch_sub(weight, Ordering::AcqRel);
        if before >= BUDGET && before.saturating_sub(weight) < BUDGET {
            self.room.notify_waiters();
        }
    }
}

impl Segment {
    pub(super) fn new(base: u64, contents: Contents) -> Arc<Segment> {
        Arc::new(Segment { base, contents: Mutex::new(contents) })
    }

    pub(super) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
