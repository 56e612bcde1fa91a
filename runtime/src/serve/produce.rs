//! Appending.

use super::convert::{from_wire, offset};
use super::proto::{self, ProduceRequest, ProduceResponse};
use super::status::never_fits;
use crate::log::{Appended, LogError, ProducerBatch, SequenceLog, Written, meant_for_all};
use crate::message::Message;
use tokio::task::JoinSet;
use tonic::Status;

pub(super) async fn produce(
    log: &SequenceLog,
    request: ProduceRequest,
    max_message: u64,
) -> Result<ProduceResponse, Status> {
    if request.messages.is_empty() {
        return Err(Status::invalid_argument("the batch is empty; send 1 message at least"));
    }
    let waits = match request.required_acks {
        Some(0) => false,
        Some(1) | None => true,
        Some(other) => return Err(Status::invalid_argument(format!("required_acks is {other}; it must be 0 or 1"))),
    };
    let producer = producer(log, &request)?;
    let partition = request.partition.or(producer.map(|_| 0));
    let messages = from_wire(&request.messages).map_err(|error| never_fits(error.to_string()))?;
    let messages = messages.into_iter().map(meant_for_all).collect::<Vec<_>>();
    // What was received is not held while the append waits.
    drop(request);
    check_sizes(&messages, max_message)?;
    if !waits {
        let written = match partition {
            Some(partition) => log.submit_to(partition, messages, producer).await?,
            None => log.submit(messages).await?,
        };
        log_failure(log, written);
        return Ok(ProduceResponse { appended: Vec::new() });
    }
    let mut parts = match partition {
        Some(partition) => vec![(partition, messages)],
        None => log.split(messages),
    };
    let appended = match (parts.pop(), parts.is_empty()) {
        (Some((partition, messages)), true) => {
            vec![wire(partition, log.append_to(partition, messages, producer).await?)]
        }
        (last, _) => append_parts(log, parts.into_iter().chain(last)).await?,
    };
    Ok(ProduceResponse { appended })
}

fn producer(log: &SequenceLog, request: &ProduceRequest) -> Result<Option<ProducerBatch>, Status> {
    match (request.producer_id, request.sequence, request.partition) {
        (0, 0, _) => Ok(None),
        (0, _, _) => Err(Status::invalid_argument("a sequence without a producer_id; send both, or neither")),
        (_, 0, _) => Err(Status::invalid_argument("the sequence is 0; a producer's sequences begin with 1")),
        (_, _, None) if log.partitions() > 1 => Err(Status::invalid_argument(format!(
            "a producer_id needs a partition, since stream '{}' has {}; name it, or send neither id nor sequence",
            log.name(),
            log.partitions()
        ))),
        (producer, sequence, _) => Ok(Some(ProducerBatch { producer, sequence })),
    }
}

fn check_sizes(messages: &[Message], most: u64) -> Result<(), Status> {
    for (i, message) in messages.iter().enumerate() {
        let bytes = message.weight();
        if bytes > most {
            return Err(never_fits(format!(
                "message {i} of the batch has {bytes} bytes with its headers, and the limit is {most}; send the payload \
                 another way, or raise serve.grpc.max_message"
            )));
        }
    }
    Ok(())
}

/// To several partitions at once.
async fn append_parts(
    log: &SequenceLog,
    parts: impl Iterator<Item = (u32, Vec<Message>)>,
) -> Result<Vec<proto::Appended>, Status> {
    let mut appending = JoinSet::new();
    for (partition, messages) in parts {
        let log = log.clone();
        appending.spawn(async move { (partition, log.append_to(partition, messages, None).await) });
    }
    let mut all = Vec::new();
    let mut failed: Option<LogError> = None;
    // Every part is waited for, so that what is answered last is true of all of them.
    for (partition, result) in appending.join_all().await {
        match result {
            Ok(appended) => all.push(wire(partition, appended)),
            Err(error) => failed = Some(error),
        }
    }
    all.sort_by_key(|appended| appended.partition);
    failed.map_or(Ok(all), |error| Err(error.into()))
}

fn wire(partition: u32, appended: Appended) -> proto::Appended {
    let Appended { seq, count, duplicate } = appended;
    proto::Appended { partition, offset: offset(seq.unwrap_or(0)), count, duplicate }
}

/// Nobody waits for it but the log lines.
fn log_failure(log: &SequenceLog, written: Written) {
    let name = log.name().clone();
    tokio::spawn(async move {
        if let Err(error) = written.wait().await {
            tracing::error!(stream = &*name, %error, "messages of a producer that waits for nothing are lost");
        }
    });
}
