//! What handles messages: the [`Handler`] trait, and closures as handlers, for programs that want no WebAssembly.

use crate::message::{Batch, Handled};
use async_trait::async_trait;

/// The most a handler wants in one batch; what the configuration and measured time allow may be less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// Messages.
    pub messages: usize,
    /// Bytes, a single larger message aside.
    pub bytes: u64,
}

impl BatchLimit {
    /// No limit of its own.
    pub const NONE: BatchLimit = BatchLimit { messages: usize::MAX, bytes: u64::MAX };
}

/// Why a whole call failed: nothing of it counts. The variant decides what happens next; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// Some message in the call made it fail. The text stands in the log, and in the dead letter's headers where only one
    /// message was in the call.
    #[error("{0}")]
    Failed(String),
    /// There is no instance to call: no message is to blame, and all come again as they are.
    #[error("{0}")]
    Unavailable(String),
}

/// Handles batches, one at a time. The caller's loop, in [`crate::worker`]:
///
/// ```text
/// handle(batch) ─ Ok: settle by the outcomes, emit the outputs, give what was not considered again
///               ├ Failed: nothing of it counts. More than one message: each again by itself. One: it is retried
///               └ Unavailable: put the batch back, wait a little
/// ```
#[async_trait]
pub trait Handler: Send {
    /// Handles some or all messages of a batch, in order.
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError>;

    /// The most it wants at once.
    fn limit(&self) -> BatchLimit {
        BatchLimit::NONE
    }

    /// Retires in good health.
    async fn stop(&mut self) {}
}

/// Makes the handlers of one generation, one for each worker.
#[async_trait]
pub trait HandlerMaker: Send + Sync {
    /// A handler that is ready.
    async fn make(&self) -> anyhow::Result<Box<dyn Handler>>;
}

/// A closure over a batch, as a handler and its own maker.
#[derive(Clone)]
pub struct Native<F>(pub F);

#[async_trait]
impl<F> Handler for Native<F>
where
    F: Fn(&Batch) -> Handled + Send + Sync,
{
    async fn handle(&mut self, batch: &Batch) -> Result<Handled, HandlerError> {
        Ok((self.0)(batch))
    }
}

#[async_trait]
impl<F> HandlerMaker for Native<F>
where
    F: Fn(&Batch) -> Handled + Clone + Send + Sync + 'static,
{
    async fn make(&self) -> anyhow::Result<Box<dyn Handler>> {
        Ok(Box::new(self.clone()))
    }
}
