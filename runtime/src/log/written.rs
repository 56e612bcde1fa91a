//! What becomes of an append, for those who do not wait for it.

use super::LogError;
use crate::stream::Pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// An append that is under way. It is made whether anyone waits for it or not.
#[derive(Clone)]
pub struct Written(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    over: Notify,
}

struct State {
    /// Parts that are under way.
    left: usize,
    failed: Option<LogError>,
    waiting: Vec<Arc<Pending>>,
}

impl Written {
    /// Of so many parts.
    pub(super) fn new(parts: usize) -> Written {
        let state = State { left: parts, failed: None, waiting: Vec::new() };
        Written(Arc::new(Inner { state: Mutex::new(state), over: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One part has ended.
    pub(super) fn part(&self, result: Result<(), LogError>) {
        let mut state = self.lock();
        state.left = state.left.saturating_sub(1);
        if let Err(error) = result {
            state.failed.get_or_insert(error);
        }
        if state.left > 0 {
            return;
        }
        let waiting = std::mem::take(&mut state.waiting);
        let failed = state.failed.is_some();
        drop(state);
        self.0.over.notify_waiters();
        if !failed {
            waiting.into_iter().for_each(|pending| pending.met());
        }
        // Where it failed, what waited is dropped: its messages come again.
    }

    /// Counts `pending` as one of its conditions met once all is as safe as the log's durability says; drops it where that
    /// fails.
    pub fn then(&self, pending: Arc<Pending>) {
        let mut state = self.lock();
        if state.left > 0 {
            state.waiting.push(pending);
        } else if state.failed.is_none() {
            drop(state);
            pending.met();
        }
    }

    /// Waits until it is safe.
    ///
    /// # Errors
    /// Where the storage has failed: then it may be there or not, in whole or in parts.
    pub async fn wait(&self) -> Result<(), LogError> {
        loop {
            let over = self.0.over.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            {
                let state = self.lock();
                if state.left == 0 {
                    return state.failed.clone().map_or(Ok(()), Err);
                }
            }
            over.await;
        }
    }
}
