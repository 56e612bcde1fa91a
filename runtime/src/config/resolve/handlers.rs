//! The section `handlers`.

use std::collections::BTreeMap;

use super::files::Files;
use super::settings::{batch, deliver, guest_config, limits, reload, retry, workers};
use super::streams::Stream;
use super::{check_name, start};
use crate::config::defaults;
use crate::config::error::{Problem, nearest};
use crate::config::fields::Fields;
use crate::config::model::{HandlerConfig, InstancePolicy, Ordering};
use crate::config::read::{Value, one_of};

/// All handlers, with what the checks across them need.
pub(super) struct Handlers<'a> {
    pub(super) list: Vec<Handler<'a>>,
    /// Whether all that they read and write is known: if not, a stream that seems unused may be used.
    pub(super) known: bool,
}

/// A handler with the places of what it names.
pub(super) struct Handler<'a> {
    pub(super) config: HandlerConfig,
    /// The handler as a whole.
    pub(super) value: Value<'a>,
    /// What was given as `start`.
    start: Option<Value<'a>>,
    /// The streams that it writes, each with the value that names it.
    pub(super) writes: Vec<(Value<'a>, String)>,
}

pub(super) fn read<'a>(section: Option<Value<'a>>, streams: &[&str], files: &Files<'_>) -> Handlers<'a> {
    let mut handlers = Handlers { list: Vec::new(), known: true };
    let Some(section) = section else {
        return handlers;
    };
    let Some(entries) = section.entries("a mapping of names to handlers") else {
        handlers.known = false;
        return handlers;
    };
    for (name, value) in entries {
        let mut links = Links { streams, writes: Vec::new(), known: true };
        check_name(name, &value);
        let fields = value.fields(KEYS);
        let config = fields.as_ref().map(|fields| handler(name, fields, &mut links, files));
        let start = fields.and_then(|fields| fields.optional("start"));
        handlers.known &= links.known && config.is_some();
        handlers.list.extend(config.map(|config| Handler { config, value, start, writes: links.writes }));
    }
    handlers
}

/// Only a stream with storage has anything that came before its reader.
pub(super) fn check_together(handlers: &Handlers<'_>, streams: &[Stream<'_>]) {
    for Handler { config, start, .. } in &handlers.list {
        let stream = streams.iter().find(|stream| stream.config.name == config.stream);
        if let (Some(start), Some(stream)) = (start, stream)
            && stream.known
            && stream.storage.is_none()
        {
            let problem = Problem::new(format!("the stream '{}' has no 'storage' to start in", config.stream));
            start.wrong_key(problem.expected("no 'start', or a stream with 'storage'"));
        }
    }
}

const KEYS: &[&str] = &[
    "module",
    "stream",
    "output",
    "outputs",
    "dead_letter",
    "workers",
    "batch",
    "deliver",
    "group",
    "start",
    "ordering",
    "instance",
    "retry",
    "limits",
    "reload",
    "config",
    "enabled",
];

fn handler<'a>(name: &str, fields: &Fields<'a>, links: &mut Links<'a, '_>, files: &Files<'_>) -> HandlerConfig {
    let enabled = fields.or("enabled", true, Value::boolean);
    let module = fields.required("module", "the path of a WebAssembly module");
    // What does not run may be built later.
    let module = module.and_then(|module| if enabled { files.readable(&module) } else { files.path(&module) });

    let stream = fields.required("stream", "the name of the stream that it reads");
    let stream = stream.and_then(|stream| links.named(&stream));
    links.known &= stream.is_some();
    let output = fields.optional("output").and_then(|output| links.written(output));
    let outputs = fields.or("outputs", BTreeMap::new(), |value| outputs(value, links));
    let dead_letter = fields.optional("dead_letter").and_then(|dead_letter| links.written(dead_letter));

    let workers = fields.or("workers", defaults::WORKERS, workers);
    let orderings = [("none", Ordering::None), ("key", Ordering::Key), ("total", Ordering::Total)];
    let ordering = fields.or("ordering", defaults::ORDERING, |value| value.choice(&orderings));
    if let (Ordering::Total, 2.., Some(given)) = (ordering, workers.max, fields.optional("ordering")) {
        let problem = Problem::new(format!("{} workers side by side cannot keep all messages in order", workers.max));
        given.wrong(problem.expected("'workers: 1', or 'ordering: key' for order among messages of one key"));
    }
    let policies = [
        ("until_trap", InstancePolicy::UntilTrap),
        ("per_batch", InstancePolicy::PerBatch),
        ("per_message", InstancePolicy::PerMessage),
    ];
    HandlerConfig {
        name: name.to_owned(),
        // What is missing here was reported, so that nobody gets to see the empty text.
        module: module.unwrap_or_default(),
        stream: stream.unwrap_or_default(),
        output,
        outputs,
        dead_letter,
        workers,
        batch: fields.or("batch", defaults::BATCH, batch),
        deliver: deliver(fields, ordering),
        start: fields.or("start", defaults::START, start),
        ordering,
        instance: fields.or("instance", defaults::INSTANCE, |value| value.choice(&policies)),
        retry: fields.or("retry", defaults::RETRY, retry),
        limits: fields.or("limits", defaults::LIMITS, limits),
        reload: fields.or("reload", defaults::RELOAD, reload),
        config: fields.or("config", BTreeMap::new(), guest_config),
        enabled,
    }
}

/// Checks the streams that one handler names, and remembers those that it writes.
struct Links<'a, 's> {
    streams: &'s [&'s str],
    writes: Vec<(Value<'a>, String)>,
    known: bool,
}

impl<'a> Links<'a, '_> {
    /// The stream that `value` names, or was probably meant to name: so one slip does not make that stream look unused.
    fn named(&mut self, value: &Value<'a>) -> Option<String> {
        let name = value.text("the name of a stream");
        let Some(name) = name else {
            self.known = false;
            return None;
        };
        // Without any stream, that is the mistake to report.
        if self.streams.contains(&name) || self.streams.is_empty() {
            return Some(name.to_owned());
        }
        let near = nearest(name, self.streams.iter().copied());
        let problem = Problem::new(format!("there is no stream '{name}'"));
        match near {
            Some(_) => value.wrong(problem.suggest(near)),
            None => value.wrong(problem.expected(one_of(self.streams))),
        }
        self.known &= near.is_some();
        near.map(ToOwned::to_owned)
    }

    fn written(&mut self, value: Value<'a>) -> Option<String> {
        let name = self.named(&value)?;
        self.writes.push((value, name.clone()));
        Some(name)
    }
}

fn outputs<'a>(value: &Value<'a>, links: &mut Links<'a, '_>) -> Option<BTreeMap<String, String>> {
    let entries = value.entries("a mapping of names to streams");
    links.known &= entries.is_some();
    let entries = entries?;
    let mut outputs = BTreeMap::new();
    for (name, stream) in entries {
        check_name(name, &stream);
        if let Some(stream) = links.written(stream) {
            outputs.insert(name.to_owned(), stream);
        }
    }
    Some(outputs)
}
