use super::Inner;
use std::sync::Arc;

/// Room in a stream that a source has taken and not yet filled. Dropping it gives it back.
pub struct Permits {
    stream: Arc<Inner>,
    count: usize,
}

impl Permits {
    pub(super) fn new(stream: Arc<Inner>, count: usize) -> Permits {
        Permits { stream, count }
    }

    /// How many messages; at least one.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(super) fn spend(&mut self) -> usize {
        std::mem::take(&mut self.count)
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        let count = self.spend();
        if count > 0 {
            self.stream.lock().unreserve(count);
            self.stream.room.notify_waiters();
        }
    }
}
