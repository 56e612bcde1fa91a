use anyhow::Context;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Compiled code on disk, by the content of the module and everything the compiler's output depends on.
///
/// An entry is the BLAKE3 hash (32 bytes) of what follows it, and the compiled code. Running code from here trusts whoever
/// can write here, so the directory belongs to the user alone: one that others can write to is not used.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

/// An entry that nobody has asked for this long is removed.
const STALE: Duration = Duration::from_secs(30 * 24 * 3600);

impl Cache {
    /// Uses this directory, which is made where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made, or belongs to someone else, or others may write to it.
    pub fn open(directory: &Path) -> anyhow::Result<Cache> {
        let name = directory.display();
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.with_context(|| format!("cannot make the cache directory {name}"))?;
        let metadata = fs::metadata(directory).with_context(|| format!("cannot look at the cache directory {name}"))?;
        let probe = writes_as(directory)?;
        if metadata.uid() != probe {
            anyhow::bail!(
                "the cache directory {name} belongs to another user; set `cache: {{ path: … }}` to one of your own"
            );
        }
        if metadata.permissions().mode() & 0o022 != 0 {
            anyhow::bail!("others may write to the cache directory {name}; take that away by `chmod go-w {name}`");
        }
        Ok(Cache { directory: directory.to_owned() })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.join(format!("{key}.cwasm"))
    }

    /// The compiled code, where it is there and undamaged.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.path(key);
        let entry = fs::read(&path).ok()?;
        let (hash, code) = entry.split_first_chunk::<32>()?;
        if blake3::hash(code).as_bytes() != hash {
            tracing::warn!(entry = %path.display(), "damaged cache entry, compiling again");
            return None;
        }
        let touched = fs::File::options().append(true).open(&path).and_then(|f| f.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(entry = %path.display(), %error, "cannot mark cache entry as used");
        }
        Some(code.to_vec())
    }

    /// Keeps compiled code. A cache that cannot be written costs time, nothing else.
    pub(super) fn put(&self, key: &str, code: &[u8]) {
        if let Err(error) = self.write(key, code) {
            tracing::warn!(directory = %self.directory.display(), error = %format!("{error:#}"), "cannot keep compiled code");
        }
        self.remove_stale();
    }

    fn write(&self, key: &str, code: &[u8]) -> anyhow::Result<()> {
        let part = self.directory.join(unique(key));
        let mut file = fs::File::create(&part)?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.write_all(code)?;
        fs::rename(&part, self.path(key))?;
        Ok(())
    }

    fn remove_stale(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
            let ours = entry.path().extension().is_some_and(|e| e == "cwasm" || e == "part");
            if ours && age.is_some_and(|age| age > STALE) {
                // Another host may have been faster.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Who we are, as the file system sees it.
fn writes_as(directory: &Path) -> anyhow::Result<u32> {
    let probe = directory.join(unique("probe"));
    let file = fs::File::create(&probe)
        .with_context(|| format!("cannot write to the cache directory {}", directory.display()))?;
    let owner = file.metadata()?.uid();
    fs::remove_file(&probe)?;
    Ok(owner)
}

/// A name that nobody else uses at the same time.
fn unique(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{name}.{}.{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
