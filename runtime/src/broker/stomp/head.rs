//! Lines before the body: what each says.

use super::escape::unescape;
use super::{CONTENT_LENGTH, DecodeError, Headers, Version};
use memchr::memchr;
use std::borrow::Cow;

impl Version {
    /// Whether CR LF ends a line. Of 1.0 this is not written, but brokers take it so, and an answer to CONNECT is read
    /// before its version is known.
    pub(super) fn takes_cr(self) -> bool {
        self != Version::V1_1
    }

    /// A line without the CR that belongs to its end.
    pub(super) fn line(self, line: &[u8]) -> &[u8] {
        line.strip_suffix(b"\r").filter(|_| self.takes_cr()).unwrap_or(line)
    }
}

/// Reads one header line, and adds it to the others.
pub(super) fn header(line: &[u8], escapes: bool, version: Version, headers: &mut Headers) -> Result<(), DecodeError> {
    let colon = memchr(b':', line).ok_or_else(|| DecodeError::HeaderWithoutColon(excerpt(line)))?;
    let (written, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    if written.is_empty() {
        return Err(DecodeError::HeaderWithoutName(excerpt(value)));
    }
    let plain = |raw| match escapes {
        true => unescape(raw, version).map_err(|code| DecodeError::UnknownEscape {
            header: excerpt(written),
            sequence: code.map_or("\\".into(), |code| format!("\\{}", char::from(code))),
            version,
        }),
        false => Ok(Cow::Borrowed(raw)),
    };
    let name = plain(written)?;
    let name = std::str::from_utf8(&name).map_err(|_| DecodeError::NameNotUtf8(excerpt(written)))?;
    headers.push(name, plain(value)?);
    Ok(())
}

/// How long the body is, in bytes, where the headers say so.
pub(super) fn content_length(headers: &Headers, version: Version) -> Result<Option<usize>, DecodeError> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    // Ends of 1.0 pad their headers, as the examples of that specification do.
    let number = if version == Version::V1_0 { value.trim_ascii() } else { value };
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::ContentLengthNotANumber(excerpt(value)));
    }
    if digits.len() < number.len() {
        return Err(DecodeError::ContentLengthNegative(excerpt(value)));
    }
    // Digits that do not fit are more than any limit allows.
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    Ok(Some(length.unwrap_or(usize::MAX)))
}

/// For errors: the beginning alone, since a log line has no need of a megabyte.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    String::from_utf8_lossy(bytes.get(..MOST).unwrap_or(bytes)).into_owned()
}
