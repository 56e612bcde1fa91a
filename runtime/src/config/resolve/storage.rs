//! How a stream keeps its messages: its keys `storage`, `partitions` and `stale`.

use std::time::Duration;

use super::files::Files;
use super::typed;
use crate::config::defaults;
use crate::config::error::{Problem, nearest};
use crate::config::fields::Fields;
use crate::config::model::{AckWhen, DiskConfig, Durability, Keep, Retention, StalePolicy, StorageConfig, StorageKind};
use crate::config::read::Value;

/// Each partition has files of its own: beyond this, a process runs out of them.
const MOST_PARTITIONS: u64 = 1024;
/// Smaller ones would be more files than messages.
const LEAST_SEGMENT: u64 = 64 << 10;
/// Giving up a larger one would free room in leaps.
const MOST_SEGMENT: u64 = 1 << 30;
/// A disk does not sync faster.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);
/// Operating systems write by themselves much sooner.
const MOST_INTERVAL: Duration = Duration::from_secs(3600);

/// Of a stream's `fields`; `None` where it has no storage.
pub(super) fn read(fields: &Fields<'_>, files: &Files<'_>) -> Option<StorageConfig> {
    let partitions =
        fields.or("partitions", defaults::PARTITIONS, |value| value.whole(1..=MOST_PARTITIONS)?.try_into().ok());
    let stale = fields.or("stale", StalePolicy::default(), stale);
    let Some(value) = fields.optional("storage") else {
        for key in ["partitions", "stale"] {
            if let Some(given) = fields.optional(key) {
                let problem = Problem::new("only a stream that keeps its messages has this");
                given.wrong_key(problem.expected(format!("a 'storage' beside it, or no '{key}'")));
            }
        }
        return None;
    };
    let (kind, common) = match typed(&value, &[("disk", Kind::Disk), ("memory", Kind::Memory)])? {
        Kind::Disk => {
            let fields = value.fields(&["type", "path", "durability", "segment", "retention", "ack"])?;
            (disk(&fields, files).map(StorageKind::Disk), fields)
        }
        Kind::Memory => {
            let fields = value.fields(&["type", "threshold", "retention", "ack"])?;
            let threshold = fields.or("threshold", defaults::THRESHOLD, Value::percent);
            (Some(StorageKind::Memory { threshold }), fields)
        }
    };
    let acks = [("on_settled", AckWhen::Settled), ("on_append", AckWhen::Appended)];
    let retention = common.or("retention", defaults::RETENTION, retention);
    let ack = common.or("ack", defaults::ACK, |value| value.choice(&acks));
    Some(StorageConfig { kind: kind?, partitions, retention, ack, stale })
}

#[derive(Clone, Copy)]
enum Kind {
    Disk,
    Memory,
}

fn disk(fields: &Fields<'_>, files: &Files<'_>) -> Option<DiskConfig> {
    let path = fields.required("path", "the directory of its messages");
    let durability = fields.or("durability", defaults::DURABILITY, durability);
    let (segment_bytes, segment_age) = fields.or("segment", (defaults::SEGMENT_BYTES, None), segment);
    Some(DiskConfig { path: files.directory(&path?)?, durability, segment_bytes, segment_age })
}

/// `every_batch`, `os` or `{ interval: 10ms }`.
fn durability(value: &Value<'_>) -> Option<Durability> {
    const A_DURABILITY: &str = "'every_batch', 'os' or { interval: 10ms }";
    if value.is_scalar() {
        return value.parsed(A_DURABILITY, |text| match text {
            "every_batch" => Ok(Durability::EveryBatch),
            "os" => Ok(Durability::Os),
            _ => {
                let near = nearest(text, ["every_batch", "os"]);
                Err(Problem::new(format!("'{text}' is not known here")).expected(A_DURABILITY).suggest(near))
            }
        });
    }
    let interval = value.fields(&["interval"])?.required("interval", "a duration, the longest between syncs")?;
    interval.duration_within(LEAST_INTERVAL..=MOST_INTERVAL).map(Durability::Interval)
}

fn segment(value: &Value<'_>) -> Option<(u64, Option<Duration>)> {
    let fields = value.fields(&["bytes", "age"])?;
    let bytes = fields.or("bytes", defaults::SEGMENT_BYTES, |bytes| bytes.size(LEAST_SEGMENT..=MOST_SEGMENT));
    Some((bytes, fields.optional("age").and_then(|age| age.duration_above_zero())))
}

fn retention(value: &Value<'_>) -> Option<Retention> {
    let fields = value.fields(&["bytes", "age", "settled", "unsettled"])?;
    let keep = |value: &Value<'_>| value.choice(&[("keep", Keep::Keep), ("drop", Keep::Drop)]);
    Some(Retention {
        bytes: fields.optional("bytes").and_then(|bytes| bytes.size(1..=u64::MAX)),
        age: fields.optional("age").and_then(|age| age.duration_above_zero()),
        settled: fields.or("settled", defaults::RETENTION.settled, keep),
        unsettled: fields.or("unsettled", defaults::RETENTION.unsettled, keep),
    })
}

fn stale(value: &Value<'_>) -> Option<StalePolicy> {
    let fields = value.fields(&["age", "lag"])?;
    Some(StalePolicy {
        age: fields.optional("age").and_then(|age| age.duration_above_zero()),
        lag: fields.optional("lag").and_then(|lag| lag.whole(1..=u64::MAX)),
    })
}
