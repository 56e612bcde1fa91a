//! Whole configurations: those that must be refused, those that must be read, what the environment does to them, and
//! what arbitrary damage does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod accepted;
mod damaged;
mod environment;
mod refused;
mod stored;

use std::path::{Path, PathBuf};

use super::{Config, ConfigErrors, Environment};

/// The root of the project, where the paths in `config/` start.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An environment in which only a home is set.
fn environment(directory: &Path) -> Environment {
    let variables = [("HOME".to_owned(), "/home/somebody".to_owned())];
    Environment { variables: variables.into(), directory: directory.to_owned() }
}

/// Parses `text` at the project's root, with more variables.
fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut environment = environment(&root());
    environment.variables.extend(variables.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Config::parse(text, "x.yaml", &environment)
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, &[])
}
