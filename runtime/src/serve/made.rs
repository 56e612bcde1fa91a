//! Streams that clients make, on disk: where they are, and what they were made with.
//!
//! ```text
//! directory/NAME/stream.json      the version and the options
//!           NAME/log/             the log
//!           .new-NAME             one that is being made; removed at the next start
//!           .gone-NAME            one that is being removed; likewise
//! ```

use crate::config::{Keep, Retention};
use crate::log::LogOptions;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const OPTIONS: &str = "stream.json";
const VERSION: u64 = 1;

/// What a stream was made with. A limit of 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MadeWith {
    pub(super) partitions: u32,
    pub(super) retention_bytes: u64,
    pub(super) retention_ms: u64,
}

impl MadeWith {
    pub(super) fn options(&self) -> LogOptions {
        let limited = self.retention_bytes > 0 || self.retention_ms > 0;
        let retention = Retention {
            bytes: Some(self.retention_bytes).filter(|bytes| *bytes > 0),
            age: Some(self.retention_ms).filter(|ms| *ms > 0).map(Duration::from_millis),
            settled: Keep::Keep,
            // Whoever asks for a limit means it, or one forgotten group would fill the disk.
            unsettled: if limited { Keep::Drop } else { Keep::Keep },
        };
        LogOptions { partitions: self.partitions, retention, ..LogOptions::default() }
    }
}

/// Where the log of a stream is.
pub(super) fn log_directory(directory: &Path, name: &str) -> PathBuf {
    directory.join(name).join("log")
}

/// Makes a stream's directory, whole or not at all.
pub(super) fn create(directory: &Path, name: &str, made: MadeWith) -> anyhow::Result<()> {
    let new = directory.join(format!(".new-{name}"));
    let begun = || -> std::io::Result<()> {
        fs::create_dir_all(directory)?;
        remove_if_there(&new)?;
        fs::create_dir(&new)?;
        let mut file = File::create(new.join(OPTIONS))?;
        let options = json!({
            "version": VERSION, "partitions": made.partitions,
            "retention_bytes": made.retention_bytes, "retention_ms": made.retention_ms,
        });
        file.write_all(options.to_string().as_bytes())?;
        file.sync_all()?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, directory.join(name))?;
        File::open(directory)?.sync_all()
    };
    begun().with_context(|| format!("cannot make {}; mend serve.grpc.directory", directory.join(name).display()))
}

/// Takes a stream's directory away. Once it returns, the stream is gone, though the disk still holds what it held.
pub(super) fn retire(directory: &Path, name: &str) -> anyhow::Result<()> {
    let gone = gone(directory, name);
    let retired = || -> std::io::Result<()> {
        remove_if_there(&gone)?;
        fs::rename(directory.join(name), &gone)?;
        File::open(directory)?.sync_all()
    };
    retired().with_context(|| format!("cannot remove {}; mend serve.grpc.directory", directory.join(name).display()))
}

/// Removes what a retired stream held. What can't be removed now, the next start removes.
pub(super) fn remove_retired(directory: &Path, name: &str) {
    let gone = gone(directory, name);
    if let Err(error) = remove_if_there(&gone) {
        tracing::warn!(directory = %gone.display(), %error, "a part of a deleted stream is left");
    }
}

fn gone(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".gone-{name}"))
}

/// All streams of a directory, and what each was made with.
pub(super) fn list(directory: &Path) -> anyhow::Result<Vec<(String, MadeWith)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", directory.display()))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { bail!("{} is no stream; move it away", entry.path().display()) };
        if name.starts_with(".new-") || name.starts_with(".gone-") {
            remove_if_there(&entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            continue;
        }
        found.push((name.to_owned(), read(&entry.path())?));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<MadeWith> {
    let file = path.join(OPTIONS);
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{} is no stream, since {OPTIONS} can't be read; move it away", path.display()))?;
    let options: Value = serde_json::from_str(&text).unwrap_or_default();
    let number = |name: &str| options.get(name).and_then(Value::as_u64);
    if number("version") != Some(VERSION) {
        bail!("{} is not of version {VERSION}; use the program that wrote it, or move it away", file.display());
    }
    let (partitions, bytes, ms) = (number("partitions"), number("retention_bytes"), number("retention_ms"));
    match (partitions.and_then(|p| u32::try_from(p).ok()), bytes, ms) {
        (Some(partitions), Some(retention_bytes), Some(retention_ms)) => {
            Ok(MadeWith { partitions, retention_bytes, retention_ms })
        }
        _ => bail!("{} is damaged; restore it from a copy, or move the directory away", file.display()),
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
