//! Reading by offset.

use super::convert::{offset, to_records};
use super::proto::{FetchRequest, FetchResponse};
use crate::config::Start;
use crate::log::{LogError, SequenceLog};
use crate::message::Entry;
use crate::stream::Limit;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

/// The most messages of one answer.
pub(super) const MESSAGES: usize = 8192;
const WAIT_MS: u32 = 1000;
const LONGEST_WAIT_MS: u32 = 30_000;

/// What an answer may weigh: what was asked for, 1 MiB where nothing was, and 16 MiB at most.
pub(super) fn max_bytes(asked: u32) -> u64 {
    const DEFAULT: u32 = 1 << 20;
    const MOST: u32 = 16 << 20;
    u64::from(if asked == 0 { DEFAULT } else { asked.min(MOST) })
}

/// A time, where there is one; -2 the earliest, -1 what comes next, or a sequence. None for anything else.
pub(super) fn start(offset: i64, time: Option<i64>) -> Option<Start> {
    match (time, offset) {
        (Some(time), _) => Some(Start::Time(time)),
        (None, -2) => Some(Start::Earliest),
        (None, -1) => Some(Start::Latest),
        (None, seq) => u64::try_from(seq).ok().map(Start::Sequence),
    }
}

pub(super) async fn fetch(log: &SequenceLog, request: &FetchRequest) -> Result<FetchResponse, Status> {
    let partition = request.partition;
    let (first, end) = log.bounds(partition)?;
    let start = start(request.offset, request.time).ok_or_else(|| {
        let (stream, asked) = (log.name().to_string(), request.offset);
        Status::out_of_range(format!(
            "stream '{stream}', partition {partition}: there is no offset {asked}; it holds {first} up to, not including, \
             {end}; -2 is the earliest, -1 what comes next"
        ))
    })?;
    let mut next = log.resolve(partition, start)?;
    let max_bytes = max_bytes(request.max_bytes);
    let min_bytes = u64::from(request.min_bytes).clamp(1, max_bytes);
    let wait = request.max_wait_ms.unwrap_or(WAIT_MS).min(LONGEST_WAIT_MS);
    let deadline = Instant::now() + Duration::from_millis(u64::from(wait));

    let mut entries: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    loop {
        let limit = Limit { messages: MESSAGES - entries.len(), bytes: max_bytes - bytes };
        let more = log.read(partition, next, limit)?;
        let weight: u64 = more.iter().map(|e| e.message.weight()).sum();
        // One that is larger than what is left comes with the next fetch; one larger than everything comes alone.
        if entries.is_empty() || weight <= limit.bytes {
            bytes += weight;
            next = more.last().map_or(next, |last| last.at.seq + 1);
            entries.extend(more);
        } else {
            break;
        }
        if bytes >= min_bytes || entries.len() >= MESSAGES {
            break;
        }
        match tokio::time::timeout_at(deadline, log.ready(partition, next)).await {
            Ok(Ok(())) => {}
            // What is there is given, though no more can come.
            Ok(Err(LogError::Closed { .. })) if !entries.is_empty() => break,
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => break,
        }
    }
    let (_, end) = log.bounds(partition)?;
    Ok(FetchResponse { records: to_records(&entries), next_offset: offset(next), end_offset: offset(end) })
}
