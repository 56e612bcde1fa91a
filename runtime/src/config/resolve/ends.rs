//! The ends of a stream: what `from` and `to` say.

use std::path::PathBuf;

use super::brokers::Brokers;
use super::files::Files;
use crate::config::defaults;
use crate::config::error::{Problem, nearest};
use crate::config::fields::Fields;
use crate::config::model::{
    BufferConfig, FileSink, FileSource, Format, GenerateSource, SinkConfig, SourceConfig, StdinSource, StdoutSink,
};
use crate::config::read::Value;
use crate::config::units::show_size;

#[derive(Clone, Copy)]
enum SourceKind {
    File,
    Broker,
    Stdin,
    Generate,
}

/// `{ file: PATH, … }`, `{ broker: NAME, … }`, `stdin`, `{ stdin: { … } }`, `generate` or `{ generate: { … } }`. `name` is
/// the stream's.
pub(super) fn source(
    value: &Value<'_>,
    name: &str,
    buffer: &BufferConfig,
    brokers: &Brokers<'_>,
    files: &Files<'_>,
) -> Option<SourceConfig> {
    let words = [("stdin", SourceKind::Stdin), ("generate", SourceKind::Generate)];
    let kinds = [
        ("file", SourceKind::File),
        ("broker", SourceKind::Broker),
        ("stdin", SourceKind::Stdin),
        ("generate", SourceKind::Generate),
    ];
    match kind(value, &words, &kinds, "{ file: PATH }, { broker: NAME }, stdin or generate")? {
        SourceKind::Broker => brokers.source(value, name),
        SourceKind::File => file_source(value, buffer, files).map(SourceConfig::File),
        SourceKind::Stdin => {
            let options = options(value, &["stdin"], "stdin", &["max_message"])?;
            Some(SourceConfig::Stdin(StdinSource { max_message: max_message(&options, buffer) }))
        }
        SourceKind::Generate => {
            let options = options(value, &["generate"], "generate", &["count", "rate", "size", "seed"])?;
            Some(SourceConfig::Generate(generate(&options, buffer)))
        }
    }
}

fn file_source(value: &Value<'_>, buffer: &BufferConfig, files: &Files<'_>) -> Option<FileSource> {
    let fields = value.fields(&["file", "follow", "repeat", "rate", "max_message"])?;
    let source = FileSource {
        path: fields.or("file", PathBuf::new(), |value| files.readable(value)),
        follow: fields.or("follow", false, Value::boolean),
        repeat: fields.or("repeat", false, Value::boolean),
        rate: fields.optional("rate").and_then(|value| value.rate()),
        max_message: max_message(&fields, buffer),
    };
    fields.required("file", "the path of a file")?;
    if let (true, true, Some(repeat)) = (source.follow, source.repeat, fields.optional("repeat")) {
        let problem = Problem::new("a file cannot both be followed and start again at its end");
        repeat.wrong(problem.expected("'follow' or 'repeat'"));
    }
    Some(source)
}

fn generate(options: &Fields<'_>, buffer: &BufferConfig) -> GenerateSource {
    let size =
        options.or("size", defaults::GENERATE_SIZE as u64, |value| fits(value, value.size(0..=u64::MAX)?, buffer));
    GenerateSource {
        count: options.optional("count").and_then(|value| value.whole(0..=u64::MAX)),
        rate: options.optional("rate").and_then(|value| value.rate()),
        size: usize::try_from(size).unwrap_or(usize::MAX),
        seed: options.or("seed", defaults::GENERATE_SEED, |value| value.whole(0..=u64::MAX)),
    }
}

fn max_message(options: &Fields<'_>, buffer: &BufferConfig) -> u64 {
    let default = defaults::MAX_MESSAGE.min(buffer.bytes);
    options.or("max_message", default, |value| fits(value, value.size(1..=u64::MAX)?, buffer))
}

fn fits(value: &Value<'_>, size: u64, buffer: &BufferConfig) -> Option<u64> {
    if size <= buffer.bytes {
        return Some(size);
    }
    let room = show_size(buffer.bytes);
    let problem = Problem::new(format!("such a message never fits into the stream's buffer of {room}"));
    value.wrong(problem.expected(format!("at most {room}, or a larger 'buffer.bytes'")));
    None
}

#[derive(Clone, Copy)]
enum SinkKind {
    File,
    Broker,
    Stdout,
}

/// `{ file: PATH, … }`, `{ broker: NAME, … }`, `stdout` or `{ stdout: { … } }`.
pub(super) fn sink(value: &Value<'_>, brokers: &Brokers<'_>, files: &Files<'_>) -> Option<SinkConfig> {
    let words = [("stdout", SinkKind::Stdout)];
    let kinds = [("file", SinkKind::File), ("broker", SinkKind::Broker), ("stdout", SinkKind::Stdout)];
    match kind(value, &words, &kinds, "{ file: PATH }, { broker: NAME } or stdout")? {
        SinkKind::Broker => brokers.sink(value),
        SinkKind::File => {
            let fields = value.fields(&["file", "format", "append"])?;
            fields.required("file", "the path of a file")?;
            Some(SinkConfig::File(FileSink {
                path: fields.or("file", PathBuf::new(), |value| files.writable(value)),
                format: format(&fields),
                append: fields.or("append", defaults::APPEND, Value::boolean),
            }))
        }
        SinkKind::Stdout => {
            let options = options(value, &["stdout"], "stdout", &["format"])?;
            Some(SinkConfig::Stdout(StdoutSink { format: format(&options) }))
        }
    }
}

fn format(fields: &Fields<'_>) -> Format {
    let formats = [("lines", Format::Lines), ("json", Format::Json)];
    fields.or("format", defaults::FORMAT, |value| value.choice(&formats))
}

/// The kind of an end: one of `words` where it is a single word, else what its keys say.
fn kind<T: Copy>(value: &Value<'_>, words: &[(&str, T)], kinds: &[(&str, T)], expected: &str) -> Option<T> {
    if !value.is_scalar() {
        return value.kind(kinds, expected);
    }
    let text = value.text(expected)?;
    let word = words.iter().find(|(word, _)| *word == text);
    if word.is_none() {
        let near = nearest(text, words.iter().map(|(word, _)| *word));
        value.wrong(Problem::new(format!("'{text}' is given")).expected(expected).suggest(near));
    }
    word.map(|(_, kind)| *kind)
}

/// The options of an end that is written as a word, or as `{ word: { options } }`.
fn options<'a>(
    value: &Value<'a>,
    outer: &'static [&'static str],
    kind: &str,
    keys: &'static [&'static str],
) -> Option<Fields<'a>> {
    if value.is_scalar() {
        return Some(value.no_fields(keys));
    }
    match value.fields(outer)?.optional(kind) {
        Some(options) => options.fields(keys),
        None => Some(value.no_fields(keys)),
    }
}
