//! Reading a stream: as a member of a group, or one partition from an offset on.

use super::connection::Client;
use super::subscription::{self, RENEW, Subscription, start_to_wire};
use super::{ClientError, Connection, places};
use crate::broker::Backoff;
use crate::config::Start;
use crate::message::{Entry, Position};
use crate::serve::convert::from_records;
use crate::serve::proto::{FetchRequest, Place, SubscribeRequest};
use async_trait::async_trait;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;

/// How a consumer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// The stream.
    pub stream: String,
    /// Alone or with others.
    pub reading: Reading,
    /// Where to begin: with a partition always, with a group only where the broker does not know it yet.
    pub offset: Start,
    /// How often a group is told that what earlier batches brought is handled. None: [`Consumer::settle`] says so.
    pub auto_commit: Option<Duration>,
    /// How long [`Consumer::next_batch`] waits for messages before it returns with none.
    pub poll: Duration,
    /// So many messages of a group are on their way to this consumer at once; at least 1.
    pub prefetch: u32,
    /// The most bytes of a batch; one message larger than this comes alone. At most 16 MiB.
    pub max_bytes: u32,
    /// Of a partition: fewer bytes than this are waited with ...
    pub min_bytes: u32,
    /// ... for so long at most.
    pub max_wait: Duration,
}

/// Alone or with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As a member of this group, which shares the messages of all partitions; the broker keeps its place.
    Group(String),
    /// This partition by itself; nobody keeps its place.
    Partition(u32),
}

impl ConsumerOptions {
    /// From the earliest message on; settled every 5 s, polled for 1 s, 1 MiB a batch.
    pub fn new(stream: &str, reading: Reading) -> ConsumerOptions {
        ConsumerOptions {
            stream: stream.to_owned(),
            reading,
            offset: Start::Earliest,
            auto_commit: Some(Duration::from_secs(5)),
            poll: Duration::from_secs(1),
            prefetch: 1000,
            max_bytes: 1 << 20,
            min_bytes: 1,
            max_wait: Duration::from_secs(1),
        }
    }

    /// As a member of a group.
    pub fn group(stream: &str, group: &str) -> ConsumerOptions {
        ConsumerOptions::new(stream, Reading::Group(group.to_owned()))
    }

    /// One partition, from here on.
    pub fn partition(stream: &str, partition: u32, offset: Start) -> ConsumerOptions {
        ConsumerOptions { offset, ..ConsumerOptions::new(stream, Reading::Partition(partition)) }
    }
}

/// Handles messages one by one; closures do, too.
#[async_trait]
pub trait MessageHandler: Send {
    /// Handles one message. Where it fails, the message comes again, with an attempt one higher where a group reads.
    async fn handle(&mut self, entry: Entry) -> anyhow::Result<()>;
}

#[async_trait]
impl<F, Handling> MessageHandler for F
where
    F: FnMut(Entry) -> Handling + Send,
    Handling: Future<Output = anyhow::Result<()>> + Send,
{
    async fn handle(&mut self, entry: Entry) -> anyhow::Result<()> {
        self(entry).await
    }
}

/// Reads a stream. Where the connection is lost, it connects again, waiting longer each time; what a group had not settled
/// comes again. Dropping it gives back what it had in hand.
///
/// ```
/// # use pelton::{config::GrpcConfig, log::{LogOptions, SequenceLog}, serve::{Server, Streams}};
/// # use pelton::{client::{Connection, Consumer, ConsumerOptions}, message::Message};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # let (streams, log) = (Streams::default(), SequenceLog::memory("orders", LogOptions::default())?);
/// # streams.insert(log.clone());
/// # log.append(vec![Message::new(b"one")?, Message::new(b"two")?]).await?;
/// # let config = GrpcConfig { address: "127.0.0.1:0".parse()?, tokens: vec![], tls: None, directory: None, max_message: 1 << 20 };
/// # let server = Server::start(config, streams).await?;
/// # let address = server.address().to_string();
/// let mut options = ConsumerOptions::group("orders", "billing");
/// options.auto_commit = None;
/// let mut consumer = Consumer::new(Connection::to(&address), options);
/// let batch = consumer.next_batch().await?;
/// assert_eq!(batch[0].message.body(), b"one");
/// consumer.settle(&batch).await;
/// consumer.close().await;
/// # server.shutdown().await;
/// # Ok(()) }
/// ```
pub struct Consumer {
    connection: Connection,
    options: ConsumerOptions,
    subscription: Option<Subscription>,
    /// Where a partition is read next.
    next: Option<i64>,
    /// To be sent with the next request.
    owed: SubscribeRequest,
    /// When the last one was sent.
    sent: Instant,
    /// Given by earlier calls, and not settled yet, where the consumer settles by itself.
    given: Vec<Place>,
    committed: Instant,
    backoff: Backoff,
    /// Not before this is it connected again.
    retry: Option<Instant>,
}

