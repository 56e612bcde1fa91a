//! The command line: arguments, configuration, run, exit code. One file for each subcommand.
//!
//! Exit codes: 0 all is well; 1 something went wrong while running, or messages were left unsettled, or `invoke`'s message
//! was not done, or `replay` shows a difference, or `log inspect` damage; 2 the arguments, the configuration or a module are
//! wrong, and nothing was started; 130 a second Ctrl-C, or the first one before everything has started.

/// Prints a line. Whoever reads may have seen enough: what is under way is done all the same, where `println!` panics.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

mod broker;
mod check;
mod consume;
mod dead;
mod difference;
mod inspect;
mod invoke;
mod log;
mod logging;
mod produce;
mod replay;
mod run;
mod summary;
mod table;
mod target;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// All is well.
pub const OK: u8 = 0;
/// Something went wrong while running.
pub const FAILED: u8 = 1;
/// The arguments, the configuration or a module are wrong; nothing was started.
pub const REFUSED: u8 = 2;
/// A second Ctrl-C, or the first one before everything has started.
pub const INTERRUPTED: u8 = 130;

/// Runs message handlers as sandboxed WebAssembly components, swapped while messages flow.
#[derive(Parser)]
#[command(name = "pelton", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well; 1 something went wrong while running, messages were left unsettled, or \
an invoked message was not done, or a replay shows a difference, or a log is damaged; 2 the arguments, the \
configuration or a module are wrong, and nothing was started; 130 a second Ctrl-C, or the first one before everything has started.\n\nRUST_LOG sets what is logged to standard error, as in RUST_LOG=pelton=debug.";

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Broker(broker::Arguments),
    Check(check::Arguments),
    Invoke(Box<invoke::Arguments>),
    Inspect(inspect::Arguments),
    Produce(Box<produce::Arguments>),
    Consume(Box<consume::Arguments>),
    Replay(Box<replay::Arguments>),
    Dead(dead::Arguments),
    Log(log::Arguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_name("pelton-io").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("pelton: cannot start threads: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Run(arguments) => run::run(arguments).await,
            Command::Broker(arguments) => broker::broker(arguments).await,
            Command::Check(arguments) => check::check(&arguments).await,
            Command::Invoke(arguments) => invoke::invoke(*arguments).await,
            Command::Inspect(arguments) => inspect::inspect(&arguments).await,
            Command::Produce(arguments) => produce::produce(*arguments).await,
            Command::Consume(arguments) => consume::consume(*arguments).await,
            Command::Replay(arguments) => replay::replay(*arguments).await,
            Command::Dead(arguments) => dead::dead(arguments).await,
            Command::Log(arguments) => log::log(&arguments),
        }
    });
    // A read of standard input that never returns must not keep the program.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// A configuration file, or what is wrong with it on standard error.
fn load(path: &std::path::Path) -> Option<crate::config::Config> {
    match crate::config::Config::load(path) {
        Ok(config) => Some(config),
        Err(errors) => {
            eprintln!("{errors}");
            None
        }
    }
}

/// How a command prints what it has found.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
