//! From what a crash has left to a log that can be appended to.

use super::files::Files;
use super::segment::{self, Contents};
use super::{DiskError, Recovery, Segment, writer};
use std::sync::Arc;

/// Brings a directory into a state that can be appended to.
pub(super) fn recover(files: &dyn Files) -> Result<(Vec<Arc<Segment>>, Recovery), DiskError> {
    let failed = |what| move |e| DiskError::io("the log's directory", what, e);
    let mut bases: Vec<u64> =
        files.list().map_err(failed("list"))?.iter().filter_map(|n| segment::base_of(n)).collect();
    bases.sort_unstable();
    let mut recovery = Recovery::default();
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for (i, base) in bases.iter().copied().enumerate() {
        let name = segment::name(base);
        let before = segments.last().map(|s| s.contents().next);
        if let Some(from) = before.filter(|next| *next != base) {
            return Err(DiskError::Missing { from, to: base - 1, segment: name });
        }
        let mut handle = files.open(&name).map_err(|e| DiskError::io(&name, "open", e))?;
        let sealed = segment::read_seal(handle.as_ref()).map_err(|e| DiskError::io(&name, "read", e))?;
        let contents = match sealed {
            Some(contents) => contents,
            None => {
                let scanned = segment::scan(handle.as_ref(), base)?;
                if scanned.torn > 0 {
                    if i + 1 < bases.len() {
                        // The next segment was begun only after this one was sealed and synced.
                        let (offset, seq) = (scanned.contents.end, scanned.contents.next);
                        return Err(DiskError::Damaged { segment: name, offset, seq });
                    }
                    tracing::warn!(segment = name, bytes = scanned.torn, "torn tail cut off");
                    let cut = handle.truncate(scanned.contents.end).and_then(|()| handle.sync());
                    cut.map_err(|e| DiskError::io(&name, "cut the torn tail of", e))?;
                    recovery.cut = Some((name.clone(), scanned.torn));
                }
                scanned.contents
            }
        };
        segments.push(Segment::open(files, base, contents)?);
    }
    if segments.is_empty() {
        writer::create(files, 1)?;
        segments.push(Segment::open(files, 1, Contents::empty(1))?);
    }
    Ok((segments, recovery))
}
