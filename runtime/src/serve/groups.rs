//! Where groups stand.

use super::convert::offset;
use super::proto::describe_stream_response::{Group, Partition};
use super::proto::{CommitRequest, DescribeStreamResponse, Offset};
use super::streams::check_name;
use crate::log::{ConsumerOptions, GroupStats, LogError, SequenceLog};
use crate::message::Position;
use tonic::Status;

/// A group is done with everything below some places: all of them, or none where one of them can't be.
pub(super) fn commit(log: &SequenceLog, request: &CommitRequest) -> Result<(), Status> {
    check_name("group", &request.group)?;
    let mut places = Vec::with_capacity(request.offsets.len());
    for Offset { partition, offset } in &request.offsets {
        let (first, next) = log.bounds(*partition)?;
        let seq = u64::try_from(*offset).ok().filter(|seq| (1..=next).contains(seq)).ok_or_else(|| {
            let stream = log.name();
            Status::out_of_range(format!(
                "stream '{stream}', partition {partition}: offset {offset} can't be committed; it holds {first} up to, not \
                 including, {next}: commit one behind the last message that was handled"
            ))
        })?;
        places.push(Position { partition: *partition, seq });
    }
    if let Err(LogError::ConsumerNotFound { .. }) = log.group_stats(&request.group) {
        // Whoever fetches by offset and commits joins no group: here it begins.
        drop(log.consumer(&request.group, ConsumerOptions::default())?);
    }
    for place in places {
        log.commit(&request.group, place)?;
    }
    Ok(())
}

/// Watermarks for the wire.
pub(super) fn offsets(watermarks: &[u64]) -> Vec<Offset> {
    (0..).zip(watermarks).map(|(partition, seq)| Offset { partition, offset: offset(*seq) }).collect()
}

/// The partitions and the groups of a stream.
pub(super) fn describe(log: &SequenceLog) -> Result<DescribeStreamResponse, Status> {
    let partition = |partition| {
        let (first, next) = log.bounds(partition)?;
        Ok(Partition { partition, first_offset: offset(first), next_offset: offset(next) })
    };
    let group = |stats: GroupStats| Group {
        name: stats.name.to_string(),
        members: u32::try_from(stats.members).unwrap_or(u32::MAX),
        lag: stats.lag,
        in_flight: stats.in_flight,
        offsets: offsets(&stats.watermarks),
    };
    let partitions = (0..log.partitions()).map(partition).collect::<Result<_, LogError>>()?;
    let groups = log.groups().into_iter().map(group).collect();
    Ok(DescribeStreamResponse { partitions, groups, bytes: log.bytes() })
}