impl Consumer {
    /// Over this connection. Nothing is read yet.
    pub fn new(connection: Connection, options: ConsumerOptions) -> Consumer {
        let now = Instant::now();
        Consumer {
            connection,
            options,
            subscription: None,
            next: None,
            owed: SubscribeRequest::default(),
            sent: now,
            given: Vec::new(),
            committed: now,
            backoff: Backoff::default(),
            retry: None,
        }
    }

    /// The next messages, at least one; or none, where none came in time.
    ///
    /// # Errors
    /// What does not get better by itself: [`ClientError::NotFound`], [`ClientError::OutOfRange`],
    /// [`ClientError::Unauthenticated`] and the like. A lost connection is made again instead.
    pub async fn next_batch(&mut self) -> Result<Vec<Entry>, ClientError> {
        if self.options.auto_commit.is_some_and(|every| self.committed.elapsed() >= every) {
            self.commit().await;
        }
        let batch = self.receive().await?;
        if let (Some(_), Reading::Group(_)) = (self.options.auto_commit, &self.options.reading) {
            batch.iter().for_each(|entry| places::add(&mut self.given, entry.at));
        }
        Ok(batch)
    }

    /// These messages of a group are handled. What the broker has not heard of yet when the connection is lost is said
    /// over the next one.
    pub async fn settle(&mut self, entries: &[Entry]) {
        if let Reading::Group(_) = self.options.reading {
            entries.iter().for_each(|entry| places::add(&mut self.owed.settle, entry.at));
            self.send().await;
        }
    }

    /// This message of a group was not handled: it comes again, to any member, with an attempt one higher.
    pub async fn release(&mut self, at: Position) {
        if let Reading::Group(_) = self.options.reading {
            places::add(&mut self.owed.release, at);
            self.send().await;
        }
    }

    /// Gives every message to the handler, and settles those that it handled. One that fails is given back, and comes again
    /// after a pause, longer each time in a row; of a partition, it is given to the handler again. Never returns but with an
    /// error; drop the call to end it.
    ///
    /// # Errors
    /// As for [`Consumer::next_batch`].
    pub async fn run(&mut self, mut handler: impl MessageHandler) -> Result<Infallible, ClientError> {
        // No longer than what keeps the rest of the batch leased.
        let mut pause = Backoff::new(Duration::from_millis(100), RENEW, 2.0);
        loop {
            for entry in self.receive().await? {
                self.handle(&mut handler, entry, &mut pause).await;
            }
        }
    }

    async fn handle(&mut self, handler: &mut impl MessageHandler, entry: Entry, pause: &mut Backoff) {
        let at = entry.at;
        let is_group = matches!(self.options.reading, Reading::Group(_));
        while let Err(error) = self.leased(handler.handle(entry.clone())).await {
            let wait = pause.next_delay();
            let stream = &*self.options.stream;
            tracing::warn!(stream, partition = at.partition, seq = at.seq, error = %format!("{error:#}"), ?wait, "not handled");
            if is_group {
                places::add(&mut self.owed.release, at);
                self.send().await;
            }
            tokio::time::sleep(wait).await;
            if is_group {
                return;
            }
        }
        pause.reset();
        if is_group {
            places::add(&mut self.owed.settle, at);
            if self.sent.elapsed() >= RENEW {
                self.send().await;
            }
        }
    }

    /// Keeps what is in hand leased while a message is handled.
    async fn leased<T>(&mut self, handling: impl Future<Output = T>) -> T {
        tokio::pin!(handling);
        loop {
            tokio::select! {
                biased;
                handled = &mut handling => return handled,
                () = tokio::time::sleep(RENEW) => self.send().await,
            }
        }
    }

