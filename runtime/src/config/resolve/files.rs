//! Whether the files that a configuration names can be used, found out before anything starts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::error::Problem;
use crate::config::read::Value;

pub(super) struct Files<'e> {
    /// Where relative paths start; empty for the working directory.
    pub(super) directory: &'e Path,
}

impl Files<'_> {
    /// A path, whatever is there.
    pub(super) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        let text = value.text("a path")?;
        if text.is_empty() {
            value.wrong(Problem::new("the path is empty").expected("a path"));
            return None;
        }
        Some(self.directory.join(text))
    }

    /// The path of a file that can be read.
    pub(super) fn readable(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.path(value)?;
        let opened = fs::metadata(&path).and_then(|metadata| match metadata {
            metadata if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
            metadata if metadata.is_file() => File::open(&path).map(drop),
            // A pipe would wait for its writer.
            _ => Ok(()),
        });
        opened.map_err(|error| self.refuse(value, "read", &error)).ok()?;
        Some(path)
    }

    /// The path of a file that can be written, or of one that can be made.
    pub(super) fn writable(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.path(value)?;
        let opened = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if metadata.is_file() => OpenOptions::new().append(true).open(&path).map(drop),
            // A device or a pipe: opening it could wait, or be noticed at its other end.
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => probe(parent(&path)),
            Err(error) => Err(error),
        };
        opened.map_err(|error| self.refuse(value, "written", &error)).ok()?;
        Some(path)
    }

    /// The path of a directory, or of one that can be made with all those above it.
    pub(super) fn directory(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.path(value)?;
        let looked = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        looked.map_err(|error| self.refuse(value, "used", &error)).ok()?;
        Some(path)
    }

    fn refuse(&self, value: &Value<'_>, done: &str, error: &io::Error) {
        let text = value.text("a path").unwrap_or_default();
        let relative = Path::new(text).is_relative();
        let what = match (error.kind(), done) {
            (ErrorKind::NotFound, "written") => "a file in a directory that exists",
            (ErrorKind::NotFound, _) => "a file that exists",
            (ErrorKind::IsADirectory, _) => "a file",
            (ErrorKind::NotADirectory, "used") => "a directory, or one that can be made",
            (_, "used") => "a directory that this user may use",
            _ => "a file that this user may use",
        };
        let from = match error.kind() {
            ErrorKind::NotFound if relative => "; relative paths start in the working directory",
            _ => "",
        };
        value.wrong(Problem::new(format!("'{text}' cannot be {done}: {error}")).expected(format!("{what}{from}")));
    }

    /// A path as the configuration has it.
    pub(super) fn show(&self, path: &Path) -> String {
        path.strip_prefix(self.directory).unwrap_or(path).display().to_string()
    }

    /// The same for two paths to one file, which need not exist; `None` for devices and pipes, which may be shared.
    pub(super) fn identity(&self, path: &Path) -> Option<PathBuf> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => fs::canonicalize(path).ok(),
            Ok(_) => None,
            Err(_) => Some(fs::canonicalize(parent(path)).ok()?.join(path.file_name()?)),
        }
    }
}

/// The same for two paths to one directory; neither it nor those above it need exist.
pub(super) fn directory_identity(path: &Path) -> PathBuf {
    let mut identity = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => drop(identity.pop()),
            part => identity.push(part),
        }
        // Links are followed on the way, before a `..` behind them is.
        identity = fs::canonicalize(&identity).unwrap_or(identity);
    }
    identity
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Permissions, access lists and read-only mounts all have a say: only making a file tells.
fn probe(directory: &Path) -> io::Result<()> {
    static PROBES: AtomicU64 = AtomicU64::new(0);
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!(".pelton-check-{}-{number}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)
}
