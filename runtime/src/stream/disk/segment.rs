//! One file of the log: its name, its frames, and the seal that a full one ends in.

use super::DiskError;
use super::files::Handle;
use super::frame::{self, Read, SEAL};
use std::io;

/// What a segment begins with, and the version of its format.
const MAGIC: &[u8; 8] = b"PELTLOG\x01";
/// The magic, and the base.
pub(super) const START: u64 = 16;
/// What a sealed segment ends in, after the seal's length.
const SEALED: &[u8; 8] = b"PELTSEAL";
/// One entry of the index for so many bytes.
const SPARSE: u64 = 64 << 10;

/// The file of the segment whose first sequence is `base`.
pub(super) fn name(base: u64) -> String {
    format!("{base:020}.seg")
}

/// The base in a segment's name; none where it is another file.
pub(super) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

pub(super) fn head(base: u64) -> Vec<u8> {
    [MAGIC.as_slice(), &base.to_le_bytes()].concat()
}

/// Where frames begin, sparsely: pairs of a sequence and a place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index(Vec<(u64, u64)>);

impl Index {
    pub(super) fn add(&mut self, seq: u64, place: u64) {
        if self.0.last().is_none_or(|(_, last)| place >= last + SPARSE) {
            self.0.push((seq, place));
        }
    }

    /// A place from which on `seq` is found.
    pub(super) fn before(&self, seq: u64) -> u64 {
        let after = self.0.partition_point(|(s, _)| *s <= seq);
        after.checked_sub(1).and_then(|i| self.0.get(i)).map_or(START, |(_, place)| *place)
    }
}

/// What is known of a segment's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) index: Index,
    /// The sequence after the last.
    pub(super) next: u64,
    /// When its last batch was appended, ns since 1970; 0 where it has none.
    pub(super) last_time: i64,
    /// Where its frames end.
    pub(super) end: u64,
}

impl Contents {
    pub(super) fn empty(base: u64) -> Contents {
        Contents { next: base, end: START, ..Contents::default() }
    }

    /// The seal: what a reader need not scan for.
    pub(super) fn seal(&self) -> Vec<u8> {
        let mut out = SEAL.to_le_bytes().to_vec();
        out.extend_from_slice(&(self.index.0.len() as u32).to_le_bytes());
        for (seq, place) in &self.index.0 {
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&place.to_le_bytes());
        }
        for number in [self.next, self.last_time as u64, self.end] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        let length = out.len() as u32 + 12;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(SEALED);
        out
    }
}

/// The seal at the end of a file, where there is a whole one.
pub(super) fn read_seal(handle: &dyn Handle) -> io::Result<Option<Contents>> {
    let length = handle.length()?;
    let mut tail = [0; 12];
    let Some(at) = length.checked_sub(12) else { return Ok(None) };
    if handle.read_at(&mut tail, at)? < 12 || !tail.ends_with(SEALED) {
        return Ok(None);
    }
    let seal = Read(&tail).u32().map_or(0, u64::from);
    let Some(start) = length.checked_sub(seal).filter(|s| *s >= START && seal <= 1 << 30) else { return Ok(None) };
    let mut bytes = vec![0; (seal - 12) as usize];
    handle.read_at(&mut bytes, start)?;
    Ok(parse_seal(&bytes).filter(|c| c.end == start))
}

fn parse_seal(bytes: &[u8]) -> Option<Contents> {
    let (body, sum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut read = Read(body);
    if read.u32()? != SEAL {
        return None;
    }
    let count = read.u32()?;
    let index = (0..count).map(|_| Some((read.u64()?, read.u64()?))).collect::<Option<Vec<_>>>()?;
    Some(Contents { index: Index(index), next: read.u64()?, last_time: read.u64()? as i64, end: read.u64()? })
}

/// What a scan of a segment without a seal has found.
pub(super) struct Scanned {
    pub(super) contents: Contents,
    /// How many bytes behind the last whole frame are a torn tail.
    pub(super) torn: u64,
}

/// Reads a segment frame by frame. A tail that was never synced is torn; anything else that is no frame is damage.
pub(super) fn scan(handle: &dyn Handle, base: u64) -> Result<Scanned, DiskError> {
    let failed = |e: io::Error| DiskError::io(&name(base), "read", e);
    let mut bytes = vec![0; handle.length().map_err(failed)? as usize];
    let length = handle.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(length);
    if (bytes.len() as u64) < START {
        // It was just being made.
        let torn = bytes.len() as u64;
        return Ok(Scanned { contents: Contents { end: 0, ..Contents::empty(base) }, torn });
    }
    if !bytes.starts_with(MAGIC) {
        return Err(DiskError::Foreign { name: name(base) });
    }
    let mut contents = Contents::empty(base);
    loop {
        let rest = bytes.get(contents.end as usize..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(Scanned { contents, torn: 0 });
        }
        match frame::decode(rest) {
            Ok((header, _, whole)) if header.base == contents.next => {
                contents.index.add(header.base, contents.end);
                contents.next += u64::from(header.count);
                contents.last_time = header.time;
                contents.end += whole as u64;
            }
            _ if was_synced(rest, contents.next) => {
                return Err(DiskError::Damaged { segment: name(base), offset: contents.end, seq: contents.next });
            }
            _ => return Ok(Scanned { torn: rest.len() as u64, contents }),
        }
    }
}

/// Whether a whole frame further on says that `seq` had been synced: then what stands there instead is no torn tail.
fn was_synced(rest: &[u8], seq: u64) -> bool {
    // A frame's base stands behind its length and checksum: only places where it is plausible are looked at closely.
    let plausible = |at: usize| {
        let base = rest.get(at + 8..at + 16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        base.is_some_and(|base| base >= seq && base - seq < 1 << 40)
    };
    (1..rest.len()).filter(|at| plausible(*at)).any(|at| {
        let later = rest.get(at..).map(frame::decode);
        matches!(later, Some(Ok((header, _, _))) if header.synced > seq)
    })
}
