use super::{FAILED, OK, REFUSED, logging, pair};
use crate::broker::render::as_json;
use crate::config::{Config, HandlerConfig};
use crate::handler::Handler;
use crate::message::{Batch, Entry, Message, Outcome, Position};
use crate::stream::now_ns;
use crate::wasm::{EngineOptions, Module, ModuleOptions, WasmEngine, WasmHandler};
use anyhow::Context;
use indicatif::ProgressBar;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// Give one message to a module, and print the outcome and its outputs
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The module
    module: PathBuf,
    /// The body; without it and --file, standard input is read
    #[arg(long, conflicts_with = "file")]
    body: Option<String>,
    /// A file that holds the body
    #[arg(long)]
    file: Option<PathBuf>,
    /// Subject, topic or queue
    #[arg(long, default_value = "")]
    subject: String,
    /// The key
    #[arg(long)]
    key: Option<String>,
    /// A header, as NAME=VALUE; may be given several times
    #[arg(long = "header", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The stream it comes from
    #[arg(long, default_value = "invoke")]
    stream: String,
    /// Which attempt this is
    #[arg(long, default_value_t = 1)]
    attempt: u32,
    /// A setting of the handler, as NAME=VALUE; may be given several times
    #[arg(long = "set", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// An output the handler may name; may be given several times
    #[arg(long = "output")]
    outputs: Vec<String>,
    /// Take settings, outputs and limits from the handler of this name in --config
    #[arg(long, requires = "config")]
    handler: Option<String>,
    /// A configuration
    #[arg(long, requires = "handler")]
    config: Option<PathBuf>,
}

pub(super) async fn invoke(arguments: Arguments) -> u8 {
    logging::start("info", ProgressBar::hidden());
    match try_invoke(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            REFUSED
        }
    }
}

async fn try_invoke(arguments: Arguments) -> anyhow::Result<u8> {
    let config = handler_config(&arguments)?;
    let message = message(&arguments)?;
    let engine = WasmEngine::new(EngineOptions { instances: 4, memory: config.limits.memory })?;
    let options = ModuleOptions::new(&config);
    let module = Module::load(&engine, None, &arguments.module, options).await?;
    let mut handler = WasmHandler::new(module).await?;
    let at = Position { partition: 0, seq: 1 };
    let entries = vec![Entry::new(at, arguments.attempt, message)];
    let handled = match handler.handle(&Batch { stream: Arc::from(arguments.stream), entries }).await {
        Ok(handled) => handled,
        Err(error) => {
            say!("failed: {error}");
            return Ok(FAILED);
        }
    };
    let code = match handled.failures.first() {
        None | Some((_, Outcome::Done)) => {
            say!("done");
            OK
        }
        Some((_, Outcome::Retry { after, reason })) => {
            let when = after.map_or("after the configured back-off".to_owned(), |after| format!("after {after:?}"));
            say!("retry {when}: {reason}");
            FAILED
        }
        Some((_, Outcome::Reject { reason })) => {
            say!("reject: {reason}");
            FAILED
        }
    };
    let names: Vec<&str> = std::iter::once("output").chain(config.outputs.keys().map(String::as_str)).collect();
    for output in &handled.outputs {
        say!("{}: {}", names.get(output.target).unwrap_or(&"output"), as_json(&output.message));
    }
    Ok(code)
}

fn handler_config(arguments: &Arguments) -> anyhow::Result<HandlerConfig> {
    let mut config = match (&arguments.config, &arguments.handler) {
        (Some(path), Some(name)) => {
            let config = Config::load(path)?;
            let found = config.handlers.into_iter().find(|h| h.name == *name);
            found.with_context(|| format!("{}: no handler is named '{name}'", path.display()))?
        }
        _ => HandlerConfig::new("invoke", &arguments.module, &arguments.stream),
    };
    config.output.get_or_insert_with(|| "output".into());
    config.outputs.extend(arguments.outputs.iter().map(|o| (o.clone(), o.clone())));
    config.config.extend(arguments.settings.iter().cloned());
    Ok(config)
}

fn message(arguments: &Arguments) -> anyhow::Result<Message> {
    let body = match (&arguments.body, &arguments.file) {
        (Some(body), _) => body.clone().into_bytes(),
        (None, Some(file)) => std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
        (None, None) => {
            let mut body = Vec::new();
            std::io::stdin().read_to_end(&mut body).context("cannot read standard input")?;
            body
        }
    };
    let mut builder = Message::builder();
    builder.subject(&arguments.subject).timestamp(now_ns());
    if let Some(key) = &arguments.key {
        builder.key(key.as_bytes());
    }
    for (name, value) in &arguments.headers {
        builder.header(name, value.as_str());
    }
    Ok(builder.build(&body)?)
}