    /// Says that all that earlier batches brought is handled, where the consumer settles by itself.
    pub async fn commit(&mut self) {
        self.committed = Instant::now();
        self.owed.settle.append(&mut self.given);
        if !self.owed.settle.is_empty() {
            self.send().await;
        }
    }

    /// Settles what is to be settled, and leaves the group, once the broker has heard of it.
    pub async fn close(mut self) {
        self.commit().await;
        if let Some(subscription) = self.subscription.take() {
            subscription.close().await;
        }
    }

    /// The next batch; an empty one, where none comes in time.
    async fn receive(&mut self) -> Result<Vec<Entry>, ClientError> {
        let deadline = Instant::now() + self.options.poll;
        loop {
            if let Some(retry) = self.retry {
                tokio::time::sleep_until(retry.min(deadline)).await;
                if deadline < retry {
                    return Ok(Vec::new());
                }
                self.retry = None;
            }
            let received = match self.options.reading {
                Reading::Group(_) => self.receive_as_member(deadline).await,
                Reading::Partition(partition) => self.fetch(partition).await,
            };
            match received {
                Ok(batch) => {
                    self.backoff.reset();
                    return Ok(batch);
                }
                Err(error) if error.is_temporary() => {
                    // What was in hand has come back by itself, and credit is given anew. What was to be settled comes again,
                    // too: the stream may be another by now, with other messages at these places.
                    self.subscription = None;
                    self.owed = SubscribeRequest::default();
                    self.given.clear();
                    let wait = self.backoff.next_delay();
                    tracing::warn!(stream = self.options.stream, %error, ?wait, "connecting again");
                    self.retry = Some(Instant::now() + wait);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn receive_as_member(&mut self, deadline: Instant) -> Result<Vec<Entry>, ClientError> {
        let subscription = match &mut self.subscription {
            Some(subscription) => {
                if self.owed != SubscribeRequest::default() || self.sent.elapsed() >= RENEW {
                    subscription.send(&mut self.owed).await;
                    self.sent = Instant::now();
                }
                subscription
            }
            None => {
                let opened = Subscription::open(&self.connection, self.first_request()).await?;
                self.owed = SubscribeRequest::default();
                self.sent = Instant::now();
                self.subscription.insert(opened)
            }
        };
        let Ok(batch) = tokio::time::timeout_at(deadline, subscription.next()).await else { return Ok(Vec::new()) };
        let batch = batch?;
        // The next request makes up for it: by then they are handled, or in hand.
        self.owed.credit += u32::try_from(batch.len()).unwrap_or(u32::MAX);
        Ok(batch)
    }

    fn first_request(&self) -> SubscribeRequest {
        let group = match &self.options.reading {
            Reading::Group(group) => group.as_str(),
            Reading::Partition(_) => "",
        };
        let mut open = subscription::open(&self.options.stream, group, self.options.offset);
        open.max_bytes = self.options.max_bytes;
        let credit = self.options.prefetch.max(1);
        SubscribeRequest { open: Some(open), credit, ..self.owed.clone() }
    }

    async fn fetch(&mut self, partition: u32) -> Result<Vec<Entry>, ClientError> {
        let options = &self.options;
        let wait = options.max_wait.min(options.poll);
        let (start, time) = start_to_wire(options.offset);
        let request = FetchRequest {
            stream: options.stream.clone(),
            partition,
            offset: self.next.unwrap_or(start),
            max_bytes: options.max_bytes,
            min_bytes: options.min_bytes,
            max_wait_ms: Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
            time: time.filter(|_| self.next.is_none()),
        };
        let call = |mut client: Client| async move { client.fetch(request).await };
        let response = self.connection.call(wait, call).await?;
        self.next = Some(response.next_offset);
        Ok(from_records(&response.records)?)
    }

    /// Whether it waits to connect again: then that nothing came does not say that nothing is there.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.retry.is_some()
    }

    async fn send(&mut self) {
        if let Some(subscription) = &self.subscription {
            subscription.send(&mut self.owed).await;
            self.sent = Instant::now();
        }
    }
}
