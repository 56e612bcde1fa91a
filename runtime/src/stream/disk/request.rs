//! One append on its way to the writer and back.

use super::shared::Shared;
use super::{Appended, DiskError, ProducerBatch};
use crate::message::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Messages to append, and whom to tell what became of them.
pub(super) struct Request {
    pub(super) messages: Vec<Message>,
    pub(super) producer: Option<ProducerBatch>,
    pub(super) done: Done,
}

type Tell = Box<dyn FnOnce(Result<Appended, DiskError>) + Send>;

/// Whom to tell, once; where it is dropped, it tells that the log is closed.
pub(super) struct Done {
    shared: Arc<Shared>,
    /// What is queued until then.
    pub(super) weight: u64,
    tell: Option<Tell>,
}

impl Done {
    /// Counts the weight as queued.
    pub(super) fn new(shared: Arc<Shared>, weight: u64, tell: Tell) -> Done {
        shared.queued.fetch_add(weight, Ordering::Relaxed);
        Done { shared, weight, tell: Some(tell) }
    }

    /// Gives the weight back, and tells.
    pub(super) fn tell(mut self, result: Result<Appended, DiskError>) {
        self.finish(result);
    }

    fn finish(&mut self, result: Result<Appended, DiskError>) {
        if let Some(tell) = self.tell.take() {
            self.shared.give_back(self.weight);
            tell(result);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.finish(Err(self.shared.closed()));
    }
}
