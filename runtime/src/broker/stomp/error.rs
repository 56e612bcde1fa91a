use super::{Command, Version};

/// Why bytes are no frame. The place of the next frame is unknown after it: close the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A frame begins with something else; the first bytes of it.
    #[error("{0:?} is no STOMP command; is this a STOMP port, and is TLS wanted here?")]
    UnknownCommand(String),
    /// A header line, or its first bytes.
    #[error("header line {0:?} has no colon; the other end does not keep to STOMP, or to the version agreed on")]
    HeaderWithoutColon(String),
    /// Its value, or the first bytes of it.
    #[error("a header has no name, only the value {0:?}; the other end does not keep to STOMP")]
    HeaderWithoutName(String),
    /// The name, or its first bytes, with what is not ASCII escaped.
    #[error("header name {0:?} is not UTF-8; the other end does not keep to STOMP")]
    NameNotUtf8(String),
    /// A backslash and what follows it.
    #[error(
        "header {header:?} holds {sequence:?}, which is no escape in STOMP {version}; does the other end speak another?"
    )]
    UnknownEscape {
        /// The name, or its first bytes, as it was written.
        header: String,
        /// The backslash, and the byte behind it unless there was none.
        sequence: String,
        /// The one that the decoder reads.
        version: Version,
    },
    /// A NUL before the empty line that ends the headers.
    #[error("frame {0} ends within its headers; an empty line has to come before its end")]
    EndsInHeaders(Command),
    /// The value of the header.
    #[error("content-length {0:?} is not a number of bytes; the other end does not keep to STOMP")]
    ContentLengthNotANumber(String),
    /// The value of the header.
    #[error("content-length {0} is negative; the other end does not keep to STOMP")]
    ContentLengthNegative(String),
    /// With it the frame would be larger than the limit.
    #[error(
        "content-length {length} makes a frame of more than {limit} bytes; raise the limit on frames, or send less"
    )]
    ContentLengthTooLarge {
        /// What the header says, in bytes; `usize::MAX` where it is no less.
        length: usize,
        /// [`Limits::frame`](super::Limits::frame).
        limit: usize,
    },
    /// What follows the body is not NUL.
    #[error("frame {command} goes on after the {length} bytes that its content-length promised; its sender miscounted")]
    BodyTooLong {
        /// Of the frame.
        command: Command,
        /// What its header says, in bytes.
        length: usize,
    },
    /// A frame that must have no body.
    #[error("frame {0} has a body, and may have none; the other end does not keep to STOMP")]
    UnexpectedBody(Command),
    /// One of [`Limits`](super::Limits).
    #[error("{limit} of more than {most}; raise that limit, or send less")]
    TooLarge {
        /// Which one.
        limit: Limit,
        /// What it allows.
        most: usize,
    },
}

/// The limits that a frame can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The bytes of a frame.
    Frame,
    /// The number of headers.
    Headers,
    /// The bytes of a header line.
    Line,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Limit::Frame => "a frame has a size in bytes",
            Limit::Headers => "a frame has a number of headers",
            Limit::Line => "a header line has a length in bytes",
        })
    }
}

/// Why a frame can't be written. Values are not shown: they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Every header needs one.
    #[error("a header of frame {0} has no name; give it one, or leave it out")]
    HeaderWithoutName(Command),
    /// The name holds what can't be escaped there.
    #[error("the name of header {name:?} holds {what}, which frame {command} of STOMP {version} can't say; rename it")]
    Name {
        /// The header's.
        name: String,
        /// "a colon", say.
        what: &'static str,
        /// Of the frame.
        command: Command,
        /// The one to be written.
        version: Version,
    },
    /// The value holds what can't be escaped there.
    #[error(
        "the value of header {name:?} holds {what}, which frame {command} of STOMP {version} can't say; \
        encode it, or leave it out"
    )]
    Value {
        /// The header's.
        name: String,
        /// "a NUL", say.
        what: &'static str,
        /// Of the frame.
        command: Command,
        /// The one to be written.
        version: Version,
    },
    /// A frame that must have no body.
    #[error("frame {0} can't have a body; only SEND, MESSAGE and ERROR have one")]
    UnexpectedBody(Command),
    /// The header and the body contradict each other.
    #[error(
        "header content-length is {said:?}, and the body has {bytes} bytes; leave the header out, it is written anyway"
    )]
    ContentLength {
        /// The header's value.
        said: String,
        /// The body's length.
        bytes: usize,
    },
}

/// Why two ends can't agree on how to go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// No version is spoken by both.
    #[error("the other end speaks STOMP {theirs:?}, and this one {ours:?}; allow a version that both have")]
    NoCommonVersion {
        /// What its header says.
        theirs: String,
        /// Those that were given.
        ours: String,
    },
    /// The value of `heart-beat`.
    #[error("heart-beat {0:?} is not two numbers of milliseconds with a comma between, such as \"10000,10000\"")]
    HeartBeat(String),
    /// The header's name.
    #[error("the value of header {0:?} is not UTF-8; the other end does not keep to STOMP")]
    NotText(&'static str),
}
