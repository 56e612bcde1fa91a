use super::{FAILED, OK, REFUSED, logging};
use crate::wasm::{EngineOptions, Inspection, WasmEngine};
use indicatif::ProgressBar;
use std::path::PathBuf;

/// Show what a module is: world, imports, size, and what it would be allowed
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The module: a component, or a core module with an embedded component type
    module: PathBuf,
}

pub(super) async fn inspect(arguments: &Arguments) -> u8 {
    logging::start("warn", ProgressBar::hidden());
    let engine = match WasmEngine::new(EngineOptions::default()) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("pelton: cannot set up WebAssembly: {error:#}");
            return FAILED;
        }
    };
    let found = match Inspection::of(&engine, &arguments.module).await {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return REFUSED;
        }
    };
    say!("file       {}", arguments.module.display());
    say!("size       {} bytes", found.size);
    say!("blake3     {}", found.hash);
    say!("kind       {}", if found.was_core { "core module with an embedded component type" } else { "component" });
    match &found.world {
        Ok(world) => say!("world      {}", world.interface()),
        Err(why) => say!("world      none: it {why}"),
    }
    say!("lifecycle  {}", if found.lifecycle { "yes" } else { "no" });
    for export in &found.exports {
        say!("export     {export}");
    }
    for (import, offered) in &found.imports {
        say!("import     {import}{}", if *offered { "" } else { "  (not allowed)" });
    }
    let serves = found.world.is_ok() && found.imports.iter().all(|(_, offered)| *offered);
    if serves { OK } else { REFUSED }
}
