//! Where messages come from and go to: the [`Source`] and [`Sink`] contracts, and [`source`] and [`sink`], which make
//! one from its configuration. Connecting again, back-off and acknowledgement live once, in [`pump`] and [`publisher`].

mod backoff;
mod file;
mod generate;
pub(crate) mod lines;
mod pace;
mod pelton;
pub mod publisher;
pub mod pump;
pub(crate) mod render;
mod stdio;
pub mod stomp;

pub use backoff::Backoff;

use crate::config::{SinkConfig, SourceConfig};
use crate::message::{Message, Position};
use async_trait::async_trait;
use std::time::Duration;

/// Names a received message to the source that gave it, until it is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AckToken {
    /// Counts the lives of a source's tokens (a connection, mostly). A token of an earlier life is dropped, never sent.
    pub epoch: u32,
    /// What the source calls the message: a delivery tag, an offset, a line.
    pub tag: u64,
}

/// What a source is told about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// Every reader has settled it.
    Accept,
    /// It was rejected and there is nowhere to keep it: nack without requeue, where the broker knows such a thing.
    Reject,
}

/// A message and its token.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// To settle it by.
    pub token: AckToken,
    /// How often its reader has been given it, as far as the source knows, this time included; from 1.
    pub attempt: u32,
    /// Where it stands, where the source is a log of this host.
    pub at: Option<Position>,
}

impl Received {
    /// A message that is given for the first time.
    pub fn new(message: Message, token: AckToken) -> Received {
        Received { message, token, attempt: 1, at: None }
    }
}

/// Why a source or sink stopped working; the variant decides what happens next.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The connection is lost: connect again, after a back-off. Tokens of the old one are void.
    #[error("{0}")]
    Disconnected(anyhow::Error),
    /// As above, but no sooner than this.
    #[error("{1}; next try in {0:?}")]
    BackOff(Duration, anyhow::Error),
    /// It will not get better by itself: stop, and say so.
    #[error("{0}")]
    Fatal(anyhow::Error),
    /// A finite source has given its last message. Not a fault.
    #[error("there is no more to read")]
    Finished,
}

/// What a source can do, so that the host need not guess.
#[derive(Clone, Copy, Debug)]
pub struct SourceTraits {
    /// How the source is told of settled messages.
    pub acks: AckStyle,
    /// Whether a message that was not settled comes again after a reconnect.
    pub redelivers: bool,
}

/// How a source is told of settled messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckStyle {
    /// Not at all: it forgets a message once it has given it.
    None,
    /// Each by itself, in any order.
    Individual,
    /// All up to a place.
    Watermark,
}

/// Gives messages. One task owns it, so `&mut self` and no locks. The caller's loop, in [`pump`]:
///
/// ```text
/// connect ── Disconnected, BackOff: wait, connect again ── Fatal: stop
///    └▶ loop  settle(what was acknowledged since)
///             permits? recv(up to that many), append : idle()
///             Finished: settle the rest, close
/// ```
#[async_trait]
pub trait Source: Send {
    /// Opens or opens again. Tokens of an earlier life are void afterwards.
    async fn connect(&mut self) -> Result<(), BrokerError>;

    /// At least one message, at most `max`, as soon as there is one. Cancel-safe: what a dropped call had read comes with
    /// the next one.
    async fn recv(&mut self, max: usize) -> Result<Vec<Received>, BrokerError>;

    /// Acknowledges. Tokens of another epoch are ignored.
    async fn settle(&mut self, tokens: &[(AckToken, Ack)]) -> Result<(), BrokerError>;

    /// Called instead of `recv` while there is no room: heart-beats and polls go on, nothing is delivered. Returns only
    /// with an error; the caller drops the call when there is room again.
    async fn idle(&mut self) -> Result<(), BrokerError> {
        std::future::pending().await
    }

    /// Says good-bye. What was not settled is the broker's again.
    async fn close(&mut self);

    /// What this source can do.
    fn traits(&self) -> SourceTraits;
}

/// Takes messages. One task owns it; the caller's loop, in [`publisher`]:
///
/// ```text
/// connect ── Disconnected, BackOff: wait, connect again, send again what was not confirmed ── Fatal: stop
///    └▶ loop  send(batch), without waiting for its confirms
///             confirmed(): how many more of those sent, in the order of sending, are safe
/// ```
#[async_trait]
pub trait Sink: Send {
    /// Opens or opens again. What was sent and not confirmed is forgotten: the caller sends it again.
    async fn connect(&mut self) -> Result<(), BrokerError>;

    /// Sends messages in order. A return does not mean that they are safe. Not cancelled by the caller.
    async fn send(&mut self, messages: &[Message]) -> Result<(), BrokerError>;

    /// Waits until at least one more message is safe, and says how many are, in the order they were sent. Cancel-safe.
    async fn confirmed(&mut self) -> Result<usize, BrokerError>;

    /// Flushes and says good-bye.
    async fn close(&mut self);
}

/// The source that a configuration asks for.
pub fn source(config: &SourceConfig) -> Box<dyn Source> {
    match config {
        SourceConfig::File(file) => Box::new(file::FileSource::new(file.clone())),
        SourceConfig::Stdin(stdin) => Box::new(stdio::StdinSource::new(stdin.clone())),
        SourceConfig::Generate(generate) => Box::new(generate::GenerateSource::new(generate.clone())),
        SourceConfig::Pelton(pelton) => Box::new(pelton::PeltonSource::new(pelton.clone())),
    }
}

/// The sink that a configuration asks for.
pub fn sink(config: &SinkConfig) -> Box<dyn Sink> {
    match config {
        SinkConfig::File(file) => Box::new(file::FileSink::new(file.clone())),
        SinkConfig::Stdout(stdout) => Box::new(stdio::StdoutSink::new(stdout.clone())),
        SinkConfig::Pelton(pelton) => Box::new(pelton::PeltonSink::new(pelton.clone())),
    }
}
