//! A log as the source of a buffer: how handlers and sinks of this host read it.

use super::{Commit, Consumer, ConsumerOptions, Deliver, LogError, SequenceLog, Start};
use crate::broker::{Ack, AckStyle, AckToken, BrokerError, Received, Source, SourceTraits};
use crate::message::Message;
use crate::stream::Limit;
use async_trait::async_trait;
use std::ops::Range;

/// The most bytes read at once.
const MOST: u64 = 1 << 20;
/// Whom a message is meant for that was put back for one reader alone.
pub const REDRIVEN_FOR: &str = "pelton-redriven-for";

/// Reads a log as its one reader of this name. Its tokens are places: the epoch is the partition, the tag the sequence;
/// they outlive the connection, since settling twice does no harm.
pub(crate) struct LogSource {
    log: SequenceLog,
    reader: String,
    start: Start,
    consumer: Option<Consumer>,
}

impl LogSource {
    pub(crate) fn new(log: SequenceLog, reader: &str, start: Start) -> LogSource {
        LogSource { log, reader: reader.to_owned(), start, consumer: None }
    }
}

/// A log that is damaged or failed does not mend by being opened again.
fn fatal(error: LogError) -> BrokerError {
    BrokerError::Fatal(error.into())
}

/// The message as a reader is to have it; none where it was put back for another. The reader does not see whom it was put
/// back for: what it copies into its outputs would be passed over by theirs.
pub(crate) fn meant_for(reader: &str, message: Message) -> Option<Message> {
    let Some(meant) = message.header(REDRIVEN_FOR) else { return Some(message) };
    if meant.as_text() != Some(reader) {
        return None;
    }
    Some(meant_for_all(message))
}

/// The message without a word of whom it is meant for: only what puts dead letters back may say so, or whoever sends a
/// message could have other readers pass it over.
pub(crate) fn meant_for_all(message: Message) -> Message {
    if message.header(REDRIVEN_FOR).is_none() {
        return message;
    }
    let mut builder = Message::builder();
    builder.subject(message.subject()).id(message.id()).timestamp(message.timestamp());
    builder.headers_of(&message, |name| name != REDRIVEN_FOR);
    // It is smaller than before.
    builder.build(message.body()).unwrap_or(message)
}

#[async_trait]
impl Source for LogSource {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        let options = ConsumerOptions {
            start: self.start,
            partitions: Vec::new(),
            lease: None,
            commit: Commit::Manual,
            deliver: Deliver::Messages,
        };
        self.consumer = Some(self.log.consumer(&self.reader, options).map_err(fatal)?);
        Ok(())
    }

    async fn recv(&mut self, max: usize) -> Result<Vec<Received>, BrokerError> {
        let Some(consumer) = &mut self.consumer else { return Err(BrokerError::Finished) };
        loop {
            let batch = consumer.next_batch(Limit { messages: max, bytes: MOST }).await.map_err(fatal)?;
            let mut received = Vec::with_capacity(batch.len());
            for entry in batch {
                let Some(message) = meant_for(&self.reader, entry.message) else {
                    consumer.settle(entry.at).map_err(fatal)?;
                    continue;
                };
                let token = AckToken { epoch: entry.at.partition, tag: entry.at.seq };
                received.push(Received { message, token, attempt: entry.attempt, at: Some(entry.at) });
            }
            if !received.is_empty() {
                return Ok(received);
            }
        }
    }

    async fn settle(&mut self, tokens: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let mut open: Option<(u32, bool, Range<u64>)> = None;
        for (AckToken { epoch: partition, tag: seq }, ack) in tokens.iter().copied() {
            let rejected = ack == Ack::Reject;
            match &mut open {
                Some((p, r, run)) if *p == partition && *r == rejected && run.end == seq => run.end += 1,
                _ => {
                    if let Some((p, r, run)) = open.replace((partition, rejected, seq..seq + 1)) {
                        consumer.settle_run(p, run, r).map_err(fatal)?;
                    }
                }
            }
        }
        match open {
            Some((p, r, run)) => consumer.settle_run(p, run, r).map_err(fatal),
            None => Ok(()),
        }
    }

    async fn close(&mut self) {
        self.consumer = None;
    }

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::Individual, redelivers: true }
    }
}
