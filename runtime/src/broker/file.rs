use super::lines::Lines;
use super::pace::Pace;
use super::render::Render;
use super::{Ack, AckStyle, AckToken, BrokerError, Received, Sink, Source, SourceTraits};
use crate::config::{FileSink as SinkConfig, FileSource as SourceConfig};
use crate::message::Message;
use anyhow::Context;
use async_trait::async_trait;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// How often a followed file is looked at once its end is reached.
const POLL: Duration = Duration::from_millis(100);

/// One message a line of a file: whole, again and again, or followed as it grows and is rotated.
pub(super) struct FileSource {
    config: SourceConfig,
    lines: Lines,
    pace: Pace,
    file: Option<File>,
}

impl FileSource {
    pub(super) fn new(config: SourceConfig) -> FileSource {
        let lines = Lines::new(config.path.display().to_string(), config.max_message);
        let pace = Pace::new(config.rate);
        FileSource { config, lines, pace, file: None }
    }

    async fn open(&self) -> Result<File, BrokerError> {
        let path = &self.config.path;
        let opened = File::open(path).await.with_context(|| format!("cannot read {}", path.display()));
        // A file that is rotated is away for a moment; any other stays away.
        opened.map_err(|e| if self.config.follow { BrokerError::Disconnected(e) } else { BrokerError::Fatal(e) })
    }

    /// At the end of the file: waits where more may come, opens what took its place, or says that it is over.
    async fn at_end(&mut self) -> Result<Option<Received>, BrokerError> {
        if self.config.follow {
            tokio::time::sleep(POLL).await;
            return self.look_for_another().await;
        }
        if let Some(last) = self.lines.rest()? {
            return Ok(Some(last));
        }
        if !self.config.repeat {
            return Err(BrokerError::Finished);
        }
        // An empty file would otherwise be read again and again without a pause.
        tokio::time::sleep(POLL).await;
        self.file = Some(self.open().await?);
        Ok(None)
    }

    /// Opens the path anew where another file is there, and starts over where this one was cut. Returns the last line of the
    /// file that was left where nothing ended it.
    async fn look_for_another(&mut self) -> Result<Option<Received>, BrokerError> {
        let lost = |e: std::io::Error| BrokerError::Disconnected(e.into());
        let Some(file) = self.file.as_mut() else { return Ok(None) };
        let here = file.metadata().await.map_err(lost)?;
        // Between the old file's renaming and the new one's making there is nothing at the path: look again later.
        let Ok(there) = tokio::fs::metadata(&self.config.path).await else { return Ok(None) };
        let position = file.stream_position().await.map_err(lost)?;
        if (here.dev(), here.ino()) != (there.dev(), there.ino()) {
            if here.len() > position {
                return Ok(None);
            }
            let next = self.open().await?;
            let last = self.lines.rest()?;
            self.file = Some(next);
            self.lines.reset();
            return Ok(last);
        } else if here.len() < position {
            file.rewind().await.map_err(lost)?;
            self.lines.reset();
        }
        Ok(None)
    }
}

#[async_trait]
impl Source for FileSource {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        if self.file.is_none() {
            self.file = Some(self.open().await?);
        }
        Ok(())
    }

    async fn recv(&mut self, max: usize) -> Result<Vec<Received>, BrokerError> {
        let max = self.pace.ready(max).await;
        loop {
            let received = self.lines.take(max)?;
            if !received.is_empty() {
                self.pace.took(received.len());
                return Ok(received);
            }
            let Some(file) = self.file.as_mut() else {
                self.connect().await?;
                continue;
            };
            let path = &self.config.path;
            let read = self.lines.fill(file).await.with_context(|| format!("cannot read {}", path.display()));
            if !read.map_err(BrokerError::Fatal)?
                && let Some(last) = self.at_end().await?
            {
                self.pace.took(1);
                return Ok(vec![last]);
            }
        }
    }

    async fn settle(&mut self, _: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn close(&mut self) {
        self.file = None;
    }

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::None, redelivers: false }
    }
}

/// Writes each message into a file. A message counts as safe once the operating system has it.
pub(super) struct FileSink {
    config: SinkConfig,
    render: Render,
    file: Option<File>,
    /// The length up to which every message is whole, and of which file, by device and inode; none before the first opening
    /// and where the file is no plain one.
    whole: Option<(u64, (u64, u64))>,
    opened: bool,
    written: usize,
}

impl FileSink {
    pub(super) fn new(config: SinkConfig) -> FileSink {
        let render = Render::new(config.format);
        FileSink { config, render, file: None, whole: None, opened: false, written: 0 }
    }

    async fn open(&mut self) -> std::io::Result<()> {
        let truncate = !self.config.append && !self.opened;
        let mut options = OpenOptions::new();
        options.create(true);
        match truncate {
            true => options.write(true).truncate(true),
            false => options.append(true),
        };
        let file = options.open(&self.config.path).await?;
        let mut metadata = file.metadata().await?;
        if let Some((whole, identity)) = self.whole
            && identity == (metadata.dev(), metadata.ino())
            && metadata.len() > whole
        {
            // A write that failed half-way has left a part of a message.
            file.set_len(whole).await?;
            metadata = file.metadata().await?;
        }
        self.whole = metadata.is_file().then(|| (metadata.len(), (metadata.dev(), metadata.ino())));
        self.opened = true;
        self.file = Some(file);
        Ok(())
    }

    async fn write(&mut self, messages: &[Message]) -> std::io::Result<()> {
        let Some(file) = self.file.as_mut() else { return Err(std::io::ErrorKind::NotConnected.into()) };
        let bytes = self.render.render(messages);
        file.write_all(bytes).await?;
        file.flush().await?;
        self.whole = self.whole.map(|(whole, identity)| (whole + bytes.len() as u64, identity));
        self.written += messages.len();
        Ok(())
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        self.written = 0;
        let opened = self.open().await;
        let opened = opened.with_context(|| format!("cannot open {} for writing", self.config.path.display()));
        opened.map_err(BrokerError::Disconnected)
    }

    async fn send(&mut self, messages: &[Message]) -> Result<(), BrokerError> {
        let sent = self.write(messages).await;
        let sent = sent.with_context(|| format!("cannot write to {}", self.config.path.display()));
        sent.map_err(BrokerError::Disconnected)
    }

    async fn confirmed(&mut self) -> Result<usize, BrokerError> {
        match std::mem::take(&mut self.written) {
            0 => std::future::pending().await,
            n => Ok(n),
        }
    }

    async fn close(&mut self) {
        self.file = None;
    }
}
