//! The ends of a stream.

use std::path::PathBuf;

use super::{PeltonBroker, Start};

/// Where messages come from.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceConfig {
    /// One message a line of a file.
    File(FileSource),
    /// One message a line of the standard input.
    Stdin(StdinSource),
    /// Messages that Pelton makes up, for tests and measurements.
    Generate(GenerateSource),
    /// A stream of another Pelton.
    Pelton(PeltonSource),
}

impl SourceConfig {
    /// Whether somebody outside waits to hear that each message was handled. Such a source must not feed a stream
    /// that drops messages: the acknowledgement would be a lie.
    pub fn awaits_acknowledgement(&self) -> bool {
        match self {
            SourceConfig::File(_) | SourceConfig::Stdin(_) | SourceConfig::Generate(_) => false,
            SourceConfig::Pelton(_) => true,
        }
    }
}

/// One message a line of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSource {
    /// The file; it existed and could be read when the configuration was checked.
    pub path: PathBuf,
    /// Wait at the end for more lines instead of ending there. Never together with `repeat`.
    pub follow: bool,
    /// Start again at the end, for demonstrations.
    pub repeat: bool,
    /// Lines a second; `None` reads as fast as the stream takes them.
    pub rate: Option<f64>,
    /// The longest line in bytes; never above the stream's `buffer.bytes`.
    pub max_message: u64,
}

/// One message a line of the standard input.
#[derive(Debug, Clone, PartialEq)]
pub struct StdinSource {
    /// The longest line in bytes; never above the stream's `buffer.bytes`.
    pub max_message: u64,
}

/// Messages that Pelton makes up.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateSource {
    /// How many messages; `None` never ends.
    pub count: Option<u64>,
    /// Messages a second, above zero; `None` makes them as fast as the stream takes them.
    pub rate: Option<f64>,
    /// The size of each body in bytes.
    pub size: usize,
    /// The same seed makes the same messages.
    pub seed: u64,
}

/// Reads a stream of another Pelton, as a member of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct PeltonSource {
    /// How it is reached: a copy of what the section `brokers` says.
    pub broker: PeltonBroker,
    /// The stream's name there.
    pub stream: String,
    /// The group; its members share the messages.
    pub group: String,
    /// Where a group begins that is not known there yet. Never a time.
    pub start: Start,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkConfig {
    /// To a file.
    File(FileSink),
    /// To the standard output.
    Stdout(StdoutSink),
    /// To a stream of another Pelton.
    Pelton(PeltonSink),
}

/// Writes messages to a file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSink {
    /// The file; where it did not exist when the configuration was checked, its directory could be written to.
    pub path: PathBuf,
    /// How a message is written.
    pub format: Format,
    /// Keep what the file holds already, rather than emptying it at the start.
    pub append: bool,
}

/// Writes messages to the standard output.
#[derive(Debug, Clone, PartialEq)]
pub struct StdoutSink {
    /// How a message is written.
    pub format: Format,
}

/// How a sink writes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The body and a line break.
    Lines,
    /// One JSON object a line, with the headers.
    Json,
}

/// Appends to a stream of another Pelton.
#[derive(Debug, Clone, PartialEq)]
pub struct PeltonSink {
    /// How it is reached: a copy of what the section `brokers` says.
    pub broker: PeltonBroker,
    /// The stream's name there.
    pub stream: String,
}
