use super::engine::WasmEngine;
use super::guest::bindings::exports::pelton::plugin::{batch_handler, lifecycle};
use super::guest::record_bindings::exports::pelton::plugin::message_handler;
use super::guest::{Targets, World};
use super::host::HostState;
use super::instance::{Instance, WasmHandler};
use super::{Cache, imports};
use crate::config::{HandlerConfig, InstancePolicy, Limits};
use crate::handler::{Handler, HandlerMaker};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};
use wit_component::ComponentEncoder;

/// Why a file does not become a handler. Whatever served before goes on serving.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do about it.
    pub reason: String,
}

/// What the configuration says of a handler, as far as its instances need to know.
#[derive(Clone, Debug)]
pub struct ModuleOptions {
    pub(crate) handler: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) instance: InstancePolicy,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) targets: Arc<Targets>,
}

impl ModuleOptions {
    /// Takes what it needs out of a handler's configuration.
    pub fn new(config: &HandlerConfig) -> ModuleOptions {
        ModuleOptions {
            handler: Arc::from(config.name.as_str()),
            limits: config.limits,
            instance: config.instance,
            config: config.config.clone(),
            targets: Arc::new(Targets::new(config.output.is_some(), config.outputs.keys().cloned())),
        }
    }
}

/// The functions of a component that the host calls.
pub(super) enum Calls {
    Columns(batch_handler::GuestIndices),
    Records(message_handler::GuestIndices),
}

/// A component, compiled, checked against the contract and tried.
pub struct Module {
    pre: InstancePre<HostState>,
    calls: Calls,
    lifecycle: Option<lifecycle::GuestIndices>,
    options: ModuleOptions,
    info: ModuleInfo,
}

/// What is known of a module.
#[derive(Clone, Debug)]
pub struct ModuleInfo {
    /// BLAKE3 of the file, in hexadecimal.
    pub hash: String,
    /// How it takes messages.
    pub world: World,
    /// Whether the file was a core module, made a component here.
    pub was_core: bool,
    /// Whether compiled code was found in the cache.
    pub was_cached: bool,
}

/// Larger files are not handlers.
const MOST: u64 = 512 << 20;

impl Module {
    /// Reads, checks and compiles a file, and starts one instance on trial. The heavy part runs off the async threads.
    ///
    /// # Errors
    /// Whatever is wrong with the file; the reason names it.
    pub async fn load(
        engine: &WasmEngine,
        cache: Option<&Cache>,
        path: &Path,
        options: ModuleOptions,
    ) -> Result<Arc<Module>, LoadError> {
        let bytes = read(path).await?;
        Module::from_bytes(engine, cache, path, bytes, options).await
    }

    /// The same for bytes that have been read; `path` is for errors.
    ///
    /// # Errors
    /// As for [`Module::load`].
    pub async fn from_bytes(
        engine: &WasmEngine,
        cache: Option<&Cache>,
        path: &Path,
        bytes: Vec<u8>,
        options: ModuleOptions,
    ) -> Result<Arc<Module>, LoadError> {
        let failed = |reason: String| LoadError { path: path.to_owned(), reason };
        let (engine, cache) = (engine.clone(), cache.cloned());
        let compiled = tokio::task::spawn_blocking(move || compile(&engine, cache.as_ref(), &bytes, options)).await;
        let module = compiled.map_err(|e| failed(format!("the compiler failed: {e}")))?;
        let module = Arc::new(module.map_err(|e| failed(format!("{e:#}")))?);
        let trial = Instance::start(&module).await.map_err(|e| failed(format!("{e:#}")))?;
        trial.stop().await;
        Ok(module)
    }

    /// What is known of it.
    pub fn info(&self) -> &ModuleInfo {
        &self.info
    }

    pub(super) fn options(&self) -> &ModuleOptions {
        &self.options
    }

    pub(super) fn engine(&self) -> &Engine {
        self.pre.component().engine()
    }

