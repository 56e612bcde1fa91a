//! Reading the last segment frame by frame, as a crash may have left it.

use super::files::Files;
use super::frame::{self, Header};
use super::producers::Producers;
use super::salt::Salt;
use super::segment::{self, Contents, Head, MAGIC};
use super::{DiskError, seal};
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

/// A segment's whole file.
pub(super) fn load(files: &dyn Files, base: u64) -> Result<Vec<u8>, DiskError> {
    let name = segment::name(base);
    let failed = |e: io::Error| DiskError::io(&name, "read", e);
    let handle = files.read(&name).map_err(failed)?;
    let mut bytes = vec![0; handle.length().map_err(failed)? as usize];
    let read = handle.read_at(&mut bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Reads a segment frame by frame. A tail that was never synced is torn; anything else that is no frame is damage.
pub(super) fn scan(files: &dyn Files, base: u64) -> Result<Scanned, DiskError> {
    let name = segment::name(base);
    let bytes = load(files, base)?;
    let Some(Head { salt, mut producers, end: head }) = segment::read_head(&bytes, base) else {
        // A segment gets its name when its head is synced: this is no torn one.
        let damaged = DiskError::Damaged { segment: name.clone(), offset: 0, seq: base };
        return Err(if bytes.starts_with(MAGIC) { damaged } else { DiskError::Foreign { name } });
    };
    let mut contents = Contents::empty(base, salt, head);
    let seal = seal::find(&bytes, salt);
    let is_sealed = seal.is_some();
    let end = seal.as_ref().map_or(bytes.len() as u64, |s| s.end);
    loop {
        let rest = bytes.get(contents.end as usize..end as usize).unwrap_or_default();
        if rest.is_empty() {
            contents.length = bytes.len() as u64;
            return Ok(Scanned { contents, producers, is_sealed, torn: 0 });
        }
        match frame::decode(rest, salt) {
            Ok((header, _, whole)) if header.follows(contents.next) => {
                contents.add(&header, whole as u64);
                producers.add(&header);
            }
            _ if is_sealed || was_synced(rest, salt, contents.next) => {
                return Err(DiskError::Damaged { segment: name, offset: contents.end, seq: contents.next });
            }
            _ => return Ok(Scanned { torn: rest.len() as u64, contents, producers, is_sealed }),
        }
    }
}

/// Whether a whole frame further on says that `seq` had been synced: then what stands there instead is no torn tail.
pub(super) fn was_synced(rest: &[u8], salt: Salt, seq: u64) -> bool {
    later(rest, salt, seq).any(|(_, header)| header.synced > seq)
}

/// The whole frames behind a broken one at the start of `rest`, which may be at `seq` or after it: their places and headers.
pub(super) fn later(rest: &[u8], salt: Salt, seq: u64) -> impl Iterator<Item = (usize, Header)> {
    let frames = places(rest, salt).filter_map(move |at| Some((at, frame::decode(rest.get(at..)?, salt).ok()?.0)));
    frames.filter(move |(_, header)| header.base >= seq)
}

/// Where in `rest`, but not at its start, a frame may begin: its salt stands there. Nothing else is looked at closely, or
/// a message full of what looks like frames would be summed up once for each of them.
pub(super) fn places(rest: &[u8], salt: Salt) -> impl Iterator<Item = usize> {
    let salted = rest.windows(Salt::LENGTH).enumerate().skip(frame::PREFIX + 1);
    salted.filter(move |(_, bytes)| **bytes == salt.bytes()).map(|(at, _)| at - frame::PREFIX)
}
