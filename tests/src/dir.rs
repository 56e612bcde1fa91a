use serde_json::Value;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A directory of one test's own, gone when the test is.
pub struct Dir(tempfile::TempDir);

impl Dir {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes something outside the program")]
    pub fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it, whether or not it is there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a file of these bytes, in the place of any that is there.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The same in one step, as whoever replaces a file that others read should do it.
    pub fn replace(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let beside = self.write(&format!("{name}.new"), bytes);
        fs::rename(beside, self.path(name)).unwrap();
    }

    /// Adds to the end of a file, which is made where it is not there.
    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = File::options().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    /// What a file holds; nothing where it is not there.
    pub fn read(&self, name: &str) -> Vec<u8> {
        match fs::read(self.path(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => panic!("cannot read {name}: {error}"),
        }
    }

    /// The whole lines of a file; one that is still being written is left out.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let mut text = String::from_utf8(self.read(name)).unwrap();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text.lines().map(str::to_owned).collect()
    }

    /// The same, each as JSON.
    pub fn json(&self, name: &str) -> Vec<Value> {
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{name}: {e}: {line}"));
        self.lines(name).iter().map(parse).collect()
    }
}
