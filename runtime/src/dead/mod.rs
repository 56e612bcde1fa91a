//! Dead letters: the message as it was, and headers that tell its story. The names of these headers stand here, once.
//!
//! # Layout
//! - `letter`: writing and reading a letter
//! - `tool`: finding letters in their stream, putting them back where they came from, giving them up

mod letter;
mod tool;

pub use letter::Letter;
pub(crate) use letter::{Obituary, letter};
pub use tool::{DeadLetters, Filter, Letters, Target, ToolError, log_on_disk, target};

/// `rejected` by the handler, or `exhausted` after its last attempt.
pub const WHY: &str = "pelton-dead-why";
/// What the handler said, or how it failed, at the last attempt.
pub const REASON: &str = "pelton-dead-reason";
/// How often it was given to the handler.
pub const ATTEMPTS: &str = "pelton-dead-attempts";
/// How often it has died: more than once where it was put back.
pub const COUNT: &str = "pelton-dead-count";
/// The handler.
pub const HANDLER: &str = "pelton-dead-handler";
/// The number of the generation that had it last.
pub const GENERATION: &str = "pelton-dead-generation";
/// What tells that generation's code from others: the module's hash.
pub const MODULE: &str = "pelton-dead-module";
/// The time of its first failure, before its first death.
pub const FIRST: &str = "pelton-dead-first";
/// The time of its last failure.
pub const LAST: &str = "pelton-dead-last";
/// The stream it was read from.
pub const STREAM: &str = "pelton-dead-stream";
/// Its sequence there.
pub const SEQUENCE: &str = "pelton-dead-sequence";

/// All of them begin so.
const PREFIX: &str = "pelton-dead-";

/// The reader of a stream of dead letters that stands for whoever looks after them: what it has settled was put back or
/// given up. No handler can have this name.
pub const READER: &str = ":dead";

/// Why a message is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The handler said so.
    Rejected,
    /// It had its last attempt.
    Exhausted,
}

impl Why {
    /// As it stands in [`WHY`].
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Rejected => "rejected",
            Why::Exhausted => "exhausted",
        }
    }

    fn of(text: &str) -> Option<Why> {
        [Why::Rejected, Why::Exhausted].into_iter().find(|why| why.as_str() == text)
    }
}

#[cfg(test)]
mod tests;
