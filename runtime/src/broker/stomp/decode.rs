use super::head::{content_length, excerpt, header};
use super::{Command, DecodeError, Frame, Limit, Version};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// What a frame may be at most; one that is more is an error. They bound what a [`Decoder`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of a whole frame, from its command to its NUL.
    pub frame: usize,
    /// The number of headers, repeats included.
    pub headers: usize,
    /// The bytes of a header line, escapes included, without its line feed.
    pub line: usize,
}

/// 32 MiB, twice the largest message that Pelton takes by default; 1000 headers; 64 KiB.
impl Default for Limits {
    fn default() -> Limits {
        Limits { frame: 32 << 20, headers: 1000, line: 64 << 10 }
    }
}

/// What a [`Decoder`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole frame.
    Frame(Frame),
    /// A line end between frames. Some brokers put one behind each frame, too.
    HeartBeat,
}

/// Makes frames of bytes that come in any pieces. The caller's loop:
///
/// ```text
/// read some bytes: feed, or into space
///    └▶ decode until it gives none: it needs more bytes
///       an error: close the connection. Every later call gives it again, and bytes are no longer kept
/// ```
///
/// Bytes are searched once, however they are cut, and a body is not copied, so the whole takes linear time. It holds what
/// was fed since the last `decode`, and no more than [`Limits::frame`] besides.
pub struct Decoder {
    version: Version,
    limits: Limits,
    buffer: BytesMut,
    /// So many bytes of the buffer are known not to end the line or the body that is being read.
    searched: usize,
    /// Bytes of the present frame that have left the buffer.
    taken: usize,
    state: State,
    failed: Option<DecodeError>,
    /// Bytes that were looked at, to show that it is linear.
    #[cfg(test)]
    pub(super) work: usize,
}

enum State {
    /// Between frames, or in a command.
    Command,
    /// In the headers of this frame.
    Headers(Frame),
    /// In the body, with as many bytes as `content-length` says.
    Body(Frame, Option<usize>),
}

