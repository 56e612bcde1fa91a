//! The section `streams`.

use std::collections::HashMap;
use std::path::PathBuf;

use super::brokers::Brokers;
use super::ends::{sink, source};
use super::files::Files;
use super::{check_name, storage};
use crate::config::defaults;
use crate::config::error::Problem;
use crate::config::model::{
    BufferConfig, SinkConfig, SourceConfig, StorageConfig, StorageKind, StreamConfig, WhenFull,
};
use crate::config::read::Value;

/// A stream with what the checks across streams need.
pub(super) struct Stream<'a> {
    pub(super) config: StreamConfig,
    /// The stream as a whole.
    pub(super) value: Value<'a>,
    /// What was given as `from`, valid or not.
    pub(super) from: Option<Value<'a>>,
    /// What was given as `to`, valid or not.
    pub(super) to: Option<Value<'a>>,
    /// What was given as `storage`, valid or not.
    pub(super) storage: Option<Value<'a>>,
    /// Whether it could be read as a mapping: if not, nothing is known of its ends.
    pub(super) known: bool,
}

impl Stream<'_> {
    /// Whether it keeps its messages on disk, as far as is known: nothing is held against a storage that is wrong.
    pub(super) fn on_disk(&self) -> bool {
        let in_memory = matches!(self.config.storage, Some(StorageConfig { kind: StorageKind::Memory { .. }, .. }));
        self.storage.is_some() && !in_memory
    }
}

pub(super) fn read<'a>(section: &Value<'a>, brokers: &Brokers<'_>, files: &Files<'_>) -> Vec<Stream<'a>> {
    let Some(entries) = section.entries("a mapping of names to streams") else {
        return Vec::new();
    };
    if entries.is_empty() {
        section.wrong_key(Problem::new("there is no stream").expected("at least one"));
    }
    entries.into_iter().map(|(name, value)| stream(name, value, brokers, files)).collect()
}

fn stream<'a>(name: &str, value: Value<'a>, brokers: &Brokers<'_>, files: &Files<'_>) -> Stream<'a> {
    check_name(name, &value);
    let known = value.fields(&["from", "to", "buffer", "partitions", "storage", "stale"]);
    let fields = known.as_ref();
    let from = fields.and_then(|fields| fields.optional("from"));
    let to = fields.and_then(|fields| fields.optional("to"));
    let storage = fields.and_then(|fields| fields.optional("storage"));
    let given = fields.and_then(|fields| fields.optional("buffer"));
    let buffer = given.as_ref().and_then(buffer).unwrap_or(defaults::BUFFER);
    let config = StreamConfig {
        name: name.to_owned(),
        from: from.as_ref().and_then(|from| source(from, name, &buffer, brokers, files)),
        to: to.as_ref().and_then(|to| sink(to, brokers, files)),
        buffer,
        storage: fields.and_then(|fields| storage::read(fields, files)),
    };
    let awaited = config.from.as_ref().is_some_and(SourceConfig::awaits_acknowledgement);
    if let (true, WhenFull::DropOldest, Some(given)) = (awaited, config.buffer.when_full, &given) {
        let problem = Problem::new("'drop_oldest' would acknowledge messages that were dropped");
        given.wrong(problem.expected("'when_full: block' for a source that waits for acknowledgements"));
    }
    let stream = Stream { config, known: known.is_some(), value, from, to, storage };
    if let (true, WhenFull::Reject | WhenFull::DropOldest, Some(given)) =
        (stream.on_disk(), stream.config.buffer.when_full, given)
    {
        let problem = Problem::new("a stream on disk drops nothing that it has no room for in memory");
        given.wrong(problem.expected("'when_full: block'; 'storage.retention' says what is given up"));
    }
    stream
}

fn buffer(value: &Value<'_>) -> Option<BufferConfig> {
    let fields = value.fields(&["messages", "bytes", "when_full"])?;
    let when_full = [("block", WhenFull::Block), ("reject", WhenFull::Reject), ("drop_oldest", WhenFull::DropOldest)];
    let default = defaults::BUFFER;
    Some(BufferConfig {
        messages: fields.or("messages", default.messages, |value| value.count(1..=usize::MAX)),
        bytes: fields.or("bytes", default.bytes, |value| value.size(1..=u64::MAX)),
        when_full: fields.or("when_full", default.when_full, |value| value.choice(&when_full)),
    })
}

/// The standard input has one reader, and a file one writer.
pub(super) fn check_together(streams: &[Stream<'_>], files: &Files<'_>) {
    let mut stdin: Option<&str> = None;
    let mut written: HashMap<PathBuf, &str> = HashMap::new();
    for stream in streams {
        let name = stream.config.name.as_str();
        if let (Some(SourceConfig::Stdin(_)), Some(from)) = (&stream.config.from, &stream.from) {
            match stdin {
                Some(other) => {
                    let problem = Problem::new(format!("the stream '{other}' reads the standard input already"));
                    from.wrong(problem.expected("one stream that does"));
                }
                None => stdin = Some(name),
            }
        }
        let (Some(SinkConfig::File(sink)), Some(to)) = (&stream.config.to, &stream.to) else {
            continue;
        };
        let Some(identity) = files.identity(&sink.path) else {
            continue;
        };
        match written.get(&identity) {
            Some(other) => {
                let problem = Problem::new(format!("the stream '{other}' writes this file already"));
                to.wrong(problem.expected("a file of its own"));
            }
            None => {
                written.insert(identity, name);
            }
        }
    }
}
