//! Dead letters: the message as it was, and headers that tell its story. The names of these headers stand here, once.

use crate::message::{Entry, Message, MessageBuilder, MessageTooLarge};

/// `rejected` by the handler, or `exhausted` after its last attempt.
pub const WHY: &str = "pelton-dead-why";
/// What the handler said, or how it failed, at the last attempt.
pub const REASON: &str = "pelton-dead-reason";
/// How often it was given to the handler.
pub const ATTEMPTS: &str = "pelton-dead-attempts";
/// The handler.
pub const HANDLER: &str = "pelton-dead-handler";
/// The number of the generation that had it last.
pub const GENERATION: &str = "pelton-dead-generation";
/// What tells that generation's code from others: the module's hash.
pub const MODULE: &str = "pelton-dead-module";
/// The time of its first failure.
pub const FIRST: &str = "pelton-dead-first";
/// The time of its last failure.
pub const LAST: &str = "pelton-dead-last";
/// The stream it was read from.
pub const STREAM: &str = "pelton-dead-stream";
/// Its sequence there.
pub const SEQUENCE: &str = "pelton-dead-sequence";

/// All of them begin so.
const PREFIX: &str = "pelton-dead-";

/// Why a message is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The handler said so.
    Rejected,
    /// It had its last attempt.
    Exhausted,
}

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

/// The dead letter of a message. What an earlier death left in its headers is replaced.
pub(crate) fn letter(
    entry: &Entry,
    o: &Obituary<'_>,
    builder: &mut MessageBuilder,
) -> Result<Message, MessageTooLarge> {
    use crate::message::Value;
    let m = &entry.message;
    builder.subject(m.subject()).id(m.id()).timestamp(m.timestamp());
    builder.headers_of(m, |name| !name.starts_with(PREFIX));
    builder
        .header(WHY, if o.why == Why::Rejected { "rejected" } else { "exhausted" })
        .header(REASON, o.reason)
        .header(ATTEMPTS, i64::from(entry.attempt))
        .header(HANDLER, o.handler)
        .header(GENERATION, o.generation as i64)
        .header(MODULE, o.module)
        .header(FIRST, Value::Timestamp(o.first_failed))
        .header(LAST, Value::Timestamp(o.now))
        .header(STREAM, o.stream)
        .header(SEQUENCE, entry.at.seq as i64);
    builder.build(m.body())
}