impl Decoder {
    /// For the frames of a version. A client begins with [`Version::V1_0`]: see [`Decoder::set_version`].
    pub fn new(version: Version, limits: Limits) -> Decoder {
        Decoder {
            version,
            limits,
            buffer: BytesMut::new(),
            searched: 0,
            taken: 0,
            state: State::Command,
            failed: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// From the next frame on, this version is read, also of what was fed already. To be called between frames: when
    /// `decode` has just given CONNECT or CONNECTED.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Takes more bytes, as a copy.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Room for at least `size` more bytes, to read into without a copy.
    pub fn space(&mut self, size: usize) -> &mut impl BufMut {
        self.buffer.reserve(size);
        &mut self.buffer
    }

    /// Whether the stream may end here without cutting a frame short, once `decode` gives none.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Command) && self.buffer.is_empty()
    }

    /// The next frame or heart-beat, or none until more bytes have come.
    pub fn decode(&mut self) -> Result<Option<Event>, DecodeError> {
        if self.failed.is_none() {
            match self.next_event() {
                Ok(event) => return Ok(event),
                Err(error) => self.failed = Some(error),
            }
        }
        self.buffer = BytesMut::new();
        self.failed.clone().map_or(Ok(None), Err)
    }

    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            match std::mem::replace(&mut self.state, State::Command) {
                State::Command => match self.command()? {
                    None => return Ok(None),
                    Some(None) => return Ok(Some(Event::HeartBeat)),
                    Some(Some(command)) => self.state = State::Headers(Frame::new(command)),
                },
                State::Headers(mut frame) => {
                    if !self.headers(&mut frame)? {
                        self.state = State::Headers(frame);
                        return Ok(None);
                    }
                    let length = self.body_length(&frame)?;
                    self.state = State::Body(frame, length);
                }
                State::Body(mut frame, length) => {
                    let Some(body) = self.body(frame.command, length)? else {
                        self.state = State::Body(frame, length);
                        return Ok(None);
                    };
                    frame.body = body;
                    return Ok(Some(Event::Frame(frame)));
                }
            }
        }
    }

    /// A whole line between frames: a command, or nothing, which is a heart-beat.
    fn command(&mut self) -> Result<Option<Option<Command>>, DecodeError> {
        let (length, end) = self.search(|bytes| memchr2(b'\n', 0, bytes));
        let longest = Command::LONGEST + usize::from(self.version.takes_cr());
        // What is too long is known for it at once: a peer that speaks something else may never send a line end.
        if length > longest || end == Some(0) {
            return Err(DecodeError::UnknownCommand(excerpt(self.front((length + 1).min(longest)))));
        }
        if end.is_none() {
            return Ok(None);
        }
        let line = self.version.line(self.front(length));
        let command = match line {
            [] => None,
            name => Some(Command::parse(name).ok_or_else(|| DecodeError::UnknownCommand(excerpt(name)))?),
        };
        self.taken = 0;
        self.take(length + 1);
        Ok(Some(command))
    }

    /// Reads header lines, and says whether the empty one that ends them has come.
    fn headers(&mut self, frame: &mut Frame) -> Result<bool, DecodeError> {
        loop {
            let (length, end) = self.search(|bytes| memchr2(b'\n', 0, bytes));
            let room = self.room();
            // Whichever limit is met first is told, so that it does not depend on how the bytes were cut.
            if length >= room && room <= self.limits.line {
                return Err(self.too_large(Limit::Frame));
            }
            if length > self.limits.line {
                return Err(self.too_large(Limit::Line));
            }
            match end {
                None => return Ok(false),
                Some(0) => return Err(DecodeError::EndsInHeaders(frame.command)),
                Some(_) => {}
            }
            let line = self.version.line(self.front(length));
            let last = line.is_empty();
            if !last {
                if frame.headers.len() >= self.limits.headers {
                    return Err(self.too_large(Limit::Headers));
                }
                header(line, frame.command.escapes(self.version), self.version, &mut frame.headers)?;
                self.count(length);
            }
            self.take(length + 1);
            if last {
                return Ok(true);
            }
        }
    }

    /// What `content-length` says, once all headers are there.
    fn body_length(&self, frame: &Frame) -> Result<Option<usize>, DecodeError> {
        let (room, limit) = (self.room(), self.limits.frame);
        if room == 0 {
            return Err(self.too_large(Limit::Frame));
        }
        match content_length(&frame.headers, self.version)? {
            Some(length) if length >= room => Err(DecodeError::ContentLengthTooLarge { length, limit }),
            Some(1..) if !self.may_have_body(frame.command) => Err(DecodeError::UnexpectedBody(frame.command)),
            length => Ok(length),
        }
    }

    fn body(&mut self, command: Command, length: Option<usize>) -> Result<Option<Bytes>, DecodeError> {
        let Some(first) = self.buffer.first() else { return Ok(None) };
        if *first != 0 && !self.may_have_body(command) {
            return Err(DecodeError::UnexpectedBody(command));
        }
        let length = match length {
            Some(length) => match self.buffer.get(length) {
                None => return Ok(None),
                Some(0) => length,
                Some(_) => return Err(DecodeError::BodyTooLong { command, length }),
            },
            None => {
                let (length, end) = self.search(|bytes| memchr(0, bytes));
                if length >= self.room() {
                    return Err(self.too_large(Limit::Frame));
                }
                if end.is_none() {
                    return Ok(None);
                }
                length
            }
        };
        let body = match length {
            // Nothing that would keep the buffer.
            0 => Bytes::new(),
            _ => self.buffer.split_to(length).freeze(),
        };
        self.take(1);
        Ok(Some(body))
    }

    fn may_have_body(&self, command: Command) -> bool {
        command.has_body() || self.version == Version::V1_0
    }

    /// How many bytes stand before the end that `find` knows, and that end; all there are, and none, until it has come.
    fn search(&mut self, find: impl Fn(&[u8]) -> Option<usize>) -> (usize, Option<u8>) {
        let unseen = self.buffer.get(self.searched..).unwrap_or_default();
        let more = find(unseen).unwrap_or(unseen.len());
        self.count(more);
        self.searched += more;
        (self.searched, self.buffer.get(self.searched).copied())
    }

    fn front(&self, length: usize) -> &[u8] {
        self.buffer.get(..length).unwrap_or(&self.buffer)
    }

    fn take(&mut self, length: usize) {
        self.buffer.advance(length);
        self.taken += length;
        self.searched = 0;
    }

    /// How many more bytes the present frame may have.
    fn room(&self) -> usize {
        self.limits.frame.saturating_sub(self.taken)
    }

    fn too_large(&self, limit: Limit) -> DecodeError {
        let most = match limit {
            Limit::Frame => self.limits.frame,
            Limit::Headers => self.limits.headers,
            Limit::Line => self.limits.line,
        };
        DecodeError::TooLarge { limit, most }
    }

    /// Bytes of memory that the buffer has.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    #[cfg(test)]
    fn count(&mut self, bytes: usize) {
        self.work += bytes;
    }

    #[cfg(not(test))]
    fn count(&mut self, _: usize) {}
}
