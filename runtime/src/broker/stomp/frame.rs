use super::{Headers, Version};
use bytes::Bytes;

/// What a frame is for. The names are those of the specification; no others are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is the word that it is written as.
pub enum Command {
    Connect,
    /// CONNECT, for brokers of 1.1 and later.
    Stomp,
    Connected,
    Send,
    Subscribe,
    Unsubscribe,
    Ack,
    Nack,
    Begin,
    Commit,
    Abort,
    Disconnect,
    Message,
    Receipt,
    Error,
}

impl Command {
    /// All of them.
    pub const ALL: [Command; 15] = [
        Command::Connect,
        Command::Stomp,
        Command::Connected,
        Command::Send,
        Command::Subscribe,
        Command::Unsubscribe,
        Command::Ack,
        Command::Nack,
        Command::Begin,
        Command::Commit,
        Command::Abort,
        Command::Disconnect,
        Command::Message,
        Command::Receipt,
        Command::Error,
    ];
    /// The length of the longest name, in bytes: what is longer is no command.
    pub(super) const LONGEST: usize = 11;

    /// As it is written: `"SEND"`.
    pub fn name(self) -> &'static str {
        match self {
            Command::Connect => "CONNECT",
            Command::Stomp => "STOMP",
            Command::Connected => "CONNECTED",
            Command::Send => "SEND",
            Command::Subscribe => "SUBSCRIBE",
            Command::Unsubscribe => "UNSUBSCRIBE",
            Command::Ack => "ACK",
            Command::Nack => "NACK",
            Command::Begin => "BEGIN",
            Command::Commit => "COMMIT",
            Command::Abort => "ABORT",
            Command::Disconnect => "DISCONNECT",
            Command::Message => "MESSAGE",
            Command::Receipt => "RECEIPT",
            Command::Error => "ERROR",
        }
    }

    pub(super) fn parse(name: &[u8]) -> Option<Command> {
        Command::ALL.into_iter().find(|command| command.name().as_bytes() == name)
    }

    /// Whether its frames may have a body, from 1.1 on.
    pub fn has_body(self) -> bool {
        matches!(self, Command::Send | Command::Message | Command::Error)
    }

    /// Whether headers are escaped in its frames. Those that agree on the version are not: neither end knows it yet.
    pub(super) fn escapes(self, version: Version) -> bool {
        version > Version::V1_0 && !matches!(self, Command::Connect | Command::Stomp | Command::Connected)
    }
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is for.
    pub command: Command,
    /// Unescaped, in order, repeats included. A frame that was read has `content-length` here if it came with one.
    pub headers: Headers,
    /// Any bytes. In a frame that was read they share the decoder's buffer, and keep it: whoever stores a body for long
    /// copies it.
    pub body: Bytes,
}

impl Frame {
    /// Without headers and body.
    pub fn new(command: Command) -> Frame {
        Frame { command, headers: Headers::default(), body: Bytes::new() }
    }

    /// With one more header, behind the others.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Frame {
        self.headers.push(name, value);
        self
    }

    /// With this body in the place of the one before.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Frame {
        self.body = body.into();
        self
    }
}
