//! Streams of another Pelton. To be replaced: these ends refuse to connect.

use super::{Ack, AckStyle, AckToken, BrokerError, Received, Sink, Source, SourceTraits};
use crate::config;
use crate::message::Message;
use anyhow::anyhow;
use async_trait::async_trait;

/// Reads a stream of another Pelton.
pub(super) struct PeltonSource(config::PeltonSource);

/// Appends to a stream of another Pelton.
pub(super) struct PeltonSink(config::PeltonSink);

fn refuse(stream: &str) -> BrokerError {
    BrokerError::Fatal(anyhow!("the stream '{stream}': brokers of type pelton cannot be used yet; use a file instead"))
}

impl PeltonSource {
    pub(super) fn new(config: config::PeltonSource) -> PeltonSource {
        PeltonSource(config)
    }
}

impl PeltonSink {
    pub(super) fn new(config: config::PeltonSink) -> PeltonSink {
        PeltonSink(config)
    }
}

#[async_trait]
impl Source for PeltonSource {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        Err(refuse(&self.0.stream))
    }

    async fn recv(&mut self, _: usize) -> Result<Vec<Received>, BrokerError> {
        Err(refuse(&self.0.stream))
    }

    async fn settle(&mut self, _: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        Err(refuse(&self.0.stream))
    }

    async fn close(&mut self) {}

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::Individual, redelivers: true }
    }
}

#[async_trait]
impl Sink for PeltonSink {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        Err(refuse(&self.0.stream))
    }

    async fn send(&mut self, _: &[Message]) -> Result<(), BrokerError> {
        Err(refuse(&self.0.stream))
    }

    async fn confirmed(&mut self) -> Result<usize, BrokerError> {
        Err(refuse(&self.0.stream))
    }

    async fn close(&mut self) {}
}
