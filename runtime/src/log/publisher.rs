//! Producers that stamp their messages.

use super::{LogError, SequenceLog, lock};
use crate::message::{Message, MessageBuilder, Position};
use crate::stream::now_ns;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Who made a message.
pub const SOURCE: &str = ":source";
/// What kind of message its maker says that it is.
pub const TYPE: &str = ":type";

/// What one producer has done here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProducerStats {
    /// Messages that it has published.
    pub published: u64,
    /// The place of its last one.
    pub last: Option<Position>,
}

/// All producers of a log, by their identifiers.
pub(super) type Producers = Mutex<HashMap<Arc<str>, ProducerStats>>;

/// Publishes in a producer's name: every message says whom it is from and of what type it is.
///
/// ```
/// # use pelton::{message::Message, log::*, stream::Limit};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = SequenceLog::memory("orders", LogOptions::default())?;
/// let shop = log.publisher("shop-7");
/// let at = shop.publish("order.placed", &Message::new(b"{}")?).await?;
/// let entry = &log.read(at.partition, at.seq, Limit::messages(1))?[0];
/// assert_eq!(entry.message.header(SOURCE).and_then(|v| v.as_text()), Some("shop-7"));
/// assert_eq!(entry.message.header(TYPE).and_then(|v| v.as_text()), Some("order.placed"));
/// # Ok(()) }
/// ```
pub struct Publisher {
    log: SequenceLog,
    id: Arc<str>,
    builder: Mutex<MessageBuilder>,
}

impl SequenceLog {
    /// A publisher in this producer's name.
    pub fn publisher(&self, producer_id: &str) -> Publisher {
        let id: Arc<str> = Arc::from(producer_id);
        lock(&self.0.producers).entry(id.clone()).or_default();
        Publisher { log: self.clone(), id, builder: Mutex::default() }
    }

    /// What a producer has done.
    ///
    /// # Errors
    /// [`LogError::ProducerNotFound`].
    pub fn producer_stats(&self, producer_id: &str) -> Result<ProducerStats, LogError> {
        lock(&self.0.producers).get(producer_id).copied().ok_or_else(|| self.no_producer(producer_id))
    }

    /// Forgets a producer: its publishers publish no more.
    ///
    /// # Errors
    /// [`LogError::ProducerNotFound`].
    pub fn remove_producer(&self, producer_id: &str) -> Result<ProducerStats, LogError> {
        lock(&self.0.producers).remove(producer_id).ok_or_else(|| self.no_producer(producer_id))
    }

    fn no_producer(&self, producer_id: &str) -> LogError {
        LogError::ProducerNotFound { stream: self.name().to_string(), producer: producer_id.to_owned() }
    }
}

impl Publisher {
    /// Publishes a message of a type, and returns its place. What it says already of source and type is replaced; one
    /// without a time gets the present one.
    ///
    /// # Errors
    /// As for [`SequenceLog::append`]; [`LogError::ProducerNotFound`] where the producer was removed.
    pub async fn publish(&self, message_type: &str, message: &Message) -> Result<Position, LogError> {
        self.log.producer_stats(&self.id)?;
        let stamped = self.stamp(message_type, message)?;
        let at = self.log.publish(stamped).await?;
        if let Some(stats) = lock(&self.log.0.producers).get_mut(&self.id) {
            stats.published += 1;
            stats.last = stats.last.max(Some(at));
        }
        Ok(at)
    }

    fn stamp(&self, message_type: &str, message: &Message) -> Result<Message, LogError> {
        let mut builder = lock(&self.builder);
        let time = if message.timestamp() == 0 { now_ns() } else { message.timestamp() };
        builder.subject(message.subject()).id(message.id()).timestamp(time);
        builder.headers_of(message, |name| name != SOURCE && name != TYPE);
        builder.header(SOURCE, &*self.id).header(TYPE, message_type);
        builder.build(message.body()).map_err(|error| LogError::InvalidConfiguration(error.to_string()))
    }
}
