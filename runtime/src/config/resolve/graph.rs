//! What only shows in all streams and handlers together: streams that nothing feeds or reads, and cycles.

use std::collections::{BTreeMap, BTreeSet};

use super::files::Files;
use super::handlers::{Handler, Handlers};
use super::streams::Stream;
use crate::config::error::Problem;
use crate::config::model::{SinkConfig, SourceConfig};
use crate::config::read::Value;
use crate::config::units::show_size;

/// `serves`: clients may read and write the streams that have storage.
pub(super) fn check(streams: &[Stream<'_>], handlers: &Handlers<'_>, serves: bool, files: &Files<'_>) {
    // Where a handler's streams are not known, any of these may be its own.
    if handlers.known {
        check_use(streams, &handlers.list, serves);
    }
    for cycle in cycles(streams, edges(streams, &handlers.list, files)) {
        report_cycle(&cycle);
    }
}

fn check_use(streams: &[Stream<'_>], handlers: &[Handler<'_>], serves: bool) {
    let read: BTreeSet<&str> = handlers.iter().filter(|h| h.config.enabled).map(|h| h.config.stream.as_str()).collect();
    let written: BTreeSet<&str> = handlers.iter().flat_map(|h| &h.writes).map(|(_, stream)| stream.as_str()).collect();
    // What is on disk can be read and written by the tools.
    let elsewhere = |stream: &Stream<'_>| stream.on_disk() || serves && stream.storage.is_some();
    for stream in streams.iter().filter(|stream| stream.known && !elsewhere(stream)) {
        let name = stream.config.name.as_str();
        if stream.from.is_none() && !written.contains(name) {
            let problem = Problem::new("nothing feeds this stream");
            let expected =
                format!("a 'from', or a handler that has '{name}' as 'output', 'dead_letter' or in 'outputs'");
            stream.value.wrong_key(problem.expected(expected));
        }
        if stream.to.is_none() && !read.contains(name) {
            let problem = Problem::new("nothing reads this stream");
            stream.value.wrong_key(problem.expected(format!("a 'to', or an enabled handler with 'stream: {name}'")));
        }
    }
}

/// A way for a message from one stream to another.
#[derive(Clone)]
struct Edge<'c> {
    from: &'c str,
    to: &'c str,
    /// What takes it there, as the report names it.
    through: String,
    /// The value that says so.
    value: &'c Value<'c>,
}

fn edges<'c>(streams: &'c [Stream<'c>], handlers: &'c [Handler<'c>], files: &Files<'_>) -> Vec<Edge<'c>> {
    // Disabled handlers count: switching one on must not make the configuration invalid.
    let through_handlers = handlers.iter().flat_map(|handler| {
        let config = &handler.config;
        handler.writes.iter().map(|(value, to)| Edge { from: &config.stream, to, through: config.name.clone(), value })
    });
    let mut edges: Vec<Edge<'c>> = through_handlers.collect();

    let mut writers = BTreeMap::new();
    for stream in streams {
        if let Some(SinkConfig::File(sink)) = &stream.config.to {
            files.identity(&sink.path).map(|identity| writers.insert(identity, stream.config.name.as_str()));
        }
    }
    for stream in streams {
        let (Some(SourceConfig::File(source)), Some(value)) = (&stream.config.from, &stream.from) else {
            continue;
        };
        let Some(writer) = files.identity(&source.path).and_then(|identity| writers.get(&identity)) else {
            continue;
        };
        let through = format!("file {}", files.show(&source.path));
        edges.push(Edge { from: writer, to: &stream.config.name, through, value });
    }
    // A stream on disk takes what comes round without waiting for its readers, so that nobody waits for himself.
    let on_disk: BTreeSet<&str> =
        streams.iter().filter(|stream| stream.on_disk()).map(|stream| stream.config.name.as_str()).collect();
    edges.retain(|edge| !on_disk.contains(edge.from));
    edges
}

/// Disjoint cycles, at least one where there is any. A cycle is the edges along it.
fn cycles<'c>(streams: &'c [Stream<'c>], mut edges: Vec<Edge<'c>>) -> Vec<Vec<Edge<'c>>> {
    let mut left: BTreeSet<&str> = streams.iter().map(|stream| stream.config.name.as_str()).collect();
    let mut cycles = Vec::new();
    loop {
        // Streams that lead nowhere are on no cycle, nor are those that led only to them.
        loop {
            edges.retain(|edge| left.contains(edge.from) && left.contains(edge.to));
            let leading: BTreeSet<&str> = edges.iter().map(|edge| edge.from).collect();
            if leading.len() == left.len() {
                break;
            }
            left = leading;
        }
        // Every stream that is left leads on, so a walk from any of them meets itself.
        let Some(start) = streams.iter().map(|stream| stream.config.name.as_str()).find(|name| left.contains(name))
        else {
            return cycles;
        };
        let mut walk: Vec<Edge<'c>> = Vec::new();
        let mut at = start;
        while !walk.iter().any(|edge| edge.from == at) {
            let Some(next) = edges.iter().find(|edge| edge.from == at) else {
                return cycles;
            };
            walk.push(next.clone());
            at = next.to;
        }
        let cycle: Vec<Edge<'c>> = walk.into_iter().skip_while(|edge| edge.from != at).collect();
        left.retain(|name| !cycle.iter().any(|edge| edge.from == *name));
        cycles.push(cycle);
    }
}

fn report_cycle(cycle: &[Edge<'_>]) {
    let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else {
        return;
    };
    let mut way = first.from.to_owned();
    for edge in cycle {
        way = format!("{way} -> {} -> {}", edge.through, edge.to);
    }
    let problem = Problem::new(format!("closes a cycle in which a message could go round for ever: {way}"));
    let other_way =
        format!("a stream that does not lead back to '{}', or one on the way with 'storage' on disk", last.from);
    last.value.wrong(problem.expected(other_way));
}

/// What is allowed and yet probably not meant.
pub(super) fn warnings(streams: &[Stream<'_>], handlers: &Handlers<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for Handler { config, value, .. } in &handlers.list {
        if config.dead_letter.is_none() {
            let without = "has no 'dead_letter', so messages that it gives up on are dropped and counted";
            warnings.push(format!("{}: {}: {without}", value.key_place, value.path));
        }
    }
    // Readers of a stream with storage come and go by themselves.
    for Stream { config, value, .. } in streams.iter().filter(|stream| stream.storage.is_none()) {
        let readers = handlers.list.iter().filter(|h| h.config.enabled && h.config.stream == config.name);
        let readers: Vec<&str> = readers.map(|handler| handler.config.name.as_str()).collect();
        if readers.len() > 1 {
            let room = show_size(config.buffer.bytes);
            let coupled = format!("share its buffer of {room}, so the slowest holds up the others");
            warnings.push(format!("{}: {}: its readers {} {coupled}", value.key_place, value.path, readers.join(", ")));
        }
    }
    warnings
}
