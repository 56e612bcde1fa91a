use super::escape::put_escaped;
use super::{CONTENT_LENGTH, Command, EncodeError, Frame, Version};
use bytes::{BufMut, BytesMut};

/// What to send where there is no frame to send in time: section "Heart-beating".
pub const HEART_BEAT: &[u8] = b"\n";

/// Appends a frame to `out`, or nothing where it can't be said. A body without `content-length` gets one, behind the other
/// headers; one that is there has to be right.
///
/// A carriage return is refused before 1.2, also in 1.1, whose grammar allows it: some brokers take it for half a line end.
pub fn encode(frame: &Frame, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let Frame { command, headers, body } = frame;
    check(frame, version)?;

    let between = 2 * headers.len() + 40;
    out.reserve(command.name().len() + headers.size() + between + body.len());
    out.put_slice(command.name().as_bytes());
    out.put_u8(b'\n');
    for (name, value) in headers.iter() {
        if command.escapes(version) {
            put_escaped(out, name.as_bytes());
            out.put_u8(b':');
            put_escaped(out, value);
        } else {
            out.put_slice(name.as_bytes());
            out.put_u8(b':');
            out.put_slice(value);
        }
        out.put_u8(b'\n');
    }
    if !body.is_empty() && headers.get(CONTENT_LENGTH).is_none() {
        out.put_slice(format!("{CONTENT_LENGTH}:{}\n", body.len()).as_bytes());
    }
    out.put_u8(b'\n');
    out.put_slice(body);
    out.put_u8(0);
    Ok(())
}

fn check(frame: &Frame, version: Version) -> Result<(), EncodeError> {
    let Frame { command, headers, body } = frame;
    let command = *command;
    if !body.is_empty() && !command.has_body() {
        return Err(EncodeError::UnexpectedBody(command));
    }
    for (name, value) in headers.iter() {
        if name.is_empty() {
            return Err(EncodeError::HeaderWithoutName(command));
        }
        if let Some(what) = name.bytes().find_map(|byte| unsayable(byte, Place::Name, command, version)) {
            return Err(EncodeError::Name { name: name.into(), what, command, version });
        }
        if let Some(what) = value.iter().find_map(|byte| unsayable(*byte, Place::Value, command, version)) {
            return Err(EncodeError::Value { name: name.into(), what, command, version });
        }
    }
    match headers.get(CONTENT_LENGTH) {
        Some(said) if said != body.len().to_string().as_bytes() => {
            Err(EncodeError::ContentLength { said: said.escape_ascii().to_string(), bytes: body.len() })
        }
        _ => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    Value,
}

/// What a byte is called, where it can't be said.
fn unsayable(byte: u8, place: Place, command: Command, version: Version) -> Option<&'static str> {
    let escapes = command.escapes(version);
    match byte {
        0 => Some("a NUL"),
        b'\n' if !escapes => Some("a line feed"),
        b'\r' if !escapes || version < Version::V1_2 => Some("a carriage return"),
        b':' if !escapes && place == Place::Name => Some("a colon"),
        _ => None,
    }
}
