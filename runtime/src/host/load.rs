//! From module files to handlers in their slots, at the start and whenever a file has changed.

use super::Natives;
use crate::config::{Config, HandlerConfig};
use crate::handler::HandlerMaker;
use crate::slot::HandlerSlot;
use crate::wasm::{Cache, EngineOptions, LoadError, Look, Module, ModuleOptions, WasmEngine, Watch, read, watch};
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

/// Replaces a handler's code when its file has changed, or when it is told to look.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) config: HandlerConfig,
    pub(super) work: Arc<Work>,
    pub(super) loader: Loader,
    pub(super) signal: broadcast::Receiver<()>,
}

impl Reloader {
    pub(super) async fn run(mut self) {
        let mut watch = self.config.reload.watch.then(|| watch(&self.path, self.config.reload.poll));
        // The last file that was looked at, and what the last one that was tried held.
        let mut seen = None;
        let mut tried = self.work.slot.current().label().to_owned();
        loop {
            let look = tokio::select! {
                look = changed(watch.as_mut()) => look,
                // A signal that was missed while a module was loading is as good as one that came now.
                signal = self.signal.recv() => match signal {
                    Err(broadcast::error::RecvError::Closed) => return,
                    // Whoever asks wants a module tried again that failed.
                    _ => {
                        self.work.slot.current().label().clone_into(&mut tried);
                        Look::Changed
                    }
                },
            };
            // Between removal and the next write there is nothing; the poll spares reading a file that has not changed.
            let metadata = tokio::fs::metadata(&self.path).await.ok();
            let now = metadata.map(|m| (m.ino(), m.len(), m.modified().ok()));
            let same = seen == Some(now);
            seen = Some(now);
            if now.is_none() && !same {
                tracing::warn!(handler = &*self.work.name, module = %self.path.display(), "module file is gone, its code goes on serving");
            }
            if now.is_some() && !(same && look == Look::Poll) {
                self.look(&mut tried).await;
            }
        }
    }

    /// Loads what the file holds now, where it was not tried yet.
    async fn look(&self, tried: &mut String) {
        let handler = &*self.work.name;
        let begun = Instant::now();
        let replaced = match self.load(tried).await {
            Ok(None) => return,
            Ok(Some(module)) => {
                let hash = module.info().hash.clone();
                self.work.slot.replace(&hash, Box::new(module), self.config.workers.max).await
            }
            Err(error) => Err(error.into()),
        };
        match replaced {
            Ok(next) => {
                let (generation, module) = (next.number(), next.label());
                tracing::info!(handler, generation, module, took = ?begun.elapsed(), "handler reloaded");
            }
            Err(error) => {
                let serving = self.work.slot.current().number();
                let error = format!("{error:#}");
                tracing::error!(handler, serving, error, "handler not reloaded, the old one goes on");
            }
        }
    }

    async fn load(&self, tried: &mut String) -> Result<Option<Arc<Module>>, LoadError> {
        let bytes = read(&self.path).await?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if hash == *tried {
            return Ok(None);
        }
        *tried = hash;
        let (engine, cache) = (&self.loader.engine, self.loader.cache.as_ref());
        Module::from_bytes(engine, cache, &self.path, bytes, ModuleOptions::new(&self.config)).await.map(Some)
    }
}

/// The next reason to look; never one where nobody watches.
async fn changed(watch: Option<&mut Watch>) -> Look {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
