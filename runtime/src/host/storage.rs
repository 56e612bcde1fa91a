//! From a stream's configuration to the buffer or log that it is, and from there to its readers.

use crate::broker::pump::{Intake, Pump};
use crate::config::{AckWhen, HandlerConfig, Start, StorageConfig, StorageKind, StreamConfig};
use crate::events::Events;
use crate::log::{LogError, LogOptions, LogSource, SequenceLog};
use crate::outlet::Outlet;
use crate::stream::{Acks, Cursor, CursorOptions, SafeWhen, Stream, StreamOptions};

use super::Task;

/// The reader of a log that its sink is: no handler can have this name.
pub(super) const SINK: &str = ":sink";

/// Opens a stream's log, where it has one.
pub(crate) async fn open_log(config: &StreamConfig, events: &Events) -> Result<Option<SequenceLog>, LogError> {
    let Some(storage) = &config.storage else { return Ok(None) };
    let (name, options) = (config.name.clone(), log_options(config, storage, events));
    let StorageKind::Disk(disk) = &storage.kind else {
        return SequenceLog::memory(&name, options).map(Some);
    };
    let path = disk.path.clone();
    let opened = tokio::task::spawn_blocking(move || SequenceLog::open(&name, &path, options)).await;
    let opened = opened.map_err(|e| LogError::InvalidConfiguration(format!("opening failed: {e}")))?;
    let (log, recovery) = opened?;
    if let Some((segment, bytes)) = &recovery.cut {
        tracing::warn!(stream = config.name, segment, bytes, "torn tail cut off: it was never acknowledged");
    }
    Ok(Some(log))
}

fn log_options(config: &StreamConfig, storage: &StorageConfig, events: &Events) -> LogOptions {
    let mut options = LogOptions {
        partitions: storage.partitions,
        retention: storage.retention,
        stale: storage.stale,
        events: events.clone(),
        ..LogOptions::default()
    };
    match &storage.kind {
        StorageKind::Disk(disk) => {
            options.durability = disk.durability;
            options.segment_bytes = disk.segment_bytes;
            options.segment_age = disk.segment_age;
        }
        StorageKind::Memory { threshold } => {
            options.messages = config.buffer.messages;
            options.bytes = config.buffer.bytes;
            options.when_full = config.buffer.when_full;
            options.threshold = ((config.buffer.bytes as f64 * threshold) as u64).max(1);
        }
    }
    options
}

/// A stream's buffer, and the tokens of what all its cursors have settled.
pub(super) fn buffer(stream: &StreamConfig, handlers: &[HandlerConfig]) -> (Stream, Acks) {
    let emits = |h: &HandlerConfig| {
        h.output.iter().chain(h.outputs.values()).chain(&h.dead_letter).any(|name| *name == stream.name)
    };
    let options = StreamOptions {
        messages: stream.buffer.messages,
        bytes: stream.buffer.bytes,
        when_full: stream.buffer.when_full,
        safe: SafeWhen::Settled,
        shared: stream.from.is_some() && handlers.iter().any(emits),
    };
    Stream::with_acks(&stream.name, options)
}

/// Where a stream's source puts its messages.
pub(super) fn intake(config: &StreamConfig, outlet: &Outlet) -> Intake {
    match outlet {
        Outlet::Buffer(stream) => Intake::Buffer(stream.clone()),
        Outlet::Log(log) => {
            let on_append = config.storage.as_ref().is_some_and(|s| s.ack == AckWhen::Appended);
            Intake::Log { log: log.clone(), on_append }
        }
    }
}

/// One reader of a log in this host: a buffer of its own, which a pump fills, so that it holds up no other.
pub(super) struct LogReader {
    pub(super) log: SequenceLog,
    pub(super) name: String,
    pub(super) window: Stream,
    start: Start,
    acks: Option<Acks>,
    pub(super) pump: Option<Task>,
}

/// A reader's cursor: in the stream's own buffer, or in one between the log and itself.
pub(super) fn cursor(
    config: &StreamConfig,
    outlet: &Outlet,
    reader: &str,
    start: Start,
    options: CursorOptions,
    readers: &mut Vec<LogReader>,
) -> Result<Cursor, LogError> {
    let log = match outlet {
        Outlet::Buffer(stream) => return Ok(stream.cursor(reader, options)),
        Outlet::Log(log) => log.clone(),
    };
    log.require(reader, start)?;
    let buffer = &config.buffer;
    let bounds = StreamOptions { messages: buffer.messages, bytes: buffer.bytes, ..StreamOptions::default() };
    let (window, acks) = Stream::with_acks(&config.name, bounds);
    let cursor = window.cursor(reader, options);
    readers.push(LogReader { log, name: reader.to_owned(), window, start, acks: Some(acks), pump: None });
    Ok(cursor)
}

impl LogReader {
    pub(super) fn start(&mut self) {
        let Some(acks) = self.acks.take() else { return };
        let source = Box::new(LogSource::new(self.log.clone(), &self.name, self.start));
        let intake = Intake::Buffer(self.window.clone());
        let pump = Task::start(self.log.name(), |order, link| Pump::new(source, intake, acks, order, link).run());
        self.pump = Some(pump);
    }
}
