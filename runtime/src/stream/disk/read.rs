//! Reading frames and messages from segments.

use super::files::Files;
use super::shared::Segment;
use super::{DiskError, frame, segment};
use crate::message::{Entry, MessageBuilder, Position};
use crate::stream::Limit;

/// So much of a file is read at once.
const CHUNK: usize = 256 << 10;

/// Calls `visit` with each frame from a place on, and with its place, until it says no.
pub(super) fn frames(
    files: &dyn Files,
    segment: &Segment,
    from: u64,
    mut visit: impl FnMut(u64, frame::Header, &[u8]) -> Result<bool, DiskError>,
) -> Result<(), DiskError> {
    let name = || segment::name(segment.base);
    let (end, salt) = {
        let contents = segment.contents();
        (contents.end, contents.salt)
    };
    let (mut place, mut seq) = (from, segment.base);
    if place >= end {
        return Ok(());
    }
    // It is opened for each reading: a log may have more segments than a process may have open files.
    let handle = files.read(&name()).map_err(|e| DiskError::io(&name(), "open", e))?;
    // What was read from the file and not visited begins at `at`, and at `place` in the file.
    let (mut buffer, mut at) = (Vec::new(), 0);
    while place < end {
        let damaged = || DiskError::Damaged { segment: name(), offset: place, seq };
        let rest = buffer.get(at..).unwrap_or_default();
        if frame::length(rest).is_none_or(|whole| whole > rest.len()) {
            let wanted = frame::length(rest).unwrap_or(0).max(CHUNK).min((end - place) as usize);
            if wanted <= rest.len() {
                return Err(damaged());
            }
            buffer.resize(wanted, 0);
            let read = handle.read_at(&mut buffer, place).map_err(|e| DiskError::io(&name(), "read", e))?;
            if read < wanted {
                return Err(damaged());
            }
            at = 0;
            continue;
        }
        let (header, bytes, whole) = frame::decode(rest, salt).map_err(|_| damaged())?;
        if !visit(place, header, bytes)? {
            return Ok(());
        }
        seq = header.next();
        place += whole as u64;
        at += whole;
    }
    Ok(())
}

/// Messages read from one segment after the other.
pub(super) struct Reading {
    pub(super) partition: u32,
    pub(super) limit: Limit,
    /// Nothing from here on.
    pub(super) visible: u64,
    /// The sequence to go on from.
    pub(super) next: u64,
    pub(super) entries: Vec<Entry>,
    /// What they weigh.
    pub(super) bytes: u64,
}

impl Reading {
    /// Adds a segment's messages; false where the limit is reached.
    pub(super) fn read(&mut self, files: &dyn Files, segment: &Segment) -> Result<bool, DiskError> {
        let from = segment.contents().index.before(self.next);
        let mut builder = MessageBuilder::new();
        let mut more = true;
        frames(files, segment, from, |place, header, payload| {
            if header.next() <= self.next {
                return Ok(true);
            }
            let broken =
                |_| DiskError::Damaged { segment: segment::name(segment.base), offset: place, seq: header.base };
            for (seq, message) in (header.base..).zip(frame::messages(header, payload, &mut builder).map_err(broken)?) {
                if seq < self.next {
                    continue;
                }
                more = self.take(seq, message.weight());
                if !more {
                    return Ok(false);
                }
                let at = Position { partition: self.partition, seq };
                self.entries.push(Entry::new(at, 1, message));
            }
            Ok(true)
        })?;
        Ok(more)
    }

    /// Whether the message at `seq` is within the limit; then it counts.
    fn take(&mut self, seq: u64, weight: u64) -> bool {
        let bytes = self.bytes + weight;
        let fits = self.entries.is_empty() || bytes <= self.limit.bytes;
        if seq >= self.visible || self.entries.len() >= self.limit.messages || !fits {
            return false;
        }
        (self.bytes, self.next) = (bytes, seq + 1);
        true
    }
}
