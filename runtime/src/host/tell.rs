//! Events as log lines.

use crate::events::{Event, Events};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

/// Logs what an operator should know of, until the task is ended.
pub(super) fn start(events: &Events) -> JoinHandle<()> {
    let mut events = events.subscribe();
    tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(event) => log(&event),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events came faster than they could be logged")
                }
                Err(RecvError::Closed) => return,
            }
        }
    })
}

fn log(event: &Event) {
    match event {
        Event::Started { stream } => tracing::debug!(stream = &**stream, "log opened"),
        Event::Shutdown { stream } => tracing::debug!(stream = &**stream, "log closed"),
        Event::MemoryLow { stream, bytes, threshold } => {
            tracing::warn!(stream = &**stream, bytes, threshold, "stream is above its threshold; its readers lag");
        }
        Event::MemoryNormal { stream, bytes } => {
            tracing::info!(stream = &**stream, bytes, "stream is below its threshold again");
        }
        Event::GroupExpired { stream, group, messages } => {
            tracing::warn!(stream = &**stream, group = &**group, messages, "message group given up");
        }
        // Told where it is done, or one for each message.
        Event::ReaderRemoved { .. } | Event::MessageAdded { .. } | Event::GroupCompleted { .. } => {}
    }
}
