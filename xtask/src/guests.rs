//! Builds the plugins and puts them where configurations and tests look for them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{root, succeed};
use crate::toolchain::{Choice, Toolchain};

/// Builds every plugin into `target/guests/NAME.wasm`.
///
/// # Errors
/// No toolchain, a plugin that does not compile, or a file that cannot be written.
pub(crate) fn build(choice: Choice) -> Result<()> {
    build_with(Toolchain::find(choice)?)
}

/// As [`build`], with a toolchain that has been found before.
pub(crate) fn build_with(toolchain: Toolchain) -> Result<()> {
    // A folder of its own: a build of the host never waits for the guests', and changing one rebuilds nothing in the other.
    let folder = root().join("target/guests-build");
    succeed(&mut toolchain.build(&folder))?;
    let built = folder.join(toolchain.target()).join("release");
    let guests = root().join("target/guests");
    fs::create_dir_all(&guests).with_context(|| format!("cannot create {}", guests.display()))?;

    let names = names()?;
    let mut changed = Vec::new();
    for name in &names {
        let from = built.join(format!("{}.wasm", name.replace('-', "_")));
        let to = guests.join(format!("{name}.wasm"));
        if replace(&from, &to)? {
            changed.push(name.as_str());
        }
    }
    let what = if changed.is_empty() { "nothing new".to_owned() } else { format!("new: {}", changed.join(", ")) };
    eprintln!("guests: {} in target/guests, {what}; built by {}", names.len(), toolchain.name());
    Ok(())
}

/// The plugins' names: the folders of `plugins/` that hold a package.
fn names() -> Result<Vec<String>> {
    let plugins = root().join("plugins");
    let folders = fs::read_dir(&plugins).with_context(|| format!("cannot read {}", plugins.display()))?;
    let mut names: Vec<String> = folders
        .filter_map(Result::ok)
        .filter(|folder| folder.path().join("Cargo.toml").exists())
        .map(|folder| folder.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// Makes `to` a copy of `from`, in one step, so that a host that watches it never reads half a file. Leaves it alone,
/// and returns false, where it is one already.
fn replace(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("the build left no {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let beside: PathBuf = to.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&beside, &new)
        .and_then(|()| fs::rename(&beside, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}
