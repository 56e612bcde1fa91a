//! From what a crash has left to a log that can be appended to.

use super::files::Files;
use super::producers::Producers;
use super::salt::Salt;
use super::segment::{self, Contents};
use super::shared::Segment;
use super::{DiskError, Recovery, scan, seal};
use std::sync::Arc;

/// What a log is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To append; what a crash has left is mended.
    Write,
    /// Nothing is changed.
    Read,
}

/// A log as it was found and mended.
pub(super) struct Recovered {
    /// By their bases; where it is opened to write, at least one.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) producers: Producers,
    /// Whether the last segment is sealed.
    pub(super) is_sealed: bool,
    pub(super) recovery: Recovery,
}

/// What is in a log's directory.
pub(super) struct Listing {
    /// The segments', rising.
    pub(super) bases: Vec<u64>,
    /// Segments that a crash has left half made.
    pub(super) unfinished: Vec<String>,
}

/// Lists the directory; what is not of a log makes it another program's.
pub(super) fn list(files: &dyn Files) -> Result<Listing, DiskError> {
    let mut listing = Listing { bases: Vec::new(), unfinished: Vec::new() };
    for name in files.list().map_err(DiskError::directory("list"))? {
        if let Some(base) = segment::base_of(&name) {
            listing.bases.push(base);
        } else if name.strip_suffix(".tmp").and_then(segment::base_of).is_some() {
            listing.unfinished.push(name);
        } else if name != "lock" {
            return Err(DiskError::Foreign { name });
        }
    }
    listing.bases.sort_unstable();
    Ok(listing)
}

/// Removes what a crash has left half made.
pub(super) fn clear(files: &dyn Files, listing: &Listing) -> Result<(), DiskError> {
    listing.unfinished.iter().try_for_each(|name| files.remove(name).map_err(|e| DiskError::io(name, "remove", e)))
}

/// Reads what a directory holds: the seals, and the last segment whole. Opened to write, it can be appended to afterwards.
pub(super) fn recover(files: &dyn Files, access: Access) -> Result<Recovered, DiskError> {
    let mut listing = list(files)?;
    if access == Access::Write {
        clear(files, &listing)?;
        if listing.bases.is_empty() {
            segment::create(files, 1, &segment::head(1, Salt::random(), &Producers::default()))?;
            listing.bases.push(1);
        }
    }
    let (mut producers, mut is_sealed, mut recovery) = (Producers::default(), false, Recovery::default());
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for (i, base) in listing.bases.iter().copied().enumerate() {
        let name = segment::name(base);
        let before = segments.last().map(|s| s.contents().next);
        if let Some(from) = before.filter(|next| *next != base) {
            return Err(DiskError::Missing { from, to: base - 1, segment: name });
        }
        if i + 1 < listing.bases.len() {
            segments.push(Segment::new(base, sealed(files, base)?));
            continue;
        }
        let scanned = scan::scan(files, base)?;
        if scanned.torn > 0 && access == Access::Write {
            tracing::warn!(segment = name, bytes = scanned.torn, "torn tail cut off");
            let mut handle = files.open(&name).map_err(|e| DiskError::io(&name, "open", e))?;
            let cut = handle.truncate(scanned.contents.end).and_then(|()| handle.sync());
            cut.map_err(|e| DiskError::io(&name, "cut the torn tail of", e))?;
            recovery.cut = Some((name, scanned.torn));
        }
        segments.push(Segment::new(base, scanned.contents));
        (producers, is_sealed) = (scanned.producers, scanned.is_sealed);
    }
    Ok(Recovered { segments, producers, is_sealed, recovery })
}

/// The contents of a segment that has one behind it: the next one was begun only after this one was sealed and synced.
fn sealed(files: &dyn Files, base: u64) -> Result<Contents, DiskError> {
    let name = segment::name(base);
    let handle = files.read(&name).map_err(|e| DiskError::io(&name, "open", e))?;
    if let Some(contents) = seal::read(handle.as_ref()).map_err(|e| DiskError::io(&name, "read", e))? {
        return Ok(contents);
    }
    let scanned = scan::scan(files, base)?;
    Err(DiskError::Damaged { segment: name, offset: scanned.contents.end, seq: scanned.contents.next })
}
