//! One file of the log: its name, its head, and what is known of its frames.

use super::DiskError;
use super::files::Files;
use super::frame::{Header, Read};
use super::producers::Producers;
use super::salt::Salt;

/// What a segment begins with, and the version of its format.
pub(super) const MAGIC: &[u8; 8] = b"PELTLOG\x01";
/// Where the salt stands, behind that and the base. It stands there twice: without it, no frame is known for one.
pub(super) const SALT_AT: usize = 16;
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

/// What stands before the frames.
pub(super) struct Head {
    pub(super) salt: Salt,
    /// Who has appended what was appended before.
    pub(super) producers: Producers,
    /// Where it ends.
    pub(super) end: u64,
}

/// The head of the segment with this base.
pub(super) fn head(base: u64, salt: Salt, producers: &Producers) -> Vec<u8> {
    let mut out = [MAGIC.as_slice(), &base.to_le_bytes(), &salt.bytes(), &salt.bytes()].concat();
    producers.encode(&mut out);
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// The head of the segment with this base, where it is whole.
pub(super) fn read_head(bytes: &[u8], base: u64) -> Option<Head> {
    let mut read = Read(bytes.strip_prefix(MAGIC)?);
    if read.u64()? != base {
        return None;
    }
    let (salt, _) = (read.salt()?, read.salt()?);
    let producers = Producers::decode(&mut read)?;
    let head = bytes.get(..bytes.len() - read.0.len())?;
    let is_whole = crc32c::crc32c(head) == read.u32()?;
    is_whole.then_some(Head { salt, producers, end: head.len() as u64 + 4 })
}

/// Both salts in a head, which may be damaged.
pub(super) fn salts(bytes: &[u8]) -> impl Iterator<Item = Salt> {
    let both = bytes.get(SALT_AT..).unwrap_or_default().chunks_exact(Salt::LENGTH).take(2);
    both.filter_map(|salt| Some(Salt::from_bytes(*salt.first_chunk()?)))
}

/// Where frames begin, sparsely: pairs of a sequence and a place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index(Vec<(u64, u64)>);

impl Index {
    pub(super) fn of(entries: Vec<(u64, u64)>) -> Index {
        Index(entries)
    }

    pub(super) fn entries(&self) -> &[(u64, u64)] {
        &self.0
    }

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
    /// All its frames have it, and its seal.
    pub(super) salt: Salt,
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
    pub(super) fn empty(base: u64, salt: Salt, head: u64) -> Contents {
        Contents { salt, next: base, end: head, length: head, ..Contents::default() }
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
}
