//! From the tree of nodes to a valid [`Config`].
//!
//! # Layout
//! - `streams`, `handlers`: one section each, value by value
//! - `ends`: the `from` and `to` of a stream; `settings`: the workers, limits and the like of a handler
//! - `files`: whether the files that are named can be used
//! - `graph`: what only shows in all streams and handlers together

mod ends;
mod files;
mod graph;
mod handlers;
mod settings;
mod streams;

use std::path::PathBuf;

use super::error::{Errors, Problem, nearest};
use super::model::Config;
use super::node::Node;
use super::read::Value;
use super::{Environment, defaults};
use files::Files;

/// Reads the whole tree. What it returns counts only if nothing was reported.
pub(super) fn resolve(root: &Node, environment: &Environment, errors: &Errors) -> Option<Config> {
    let root = Value::root(root, errors);
    let files = Files { directory: &environment.directory };
    let fields = root.fields(&["streams", "handlers", "cache", "shutdown_timeout"])?;

    let streams = match fields.required("streams", "a mapping of at least one name to a stream") {
        Some(value) => streams::read(&value, &files),
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
    graph::check(&streams, &handlers, &files);
    warnings.extend(graph::warnings(&streams, &handlers));

    Some(Config {
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

/// Names appear in metrics, headers, file names and variables: letters, digits, `.`, `_` and `-` are safe in all.
fn check_name(name: &str, value: &Value<'_>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || !name.chars().all(allowed) {
        let problem = Problem::new(format!("'{name}' cannot be a name"));
        value.wrong_key(problem.expected("one or more of a-z, A-Z, 0-9, '.', '_' and '-'"));
    }
}
