use super::Claim;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// A claim that is settled when its last condition is met: every stream that took outputs of its messages has them safe.
pub struct Pending {
    unmet: AtomicUsize,
    then: Mutex<Option<Then>>,
}

enum Then {
    Settle(Claim),
    Signal(Arc<Notify>),
}

impl Pending {
    /// Settles `claim` after [`Pending::met`] was called `conditions` times.
    pub fn settle(claim: Claim, conditions: usize) -> Arc<Pending> {
        Pending::new(Then::Settle(claim), conditions)
    }

    pub(crate) fn signal() -> (Arc<Pending>, Arc<Notify>) {
        let notify = Arc::new(Notify::new());
        (Pending::new(Then::Signal(notify.clone()), 1), notify)
    }

    fn new(then: Then, conditions: usize) -> Arc<Pending> {
        Arc::new(Pending { unmet: AtomicUsize::new(conditions), then: Mutex::new(Some(then)) })
    }

    /// One condition is met.
    pub fn met(&self) {
        if self.unmet.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let then = self.then.lock().unwrap_or_else(PoisonError::into_inner).take();
        match then {
            Some(Then::Settle(claim)) => claim.settle(),
            Some(Then::Signal(notify)) => notify.notify_one(),
            None => {}
        }
    }
}

/// What waits for places in one stream to become safe, in the order of the places.
#[derive(Default)]
pub(super) struct Ledger {
    waiting: VecDeque<(u64, Arc<Pending>)>,
}

impl Ledger {
    pub(super) fn file(&mut self, seq: u64, pending: Arc<Pending>) {
        // Workers file at nearly the order of their appends, so the place is found within a few steps from the back.
        let behind = self.waiting.iter().rev().take_while(|(s, _)| *s > seq).count();
        self.waiting.insert(self.waiting.len() - behind, (seq, pending));
    }

    pub(super) fn safe_up_to(&mut self, seq: u64, fired: &mut Vec<Arc<Pending>>) {
        while self.waiting.front().is_some_and(|(s, _)| *s <= seq) {
            fired.extend(self.waiting.pop_front().map(|(_, p)| p));
        }
    }
}
