//! Waiting for a log.

use super::{LogError, SequenceLog};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a full disk is looked at.
const FULL: Duration = Duration::from_millis(100);

impl SequenceLog {
    /// Waits until a partition has something at `seq`.
    ///
    /// # Errors
    /// [`LogError::PartitionNotFound`], [`LogError::Closed`].
    pub async fn ready(&self, partition: u32, seq: u64) -> Result<(), LogError> {
        let storage = self.0.partition(partition)?;
        loop {
            let grown = self.0.shared.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if storage.next() > seq {
                return Ok(());
            }
            if self.0.shared.closed.load(Ordering::Acquire) {
                return Err(self.0.closed());
            }
            grown.await;
        }
    }

    /// Waits until there is room for a message: in memory within the budget, on disk while it is not full; at once where
    /// the log does not wait for room. Cancel-safe.
    pub async fn room(&self) {
        loop {
            let room = self.0.shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let full = match self.0.partitions.iter().find_map(|p| p.disk()) {
                Some(_) => self.is_full(),
                None => !self.0.waits_not_or_has_room(),
            };
            if !full || self.0.shared.closed.load(Ordering::Acquire) {
                break;
            }
            // Nobody tells of room on a disk.
            let _ = tokio::time::timeout(FULL, room).await;
        }
        for disk in self.0.partitions.iter().filter_map(|p| p.disk()) {
            disk.room().await;
        }
    }

    /// Waits until the storage has failed.
    pub async fn failed(&self) {
        loop {
            let changed = self.0.shared.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.failure().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no append is under way.
    pub async fn written(&self) {
        loop {
            let changed = self.0.shared.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.0.shared.writing.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits until a group has settled all that there is.
    ///
    /// # Errors
    /// [`LogError::ConsumerNotFound`], also where it is removed meanwhile; [`LogError::Closed`].
    pub async fn caught_up(&self, group: &str) -> Result<(), LogError> {
        loop {
            let changed = self.0.shared.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.lag(group)? == 0 {
                return Ok(());
            }
            if self.0.shared.closed.load(Ordering::Acquire) {
                return Err(self.0.closed());
            }
            changed.await;
        }
    }
}
