//! What a guest may import, and nothing else: clocks, random numbers, standard error into the log, logging, progress. The
//! standard libraries of several languages also want a file system, an environment and a terminal; they find them empty.

use super::guest::bindings::{pelton::plugin::progress, wasi::logging::logging};
use super::host::{Host, HostState};
use wasmtime::component::Linker;
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::random::WasiRandom;

/// Every interface that [`add`] defines, without its version.
const OFFERED: &[&str] = &[
    "pelton:plugin/columns",
    "pelton:plugin/progress",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:logging/logging",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Whether a guest may import this interface.
pub(super) fn is_offered(import: &str) -> bool {
    let name = import.split_once('@').map_or(import, |(name, _)| name);
    OFFERED.contains(&name)
}

pub(super) fn add(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type S = HostState;
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<S, WasiRandom>(linker, |s| s.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<S, WasiRandom>(linker, |s| s.ctx().ctx.random())?;
    cli::environment::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    cli::exit::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_input::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_output::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdin::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdout::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stderr::add_to_linker::<S, WasiCli>(linker, WasiCliView::cli)?;
    filesystem::types::add_to_linker::<S, WasiFilesystem>(linker, WasiFilesystemView::filesystem)?;
    filesystem::preopens::add_to_linker::<S, WasiFilesystem>(linker, WasiFilesystemView::filesystem)?;
    progress::add_to_linker::<S, Host>(linker, |s| s)?;
    logging::add_to_linker::<S, Host>(linker, |s| s)
}
