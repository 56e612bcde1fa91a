//! From module files to handlers in their slots, at the start and whenever a file has changed.

use super::Natives;
use crate::config::{Config, HandlerConfig};
use crate::handler::HandlerMaker;
use crate::slot::HandlerSlot;
use crate::wasm::{Cache, EngineOptions, LoadError, Module, ModuleOptions, WasmEngine, watch};
use crate::worker::Work;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::time::Instant;

/// What loading a module takes.
#[derive(Clone)]
pub(super) struct Loader {
    engine: WasmEngine,
    cache: Option<Cache>,
}

impl Loader {
    pub(super) fn new(config: &Config, handlers: &[HandlerConfig]) -> anyhow::Result<Loader> {
        // Every worker has an instance, and a second one while it changes over; and one for each trial.
        let instances: usize = handlers.iter().map(|h| 3 * h.workers.max + 2).sum();
        let memory = handlers.iter().map(|h| h.limits.memory).max().unwrap_or(0);
        let options = EngineOptions { instances: u32::try_from(instances)?.max(1), memory };
        let cache = config.cache_dir.as_deref().map(Cache::open).transpose().unwrap_or_else(|error| {
            tracing::warn!(error = %format!("{error:#}"), "compiled code is not kept");
            None
        });
        Ok(Loader { engine: WasmEngine::new(options)?, cache })
    }

    pub(super) fn module_of(&self, config: &HandlerConfig) -> Option<PathBuf> {
        (!config.module.as_os_str().is_empty()).then(|| config.module.clone())
    }

    async fn load(&self, config: &HandlerConfig) -> Result<Arc<Module>, LoadError> {
        Module::load(&self.engine, self.cache.as_ref(), &config.module, ModuleOptions::new(config)).await
    }
}

/// The slots of all handlers, or every reason why not.
pub(super) async fn load_all(
    loader: Loader,
    handlers: Vec<HandlerConfig>,
    natives: Natives,
) -> Result<Vec<HandlerSlot>, Vec<String>> {
    let mut loading = Vec::new();
    for config in handlers {
        let (loader, native) = (loader.clone(), natives.get(&config.name).cloned());
        loading.push(tokio::spawn(async move {
            let (label, maker): (String, Box<dyn HandlerMaker>) = match native {
                Some(native) => ("native".into(), native()),
                None => {
                    let module = loader.load(&config).await.map_err(|e| e.to_string())?;
                    tracing::info!(handler = config.name, module = %config.module.display(), cached = module.info().was_cached, "handler loaded");
                    (module.info().hash.clone(), Box::new(module))
                }
            };
            let slot = HandlerSlot::new(&label, maker, config.workers.max).await;
            slot.map_err(|e| format!("{}: {e:#}", config.module.display()))
        }));
    }
    let (mut slots, mut reasons) = (Vec::new(), Vec::new());
    for task in loading {
        match task.await {
            Ok(Ok(slot)) => slots.push(slot),
            Ok(Err(reason)) => reasons.push(reason),
            Err(error) => reasons.push(format!("loading failed: {error}")),
        }
    }
    if reasons.is_empty() { Ok(slots) } else { Err(reasons) }
}

/// Replaces a handler's code when its file has changed.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) config: HandlerConfig,
    pub(super) work: Arc<Work>,
    pub(super) loader: Loader,
    pub(super) signal: broadcast::Receiver<()>,
}

impl Reloader {
    pub(super) async fn run(mut self) {
        let mut watch = watch(&self.path, self.config.reload.poll);
        let mut tried = self.work.slot.current().label().to_owned();
        let mut seen = None;
        loop {
            tokio::select! {
                () = watch.changed() => {}
                // A signal that was missed while a module was loading is as good as one that came now.
                signal = self.signal.recv() => match signal {
                    Err(broadcast::error::RecvError::Closed) => return,
                    _ => seen = None,
                },
            }
            // Between removal and the next write there is nothing to load; what serves goes on serving.
            let Ok(metadata) = tokio::fs::metadata(&self.path).await else { continue };
            let now = (metadata.ino(), metadata.len(), metadata.modified().ok());
            if seen.replace(now) != Some(now) {
                self.look(&mut tried).await;
            }
        }
    }

    /// Loads what the file holds now, where it was not tried yet.
    async fn look(&self, tried: &mut String) {
        let handler = &*self.work.name;
        let Ok(bytes) = tokio::fs::read(&self.path).await else { return };
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if hash == *tried {
            return;
        }
        tried.clone_from(&hash);
        let begun = Instant::now();
        let options = ModuleOptions::new(&self.config);
        let module =
            Module::from_bytes(&self.loader.engine, self.loader.cache.as_ref(), &self.path, bytes, options).await;
        let replaced = match module {
            Ok(module) => self.work.slot.replace(&hash, Box::new(module), self.config.workers.max).await,
            Err(error) => Err(error.into()),
        };
        match replaced {
            Ok(next) => {
                tracing::info!(handler, generation = next.number(), module = hash, took = ?begun.elapsed(), "handler reloaded");
            }
            Err(error) => {
                let serving = self.work.slot.current().number();
                tracing::error!(handler, serving, error = %format!("{error:#}"), "handler not reloaded, the old one goes on");
            }
        }
    }
}
