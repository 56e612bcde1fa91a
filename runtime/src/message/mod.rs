//! Plain data: a message, a batch of them, and what became of them.
//!
//! A [`Message`] is one allocation, shared between all who read it: its bytes lie in one frame, and what many messages
//! have in common (subject, header names and kinds) lies in a [`Shape`] that they share. Scattered strings would cost
//! several times as much to gather into the columns that a guest reads.
//!
//! Frame grammar, all numbers 32-bit little-endian offsets from the end of the table:
//!
//! ```text
//! frame := table id value* body
//! table := end-of-id end-of-value*        one end for each header of the shape
//! ```

mod builder;
mod group;
mod shape;
mod value;

pub use builder::{MessageBuilder, MessageTooLarge};
pub use group::{GROUP, GROUP_END, GROUP_SIZE, GroupMark, GroupOf};
pub use shape::{Field, Shape, Shapes};
pub use value::{Kind, Value};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use triomphe::ThinArc;

/// The header name that holds the partition or ordering key. Metadata names begin with one colon.
pub const KEY: &str = ":key";

/// What all parts of one message hang on.
struct Head {
    shape: Arc<Shape>,
    /// ns since 1970; 0 unknown.
    timestamp: i64,
}

/// One message: subject, headers (the key among them), body, identifier and time. Cloning it shares it.
#[derive(Clone)]
pub struct Message(ThinArc<Head, u8>);

impl Message {
    /// A message of a body alone.
    ///
    /// # Errors
    /// Where the body is 4 GiB or more.
    pub fn new(body: &[u8]) -> Result<Message, MessageTooLarge> {
        MessageBuilder::new().build(body)
    }

    /// Starts a message part by part. Keep the builder for many messages: it remembers their shapes.
    pub fn builder() -> MessageBuilder {
        MessageBuilder::new()
    }

    /// Subject, topic, queue or routing key; empty where there is none.
    pub fn subject(&self) -> &str {
        self.shape().subject()
    }

    /// The broker's own identifier, or no bytes where it gave none.
    pub fn id(&self) -> &[u8] {
        self.slice(0, self.end(0))
    }

    /// The partition or ordering key.
    pub fn key(&self) -> Option<&[u8]> {
        self.shape().key().map(|i| self.value_bytes(i))
    }

    /// ns since 1970; 0 where nobody knows.
    pub fn timestamp(&self) -> i64 {
        self.0.header.header.timestamp
    }

    /// All headers in order, repeats and metadata (`:key`, `:content-type`, …) included.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        let fields = self.shape().fields().iter().enumerate();
        fields.map(|(i, f)| (f.name.as_ref(), Value::new(f.kind, self.value_bytes(i))))
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<Value<'_>> {
        self.headers().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The payload.
    pub fn body(&self) -> &[u8] {
        let start = self.end(self.shape().fields().len());
        self.slice(start, self.data().len())
    }

    /// What the message weighs in a budget: its bytes, the subject and names that it may share with others, and what
    /// surrounds them.
    pub fn weight(&self) -> u64 {
        const HEAD: usize = 48;
        (self.0.slice.len() + self.shape().bytes() + HEAD) as u64
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.0.header.header.shape
    }

    /// Calls `end` with where each header value ends, counted from the first one's start, and returns all of them, end to end.
    pub(crate) fn values(&self, mut end: impl FnMut(u32)) -> &[u8] {
        let table = 4 * (self.shape().fields().len() + 1);
        let Some((table, data)) = self.0.slice.split_at_checked(table) else { return &[] };
        let mut ends = table.chunks_exact(4).map(|e| e.try_into().map_or(0, u32::from_le_bytes));
        let start = ends.next().unwrap_or(0);
        let mut last = start;
        for e in ends {
            last = e;
            end(e - start);
        }
        data.get(start as usize..last as usize).unwrap_or_default()
    }

    pub(crate) fn value_bytes(&self, i: usize) -> &[u8] {
        self.slice(self.end(i), self.end(i + 1))
    }

    fn data(&self) -> &[u8] {
        let table = 4 * (self.shape().fields().len() + 1);
        self.0.slice.get(table..).unwrap_or_default()
    }

    fn end(&self, i: usize) -> usize {
        let bytes = self.0.slice.get(4 * i..4 * i + 4);
        bytes.and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
    }

    fn slice(&self, from: usize, to: usize) -> &[u8] {
        self.data().get(from..to).unwrap_or_default()
    }
}

impl PartialEq for Message {
    /// Equal in all that a reader can see.
    fn eq(&self, other: &Message) -> bool {
        self.0.slice == other.0.slice && self.timestamp() == other.timestamp() && self.shape() == other.shape()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers().collect();
        let body = String::from_utf8_lossy(self.body());
        f.debug_struct("Message")
            .field("subject", &self.subject())
            .field("headers", &headers)
            .field("body", &body)
            .finish()
    }
}

/// A place in a stream: sequences rise within a partition, with gaps, and are opaque beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 0 where a stream has one.
    pub partition: u32,
    /// From 1.
    pub seq: u64,
}

/// A message as a reader gets it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it stands in its stream.
    pub at: Position,
    /// How often it has been given to this reader, this time included; from 1.
    pub attempt: u32,
    /// The message.
    pub message: Message,
    /// Its place in the buffer that it was read from, which is another where the buffer stands before a log.
    pub(crate) slot: u64,
}

impl Entry {
    /// A message at its place.
    pub fn new(at: Position, attempt: u32, message: Message) -> Entry {
        Entry { at, attempt, message, slot: at.seq }
    }
}

/// Messages of one stream in rising order, handled in one call.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The stream's name.
    pub stream: Arc<str>,
    /// At least one.
    pub entries: Vec<Entry>,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Handled; its outputs stand.
    Done,
    /// To be given again, no earlier than `after`, or after the configured back-off.
    Retry {
        /// None: the configured back-off.
        after: Option<Duration>,
        /// For people.
        reason: String,
    },
    /// Never to be given again: a dead letter.
    Reject {
        /// For people.
        reason: String,
    },
}

/// A message that a handler made.
#[derive(Clone, Debug)]
pub struct Output {
    /// The place in the batch of the message that gave rise to it.
    pub input: usize,
    /// Which of the handler's outputs it goes to: 0 is `output`, the others follow in the order of their names.
    pub target: usize,
    /// What to publish.
    pub message: Message,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Handled {
    /// The first so many messages have a verdict; the rest were not begun and come again with the same attempt. Never 0.
    pub considered: usize,
    /// The messages that are not done, by place, rising.
    pub failures: Vec<(usize, Outcome)>,
    /// In rising order of `input`.
    pub outputs: Vec<Output>,
}

#[cfg(test)]
mod tests;
