//! Finding damage anywhere in a log, and giving up what is lost.

use super::DiskError;
use super::files::{Directory, Files, lock};
use super::frame::{self, Header};
use super::producers::Producers;
use super::salt::Salt;
use super::segment::{self, Contents, Head, MAGIC};
use super::{recover, scan, seal};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// A place where a log can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub segment: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes are no frames; 0 where what should be there is missing.
    pub bytes: u64,
    /// The first sequence that is lost.
    pub seq: u64,
    /// The first sequence that is there again: `seq` itself where no message is lost; none where nothing follows.
    pub next: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: {} bytes are damaged; ", self.segment, self.offset, self.bytes)?;
        match self.next {
            Some(next) if next == self.seq => write!(f, "no message is lost"),
            Some(next) => write!(f, "sequences {} to {} are lost", self.seq, next - 1),
            None => write!(f, "all from sequence {} on is lost", self.seq),
        }
    }
}

/// What is given up of a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// All from the first damage on. The sequences behind it are given out again.
    Cut,
    /// What is damaged; what is whole on both sides is kept, and readers pass over the gap.
    Skip,
}

/// Reads a whole log, sealed segments too, checksums included, and lists what is damaged, in the order of sequences. It
/// changes nothing. A torn tail is no damage: opening the log cuts it.
///
/// # Errors
/// [`DiskError::Foreign`], and where the directory can't be read.
pub fn inspect(directory: &Path) -> Result<Vec<Damage>, DiskError> {
    inspect_in(&Directory(directory.to_owned()))
}

/// Makes a damaged log one that can be opened, and says what was damaged. Where it is interrupted, it can be repeated.
///
/// # Errors
/// [`DiskError::Locked`], [`DiskError::Foreign`], and where the file system fails.
pub fn repair(directory: &Path, how: Repair) -> Result<Vec<Damage>, DiskError> {
    let files = Directory(directory.to_owned());
    recover::list(&files)?;
    let lock = lock(directory).map_err(DiskError::directory("lock"))?;
    let _lock = lock.ok_or_else(|| DiskError::Locked { directory: directory.to_owned() })?;
    repair_in(&files, how)
}

pub(super) fn inspect_in(files: &dyn Files) -> Result<Vec<Damage>, DiskError> {
    let mut damages = Vec::new();
    walk(files, |piece| {
        damages.extend(piece.damages);
        Ok(true)
    })?;
    Ok(damages)
}

pub(super) fn repair_in(files: &dyn Files, how: Repair) -> Result<Vec<Damage>, DiskError> {
    recover::clear(files, &recover::list(files)?)?;
    let damages = inspect_in(files)?;
    walk(files, |piece| match (piece.damages.first(), how) {
        (None, _) => Ok(true),
        (Some(_), Repair::Skip) => rewrite(files, &piece).map(|()| true),
        (Some(first), Repair::Cut) => cut(files, &piece, first.offset).map(|()| false),
    })?;
    Ok(damages)
}

/// A segment read past all damage, or what stands for a missing one.
struct Piece {
    base: u64,
    /// The sequence after it.
    next: u64,
    /// None where it is missing.
    bytes: Option<Vec<u8>>,
    /// Its frames have it.
    salt: Salt,
    /// Who had appended before it.
    producers: Producers,
    /// Its whole frames, and where they are in the bytes.
    frames: Vec<(Header, Range<usize>)>,
    /// Whether it is to end in a seal.
    is_sealed: bool,
    damages: Vec<Damage>,
}

/// Visits all pieces of a log in their order, until told no.
fn walk(files: &dyn Files, mut visit: impl FnMut(Piece) -> Result<bool, DiskError>) -> Result<(), DiskError> {
    let bases = recover::list(files)?.bases;
    let mut producers = Producers::default();
    let mut expected = bases.first().copied();
    for (i, base) in bases.iter().copied().enumerate() {
        let from = expected.unwrap_or(base);
        if base < from {
            // No log has two segments with the same sequences.
            return Err(DiskError::Foreign { name: segment::name(base) });
        }
        if base > from && !visit(Piece::missing(from, base, &producers))? {
            return Ok(());
        }
        let piece = Piece::read(files, base, bases.get(i + 1).copied(), &producers)?;
        expected = Some(piece.next);
        producers = piece.producers.clone();
        piece.frames.iter().for_each(|(header, _)| producers.add(header));
        if !visit(piece)? {
            return Ok(());
        }
    }
    Ok(())
}

impl Piece {
    fn missing(base: u64, next: u64, producers: &Producers) -> Piece {
        let damage = Damage { segment: segment::name(base), offset: 0, bytes: 0, seq: base, next: Some(next) };
        let (salt, producers, frames) = (Salt::random(), producers.clone(), Vec::new());
        Piece { base, next, bytes: None, salt, producers, frames, is_sealed: true, damages: vec![damage] }
    }

