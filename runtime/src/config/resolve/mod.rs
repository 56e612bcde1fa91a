//! From the tree of nodes to a valid [`Config`].
//!
//! # Layout
//! - `streams`, `handlers`: one section each, value by value
//! - `brokers`, `serve`: brokers elsewhere, and the one that this host is; `pelton` for each kind of broker, `secure` tokens
//!   and certificates
//! - `ends`: the `from` and `to` of a stream; `storage`: how it keeps its messages; `settings`: the workers, limits and
//!   the like of a handler
//! - `files`: whether the files that are named can be used
//! - `graph`, `directories`: what only shows in all streams and handlers together

mod brokers;
mod directories;
mod ends;
mod files;
mod graph;
mod handlers;
mod pelton;
mod secure;
mod serve;
mod settings;
mod storage;
mod streams;

use std::path::PathBuf;

use super::error::{Errors, Problem, nearest};
use super::model::{Config, Start};
use super::node::Node;
use super::read::{Value, one_of};
use super::time::A_START;
use super::{Environment, defaults};
use brokers::Brokers;
use files::Files;

/// Reads the whole tree. What it returns counts only if nothing was reported.
pub(super) fn resolve(root: &Node, environment: &Environment, errors: &Errors) -> Option<Config> {
    let root = Value::root(root, errors);
    let files = Files { directory: &environment.directory };
    let fields = root.fields(&["brokers", "serve", "streams", "handlers", "cache", "shutdown_timeout"])?;

    let brokers = Brokers::read(fields.optional("brokers"), &files);
    let serve = fields.optional("serve");
    let served = serve.as_ref().and_then(|serve| serve::read(serve, &files));
    let streams = match fields.required("streams", "a mapping of at least one name to a stream") {
        Some(value) => streams::read(&value, &brokers, &files),
        None => Vec::new(),
    };
    let names: Vec<&str> = streams.iter().map(|stream| stream.config.name.as_str()).collect();
    let handlers = handlers::read(fields.optional("handlers"), &names, &files);
    let mut warnings = Vec::new();
    let cache_dir = match fields.optional("cache") {
        Some(value) => cache(&value, &files),
        None => defaults::cache_dir(environment),
    };
    if cache_dir.is_none() && fields.optional("cache").is_none() {
        let without =
            "neither XDG_CACHE_HOME nor HOME is set, so compiled modules are not kept; 'cache: off' accepts that";
        warnings.push(format!("{}: {without}", root.place()));
    }
    let shutdown_timeout = fields.or("shutdown_timeout", defaults::SHUTDOWN_TIMEOUT, Value::duration);

    streams::check_together(&streams, &files);
    directories::check(&streams, served.as_ref());
    handlers::check_together(&handlers, &streams);
    graph::check(&streams, &handlers, serve.is_some(), &files);
    warnings.extend(graph::warnings(&streams, &handlers));

    Some(Config {
        brokers: brokers.into_list(),
        serve: served.map(|served| served.config),
        streams: streams.into_iter().map(|stream| stream.config).collect(),
        handlers: handlers.list.into_iter().map(|handler| handler.config).collect(),
        cache_dir,
        shutdown_timeout,
        warnings,
    })
}

/// `off`, or `{ path: DIRECTORY }`.
fn cache(value: &Value<'_>, files: &Files<'_>) -> Option<PathBuf> {
    const A_CACHE: &str = "'off' or { path: DIRECTORY }";
    if !value.is_scalar() {
        let path = value.fields(&["path"])?.required("path", "a directory")?;
        return files.path(&path);
    }
    let text = value.text(A_CACHE)?;
    if text != "off" {
        value.wrong(Problem::new(format!("'{text}' is given")).expected(A_CACHE).suggest(nearest(text, ["off"])));
    }
    None
}

const A_NAME: &str = "one or more of a-z, A-Z, 0-9, '.', '_' and '-'";

/// Names appear in metrics, headers, file names and variables: letters, digits, `.`, `_` and `-` are safe in all.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.chars().all(allowed)
}

fn check_name(name: &str, value: &Value<'_>) {
    if !is_name(name) {
        value.wrong_key(Problem::new(format!("'{name}' cannot be a name")).expected(A_NAME));
    }
}

/// What a mapping is by its key `type`; that its other keys fit is left to whoever reads them.
fn typed<T: Copy>(value: &Value<'_>, kinds: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    value.deciding("type", &one_of(&names))?.choice(kinds)
}

/// Where a reader begins.
fn start(value: &Value<'_>) -> Option<Start> {
    let wrong = |text: &str| Problem::new(format!("'{text}' is no place to start")).expected(A_START);
    value.parsed(A_START, |text| text.parse().map_err(|_| wrong(text)))
}
