use super::{OK, REFUSED, load, logging};
use crate::wasm::{EngineOptions, Module, ModuleOptions, WasmEngine};
use indicatif::ProgressBar;
use std::path::PathBuf;

/// Check a configuration and the modules it names, without starting anything
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration, in YAML
    config: PathBuf,
}

pub(super) async fn check(arguments: &Arguments) -> u8 {
    logging::start("warn", ProgressBar::hidden());
    let Some(config) = load(&arguments.config) else { return REFUSED };
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    let memory = config.handlers.iter().map(|h| h.limits.memory).max().unwrap_or(0);
    let engine = match WasmEngine::new(EngineOptions { memory, ..EngineOptions::default() }) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("pelton: cannot set up WebAssembly: {error:#}");
            return REFUSED;
        }
    };
    let mut good = true;
    for handler in config.handlers.iter().filter(|h| h.enabled) {
        match Module::load(&engine, None, &handler.module, ModuleOptions::new(handler)).await {
            Ok(module) => {
                say!("handler {}: {}, {}", handler.name, handler.module.display(), module.info().world.interface())
            }
            Err(error) => {
                eprintln!("handler {}: {error}", handler.name);
                good = false;
            }
        }
    }
    if !good {
        return REFUSED;
    }
    say!("{}: ok, {} streams, {} handlers", arguments.config.display(), config.streams.len(), config.handlers.len());
    OK
}
