//! Noticing changed files by looking: a few dozen sources need nothing cleverer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::process::root;

/// The sources under some folders, as they were when last looked at.
pub(crate) struct Watch {
    folders: Vec<PathBuf>,
    seen: Vec<(PathBuf, SystemTime)>,
}

impl Watch {
    /// Watches folders of the checkout.
    pub(crate) fn new<'a>(folders: impl IntoIterator<Item = &'a str>) -> Watch {
        Watch::of(folders.into_iter().map(|folder| root().join(folder)).collect())
    }

    fn of(folders: Vec<PathBuf>) -> Watch {
        let mut watch = Watch { folders, seen: Vec::new() };
        watch.seen = watch.look();
        watch
    }

    /// Whether a file was changed, added or removed since the last call.
    pub(crate) fn changed(&mut self) -> bool {
        let now = self.look();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }

    fn look(&self) -> Vec<(PathBuf, SystemTime)> {
        let mut files = Vec::new();
        for folder in &self.folders {
            collect(folder, &mut files);
        }
        files.sort();
        files
    }
}

/// Adds the sources under `folder`. What cannot be read just now (an editor is replacing it) is seen the next time.
fn collect(folder: &Path, files: &mut Vec<(PathBuf, SystemTime)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "toml" || kind == "wit") {
            files.extend(metadata.modified().ok().map(|time| (path, time)));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sources_that_come_change_and_go_are_noticed_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("pelton-watch-{}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::create_dir_all(folder.join("target")).unwrap();
        let mut watch = Watch::of(vec![folder.clone()]);
        assert!(!watch.changed());

        let source = folder.join("src/lib.rs");
        fs::write(&source, "a").unwrap();
        assert!(watch.changed() && !watch.changed(), "a new file, once");
        let later = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&source).unwrap().set_modified(later).unwrap();
        assert!(watch.changed() && !watch.changed(), "a changed file, once");
        fs::write(folder.join("target/built.rs"), "b").unwrap();
        fs::write(folder.join("src/.lib.rs.swp"), "c").unwrap();
        assert!(!watch.changed(), "what is built, and what an editor keeps beside");
        fs::remove_file(&source).unwrap();
        assert!(watch.changed(), "a removed file");
        fs::remove_dir_all(&folder).unwrap();
    }
}
