//! What happens, told to whoever wants to know: every event once, on one bus.

use crate::message::Position;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Something has happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A log was opened.
    Started {
        /// The stream.
        stream: Arc<str>,
    },
    /// A log is closing.
    Shutdown {
        /// The stream.
        stream: Arc<str>,
    },
    /// A message can be read. Only from logs that were asked to tell.
    MessageAdded {
        /// The stream.
        stream: Arc<str>,
        /// Where it stands.
        at: Position,
        /// The message group that it belongs to.
        group: Option<Arc<str>>,
    },
    /// A log in memory holds more than its threshold.
    MemoryLow {
        /// The stream.
        stream: Arc<str>,
        /// Held now.
        bytes: u64,
        /// The threshold.
        threshold: u64,
    },
    /// A log in memory is below its threshold again.
    MemoryNormal {
        /// The stream.
        stream: Arc<str>,
        /// Held now.
        bytes: u64,
    },
    /// The last message of a group has come to a reader.
    GroupCompleted {
        /// The stream.
        stream: Arc<str>,
        /// The message group.
        group: Arc<str>,
        /// How many messages it has.
        messages: usize,
    },
    /// A message group did not become whole, in time or at all.
    GroupExpired {
        /// The stream.
        stream: Arc<str>,
        /// The message group.
        group: Arc<str>,
        /// How many messages have come.
        messages: usize,
    },
    /// A reader was removed since it was stale.
    ReaderRemoved {
        /// The stream.
        stream: Arc<str>,
        /// The reader.
        reader: Arc<str>,
        /// What it had yet to settle.
        lag: u64,
    },
}

/// The bus. Cloning it shares it. Telling never waits: a subscriber that is more than so many events behind misses the
/// oldest, and is told how many.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

/// How far a subscriber may fall behind.
const BEHIND: usize = 1024;

impl Default for Events {
    fn default() -> Events {
        Events(broadcast::Sender::new(BEHIND))
    }
}

impl Events {
    /// What happens from now on. `recv` gives one event after the other, or how many were missed.
    ///
    /// ```
    /// # use pelton::{events::Event, log::{LogOptions, SequenceLog}};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let log = SequenceLog::memory("orders", LogOptions::default())?;
    /// let mut events = log.events().subscribe();
    /// log.close().await;
    /// assert!(matches!(events.recv().await?, Event::Shutdown { .. }));
    /// # Ok(()) }
    /// ```
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// Tells an event.
    pub fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.0.send(event);
    }
}
