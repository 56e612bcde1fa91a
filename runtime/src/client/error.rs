//! What can go wrong between a client and a broker.

use crate::message::MessageTooLarge;
use crate::serve::status::PUSHBACK;
use tonic::{Code, Status};

/// What went wrong. What a broker says stands in the text, and tells the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A setting, or a file that it names, can't be used.
    #[error("{0}")]
    InvalidConfiguration(String),
    /// No broker could be reached.
    #[error("no broker at {addresses}: {reason}; is it running, and is this the right address?")]
    Unreachable {
        /// Those that were tried.
        addresses: String,
        /// What the last one gave.
        reason: String,
    },
    /// The broker is stopping, or the connection was lost.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// There was no answer in time.
    #[error("no answer within {0:?}; the broker is busy or gone, or request_timeout is too short")]
    TimedOut(std::time::Duration),
    /// The token is missing or wrong, or the certificate is.
    #[error("not let in: {0}")]
    Unauthenticated(String),
    /// The broker knows the caller, and refuses.
    #[error("not allowed: {0}")]
    PermissionDenied(String),
    /// There is no such stream, partition or group.
    #[error("{0}")]
    NotFound(String),
    /// There is a stream of that name.
    #[error("{0}")]
    AlreadyExists(String),
    /// The stream does not hold that offset.
    #[error("{0}")]
    OutOfRange(String),
    /// The request contradicts itself.
    #[error("{0}")]
    InvalidRequest(String),
    /// A message is over the broker's limit, and always will be.
    #[error("{0}")]
    MessageTooLarge(String),
    /// The stream is full, and does not wait.
    #[error("{0}")]
    Full(String),
    /// A producer's sequence does not follow, or the broker is not set up for what was asked.
    #[error("{0}")]
    FailedPrecondition(String),
    /// The stream is damaged.
    #[error("{0}")]
    DataLoss(String),
    /// Messages that were sent could not be delivered.
    #[error("{messages} messages were not delivered: {cause}")]
    NotDelivered {
        /// How many.
        messages: u64,
        /// What went wrong first.
        cause: Box<ClientError>,
    },
    /// The producer or consumer has been shut down.
    #[error("this client is closed; make a new one")]
    Closed,
    /// The other side speaks something else, or has failed.
    #[error("the other side has failed: {0}")]
    Protocol(String),
}

impl ClientError {
    /// Whether the same may work a little later, over this connection or another.
    pub fn is_temporary(&self) -> bool {
        match self {
            ClientError::Unreachable { .. }
            | ClientError::Unavailable(_)
            | ClientError::TimedOut(_)
            | ClientError::Full(_)
            | ClientError::Protocol(_) => true,
            ClientError::NotDelivered { cause, .. } => cause.is_temporary(),
            _ => false,
        }
    }

    /// Whether another connection may do better than this one.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, ClientError::Unavailable(_) | ClientError::TimedOut(_) | ClientError::Protocol(_))
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> ClientError {
        let text = status.message().to_owned();
        match status.code() {
            Code::Unauthenticated => ClientError::Unauthenticated(text),
            Code::PermissionDenied => ClientError::PermissionDenied(text),
            Code::NotFound => ClientError::NotFound(text),
            Code::AlreadyExists => ClientError::AlreadyExists(text),
            Code::OutOfRange => ClientError::OutOfRange(text),
            Code::InvalidArgument => ClientError::InvalidRequest(text),
            Code::ResourceExhausted if status.metadata().contains_key(PUSHBACK) => ClientError::MessageTooLarge(text),
            Code::ResourceExhausted => ClientError::Full(text),
            Code::FailedPrecondition => ClientError::FailedPrecondition(text),
            Code::DataLoss => ClientError::DataLoss(text),
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => ClientError::Unavailable(lost(&status)),
            _ => ClientError::Protocol(lost(&status)),
        }
    }
}

/// The text with what lies behind it: of a broken connection, the status itself says little.
fn lost(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

impl From<MessageTooLarge> for ClientError {
    fn from(error: MessageTooLarge) -> ClientError {
        ClientError::MessageTooLarge(error.to_string())
    }
}
