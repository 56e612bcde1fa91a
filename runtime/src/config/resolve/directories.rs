//! Directories that belong to one stream alone: two logs in one place would take each other's files for their own.

use std::path::{Path, PathBuf};

use super::files::directory_identity;
use super::serve::Served;
use super::streams::Stream;
use crate::config::error::Problem;
use crate::config::model::{StorageConfig, StorageKind};
use crate::config::read::Value;

pub(super) fn check(streams: &[Stream<'_>], served: Option<&Served<'_>>) {
    let mut taken: Vec<(PathBuf, String)> = Vec::new();
    let mut take = |path: &Path, value: &Value<'_>, owner: String| {
        let path = directory_identity(path);
        let clash = taken.iter().find(|(other, _)| path.starts_with(other) || other.starts_with(&path));
        let Some((other, other_owner)) = clash else {
            taken.push((path, owner));
            return;
        };
        let how = match path.starts_with(other) {
            true if path == *other => "is",
            true => "lies inside",
            false => "holds",
        };
        let problem = Problem::new(format!("{how} the directory of {other_owner}"));
        value.wrong(problem.expected("a directory of its own"));
    };
    for stream in streams {
        let Some(StorageConfig { kind: StorageKind::Disk(disk), .. }) = &stream.config.storage else {
            continue;
        };
        if let Some(value) = stream.storage.as_ref().and_then(|storage| storage.deciding("path", "a directory")) {
            take(&disk.path, &value, format!("the stream '{}'", stream.config.name));
        }
    }
    if let Some(Served { config, directory: Some(value) }) = served
        && let Some(path) = &config.directory
    {
        take(path, value, "a stream that is made over gRPC".to_owned());
    }
}
