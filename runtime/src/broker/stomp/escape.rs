//! Escapes in header names and values: section "Value Encoding".

use super::Version;
use memchr::memchr;
use std::borrow::Cow;

/// Appends `raw` with its escapes; `raw` holds nothing that the version can't say.
pub(super) fn put_escaped(out: &mut impl bytes::BufMut, raw: &[u8]) {
    let mut start = 0;
    for (i, byte) in raw.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'\\' => b"\\\\",
            b':' => b"\\c",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => continue,
        };
        out.put_slice(raw.get(start..i).unwrap_or_default());
        out.put_slice(escape);
        start = i + 1;
    }
    out.put_slice(raw.get(start..).unwrap_or_default());
}

/// Replaces the escapes, copying only where there are any. An error is the byte behind the backslash, or none where
/// nothing follows it.
pub(super) fn unescape(escaped: &[u8], version: Version) -> Result<Cow<'_, [u8]>, Option<u8>> {
    let Some(first) = memchr(b'\\', escaped) else { return Ok(Cow::Borrowed(escaped)) };
    let (plain, mut rest) = escaped.split_at(first);
    let mut whole = Vec::with_capacity(escaped.len());
    whole.extend_from_slice(plain);
    while let Some((_, behind)) = rest.split_first() {
        let (code, behind) = behind.split_first().ok_or(None)?;
        whole.push(match code {
            b'\\' => b'\\',
            b'c' => b':',
            b'n' => b'\n',
            b'r' if version >= Version::V1_2 => b'\r',
            _ => return Err(Some(*code)),
        });
        let (plain, next) = behind.split_at(memchr(b'\\', behind).unwrap_or(behind.len()));
        whole.extend_from_slice(plain);
        rest = next;
    }
    Ok(Cow::Owned(whole))
}
