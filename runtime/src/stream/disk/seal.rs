//! What a full segment ends in: all that a reader need not scan for.

use super::files::Handle;
use super::frame::{Read, SEAL};
use super::salt::Salt;
use super::segment::{Contents, Index, SALT_AT};
use std::io;

/// What a sealed segment ends in, after the seal's length.
const SEALED: &[u8; 8] = b"PELTSEAL";
/// The length and that.
const TAIL: usize = 12;
/// Where the salt stands in a seal.
const SALT_IN: usize = 4;

/// The seal of a segment with these contents.
pub(super) fn encode(contents: &Contents) -> Vec<u8> {
    let mut out = SEAL.to_le_bytes().to_vec();
    out.extend_from_slice(&contents.salt.bytes());
    let entries = contents.index.entries();
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (seq, place) in entries {
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&place.to_le_bytes());
    }
    for number in [contents.next, contents.held, contents.last_time as u64, contents.end] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    let length = (out.len() + TAIL) as u32;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(SEALED);
    out
}

/// The seal at the end of a file, where there is a whole one with the salt that the file's head has.
pub(super) fn read(handle: &dyn Handle) -> io::Result<Option<Contents>> {
    let length = handle.length()?;
    let mut tail = [0; TAIL];
    let Some(at) = length.checked_sub(TAIL as u64) else { return Ok(None) };
    handle.read_at(&mut tail, at)?;
    let Some(start) = length_in(&tail).and_then(|seal| length.checked_sub(seal as u64)) else { return Ok(None) };
    let mut salt = [0; Salt::LENGTH];
    handle.read_at(&mut salt, SALT_AT as u64)?;
    let mut bytes = vec![0; (length - start) as usize];
    handle.read_at(&mut bytes, start)?;
    Ok(decode(&bytes, start, Salt::from_bytes(salt)))
}

/// The seal at the end of a file's bytes, where there is a whole one with this salt.
pub(super) fn find(file: &[u8], salt: Salt) -> Option<Contents> {
    let start = start(file)?;
    decode(file.get(start..)?, start as u64, salt)
}

/// The salt that the seal at the end of a file's bytes says it has.
pub(super) fn salt(file: &[u8]) -> Option<Salt> {
    let at = start(file)? + SALT_IN;
    file.get(at..)?.first_chunk().copied().map(Salt::from_bytes)
}

fn start(file: &[u8]) -> Option<usize> {
    file.len().checked_sub(length_in(file.last_chunk()?)?)
}

fn length_in(tail: &[u8; TAIL]) -> Option<usize> {
    let length = Read(tail.strip_suffix(SEALED)?).u32()? as usize;
    (length >= TAIL).then_some(length)
}

/// The seal that these bytes are, which begin at `start` in their file.
fn decode(bytes: &[u8], start: u64, salt: Salt) -> Option<Contents> {
    let (rest, _) = bytes.split_last_chunk::<TAIL>()?;
    let (body, sum) = rest.split_last_chunk::<4>()?;
    let mut read = Read(body);
    let is_seal = read.u32()? == SEAL && read.salt()? == salt && crc32c::crc32c(body) == u32::from_le_bytes(*sum);
    if !is_seal {
        return None;
    }
    let count = read.u32()?;
    let entries = (0..count).map(|_| Some((read.u64()?, read.u64()?))).collect::<Option<Vec<_>>>()?;
    let (next, held, last_time, end) = (read.u64()?, read.u64()?, read.u64()? as i64, read.u64()?);
    let length = start + bytes.len() as u64;
    let contents =
        Contents { salt, index: Index::of(entries), next, held, last_time, end, length, ..Contents::default() };
    (end == start).then_some(contents)
}
