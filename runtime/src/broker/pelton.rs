//! Streams of another Pelton.

use super::{Ack, AckStyle, AckToken, BrokerError, Received, Sink, Source, SourceTraits};
use crate::client::{Appender, ClientError, Connection, RENEW, Subscription, add_place, open};
use crate::config;
use crate::message::{Entry, Message, Position};
use crate::serve::proto::SubscribeRequest;
use anyhow::anyhow;
use async_trait::async_trait;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// So many messages are on their way at once.
const PREFETCH: u32 = 1000;
/// One request holds no more than this, or one message.
const REQUEST_BYTES: u64 = 1 << 20;
/// How often a batch is sent again before the connection counts as lost.
const RETRIES: u32 = 3;
/// So many batches wait to be sent.
const QUEUE: usize = 4;

/// The broker's stream may be made later; what else is not temporary needs somebody to mend it.
fn broker_error(stream: &str, error: ClientError) -> BrokerError {
    let text = anyhow!("the stream '{stream}': {error}");
    match error {
        ClientError::NotFound(_) => BrokerError::Disconnected(text),
        error if error.is_temporary() => BrokerError::Disconnected(text),
        _ => BrokerError::Fatal(text),
    }
}

/// A tag is a place: 16 bits of partition above 48 of sequence.
fn tag(at: Position) -> Option<u64> {
    let partition = u64::from(u16::try_from(at.partition).ok()?);
    (at.seq < 1 << 48).then_some(partition << 48 | at.seq)
}

fn place(tag: u64) -> Position {
    Position { partition: (tag >> 48) as u32, seq: tag & ((1 << 48) - 1) }
}

/// Reads a stream of another Pelton, as a member of a group.
pub(super) struct PeltonSource {
    config: config::PeltonSource,
    connection: Connection,
    subscription: Option<Subscription>,
    /// Received, and not given yet.
    waiting: VecDeque<Received>,
    /// To be said with the next request.
    owed: SubscribeRequest,
    sent: Instant,
    epoch: u32,
}

impl PeltonSource {
    pub(super) fn new(config: config::PeltonSource) -> PeltonSource {
        let connection = Connection::new(config.broker.clone());
        let owed = SubscribeRequest::default();
        let (subscription, waiting) = (None, VecDeque::new());
        PeltonSource { config, connection, subscription, waiting, owed, sent: Instant::now(), epoch: 0 }
    }

    fn error(&self, error: ClientError) -> BrokerError {
        broker_error(&self.config.stream, error)
    }

    fn received(&self, entry: Entry) -> Result<Received, BrokerError> {
        let Some(tag) = tag(entry.at) else {
            let (stream, at) = (&self.config.stream, entry.at);
            return Err(BrokerError::Fatal(anyhow!("the stream '{stream}' has a message at {at:?}; that is too far")));
        };
        let token = AckToken { epoch: self.epoch, tag };
        Ok(Received { attempt: entry.attempt, ..Received::new(entry.message, token) })
    }

    async fn send(&mut self) {
        if let Some(subscription) = &self.subscription {
            subscription.send(&mut self.owed).await;
            self.sent = Instant::now();
        }
    }

    /// Keeps the leases of what is in hand; never returns.
    async fn renew(&mut self) {
        loop {
            tokio::time::sleep_until(self.sent + RENEW).await;
            self.send().await;
        }
    }
}

