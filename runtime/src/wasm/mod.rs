//! Handlers as WebAssembly components. Only this module names wasmtime.
//!
//! A file becomes a [`Module`]: read, made a component where it is a core module, checked against the contract, compiled
//! (or found in the [`Cache`]), tried once. A worker holds a [`WasmHandler`], which keeps an instance as
//! long as the policy says and never enters one again that trapped.

mod cache;
mod engine;
mod guest;
mod host;
mod imports;
mod instance;
mod loader;
mod watch;

pub use cache::Cache;
pub use engine::{EngineOptions, WasmEngine};
pub use guest::World;
pub use instance::WasmHandler;
pub(crate) use loader::read;
pub use loader::{Inspection, LoadError, Module, ModuleInfo, ModuleOptions};
pub use watch::{Look, Watch, watch};
