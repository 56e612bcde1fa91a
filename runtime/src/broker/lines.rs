use super::{AckToken, BrokerError, Received};
use crate::message::{Message, MessageBuilder};
use crate::stream::now_ns;
use anyhow::anyhow;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Cuts a byte stream into lines, one message each, in linear time and with a bound on what it holds.
pub(crate) struct Lines {
    name: String,
    max: u64,
    builder: MessageBuilder,
    buffer: Vec<u8>,
    /// Where the first line that was not given begins, and up to where no newline was found.
    start: usize,
    searched: usize,
    /// The number of the last line given.
    line: u64,
}

impl Lines {
    const CHUNK: usize = 256 * 1024;

    /// `name` is for errors; `max` bounds a line, in bytes.
    pub(crate) fn new(name: String, max: u64) -> Lines {
        Lines { name, max, builder: Message::builder(), buffer: Vec::new(), start: 0, searched: 0, line: 0 }
    }

    /// Reads once, and says whether there was anything. Cancel-safe where the reader is.
    pub(crate) async fn fill(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<bool> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.reserve(Lines::CHUNK);
        Ok(reader.read_buf(&mut self.buffer).await? > 0)
    }

    /// The whole lines that are there, up to `max`.
    pub(crate) fn take(&mut self, max: usize) -> Result<Vec<Received>, BrokerError> {
        let mut received = Vec::new();
        let now = now_ns();
        while received.len() < max {
            let unseen = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(length) = unseen.iter().position(|b| *b == b'\n') else {
                self.searched = self.buffer.len();
                break;
            };
            let end = self.searched + length;
            match self.message(end, now) {
                Ok(message) => received.push(message),
                // What stands before it is good: that is given first, and the next call meets this line again.
                Err(_) if !received.is_empty() => break,
                Err(error) => return Err(error),
            }
            self.start = end + 1;
            self.searched = self.start;
        }
        if received.is_empty() && (self.buffer.len() - self.start) as u64 > self.max {
            return Err(self.too_long());
        }
        Ok(received)
    }

    /// What is there without a newline behind it, once nothing more will come.
    pub(crate) fn rest(&mut self) -> Result<Option<Received>, BrokerError> {
        if self.start == self.buffer.len() {
            return Ok(None);
        }
        let last = self.message(self.buffer.len(), now_ns())?;
        self.start = self.buffer.len();
        self.searched = self.start;
        Ok(Some(last))
    }

    /// Forgets an unfinished line: the file was replaced.
    pub(crate) fn reset(&mut self) {
        self.buffer.clear();
        (self.start, self.searched, self.line) = (0, 0, 0);
    }

    fn message(&mut self, end: usize, now: i64) -> Result<Received, BrokerError> {
        let body = self.buffer.get(self.start..end).unwrap_or_default();
        if body.len() as u64 > self.max {
            return Err(self.too_long());
        }
        self.line += 1;
        let message = self.builder.timestamp(now).build(body).map_err(|e| BrokerError::Fatal(anyhow!(e)))?;
        Ok(Received::new(message, AckToken { epoch: 0, tag: self.line }))
    }

    fn too_long(&self) -> BrokerError {
        let (name, line, max) = (&self.name, self.line + 1, self.max);
        BrokerError::Fatal(anyhow!(
            "{name}: line {line} is longer than max_message, {max} bytes; raise it, or mend the file"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    /// A reader that gives its bytes in pieces.
    struct Pieces(Vec<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if !self.0.is_empty() {
                buf.put_slice(&self.0.remove(0));
            }
            std::task::Poll::Ready(Ok(()))
        }
    }

    fn read(pieces: Vec<Vec<u8>>, max: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new("test".into(), 1000);
        let mut reader = Pieces(pieces.into_iter().filter(|p| !p.is_empty()).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bodies = Vec::new();
        while runtime.block_on(lines.fill(&mut reader)).unwrap() {
            loop {
                let received = lines.take(max).unwrap();
                if received.is_empty() {
                    break;
                }
                bodies.extend(received.iter().map(|r| r.message.body().to_vec()));
            }
        }
        bodies.extend(lines.rest().unwrap().iter().map(|r| r.message.body().to_vec()));
        bodies
    }

    proptest! {
        /// However the bytes are cut up, the lines are those of the whole.
        #[test]
        fn lines_do_not_depend_on_the_pieces(
            pieces in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..20), 0..20),
            max in 1usize..5,
        ) {
            let whole = pieces.concat();
            let mut expected: Vec<Vec<u8>> = whole.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(read(pieces, max), expected);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_named() {
        let mut lines = Lines::new("feed.ndjson".into(), 3);
        lines.buffer = b"abc\nabcd\n".to_vec();
        assert_eq!(lines.take(10).unwrap().len(), 1);
        let error = lines.take(10).unwrap_err().to_string();
        assert!(error.contains("feed.ndjson: line 2 is longer"), "{error}");
    }
}
