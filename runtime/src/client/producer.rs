//! Sending messages in batches.

use super::appender::Appender;
use super::{ClientError, Connection};
use crate::message::Message;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A batch is sent when it weighs this much, however few its messages are.
const BATCH_BYTES: u64 = 1 << 20;

/// How a producer sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// The stream.
    pub stream: String,
    /// None: by the hash of each message's key, or else of its message group; or in turn.
    pub partition: Option<u32>,
    /// A batch is sent when it has so many messages; at least 1.
    pub batch: usize,
    /// Or when its first message has waited for so long.
    pub flush: Duration,
    /// 1: a message is delivered when it is as safe as the stream makes it. 0: when the broker has room for it.
    pub acks: u8,
    /// How often a batch is sent again whose fate is not known.
    pub retries: u32,
}

impl ProducerOptions {
    /// To this stream: batches of 100, sent after 100 ms, acknowledged, sent again 3 times.
    pub fn new(stream: &str) -> ProducerOptions {
        ProducerOptions {
            stream: stream.to_owned(),
            partition: None,
            batch: 100,
            flush: Duration::from_millis(100),
            acks: 1,
            retries: 3,
        }
    }
}

/// Sends messages to a stream, in order, in batches, in the background.
///
/// A batch that is sent again is there once where all messages go to one partition: one that is named, or the only one. Else
/// it may be there twice.
///
/// ```
/// # use pelton::{config::GrpcConfig, log::{LogOptions, SequenceLog}, serve::{Server, Streams}};
/// # use pelton::{client::{Connection, Producer, ProducerOptions}, message::Message};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # let (streams, log) = (Streams::default(), SequenceLog::memory("orders", LogOptions::default())?);
/// # streams.insert(log.clone());
/// # let config = GrpcConfig { address: "127.0.0.1:0".parse()?, tokens: vec![], tls: None, directory: None, max_message: 1 << 20 };
/// # let server = Server::start(config, streams).await?;
/// # let address = server.address().to_string();
/// let producer = Producer::new(Connection::to(&address), ProducerOptions::new("orders"));
/// for i in 0..250 {
///     producer.send(Message::new(format!("order {i}").as_bytes())?).await?;
/// }
/// producer.flush().await?; // all of them are there
/// producer.shutdown().await?;
/// assert_eq!(log.messages(), 250);
/// # server.shutdown().await;
/// # Ok(()) }
/// ```
pub struct Producer {
    requests: mpsc::Sender<Request>,
    failed: Arc<Mutex<Option<ClientError>>>,
    sending: JoinHandle<()>,
}

enum Request {
    Send(Message),
    Flush(oneshot::Sender<()>),
}

impl Producer {
    /// Over this connection. To be called within a tokio runtime.
    pub fn new(connection: Connection, options: ProducerOptions) -> Producer {
        let batch = options.batch.max(1);
        let (requests, requested) = mpsc::channel(batch.saturating_mul(2).clamp(64, 1 << 16));
        let failed = Arc::default();
        let ProducerOptions { stream, partition, acks, retries, flush, .. } = options;
        let appender = Appender::new(connection, &stream, partition, i32::from(acks), retries);
        let sender =
            Sender { appender, batch, flush, failed: Arc::clone(&failed), waiting: Vec::new(), weight: 0, due: None };
        Producer { requests, failed, sending: tokio::spawn(sender.run(requested)) }
    }

    /// Takes a message, as soon as there is room for it. That it was delivered, [`Producer::flush`] says. Cancel-safe: a
    /// dropped call has taken nothing.
    ///
    /// # Errors
    /// [`ClientError::Closed`]; [`ClientError::NotDelivered`] where an earlier message could not be delivered, up to the next
    /// flush, which says so too: then this one is not taken.
    pub async fn send(&self, message: Message) -> Result<(), ClientError> {
        if let Some(failed) = &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(failed.clone());
        }
        self.requests.send(Request::Send(message)).await.map_err(|_| ClientError::Closed)
    }

    /// Waits until everything that was sent before is delivered.
    ///
    /// # Errors
    /// [`ClientError::NotDelivered`]: how many messages were not delivered since the last flush, and why. They may be there
    /// all the same, where the broker did not answer.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let (done, flushed) = oneshot::channel();
        self.requests.send(Request::Flush(done)).await.map_err(|_| ClientError::Closed)?;
        flushed.await.map_err(|_| ClientError::Closed)?;
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err)
    }

    /// Delivers what was sent, and ends. A producer that is dropped instead does the same, but nobody hears of it.
    ///
    /// # Errors
    /// As for [`Producer::flush`].
    pub async fn shutdown(self) -> Result<(), ClientError> {
        let result = self.flush().await;
        drop(self.requests);
        match self.sending.await {
            Ok(()) => result,
            Err(error) => Err(ClientError::Protocol(error.to_string())),
        }
    }
}

/// The task that sends.
struct Sender {
    appender: Appender,
    batch: usize,
    flush: Duration,
    failed: Arc<Mutex<Option<ClientError>>>,
    waiting: Vec<Message>,
    /// Of what waits.
    weight: u64,
    /// When it is sent at the latest.
    due: Option<Instant>,
}

impl Sender {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut received = Vec::new();
        loop {
            // At least 1: a full batch is delivered at once.
            let most = self.batch - self.waiting.len();
            let receiving = requests.recv_many(&mut received, most);
            let count = match self.due {
                None => receiving.await,
                Some(due) => match tokio::time::timeout_at(due, receiving).await {
                    Ok(count) => count,
                    Err(_) => {
                        self.deliver().await;
                        continue;
                    }
                },
            };
            for request in received.drain(..) {
                match request {
                    Request::Send(message) => self.add(message).await,
                    Request::Flush(done) => {
                        self.deliver().await;
                        // Whoever asked may have gone.
                        let _ = done.send(());
                    }
                }
            }
            // The producer is gone.
            if count == 0 {
                return self.deliver().await;
            }
        }
    }

    async fn add(&mut self, message: Message) {
        let weight = message.weight();
        if self.weight + weight > BATCH_BYTES {
            self.deliver().await;
        }
        if self.waiting.is_empty() {
            self.due = Some(Instant::now() + self.flush);
        }
        self.weight += weight;
        self.waiting.push(message);
        if self.waiting.len() >= self.batch {
            self.deliver().await;
        }
    }

    async fn deliver(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let messages = self.waiting.len() as u64;
        let result = self.appender.append(&self.waiting).await;
        self.waiting.clear();
        (self.weight, self.due) = (0, None);
        let Err(cause) = result else { return };
        tracing::warn!(messages, error = %cause, "messages not delivered");
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *failed {
            Some(ClientError::NotDelivered { messages: all, .. }) => *all += messages,
            _ => *failed = Some(ClientError::NotDelivered { messages, cause: Box::new(cause) }),
        }
    }
}
