//! The main job on real input: a week of earthquakes through a sandboxed handler.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::guests;
use crate::process::{cargo, program, succeed, target};
use crate::toolchain::{Choice, Toolchain};
use crate::watch::Watch;

/// Runs the whole feed, prints what comes out, and counts it.
///
/// # Errors
/// Something does not build, or Pelton failed.
pub(crate) fn once() -> Result<()> {
    guests::build(Choice::BestThereIs)?;
    build_host()?;
    let mut pelton = pelton("config/quakes.yaml")
        .arg("--exit-when-done")
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run pelton")?;
    let mut alerts = 0;
    if let Some(lines) = pelton.stdout.take() {
        let mut out = std::io::stdout().lock();
        for line in BufReader::new(lines).lines() {
            writeln!(out, "{}", line.context("cannot read what pelton prints")?)?;
            alerts += 1;
        }
    }
    let status = pelton.wait()?;
    if !status.success() {
        bail!("pelton failed ({status}); its own output above says why");
    }
    println!("alerts: {alerts}");
    Ok(())
}

/// Runs until Ctrl-C, and builds the plugins anew whenever their sources change.
///
/// # Errors
/// Something does not build at first, or Pelton failed.
pub(crate) fn watch() -> Result<()> {
    let toolchain = Toolchain::find(Choice::BestThereIs)?;
    guests::build_with(toolchain)?;
    build_host()?;
    // Ctrl-C reaches pelton too, which settles what it has in hand; this program only waits for it.
    ctrlc::set_handler(|| {}).context("cannot take Ctrl-C")?;
    let mut plugins = Watch::new(["plugins", "plugin-sdk", "wit"]);
    let mut pelton = pelton("config/quakes-watch.yaml").spawn().context("cannot run pelton")?;
    eprintln!(
        "demo: change plugins/quake-alert/src/lib.rs and see the next events handled by the new code; Ctrl-C ends"
    );
    loop {
        sleep(Duration::from_millis(300));
        if let Some(status) = pelton.try_wait()? {
            if !status.success() {
                bail!("pelton failed ({status}); its own output above says why");
            }
            return Ok(());
        }
        if plugins.changed() {
            // A plugin that does not compile is for its author to mend; the module before it goes on serving.
            if let Err(error) = guests::build_with(toolchain) {
                eprintln!("demo: {error:#}; the module before it goes on serving");
            }
        }
    }
}

fn build_host() -> Result<()> {
    succeed(&mut cargo(["build", "--package", "pelton"]))
}

fn pelton(config: &str) -> Command {
    let mut command = program(target().join("debug/pelton"));
    command.args(["run", config]);
    command
}