    pub(super) fn pre(&self) -> &InstancePre<HostState> {
        &self.pre
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    pub(super) fn lifecycle(&self) -> Option<&lifecycle::GuestIndices> {
        self.lifecycle.as_ref()
    }
}

/// Makes the handlers of a generation.
#[async_trait]
impl HandlerMaker for Arc<Module> {
    async fn make(&self) -> anyhow::Result<Box<dyn Handler>> {
        Ok(Box::new(WasmHandler::new(self.clone()).await?))
    }
}

/// Reads a module file.
///
/// # Errors
/// Where it cannot be read or is far too large.
pub(crate) async fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |reason: String| LoadError { path: path.to_owned(), reason };
    let metadata = tokio::fs::metadata(path).await.map_err(|e| failed(format!("cannot be read: {e}")))?;
    if !metadata.is_file() {
        return Err(failed("is not a file; name the .wasm itself".into()));
    }
    if metadata.len() > MOST {
        return Err(failed(format!("has {} bytes; a handler has at most {MOST}", metadata.len())));
    }
    tokio::fs::read(path).await.map_err(|e| failed(format!("cannot be read: {e}")))
}

/// A component, and what is known of the file it came from.
struct Opened {
    component: Component,
    hash: String,
    was_core: bool,
    was_cached: bool,
    imports: Vec<String>,
    exports: Vec<String>,
}

fn open(engine: &Engine, cache: Option<&Cache>, bytes: &[u8]) -> anyhow::Result<Opened> {
    let hash = blake3::hash(bytes).to_hex().to_string();
    let was_core = check_kind(bytes)?;
    let key = format!("{}-{:016x}", hash, settings(engine));
    let cached = cache.and_then(|c| c.get(&key)).and_then(|code| revive(engine, &code));
    let was_cached = cached.is_some();
    let component = match cached {
        Some(component) => component,
        None => {
            let component = if was_core { componentize(engine, bytes)? } else { bytes.to_vec() };
            let component = Component::from_binary(engine, &component);
            let component = component.map_err(|e| anyhow::anyhow!("is not a valid component: {e:#}"))?;
            if let Some(cache) = cache {
                cache.put(&key, &component.serialize()?);
            }
            component
        }
    };
    let ty = component.component_type();
    let imports = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    let exports = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    Ok(Opened { component, hash, was_core, was_cached, imports, exports })
}

fn has_lifecycle(exports: &[String]) -> bool {
    exports.iter().any(|e| e.starts_with("pelton:plugin/lifecycle@"))
}

fn compile(engine: &WasmEngine, cache: Option<&Cache>, bytes: &[u8], options: ModuleOptions) -> anyhow::Result<Module> {
    let Opened { component, hash, was_core, was_cached, imports, exports } = open(&engine.engine, cache, bytes)?;
    let world = world(&exports)?;
    let refused: Vec<&str> = imports.iter().map(String::as_str).filter(|i| !imports::is_offered(i)).collect();
    if !refused.is_empty() {
        let refused = refused.join(", ");
        anyhow::bail!("imports what is not allowed: {refused}; a handler has no files, sockets or environment");
    }
    let pre = engine.linker.instantiate_pre(&component);
    let pre = pre.map_err(|e| anyhow::anyhow!("does not fit this host: {e:#}"))?;
    let fits = |e: wasmtime::Error| anyhow::anyhow!("does not fit the contract in wit/: {e:#}");
    let calls = match world {
        World::Columns => Calls::Columns(batch_handler::GuestIndices::new(&pre).map_err(fits)?),
        World::Records => Calls::Records(message_handler::GuestIndices::new(&pre).map_err(fits)?),
    };
    let lifecycle = has_lifecycle(&exports).then(|| lifecycle::GuestIndices::new(&pre)).transpose().map_err(fits)?;
    Ok(Module { pre, calls, lifecycle, options, info: ModuleInfo { hash, world, was_core, was_cached } })
}

/// What a file is, whether or not it can serve.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// BLAKE3 of the file, in hexadecimal.
    pub hash: String,
    /// Bytes of the file.
    pub size: u64,
    /// Whether the file is a core module, made a component on loading.
    pub was_core: bool,
    /// How it takes messages, or why it is no handler.
    pub world: Result<World, String>,
    /// Whether it exports `lifecycle`.
    pub lifecycle: bool,
    /// The interfaces it imports, versions included, and whether the host offers them.
    pub imports: Vec<(String, bool)>,
    /// The interfaces it exports, versions included.
    pub exports: Vec<String>,
}

