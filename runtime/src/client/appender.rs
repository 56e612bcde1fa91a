//! Appending batches one after the other, each once where the stream lets that be known.

use super::connection::Client;
use super::{Admin, ClientError, Connection};
use crate::broker::Backoff;
use crate::message::Message;
use crate::serve::convert::to_wire;
use crate::serve::proto::{ProduceRequest, ProduceResponse};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first wait before a batch is sent again, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Appends to one stream. A batch that is sent again is appended once where all goes to one partition, since the broker
/// then knows the producer's sequences; else it may be there twice.
pub(crate) struct Appender {
    connection: Connection,
    stream: String,
    partition: Option<u32>,
    acks: i32,
    /// How often a batch is sent again.
    retries: u32,
    sequences: Sequences,
}

#[derive(Clone, Copy)]
enum Sequences {
    /// The broker is yet to be asked how many partitions there are.
    Unknown,
    /// There are several, and none is named.
    None,
    /// All goes to one partition.
    Of { producer: u64, partition: u32, next: u64 },
}

impl Appender {
    pub(crate) fn new(
        connection: Connection,
        stream: &str,
        partition: Option<u32>,
        acks: i32,
        retries: u32,
    ) -> Appender {
        let sequences = partition.map_or(Sequences::Unknown, Sequences::begin);
        Appender { connection, stream: stream.to_owned(), partition, acks, retries, sequences }
    }

    /// Appends a batch. Where that fails for good, it is given up: it may be there all the same.
    pub(crate) async fn append(&mut self, messages: &[Message]) -> Result<ProduceResponse, ClientError> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, 2.0);
        let mut tries = 0;
        loop {
            let error = match self.try_append(messages).await {
                Ok(response) => {
                    if let Sequences::Of { next, .. } = &mut self.sequences {
                        *next += messages.len() as u64;
                    }
                    return Ok(response);
                }
                Err(error) => error,
            };
            // The broker may have forgotten what this producer had appended, where its power was cut and the stream is not
            // synced with every batch. What it refuses for that reason is not there.
            if let (ClientError::FailedPrecondition(_), Sequences::Of { next: 2.., .. }) = (&error, self.sequences) {
                self.give_up();
                continue;
            }
            tries += 1;
            if tries > self.retries || !error.is_temporary() {
                self.give_up();
                return Err(error);
            }
            let wait = backoff.next_delay();
            tracing::debug!(stream = self.stream, %error, ?wait, "not appended; trying again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_append(&mut self, messages: &[Message]) -> Result<ProduceResponse, ClientError> {
        if let Sequences::Unknown = self.sequences {
            let partitions = Admin::new(self.connection.clone()).describe(&self.stream).await?.partitions.len();
            self.sequences = if partitions == 1 { Sequences::begin(0) } else { Sequences::None };
        }
        let (partition, producer_id, sequence) = match self.sequences {
            Sequences::Of { producer, partition, next } => (Some(partition), producer, next),
            Sequences::Unknown | Sequences::None => (self.partition, 0, 0),
        };
        let request = ProduceRequest {
            stream: self.stream.clone(),
            partition,
            required_acks: Some(self.acks),
            messages: to_wire(messages.iter()),
            producer_id,
            sequence,
        };
        self.connection.call(Duration::ZERO, |mut client: Client| async move { client.produce(request).await }).await
    }

    /// Nobody knows whether the last batch is there: what follows it is of another producer, or the broker would find a gap.
    fn give_up(&mut self) {
        if let Sequences::Of { partition, .. } = self.sequences {
            self.sequences = Sequences::begin(partition);
        }
    }
}

impl Sequences {
    fn begin(partition: u32) -> Sequences {
        Sequences::Of { producer: random(), partition, next: 1 }
    }
}

/// Any number but 0. The standard library seeds its hashers at random.
fn random() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}