#[async_trait]
impl Source for PeltonSource {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        self.subscription = None;
        self.waiting.clear();
        self.owed = SubscribeRequest::default();
        self.epoch = self.epoch.wrapping_add(1);
        let open = open(&self.config.stream, &self.config.group, self.config.start);
        let first = SubscribeRequest { open: Some(open), credit: PREFETCH, ..SubscribeRequest::default() };
        let opened = Subscription::open(&self.connection, first).await.map_err(|e| self.error(e))?;
        self.subscription = Some(opened);
        self.sent = Instant::now();
        Ok(())
    }

    async fn recv(&mut self, max: usize) -> Result<Vec<Received>, BrokerError> {
        while self.waiting.is_empty() {
            if self.owed.credit > 0 || self.sent.elapsed() >= RENEW {
                self.send().await;
            }
            let Some(subscription) = &mut self.subscription else {
                return Err(self.error(ClientError::Unavailable("not connected".into())));
            };
            // Nothing may come for long, and what was given before is in hand all the while.
            let next = tokio::time::timeout_at(self.sent + RENEW, subscription.next());
            let Ok(entries) = next.await else { continue };
            for entry in entries.map_err(|e| self.error(e))? {
                let received = self.received(entry)?;
                self.waiting.push_back(received);
            }
        }
        let given: Vec<Received> = self.waiting.drain(..max.min(self.waiting.len())).collect();
        self.owed.credit += u32::try_from(given.len()).unwrap_or(u32::MAX);
        Ok(given)
    }

    async fn settle(&mut self, tokens: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        // One that was rejected is done with, too: the broker knows no dead letters.
        for (token, _) in tokens.iter().filter(|(token, _)| token.epoch == self.epoch) {
            add_place(&mut self.owed.settle, place(token.tag));
        }
        self.send().await;
        Ok(())
    }

    async fn idle(&mut self) -> Result<(), BrokerError> {
        self.renew().await;
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(subscription) = self.subscription.take() {
            subscription.close().await;
        }
    }

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::Individual, redelivers: true }
    }
}

/// Appends to a stream of another Pelton.
pub(super) struct PeltonSink {
    config: config::PeltonSink,
    connection: Connection,
    sender: Option<Sender>,
}

/// The task that sends one batch after the other, up to the first that fails.
struct Sender {
    batches: mpsc::Sender<Vec<Message>>,
    confirms: mpsc::UnboundedReceiver<Result<usize, ClientError>>,
}

impl PeltonSink {
    pub(super) fn new(config: config::PeltonSink) -> PeltonSink {
        let connection = Connection::new(config.broker.clone());
        PeltonSink { config, connection, sender: None }
    }

    fn error(&self, error: ClientError) -> BrokerError {
        broker_error(&self.config.stream, error)
    }
}

async fn send_all(
    mut appender: Appender,
    mut batches: mpsc::Receiver<Vec<Message>>,
    confirms: mpsc::UnboundedSender<Result<usize, ClientError>>,
) {
    while let Some(batch) = batches.recv().await {
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at_checked(fitting(rest)).unwrap_or((rest, &[]));
            rest = after;
            let result = appender.append(part).await.map(|_| part.len());
            let failed = result.is_err();
            // Where the sink is gone, nobody asks.
            if confirms.send(result).is_err() || failed {
                return;
            }
        }
    }
}

/// How many messages one request takes; at least 1.
fn fitting(messages: &[Message]) -> usize {
    let mut bytes = 0;
    let fits = messages.iter().take_while(|message| {
        bytes += message.weight();
        bytes <= REQUEST_BYTES
    });
    fits.count().max(1)
}

#[async_trait]
impl Sink for PeltonSink {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        self.sender = None;
        self.connection.connect().await.map_err(|e| self.error(e))?;
        let appender = Appender::new(self.connection.clone(), &self.config.stream, None, 1, RETRIES);
        let (batches, to_send) = mpsc::channel(QUEUE);
        let (confirmed, confirms) = mpsc::unbounded_channel();
        tokio::spawn(send_all(appender, to_send, confirmed));
        self.sender = Some(Sender { batches, confirms });
        Ok(())
    }

    async fn send(&mut self, messages: &[Message]) -> Result<(), BrokerError> {
        // Where the task has ended, `confirmed` says why, after what it had confirmed.
        if let Some(sender) = &self.sender {
            let _ = sender.batches.send(messages.to_vec()).await;
        }
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<usize, BrokerError> {
        let confirmed = match &mut self.sender {
            Some(sender) => sender.confirms.recv().await,
            None => None,
        };
        confirmed.unwrap_or_else(|| Err(ClientError::Unavailable("not connected".into()))).map_err(|e| self.error(e))
    }

    async fn close(&mut self) {
        self.sender = None;
    }
}

#[cfg(test)]
mod tests;