impl Inspection {
    /// Compiles a file and looks at it, without running any of it.
    ///
    /// # Errors
    /// Where it cannot be read, or is no valid WebAssembly.
    pub async fn of(engine: &WasmEngine, path: &Path) -> Result<Inspection, LoadError> {
        let failed = |reason: String| LoadError { path: path.to_owned(), reason };
        let bytes = read(path).await?;
        let opened = open(&engine.engine, None, &bytes).map_err(|e| failed(format!("{e:#}")))?;
        Ok(Inspection {
            hash: opened.hash,
            size: bytes.len() as u64,
            was_core: opened.was_core,
            world: world(&opened.exports).map_err(|e| format!("{e:#}")),
            lifecycle: has_lifecycle(&opened.exports),
            imports: opened.imports.into_iter().map(|i| (i.clone(), imports::is_offered(&i))).collect(),
            exports: opened.exports,
        })
    }
}

/// Whether it is a core module; an error where it is no WebAssembly at all.
fn check_kind(bytes: &[u8]) -> anyhow::Result<bool> {
    // The preamble: magic, then version and layer (component-model, Binary.md).
    match bytes {
        [] => anyhow::bail!("is empty; was it still being written?"),
        [b'\0', b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00, ..] => Ok(true),
        [b'\0', b'a', b's', b'm', _, _, 0x01, 0x00, ..] => Ok(false),
        [b'\0', b'a', b's', b'm', ..] => anyhow::bail!("is WebAssembly of an unknown version, or cut off"),
        _ => anyhow::bail!("is not WebAssembly: it does not begin with \\0asm"),
    }
}

/// A core module with an embedded component type becomes a component, with the adapter for WASI 0.1 where it needs one.
fn componentize(engine: &Engine, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    // The encoder takes for granted that the module is whole.
    let valid = wasmtime::Module::validate(engine, bytes);
    valid.map_err(|e| anyhow::anyhow!("is a core module that cannot be made a component: {e:#}"))?;
    let encode = || {
        ComponentEncoder::default()
            .module(bytes)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .validate(true)
            .encode()
    };
    // What it takes for granted beyond that, such as the embedded type, must not take the host down.
    let encoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(encode));
    let encoded = encoded.unwrap_or_else(|_| Err(anyhow::anyhow!("damaged")));
    encoded.map_err(|e| anyhow::anyhow!("is a core module that cannot be made a component: {e:#}"))
}

/// What the compiler's output depends on besides the module: wasmtime's version and settings, and ours.
fn settings(engine: &Engine) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    hasher.finish()
}

#[expect(unsafe_code, reason = "compiled code is loaded as code")]
fn revive(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `code` was written by `Component::serialize` of this program into a directory that only its user can write
    // to (`Cache::open` checks that), and its hash was checked when it was read. Wasmtime itself refuses code of another
    // version or with other settings.
    match unsafe { Component::deserialize(engine, code) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "cache entry does not fit, compiling again");
            None
        }
    }
}

/// Which world it is of: exactly one handler interface, of a version that this host speaks.
fn world(exports: &[String]) -> anyhow::Result<World> {
    let mut found = None;
    for export in exports {
        let (name, version) = export.split_once('@').unwrap_or((export, ""));
        let Some(world) = [World::Columns, World::Records].into_iter().find(|w| w.interface() == name) else {
            continue;
        };
        if !version.starts_with("0.1.") {
            anyhow::bail!("exports {export}; this host speaks version 0.1");
        }
        if found.replace(world).is_some() {
            anyhow::bail!("exports both handler interfaces; it must export exactly one of them");
        }
    }
    found.ok_or_else(|| {
        let has = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        let (columns, records) = (World::Columns.interface(), World::Records.interface());
        anyhow::anyhow!("is no handler: it exports {has}, but neither {columns} nor {records}")
    })
}
