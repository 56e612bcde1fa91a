//! Every check and every test, in the order in which they fail fastest.

use std::process::Command;

use anyhow::{Context, Result};

use crate::guests;
use crate::process::{cargo, root, succeed};
use crate::toolchain::Choice;

/// How much of the suite is run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Extent {
    All,
    TestsOnly,
}

const PLUGINS: &str = "plugins/Cargo.toml";

/// Stops at the first step that fails.
///
/// # Errors
/// Names that step.
pub(crate) fn run(extent: Extent) -> Result<()> {
    if extent == Extent::All {
        step("format", cargo(["fmt", "--all", "--check"]))?;
        step("format of the plugins", cargo(["fmt", "--manifest-path", PLUGINS, "--all", "--check"]))?;
        step("lints", cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
        let mut plugins = cargo(["clippy", "--manifest-path", PLUGINS, "--workspace", "--all-targets"]);
        step("lints of the plugins", native(&mut plugins).args(["--", "-D", "warnings"]))?;
        let mut docs = cargo(["doc", "--workspace", "--no-deps"]);
        step("documentation", docs.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    announce("guests");
    guests::build(Choice::BestThereIs).context("the step `guests` failed")?;
    step("tests of the plugins", native(&mut cargo(["test", "--manifest-path", PLUGINS, "--workspace"])))?;
    // The end-to-end tests start the program itself.
    step("build", cargo(["build", "--package", "pelton"]))?;
    step("tests", cargo(["test", "--workspace"]))?;
    eprintln!("== all passed");
    Ok(())
}

/// The plugins compiled for this machine, apart from the host's and the guests' builds.
fn native(command: &mut Command) -> &mut Command {
    command.arg("--target-dir").arg(root().join("target/plugins-native"))
}

fn step(name: &str, mut command: impl std::borrow::BorrowMut<Command>) -> Result<()> {
    announce(name);
    succeed(command.borrow_mut()).with_context(|| format!("the step `{name}` failed"))
}

fn announce(name: &str) {
    eprintln!("== {name}");
}
