//! Where readers stand, on disk: a file of changes beside the segments, made anew when it has grown.
//!
//! # File
//! ```text
//! cursors := "PELTCUR\x01" record*
//! record  := length:u32 crc:u32 payload                             crc, length: of the payload
//! payload := 1 reader:bytes partition:u32 watermark:u64 runs        the reader stands so: all below, and these runs
//!          | 2 reader:bytes partition:u32 runs                      it has settled these as well
//!          | 3 reader:bytes                                         it is gone
//! runs    := count:u32 (start:u64 end:u64)*
//! ```
//! Records are written when something is settled and not synced by themselves: a cursor may fall back after a power cut,
//! never after the end of the process. A torn tail is cut. A failed write makes the file fall behind, which is told once
//! and mended with the next write that succeeds: settling goes on, since falling back means only to be given again.
//! Where a reader begins, moves or goes, whoever writes that syncs it: falling back from there might mean to miss messages.

use super::error::DiskError;
use super::files::{Files, Handle};
use super::frame::Read;
use crate::stream::runs::Settled;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

const MAGIC: &[u8; 8] = b"PELTCUR\x01";
const NAME: &str = "cursors";
const NEXT: &str = "cursors.tmp";
/// The file is made anew when it is this long and four times what it would be anew.
const GROWN: u64 = 1 << 20;

/// Every reader's place in every partition.
pub(crate) type Places = BTreeMap<(String, u32), Settled>;

pub(crate) struct Journal {
    files: Box<dyn Files>,
    handle: Box<dyn Handle>,
    length: u64,
    /// How long it was when it was made anew.
    fresh: u64,
    /// Something was not written: it must be made anew.
    behind: bool,
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens the file, or makes it, and says what it holds.
    ///
    /// # Errors
    /// Where it can't be read or made, or is of another version.
    pub(crate) fn open(files: Box<dyn Files>) -> Result<(Journal, Places), DiskError> {
        let failed = |what| move |e| DiskError::io(NAME, what, e);
        let names = files.list().map_err(|e| DiskError::io("the log's directory", "list", e))?;
        if names.iter().any(|n| n == NEXT) {
            files.remove(NEXT).map_err(|e| DiskError::io(NEXT, "remove", e))?;
        }
        if !names.iter().any(|n| n == NAME) {
            let (handle, length) = make(files.as_ref(), &Places::new()).map_err(failed("make"))?;
            let journal = Journal { files, handle, length, fresh: length, behind: false, buffer: Vec::new() };
            return journal.files.sync_directory().map_err(failed("make")).map(|()| (journal, Places::new()));
        }
        let mut handle = files.open(NAME).map_err(failed("open"))?;
        let mut bytes = vec![0; handle.length().map_err(failed("read"))? as usize];
        let read = handle.read_at(&mut bytes, 0).map_err(failed("read"))?;
        bytes.truncate(read);
        let Some(records) = bytes.strip_prefix(MAGIC) else {
            return Err(DiskError::Foreign { name: NAME.to_owned() });
        };
        let (places, rest) = fold(records);
        let length = (bytes.len() - rest.len()) as u64;
        if !rest.is_empty() {
            tracing::warn!(bytes = rest.len(), "torn tail of the cursors cut off");
            handle.truncate(length).map_err(failed("cut the torn tail of"))?;
        }
        let journal = Journal { files, handle, length, fresh: 0, behind: false, buffer: Vec::new() };
        Ok((journal, places))
    }

