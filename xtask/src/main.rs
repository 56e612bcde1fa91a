//! The project's own commands, as `cargo xtask COMMAND`.
//!
//! # Layout
//!
//! | module | holds |
//! |---|---|
//! | `guests` | builds the plugins and puts them into `target/guests/` |
//! | `toolchain` | how plugins are built here: rustup's wasm32-wasip2, or Debian's packages |
//! | `demo` | the main job on the real feed |
//! | `suite` | all checks and tests, in order |
//! | `bench` | one bench, and whether it wrote what it promises |
//! | `process` | running other programs |
//! | `watch` | noticing changed files |

mod bench;
mod demo;
mod guests;
mod process;
mod suite;
mod toolchain;
mod watch;

use std::process::ExitCode;

use anyhow::{Result, bail};

use toolchain::Choice;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  guests [--debian]   build the plugins into target/guests/NAME.wasm; --debian: by Debian's packages, whatever there is
  demo [--watch]      find the alerts in a week of real earthquakes; --watch: stay, and reload plugins as they change
  test [--fast]       every check and every test; --fast: without format, lints and documentation
  bench NAME          run one bench of the runtime and check what it wrote to target/bench/NAME.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["guests"] => guests::build(Choice::BestThereIs),
        ["guests", "--debian"] => guests::build(Choice::Debian),
        ["demo"] => demo::once(),
        ["demo", "--watch"] => demo::watch(),
        ["test"] => suite::run(suite::Extent::All),
        ["test", "--fast"] => suite::run(suite::Extent::TestsOnly),
        ["bench", name] => bench::run(name),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("`{}` is no command\n\n{USAGE}", arguments.join(" ")),
    }
}
