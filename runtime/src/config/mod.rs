//! The configuration: from YAML and the environment to a [`Config`] in which only valid values exist.
//!
//! # Layout
//! - `model`: the valid configuration, plain data
//! - `node`: YAML to a tree that knows where everything was written
//! - `env`: `${NAME}` in values, and `PELTON__SECTION__KEY` overrides
//! - `read`, `fields`, `units`, `time`: typed values out of the tree
//! - `resolve`: the tree to the model, with every check
//! - `defaults`: what holds where nothing is said
//! - `error`: what is wrong, where, and what was probably meant
//!
//! Reading goes on after a mistake, so that all are reported at once; a [`Config`] comes out only where there is none.

mod defaults;
mod env;
mod error;
mod fields;
mod model;
mod node;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod time;
mod units;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{ConfigError, ConfigErrors, Place};
pub use model::*;
pub use time::{ParseStartError, parse_time, show_time};
pub use units::parse_duration;

use error::{Errors, Problem};
use node::Origin;
pub(crate) use resolve::is_name;

/// A configuration of a thousand handlers has a twentieth of this; above it, the file is something else.
const LARGEST_FILE: u64 = 8 << 20;

/// What a configuration depends on besides its text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Environment {
    /// The environment variables: for `${NAME}`, for the overrides `PELTON__SECTION__KEY`, for the place of the cache.
    pub variables: BTreeMap<String, String>,
    /// Where relative paths start; empty for the working directory.
    pub directory: PathBuf,
}

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment { variables: std::env::vars_os().filter_map(text).collect(), directory: PathBuf::new() }
    }
}

impl Config {
    /// Reads and checks the file at `path` in the environment of this process, and looks whether the files that it
    /// names can be used; to see that, it makes an empty file beside each sink's and removes it.
    ///
    /// # Errors
    /// Every mistake at once. The file's name in them is `path` as given.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let text = read_file(path).map_err(|problem| ConfigErrors::one(whole(&name), problem))?;
        Config::parse(&text, &name, &Environment::of_process())
    }

    /// As [`load`](Self::load), for a text that is at hand. `file` is the name that errors give for it.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn parse(text: &str, file: &str, environment: &Environment) -> Result<Config, ConfigErrors> {
        let errors = Errors::default();
        let root = node::parse(text, &Origin::File(file.into()), "", &errors);
        let config = root.and_then(|mut root| {
            env::apply_overrides(&mut root, environment, &errors);
            env::substitute(&mut root, "", environment, &errors);
            resolve::resolve(&root, environment, &errors)
        });
        errors.finish(config, whole(file))
    }
}

fn whole(file: &str) -> Place {
    Place::File { file: Arc::from(file) }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    read.map_err(|error| Problem::new(format!("cannot be read: {error}")).expected("a configuration file"))?;
    if bytes.len() as u64 > LARGEST_FILE {
        let problem = Problem::new(format!("is larger than {}", units::show_size(LARGEST_FILE)));
        return Err(problem.expected("a configuration file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count();
        Problem::new(format!("line {line} is not valid UTF-8")).expected("a YAML file")
    })
}