    /// What the file holds, where it is there; nothing is written.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub(crate) fn read(files: &dyn Files) -> Result<Places, DiskError> {
        let failed = |what| move |e| DiskError::io(NAME, what, e);
        let names = files.list().map_err(|e| DiskError::io("the log's directory", "list", e))?;
        if !names.iter().any(|n| n == NAME) {
            return Ok(Places::new());
        }
        let handle = files.open(NAME).map_err(failed("open"))?;
        let mut bytes = vec![0; handle.length().map_err(failed("read"))? as usize];
        let read = handle.read_at(&mut bytes, 0).map_err(failed("read"))?;
        bytes.truncate(read);
        let records = bytes.strip_prefix(MAGIC).ok_or_else(|| DiskError::Foreign { name: NAME.to_owned() })?;
        Ok(fold(records).0)
    }

    /// A reader stands here from now on. `all`: every place, for when the file must be made anew.
    pub(crate) fn set(&mut self, reader: &str, partition: u32, at: &Settled, all: impl FnOnce() -> Places) {
        self.buffer.clear();
        put_set(&mut self.buffer, reader, partition, at);
        self.write(all);
    }

    /// A reader has settled these runs as well.
    pub(crate) fn settled(&mut self, reader: &str, partition: u32, runs: &[Range<u64>], all: impl FnOnce() -> Places) {
        self.buffer.clear();
        put_record(&mut self.buffer, |out| {
            out.push(2);
            put_place(out, reader, partition);
            put_runs(out, runs.iter().cloned());
        });
        self.write(all);
    }

    /// A reader is gone.
    pub(crate) fn removed(&mut self, reader: &str, all: impl FnOnce() -> Places) {
        self.buffer.clear();
        put_record(&mut self.buffer, |out| {
            out.push(3);
            put_text(out, reader);
        });
        self.write(all);
    }

    fn write(&mut self, all: impl FnOnce() -> Places) {
        if !self.behind {
            if let Err(error) = self.handle.append(&self.buffer) {
                tracing::error!(%error, "cursors not written; after a crash, messages may be given again");
                // A part of a record would hide what comes behind it.
                self.behind = true;
                let _ = self.handle.truncate(self.length);
                return;
            }
            self.length += self.buffer.len() as u64;
            if self.length < GROWN.max(4 * self.fresh) {
                return;
            }
        }
        if let Err(error) = self.make_anew(&all())
            && !self.behind
        {
            tracing::warn!(%error, "cursors not made anew, their file goes on growing");
            self.fresh = self.length;
        }
    }

    /// Makes the file anew, durably: it says these places and nothing else.
    ///
    /// # Errors
    /// Where that fails; what is written next goes to the file that is there then.
    pub(crate) fn make_anew(&mut self, places: &Places) -> Result<(), DiskError> {
        let failed = |e| DiskError::io(NAME, "make anew", e);
        let (handle, length) = make(self.files.as_ref(), places).map_err(failed)?;
        // The file before has lost its name: what is written to it from here on nobody would find.
        (self.handle, self.length, self.fresh) = (handle, length, length);
        let synced = self.files.sync_directory();
        // A power cut may give the name back to the file before: then once more.
        self.behind = synced.is_err();
        synced.map_err(failed)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// Where that fails, or something was not written.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        let synced = self.handle.sync();
        let written = if self.behind { Err(io::Error::other("an earlier write has failed")) } else { Ok(()) };
        synced.and(written).map_err(|e| DiskError::io(NAME, "sync", e))
    }
}

/// A file of these places, synced and in its place; its name is not durable yet.
fn make(files: &dyn Files, places: &Places) -> io::Result<(Box<dyn Handle>, u64)> {
    let mut bytes = MAGIC.to_vec();
    for ((reader, partition), at) in places {
        put_set(&mut bytes, reader, *partition, at);
    }
    if files.list()?.iter().any(|n| n == NEXT) {
        files.remove(NEXT)?;
    }
    let mut handle = files.create(NEXT)?;
    handle.append(&bytes)?;
    handle.sync()?;
    files.rename(NEXT, NAME)?;
    Ok((handle, bytes.len() as u64))
}

/// The places that records give, and what is no whole record.
fn fold(records: &[u8]) -> (Places, &[u8]) {
    let mut places = Places::new();
    let mut rest = records;
    while let Some(after) = apply(rest, &mut places) {
        rest = after;
    }
    (places, rest)
}

/// Takes one record off the front and applies it; none where there is no whole one.
fn apply<'a>(bytes: &'a [u8], places: &mut Places) -> Option<&'a [u8]> {
    let mut read = Read(bytes);
    let (length, sum) = (read.u32()? as usize, read.u32()?);
    let (payload, rest) = read.0.split_at_checked(length)?;
    if crc32c::crc32c(payload) != sum {
        return None;
    }
    let mut read = Read(payload);
    let kind = read.u8()?;
    let reader = std::str::from_utf8(read.bytes()?).ok()?.to_owned();
    match kind {
        1 => {
            let partition = read.u32()?;
            let mut settled = Settled::new(read.u64()?);
            for _ in 0..read.u32()? {
                settled.insert_missing(read.u64()?..read.u64()?);
            }
            places.insert((reader, partition), settled);
        }
        2 => {
            // A reader that is gone may still have settled something. That hides nothing of what others did.
            let mut gone = Settled::new(0);
            let place = places.get_mut(&(reader, read.u32()?)).unwrap_or(&mut gone);
            for _ in 0..read.u32()? {
                place.insert_missing(read.u64()?..read.u64()?);
            }
        }
        3 => places.retain(|(name, _), _| *name != reader),
        _ => return None,
    }
    Some(rest)
}

fn put_set(out: &mut Vec<u8>, reader: &str, partition: u32, at: &Settled) {
    put_record(out, |out| {
        out.push(1);
        put_place(out, reader, partition);
        out.extend_from_slice(&at.watermark().to_le_bytes());
        put_runs(out, at.runs());
    });
}

fn put_record(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    payload(out);
    let payload = out.get(start + 8..).unwrap_or_default();
    let (length, sum) = (payload.len() as u32, crc32c::crc32c(payload));
    if let Some(prefix) = out.get_mut(start..start + 8) {
        let (l, c) = prefix.split_at_mut(4);
        l.copy_from_slice(&length.to_le_bytes());
        c.copy_from_slice(&sum.to_le_bytes());
    }
}

fn put_place(out: &mut Vec<u8>, reader: &str, partition: u32) {
    put_text(out, reader);
    out.extend_from_slice(&partition.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_runs(out: &mut Vec<u8>, runs: impl Iterator<Item = Range<u64>>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut count = 0u32;
    for run in runs {
        out.extend_from_slice(&run.start.to_le_bytes());
        out.extend_from_slice(&run.end.to_le_bytes());
        count += 1;
    }
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&count.to_le_bytes());
    }
}
