//! Reading the last segment frame by frame, as a crash may have left it.

use super::DiskError;
use super::files::Files;
use super::frame::{self, Header};
use super::producers::Producers;
use super::segment::{self, Contents, MAGIC};
use std::io;

/// What a scan of a segment has found.
pub(super) struct Scanned {
    pub(super) contents: Contents,
    /// Those who appended to this segment and to those before it.
    pub(super) producers: Producers,
    pub(super) is_sealed: bool,
    /// How many bytes behind the last whole frame are a torn tail.
    pub(super) torn: u64,
}

/// A segment's whole file, and the contents that its seal tells, where it has one.
pub(super) fn load(files: &dyn Files, base: u64) -> Result<(Vec<u8>, Option<Contents>), DiskError> {
    let name = segment::name(base);
    let failed = |e: io::Error| DiskError::io(&name, "read", e);
    let handle = files.read(&name).map_err(failed)?;
    let seal = segment::read_seal(handle.as_ref()).map_err(failed)?;
    let length = match &seal {
        Some(contents) => contents.length,
        None => handle.length().map_err(failed)?,
    };
    let mut bytes = vec![0; length as usize];
    let read = handle.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    let seal = seal.filter(|_| !ends_in_a_frame(&bytes, base));
    Ok((bytes, seal))
}

/// Whether the last frame ends where the file does. Then what looks like a seal there is the end of a message, which may
/// hold anything.
fn ends_in_a_frame(bytes: &[u8], base: u64) -> bool {
    let Some((_, head)) = segment::read_head(bytes, base) else { return false };
    let mut at = head as usize;
    while let Some(whole) = bytes.get(at..).and_then(frame::length) {
        at = at.saturating_add(whole);
    }
    at == bytes.len()
}

/// Reads a segment frame by frame. A tail that was never synced is torn; anything else that is no frame is damage.
pub(super) fn scan(files: &dyn Files, base: u64) -> Result<Scanned, DiskError> {
    let name = segment::name(base);
    let (bytes, seal) = load(files, base)?;
    let is_sealed = seal.is_some();
    let Some((mut producers, head)) = segment::read_head(&bytes, base) else {
        // A segment gets its name when its head is synced: this is no torn one.
        let damaged = DiskError::Damaged { segment: name.clone(), offset: 0, seq: base };
        return Err(if bytes.starts_with(MAGIC) { damaged } else { DiskError::Foreign { name } });
    };
    let mut contents = Contents::empty(base, head);
    let end = seal.as_ref().map_or(bytes.len() as u64, |s| s.end);
    loop {
        let rest = bytes.get(contents.end as usize..end as usize).unwrap_or_default();
        if rest.is_empty() {
            contents.length = bytes.len() as u64;
            return Ok(Scanned { contents, producers, is_sealed, torn: 0 });
        }
        match frame::decode(rest) {
            Ok((header, _, whole)) if header.follows(contents.next) => {
                contents.add(&header, whole as u64);
                producers.add(&header);
            }
            _ if is_sealed || was_synced(rest, contents.next) => {
                return Err(DiskError::Damaged { segment: name, offset: contents.end, seq: contents.next });
            }
            _ => return Ok(Scanned { torn: rest.len() as u64, contents, producers, is_sealed }),
        }
    }
}

/// Whether a whole frame further on says that `seq` had been synced: then what stands there instead is no torn tail.
pub(super) fn was_synced(rest: &[u8], seq: u64) -> bool {
    later(rest, seq).any(|(_, header)| header.synced > seq)
}

/// The whole frames behind a broken one at the start of `rest`, which may be at `seq` or after it: their places and headers.
pub(super) fn later(rest: &[u8], seq: u64) -> impl Iterator<Item = (usize, Header)> {
    // A frame's base stands behind its length and checksum: only places where it is plausible are looked at closely.
    let plausible = move |at: usize| {
        let base = rest.get(at + 8..at + 16).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
        base.is_some_and(|base| base >= seq && base - seq < 1 << 40)
    };
    // Where the broken frame's length is right, the next one follows it: what lies between may be the bytes of a message
    // that look like a frame.
    let follower = frame::length(rest).filter(|at| plausible(*at));
    let places = follower.into_iter().chain((1..rest.len()).filter(move |at| plausible(*at)));
    places.filter_map(|at| Some((at, rest.get(at..).and_then(|r| frame::decode(r).ok())?.0)))
}
