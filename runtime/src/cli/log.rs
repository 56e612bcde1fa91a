use super::{FAILED, OK, REFUSED};
use crate::log::{self, Damage, LogError, Repair};
use std::path::PathBuf;

/// Look at a log on disk, and repair a damaged one
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Read a whole log, and name every place that is damaged
    ///
    /// It changes nothing, and may be used while a host has the log open.
    ///
    /// Exit codes: 0 nothing is damaged; 1 something is; 2 it cannot be read.
    Inspect {
        /// The log's directory: the `path` of a stream's storage
        directory: PathBuf,
    },
    /// Give up what is damaged, so that the log can be opened again
    ///
    /// The host that has the log open must be stopped first. What it gives up is lost: restore it from a copy instead where
    /// there is one.
    ///
    /// Exit codes: 0 the log can be opened; 2 it cannot be repaired. With --dry-run as for `inspect`.
    #[command(group = clap::ArgGroup::new("how").required(true))]
    Repair {
        /// The log's directory: the `path` of a stream's storage
        directory: PathBuf,
        /// Give up all from the first damage on
        #[arg(long, group = "how")]
        cut: bool,
        /// Give up the damaged places alone; readers pass over the gaps
        #[arg(long, group = "how")]
        skip: bool,
        /// Only show what is damaged
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn log(arguments: &Arguments) -> u8 {
    match &arguments.command {
        Command::Inspect { directory } | Command::Repair { directory, dry_run: true, .. } => {
            conclude(log::inspect(directory), "damaged; nothing was changed", FAILED)
        }
        Command::Repair { directory, cut: true, .. } => {
            conclude(log::repair(directory, Repair::Cut), "damaged: all from the first on was given up", OK)
        }
        Command::Repair { directory, .. } => {
            conclude(log::repair(directory, Repair::Skip), "damaged: what is whole around them was kept", OK)
        }
    }
}

/// Prints every damage, then how many places are `what`.
fn conclude(found: Result<Vec<(u32, Damage)>, LogError>, what: &str, damaged: u8) -> u8 {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return REFUSED;
        }
    };
    for (partition, damage) in &found {
        say!("partition {partition}: {damage}");
    }
    match found.len() {
        0 => say!("nothing is damaged"),
        1 => say!("1 place is {what}"),
        count => say!("{count} places are {what}"),
    }
    if found.is_empty() { OK } else { damaged }
}
