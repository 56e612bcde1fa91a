//! What the log asks of a file system, so that tests can fail any of it, and cut the power.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// One directory of files.
pub(crate) trait Files: Send + Sync {
    /// The names in it.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file, which must not be there; its name is durable only after `sync_directory`.
    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>>;
    /// Opens a file to read.
    fn read(&self, name: &str) -> io::Result<Box<dyn Handle>>;
    /// Opens a file to read, and to append to.
    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name; one that had that name is replaced. It is durable only after `sync_directory`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes what was created, renamed and removed durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One open file.
pub(crate) trait Handle: Send + Sync {
    /// Appends all of it. A failure may leave a part.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer from this place as far as the file reaches, and says how far that is.
    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize>;
}

/// A directory of the real file system.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Files for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.0)?;
        entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(self.path(name))?;
        Ok(Box::new(file))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(File::open(self.path(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(OpenOptions::new().read(true).append(true).open(self.path(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Handle for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
            match FileExt::read_at(self, rest, place + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
}

/// Holds a directory for one process. The lock goes with the process, however it ends.
pub(crate) fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}
