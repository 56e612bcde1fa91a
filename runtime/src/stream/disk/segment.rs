//! One file of the log: its name, its head, what is known of its frames, and the seal that a full one ends in.

use super::DiskError;
use super::files::{Files, Handle};
use super::frame::{Header, Read, SEAL};
use super::producers::Producers;
use std::io;

/// What a segment begins with, and the version of its format.
pub(super) const MAGIC: &[u8; 8] = b"PELTLOG\x01";
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
    let is_number = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Makes a segment of these bytes, durably, in place of one of the same base: after a crash it is whole, or not there.
/// After an error it can be tried again.
pub(super) fn create(files: &dyn Files, base: u64, bytes: &[u8]) -> Result<(), DiskError> {
    let name = name(base);
    let temporary = format!("{name}.tmp");
    let made = write_file(files, &temporary, bytes);
    let renamed = made.and_then(|()| files.rename(&temporary, &name).map_err(|e| DiskError::io(&name, "make", e)));
    if let Err(error) = renamed {
        // Where that fails too, it is removed when the log is opened.
        let _ = files.remove(&temporary);
        return Err(error);
    }
    files.sync_directory().map_err(DiskError::directory("sync"))
}

fn write_file(files: &dyn Files, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let mut handle = files.create(name).map_err(|e| DiskError::io(name, "make", e))?;
    handle.append(bytes).and_then(|()| handle.sync()).map_err(|e| DiskError::io(name, "write", e))
}

/// What stands before the frames: the base, and the producers of all that was appended before.
pub(super) fn head(base: u64, producers: &Producers) -> Vec<u8> {
    let mut out = [MAGIC.as_slice(), &base.to_le_bytes()].concat();
    producers.encode(&mut out);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// The head of the segment with this base, and how long it is.
pub(super) fn read_head(bytes: &[u8], base: u64) -> Option<(Producers, u64)> {
    let mut read = Read(bytes.strip_prefix(MAGIC)?);
    if read.u64()? != base {
        return None;
    }
    let producers = Producers::decode(&mut read)?;
    let head = bytes.get(..bytes.len() - read.0.len())?;
    let is_whole = crc32c::crc32c(head) == read.u32()?;
    is_whole.then_some((producers, head.len() as u64 + 4))
}

/// Where frames begin, sparsely: pairs of a sequence and a place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index(Vec<(u64, u64)>);

impl Index {
    fn add(&mut self, seq: u64, place: u64) {
        if self.0.last().is_none_or(|(_, last)| place >= last + SPARSE) {
            self.0.push((seq, place));
        }
    }

    /// A place from which on `seq` is found; beyond all places where there are no frames.
    pub(super) fn before(&self, seq: u64) -> u64 {
        let after = self.0.partition_point(|(s, _)| *s <= seq);
        self.0.get(after.saturating_sub(1)).map_or(u64::MAX, |(_, place)| *place)
    }
}

/// What is known of a segment's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) index: Index,
    /// The sequence after the last.
    pub(super) next: u64,
    /// The sequence after the last message: below `next` where a gap follows it, 0 where there is no message.
    pub(super) held: u64,
    /// When its first batch was appended, ns since 1970; 0 where it has none, or where it is sealed.
    pub(super) first_time: i64,
    /// When its last batch was appended, ns since 1970; 0 where it has none.
    pub(super) last_time: i64,
    /// Where its frames end.
    pub(super) end: u64,
    /// Bytes of the file, with the seal.
    pub(super) length: u64,
    /// Its frames say that everything below was synced. Not known of a sealed one.
    pub(super) synced: u64,
}

impl Contents {
    /// Of a segment that is nothing but a head so long.
    pub(super) fn empty(base: u64, head: u64) -> Contents {
        Contents { next: base, end: head, length: head, ..Contents::default() }
    }

    /// Bytes of its frames alone.
    pub(super) fn frames(&self) -> u64 {
        self.end.saturating_sub(self.index.before(0))
    }

    /// One more frame, of so many bytes.
    pub(super) fn add(&mut self, header: &Header, whole: u64) {
        self.index.add(self.next, self.end);
        self.next = header.next();
        if header.count > 0 {
            self.held = self.next;
        }
        if self.first_time == 0 {
            self.first_time = header.time;
        }
        self.last_time = header.time;
        self.synced = self.synced.max(header.synced);
        self.end += whole;
        self.length = self.end;
    }

    /// The seal: what a reader need not scan for.
    pub(super) fn seal(&self) -> Vec<u8> {
        let mut out = SEAL.to_le_bytes().to_vec();
        out.extend_from_slice(&(self.index.0.len() as u32).to_le_bytes());
        for (seq, place) in &self.index.0 {
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&place.to_le_bytes());
        }
        for number in [self.next, self.held, self.last_time as u64, self.end] {
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
    let Some(start) = length.checked_sub(seal).filter(|_| seal >= 12) else { return Ok(None) };
    let mut bytes = vec![0; (seal - 12) as usize];
    handle.read_at(&mut bytes, start)?;
    let contents = parse_seal(&bytes).filter(|c| c.end == start);
    Ok(contents.map(|c| Contents { length, ..c }))
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
    let (next, held, last_time, end) = (read.u64()?, read.u64()?, read.u64()? as i64, read.u64()?);
    Some(Contents { index: Index(index), next, held, last_time, end, ..Contents::default() })
}
