//! The bytes of a batch; the grammar stands in the module above.

use super::salt::Salt;
use crate::message::{Kind, Message, MessageBuilder};

/// What a frame says of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The sequence of the first.
    pub(super) base: u64,
    /// How many; they have the sequences from `base` on. 0 in a gap: then everything between the frame before and `base`
    /// is lost.
    pub(super) count: u32,
    /// When they were appended, ns since 1970.
    pub(super) time: i64,
    /// Everything below had been synced when this was written.
    pub(super) synced: u64,
    /// Who made the batch; 0 where nobody said.
    pub(super) producer: u64,
    /// The producer's own number of the first message; 0 where nobody said.
    pub(super) sequence: u64,
}

impl Header {
    /// The sequence after the last.
    pub(super) fn next(&self) -> u64 {
        self.base.saturating_add(u64::from(self.count))
    }

    /// Whether a frame with this header may stand where `next` comes next.
    pub(super) fn follows(&self, next: u64) -> bool {
        self.base == next || (self.count == 0 && self.base > next)
    }
}

/// Length and checksum; the salt stands behind them.
pub(super) const PREFIX: usize = 8;
/// The salt and the header's fields.
const FIELDS: usize = Salt::LENGTH + 44;
/// What begins instead of a frame where a segment is sealed.
pub(super) const SEAL: u32 = u32::MAX;
/// A frame holds no more than this, so that a damaged length is known for what it is.
pub(super) const MOST: usize = 1 << 30;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// They end before the frame does.
    Short,
    /// Its checksum, its salt or its structure is wrong.
    Damaged,
}

/// Appends one frame of a segment with this salt to `out`.
pub(super) fn encode(out: &mut Vec<u8>, salt: Salt, header: Header, messages: &[Message]) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    out.extend_from_slice(&salt.bytes());
    out.extend_from_slice(&header.base.to_le_bytes());
    out.extend_from_slice(&header.count.to_le_bytes());
    out.extend_from_slice(&header.time.to_le_bytes());
    for number in [header.synced, header.producer, header.sequence] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for message in messages {
        put_message(out, message);
    }
    let length = (out.len() - start - PREFIX) as u32;
    let sum = crc32c::crc32c(out.get(start + PREFIX..).unwrap_or_default());
    if let Some(prefix) = out.get_mut(start..start + PREFIX) {
        let (l, c) = prefix.split_at_mut(4);
        l.copy_from_slice(&length.to_le_bytes());
        c.copy_from_slice(&sum.to_le_bytes());
    }
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&message.timestamp().to_le_bytes());
    put_bytes(out, message.subject().as_bytes());
    put_bytes(out, message.id());
    let fields = message.shape().fields();
    out.extend_from_slice(&(fields.len() as u32).to_le_bytes());
    for (i, field) in fields.iter().enumerate() {
        out.push(field.kind.0);
        put_bytes(out, field.name.as_bytes());
        put_bytes(out, message.value_bytes(i));
    }
    out.extend_from_slice(message.body());
    let length = (out.len() - start - 4) as u32;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// How many bytes the frame at the start of `bytes` has, where its length can be read at all.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    Some(PREFIX + length)
}

/// The frame at the start of `bytes`, of a segment with this salt: its header, its messages' bytes, and its whole length.
pub(super) fn decode(bytes: &[u8], salt: Salt) -> Result<(Header, &[u8], usize), Broken> {
    let whole = length(bytes).ok_or(Broken::Short)?;
    if !(PREFIX + FIELDS..=PREFIX + MOST).contains(&whole) {
        return Err(Broken::Damaged);
    }
    let frame = bytes.get(..whole).ok_or(Broken::Short)?;
    let mut read = Read(frame.get(4..).unwrap_or_default());
    let sum = read.u32().ok_or(Broken::Damaged)?;
    let summed = read.0;
    // The salt first: only what has it is worth summing up.
    if read.salt() != Some(salt) || crc32c::crc32c(summed) != sum {
        return Err(Broken::Damaged);
    }
    let header = get_header(&mut read).ok_or(Broken::Damaged)?;
    Ok((header, read.0, whole))
}

fn get_header(read: &mut Read<'_>) -> Option<Header> {
    let (base, count, time) = (read.u64()?, read.u32()?, read.u64()? as i64);
    let (synced, producer, sequence) = (read.u64()?, read.u64()?, read.u64()?);
    Some(Header { base, count, time, synced, producer, sequence })
}

/// The messages of a frame whose checksum was right.
pub(super) fn messages(header: Header, bytes: &[u8], builder: &mut MessageBuilder) -> Result<Vec<Message>, Broken> {
    let mut read = Read(bytes);
    let mut all = Vec::with_capacity(header.count.min(4096) as usize);
    for _ in 0..header.count {
        let message = read.bytes().and_then(|bytes| get_message(bytes, builder));
        all.push(message.ok_or(Broken::Damaged)?);
    }
    if read.0.is_empty() { Ok(all) } else { Err(Broken::Damaged) }
}

fn get_message(bytes: &[u8], builder: &mut MessageBuilder) -> Option<Message> {
    let mut read = Read(bytes);
    builder.timestamp(read.u64()? as i64);
    builder.subject(std::str::from_utf8(read.bytes()?).ok()?);
    builder.id(read.bytes()?);
    for _ in 0..read.u32()? {
        let kind = read.u8()?;
        let name = std::str::from_utf8(read.bytes()?).ok()?;
        builder.raw_header(name, Kind(kind), read.bytes()?);
    }
    builder.build(read.0).ok()
}

/// Takes fields off the front.
pub(super) struct Read<'a>(pub(super) &'a [u8]);

impl<'a> Read<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn salt(&mut self) -> Option<Salt> {
        self.take().map(Salt::from_bytes)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}
