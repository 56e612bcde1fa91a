use super::lines::Lines;
use super::render::Render;
use super::{Ack, AckStyle, AckToken, BrokerError, Received, Sink, Source, SourceTraits};
use crate::config::{StdinSource as SourceConfig, StdoutSink as SinkConfig};
use crate::message::Message;
use anyhow::Context;
use async_trait::async_trait;
use tokio::io::{AsyncWriteExt, Stdin, Stdout};

/// One message a line of standard input.
pub(super) struct StdinSource {
    lines: Lines,
    stdin: Stdin,
}

impl StdinSource {
    pub(super) fn new(config: SourceConfig) -> StdinSource {
        StdinSource { lines: Lines::new("standard input".into(), config.max_message), stdin: tokio::io::stdin() }
    }
}

#[async_trait]
impl Source for StdinSource {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn recv(&mut self, max: usize) -> Result<Vec<Received>, BrokerError> {
        loop {
            let received = self.lines.take(max)?;
            if !received.is_empty() {
                return Ok(received);
            }
            let read = self.lines.fill(&mut self.stdin).await.context("cannot read standard input");
            if !read.map_err(BrokerError::Fatal)? {
                let last = self.lines.rest()?;
                return last.map(|l| vec![l]).ok_or(BrokerError::Finished);
            }
        }
    }

    async fn settle(&mut self, _: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(&mut self) {}

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::None, redelivers: false }
    }
}

/// Writes each message to standard output. Whoever closes the other end stops the sink for good.
pub(super) struct StdoutSink {
    render: Render,
    stdout: Stdout,
    written: usize,
}

impl StdoutSink {
    pub(super) fn new(config: SinkConfig) -> StdoutSink {
        StdoutSink { render: Render::new(config.format), stdout: tokio::io::stdout(), written: 0 }
    }
}

#[async_trait]
impl Sink for StdoutSink {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        self.written = 0;
        Ok(())
    }

    async fn send(&mut self, messages: &[Message]) -> Result<(), BrokerError> {
        let bytes = self.render.render(messages);
        let written = async {
            self.stdout.write_all(bytes).await?;
            self.stdout.flush().await
        };
        written.await.context("cannot write to standard output").map_err(BrokerError::Fatal)?;
        self.written += messages.len();
        Ok(())
    }

    async fn confirmed(&mut self) -> Result<usize, BrokerError> {
        match std::mem::take(&mut self.written) {
            0 => std::future::pending().await,
            n => Ok(n),
        }
    }

    async fn close(&mut self) {}
}
