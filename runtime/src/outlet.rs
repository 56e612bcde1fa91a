//! Where messages go inside the host: into a stream that is a buffer, or one that is a log.

use crate::log::{SequenceLog, Written};
use crate::message::Message;
use crate::stream::{Pending, Stream};
use std::sync::Arc;

/// A stream, as those who append to it see it. Cloning it shares it.
#[derive(Clone)]
pub enum Outlet {
    /// Messages are gone once they are settled.
    Buffer(Stream),
    /// Messages keep their places.
    Log(SequenceLog),
}

/// Messages that were appended, and may not be safe yet.
pub enum Appended {
    /// Up to this sequence.
    Buffer(Stream, u64),
    /// On their way to the disk.
    Log(Written),
}

impl Outlet {
    /// The buffer, where it is one.
    pub fn buffer(&self) -> Option<&Stream> {
        if let Outlet::Buffer(stream) = self { Some(stream) } else { None }
    }

    /// The log, where it is one.
    pub fn log(&self) -> Option<&SequenceLog> {
        if let Outlet::Log(log) = self { Some(log) } else { None }
    }

    /// Appends in order, waiting for room where the stream says so; none where every message was dropped, as the stream
    /// wants it. A log that has failed takes nothing more: then it waits for ever.
    pub async fn append(&self, messages: Vec<Message>) -> Option<Appended> {
        match self {
            Outlet::Buffer(stream) => {
                let last = stream.append(messages).await?;
                Some(Appended::Buffer(stream.clone(), last))
            }
            Outlet::Log(log) => match log.emit(messages).await {
                Ok(written) => written.map(Appended::Log),
                Err(error) => {
                    tracing::error!(stream = &**log.name(), %error, "stream takes no more messages");
                    std::future::pending().await
                }
            },
        }
    }
}

impl Appended {
    /// Counts `pending` as one of its conditions met once all is safe; drops it where it never will be.
    pub fn when_safe(self, pending: Arc<Pending>) {
        match self {
            Appended::Buffer(stream, last) => stream.when_safe(last, pending),
            Appended::Log(written) => written.then(pending),
        }
    }
}

#[cfg(test)]
mod tests;
