//! What went wrong, as a gRPC status that says the next step; the table is in the protocol's file.

use crate::log::LogError;
use crate::stream::disk::DiskError;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// gRPC's own word for it: a negative number says that trying again is of no use.
pub(crate) const PUSHBACK: &str = "grpc-retry-pushback-ms";

impl From<LogError> for Status {
    fn from(error: LogError) -> Status {
        let text = error.to_string();
        match &error {
            LogError::QueueFull { .. } => Status::resource_exhausted(text),
            LogError::MessageTooLarge { .. } => never_fits(text),
            LogError::ConsumerNotFound { .. } | LogError::ProducerNotFound { .. } => Status::not_found(text),
            LogError::PartitionNotFound { .. } => Status::not_found(text),
            LogError::SequenceOutOfBounds { .. } => {
                Status::out_of_range(format!("{text}; -2 is the earliest, -1 what comes next"))
            }
            LogError::InvalidConfiguration(_) => Status::invalid_argument(text),
            LogError::OperationFailed { error: DiskError::TooLarge { .. }, .. } => never_fits(text),
            LogError::OperationFailed { error, .. } => Status::new(code(error), text),
            LogError::Closed { .. } => Status::unavailable(format!("{text}; connect again")),
        }
    }
}

fn code(error: &DiskError) -> Code {
    match error {
        DiskError::OutOfOrder { .. } => Code::FailedPrecondition,
        DiskError::OutOfBounds { .. } => Code::OutOfRange,
        DiskError::Damaged { .. } | DiskError::Missing { .. } => Code::DataLoss,
        DiskError::Poisoned(_) | DiskError::Closed | DiskError::Locked { .. } => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// One message is over the limit, and will be the next time.
pub(crate) fn never_fits(text: String) -> Status {
    let mut status = Status::resource_exhausted(text);
    status.metadata_mut().insert(PUSHBACK, MetadataValue::from_static("-1"));
    status
}

/// Stands in for a request that was larger than the decoder takes.
pub(crate) fn request_too_large(max_message: u64) -> Status {
    never_fits(format!(
        "the request is over the limit; a message may have {max_message} bytes, and a batch little more: send fewer \
         messages at once, or raise serve.grpc.max_message"
    ))
}

pub(crate) fn no_stream(name: &str) -> Status {
    Status::not_found(format!("there is no stream '{name}'; list the streams, or create it"))
}

pub(crate) fn stopping() -> Status {
    Status::unavailable("the server is stopping; connect again, or to another one")
}
