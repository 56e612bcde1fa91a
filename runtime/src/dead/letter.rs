//! Writing a dead letter, and reading what it says.

use super::{ATTEMPTS, COUNT, FIRST, GENERATION, HANDLER, LAST, MODULE, PREFIX, REASON, SEQUENCE, STREAM, WHY, Why};
use crate::message::{Entry, Message, MessageBuilder, MessageTooLarge, Position, Value};

/// A message's last failure.
pub(crate) struct Obituary<'a> {
    pub(crate) why: Why,
    pub(crate) reason: &'a str,
    pub(crate) handler: &'a str,
    pub(crate) generation: u64,
    pub(crate) module: &'a str,
    /// ns since 1970.
    pub(crate) first_failed: i64,
    pub(crate) now: i64,
    pub(crate) stream: &'a str,
}

/// The dead letter of a message. Of an earlier death it keeps the count and the time of the first failure; the rest of what
/// stands in its headers is replaced.
pub(crate) fn letter(
    entry: &Entry,
    o: &Obituary<'_>,
    builder: &mut MessageBuilder,
) -> Result<Message, MessageTooLarge> {
    let m = &entry.message;
    let deaths = deaths(m);
    let first_failed = time(m, FIRST).filter(|_| deaths > 0).unwrap_or(o.first_failed);
    builder.subject(m.subject()).id(m.id()).timestamp(m.timestamp());
    builder.headers_of(m, |name| !name.starts_with(PREFIX));
    builder
        .header(WHY, o.why.as_str())
        .header(REASON, o.reason)
        .header(ATTEMPTS, i64::from(entry.attempt))
        .header(COUNT, deaths.saturating_add(1))
        .header(HANDLER, o.handler)
        .header(GENERATION, o.generation as i64)
        .header(MODULE, o.module)
        .header(FIRST, Value::Timestamp(first_failed))
        .header(LAST, Value::Timestamp(o.now))
        .header(STREAM, o.stream)
        .header(SEQUENCE, entry.at.seq as i64);
    builder.build(m.body())
}

/// How often a message has died before.
fn deaths(message: &Message) -> i64 {
    let once = i64::from(message.header(WHY).is_some());
    integer(message, COUNT).filter(|count| *count > 0).unwrap_or(once)
}

fn integer(message: &Message, name: &str) -> Option<i64> {
    match message.header(name)? {
        Value::Integer(i) => Some(i),
        _ => None,
    }
}

fn time(message: &Message, name: &str) -> Option<i64> {
    match message.header(name)? {
        Value::Timestamp(ns) => Some(ns),
        _ => None,
    }
}

/// A dead letter in its stream. What its headers do not say is none: anybody may append to a stream.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its place among the dead letters.
    pub at: Position,
    /// All of it.
    pub message: Message,
}

impl Letter {
    /// Why it is dead.
    pub fn why(&self) -> Option<Why> {
        self.text(WHY).and_then(Why::of)
    }

    /// What the handler said, or how it failed, at the last attempt.
    pub fn reason(&self) -> Option<&str> {
        self.text(REASON)
    }

    /// The handler that gave up on it.
    pub fn handler(&self) -> Option<&str> {
        self.text(HANDLER)
    }

    /// The stream that this handler read it from.
    pub fn stream(&self) -> Option<&str> {
        self.text(STREAM)
    }

    /// Its sequence there.
    pub fn sequence(&self) -> Option<i64> {
        integer(&self.message, SEQUENCE)
    }

    /// How often it was given to the handler before its last death.
    pub fn attempts(&self) -> Option<i64> {
        integer(&self.message, ATTEMPTS)
    }

    /// How often it has died.
    pub fn deaths(&self) -> i64 {
        deaths(&self.message)
    }

    /// The time of its first failure, ns since 1970.
    pub fn first_failed(&self) -> Option<i64> {
        time(&self.message, FIRST)
    }

    /// The time of its last failure, ns since 1970.
    pub fn last_failed(&self) -> Option<i64> {
        time(&self.message, LAST)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.message.header(name)?.as_text()
    }
}