    /// Reads a segment; `following` is the base of the one behind it, `before` who had appended before, where its head does
    /// not tell.
    fn read(files: &dyn Files, base: u64, following: Option<u64>, before: &Producers) -> Result<Piece, DiskError> {
        let name = segment::name(base);
        let bytes = scan::load(files, base)?;
        let head = segment::read_head(&bytes, base);
        let has_head = head.is_some();
        let Head { salt, producers, end: head } = head.unwrap_or_else(|| {
            let salt = find_salt(&bytes, base, following.is_some()).unwrap_or_else(Salt::random);
            Head { salt, producers: before.clone(), end: 0 }
        });
        let seal = seal::find(&bytes, salt);
        let end = seal.as_ref().map_or(bytes.len(), |s| s.end as usize);
        // What is known of where it ends; only the last one may end anywhere, and in a torn tail.
        let until = seal.as_ref().map(|s| s.next).or(following);
        let (mut at, mut seq) = (head as usize, base);
        let (mut frames, mut damages) = (Vec::new(), Vec::new());
        let damage = |at: usize, bytes: usize, seq, next| {
            let (offset, bytes) = (at as u64, bytes as u64);
            Damage { segment: name.clone(), offset, bytes, seq, next }
        };
        while let Some(rest) = bytes.get(at..end).filter(|rest| !rest.is_empty()) {
            if let Ok((header, _, whole)) = frame::decode(rest, salt)
                && header.follows(seq)
            {
                frames.push((header, at..at + whole));
                (at, seq) = (at + whole, header.next());
                continue;
            }
            if until.is_none() && has_head && !scan::was_synced(rest, salt, seq) {
                break;
            }
            let Some((skipped, header)) = scan::later(rest, salt, seq).next() else {
                damages.push(damage(at, rest.len(), seq, until));
                break;
            };
            damages.push(damage(at, skipped, seq, Some(header.base)));
            (at, seq) = (at + skipped, header.base);
        }
        let is_ours = has_head || !frames.is_empty() || bytes.starts_with(MAGIC) || bytes.is_empty();
        if !is_ours {
            return Err(DiskError::Foreign { name });
        }
        // Without its seal, all of it may be readable and still be too little. An empty file has nothing to be damaged.
        let lacks_seal = following.is_some() && seal.is_none() && at == end;
        if lacks_seal || bytes.is_empty() {
            damages.push(damage(at, 0, seq, until));
        }
        let next = until.unwrap_or(seq).max(seq);
        let is_sealed = seal.is_some() || following.is_some();
        Ok(Piece { base, next, bytes: Some(bytes), salt, producers, frames, is_sealed, damages })
    }
}

/// The salt of a segment whose head is damaged: the one of those it tells, at its start and in its seal, that a frame has.
/// Only where it `is_followed` does it end in a seal for certain, and not in a message that looks like one.
fn find_salt(bytes: &[u8], base: u64, is_followed: bool) -> Option<Salt> {
    let sealed = seal::salt(bytes).filter(|_| is_followed);
    // What is wiped out reads as the same byte again and again, which a message may guess.
    let is_wiped = |salt: &Salt| salt.bytes().windows(2).all(|two| two.first() == two.last());
    let mut salts = segment::salts(bytes).filter(|salt| !is_wiped(salt)).chain(sealed);
    salts.find(|salt| scan::later(bytes, *salt, base).next().is_some())
}

/// Gives up all from a place in a piece on. What is behind it goes first: whenever that is interrupted, the first damage
/// is still where it was.
fn cut(files: &dyn Files, piece: &Piece, offset: u64) -> Result<(), DiskError> {
    let behind = recover::list(files)?.bases.into_iter().filter(|base| *base > piece.base);
    for name in behind.map(segment::name) {
        files.remove(&name).map_err(|e| DiskError::io(&name, "remove", e))?;
    }
    files.sync_directory().map_err(DiskError::directory("sync"))?;
    let name = segment::name(piece.base);
    match (&piece.bytes, offset) {
        // The one before it is the last now.
        (None, _) => Ok(()),
        (Some(_), 0) => segment::create(files, piece.base, &segment::head(piece.base, piece.salt, &piece.producers)),
        (Some(_), _) => {
            let mut handle = files.open(&name).map_err(|e| DiskError::io(&name, "open", e))?;
            let cut = handle.truncate(offset).and_then(|()| handle.sync());
            cut.map_err(|e| DiskError::io(&name, "cut", e))
        }
    }
}

/// Makes the segment anew of what is whole, with a gap wherever sequences are lost.
fn rewrite(files: &dyn Files, piece: &Piece) -> Result<(), DiskError> {
    let mut out = segment::head(piece.base, piece.salt, &piece.producers);
    let mut contents = Contents::empty(piece.base, piece.salt, out.len() as u64);
    for (header, range) in &piece.frames {
        if !header.follows(contents.next) {
            put_gap(&mut out, &mut contents, header.base, header.time);
        }
        let bytes = piece.bytes.as_ref().and_then(|bytes| bytes.get(range.clone())).unwrap_or_default();
        out.extend_from_slice(bytes);
        contents.add(header, bytes.len() as u64);
    }
    if contents.next < piece.next {
        let time = contents.last_time;
        put_gap(&mut out, &mut contents, piece.next, time);
    }
    if piece.is_sealed {
        out.extend_from_slice(&seal::encode(&contents));
    }
    segment::create(files, piece.base, &out)
}

fn put_gap(out: &mut Vec<u8>, contents: &mut Contents, base: u64, time: i64) {
    let header = Header { base, count: 0, time, synced: base, producer: 0, sequence: 0 };
    let start = out.len();
    frame::encode(out, contents.salt, header, &[]);
    contents.add(&header, (out.len() - start) as u64);
}
