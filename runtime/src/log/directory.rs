//! A log's directory: what it says of itself, its partitions, and where its readers stand.
//!
//! ```text
//! pelton-log   "pelton log 1\npartitions N\n": what this is, its version
//! lock         held by the one process that writes
//! cursors      see stream::disk::journal
//! 0/ 1/ …      one log for each partition, see stream::disk
//! ```

use super::cursor::Cursor;
use super::group::{Group, Groups};
use super::storage::Storage;
use super::{LogError, LogOptions, failed};
use crate::stream::disk::{self, Directory, DiskError, Files, Journal, Places, Recovery};
use crate::stream::now_ns;
use crate::stream::runs::Settled;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

const ABOUT: &str = "pelton-log";
const FIRST_LINE: &str = "pelton log 1";

pub(super) struct Opened {
    pub(super) partitions: Vec<Box<dyn Storage>>,
    pub(super) journal: Option<Journal>,
    pub(super) groups: Groups,
    pub(super) lock: Option<File>,
    pub(super) recovery: Recovery,
}

/// As a reader sees it that writes nothing.
pub(super) struct Seen {
    pub(super) partitions: Vec<Box<dyn Storage>>,
    pub(super) groups: Groups,
}

/// The directories of a log, so that tests can put simulated ones in their place.
pub(super) trait Place {
    /// For people.
    fn name(&self) -> String;
    /// The log's own directory.
    fn top(&self) -> Box<dyn Files>;
    /// Opens a partition's log, in a directory that is made where it is not there. That directory's name is durable only
    /// after the top one is synced.
    fn partition(&self, options: disk::LogOptions) -> Result<(disk::Log, Recovery), DiskError>;
}

impl Place for &Path {
    fn name(&self) -> String {
        self.display().to_string()
    }

    fn top(&self) -> Box<dyn Files> {
        Box::new(Directory(self.to_path_buf()))
    }

    fn partition(&self, options: disk::LogOptions) -> Result<(disk::Log, Recovery), DiskError> {
        let directory = self.join(options.partition.to_string());
        disk::Log::open(&directory, options).map_err(|e| located(&directory, e))
    }
}

pub(super) fn open(name: &str, path: &Path, options: &LogOptions) -> Result<Opened, LogError> {
    let io = |what: &'static str| move |e| failed(name, DiskError::io(&path.display().to_string(), what, e));
    make(path).map_err(io("make this directory"))?;
    let lock = disk::lock(path).map_err(io("lock this directory"))?;
    let lock = lock.ok_or_else(|| failed(name, DiskError::Locked { directory: path.to_owned() }))?;
    Ok(Opened { lock: Some(lock), ..open_in(name, &path, options)? })
}

/// Makes a directory and those above it, durably, where they are not there.
fn make(path: &Path) -> io::Result<()> {
    let above = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::create_dir(path) {
        Ok(()) => std::fs::File::open(above)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound && above != path => {
            make(above)?;
            make(path)
        }
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// As `open`, in directories that no other process has.
pub(super) fn open_in(name: &str, place: &dyn Place, options: &LogOptions) -> Result<Opened, LogError> {
    let top = place.top();
    match about(name, place)? {
        Some(partitions) if partitions != options.partitions => {
            let (there, wanted) = (partitions, options.partitions);
            return Err(LogError::InvalidConfiguration(format!(
                "stream '{name}': the log in {} has {there} partitions, not {wanted}: keys would move; say 'partitions: \
                 {there}', or begin a new log elsewhere",
                place.name()
            )));
        }
        Some(_) => {}
        None => {
            begin(top.as_ref(), options.partitions)
                .map_err(|e| failed(name, DiskError::io(&place.name(), "begin a log in", e)))?;
        }
    }
    let mut recovery = Recovery::default();
    let mut partitions: Vec<Box<dyn Storage>> = Vec::new();
    for partition in 0..options.partitions {
        let disk_options = disk::LogOptions {
            durability: options.durability,
            segment_bytes: options.segment_bytes,
            segment_age: options.segment_age,
            partition,
        };
        let (log, found) = place.partition(disk_options).map_err(|e| failed(name, e))?;
        recovery.cut = recovery.cut.or(found.cut);
        partitions.push(Box::new(log));
    }
    let (mut journal, places) = Journal::open(place.top()).map_err(|e| failed(name, e))?;
    // Without its directory's name a partition would be lost with all that is in it.
    top.sync_directory().map_err(|e| failed(name, DiskError::io(&place.name(), "sync", e)))?;
    let kept = within(&partitions, places.clone());
    if kept != places {
        // The sequences that a power cut took are given anew, so nobody may have settled them when the log is opened next.
        journal.make_anew(&kept).map_err(|e| failed(name, e))?;
    }
    Ok(Opened { groups: groups(&partitions, kept), partitions, journal: Some(journal), lock: None, recovery })
}

pub(super) fn open_read_only(name: &str, path: &Path) -> Result<Seen, LogError> {
    let mut partitions: Vec<Box<dyn Storage>> = Vec::new();
    for partition in 0..partitions_in(name, path)? {
        let directory = path.join(partition.to_string());
        let log = disk::Log::open_read_only(&directory).map_err(|e| failed(name, located(&directory, e)))?;
        partitions.push(Box::new(log));
    }
    let places = Journal::read(&Directory(path.to_owned())).map_err(|e| failed(name, e))?;
    let groups = groups(&partitions, within(&partitions, places));
    Ok(Seen { partitions, groups })
}

/// How many partitions the log in a directory has.
pub(super) fn partitions_in(name: &str, path: &Path) -> Result<u32, LogError> {
    let nothing = || LogError::InvalidConfiguration(format!("stream '{name}': there is no log in {}", path.display()));
    about(name, &path)?.ok_or_else(nothing)
}

/// Damage, with the directory that it is in.
fn located(directory: &Path, error: DiskError) -> DiskError {
    let path = |name: String| directory.join(name).display().to_string();
    match error {
        DiskError::Damaged { segment, offset, seq } => DiskError::Damaged { segment: path(segment), offset, seq },
        DiskError::Missing { from, to, segment } => DiskError::Missing { from, to, segment: path(segment) },
        error => error,
    }
}

/// How many partitions the log in a directory has; none where the directory is empty or not there.
fn about(name: &str, place: &dyn Place) -> Result<Option<u32>, LogError> {
    let wrong = |what: &str| {
        let what = format!("stream '{name}': {} {what}; name an empty directory", place.name());
        Err(LogError::InvalidConfiguration(what))
    };
    match read(place.top().as_ref(), ABOUT) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let partitions = lines.next().and_then(|l| l.strip_prefix("partitions ")).and_then(|n| n.parse().ok());
            let partitions = partitions.filter(|count| *count > 0);
            match (first == FIRST_LINE, partitions) {
                (true, Some(partitions)) => Ok(Some(partitions)),
                _ => wrong(&format!("holds a log of another version ('{first}', this is '{FIRST_LINE}')")),
            }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // What a crash may have left before the log was begun.
            let ours = |n: &String| n == "lock" || *n == format!("{ABOUT}.tmp");
            match place.top().list().unwrap_or_default().into_iter().find(|n| !ours(n)) {
                None => Ok(None),
                Some(foreign) => wrong(&format!("is no log: it holds {foreign}")),
            }
        }
        Err(e) => Err(failed(name, DiskError::io(&format!("{} in {}", ABOUT, place.name()), "read", e))),
    }
}

/// What a file begins with, as far as it matters.
fn read(files: &dyn Files, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1024];
    let length = files.read(name)?.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Says what the directory is: only then is anything else put into it.
fn begin(files: &dyn Files, partitions: u32) -> io::Result<()> {
    let temporary = format!("{ABOUT}.tmp");
    if files.list()?.contains(&temporary) {
        files.remove(&temporary)?;
    }
    let mut handle = files.create(&temporary)?;
    handle.append(format!("{FIRST_LINE}\npartitions {partitions}\n").as_bytes())?;
    handle.sync()?;
    files.rename(&temporary, ABOUT)?;
    files.sync_directory()
}

/// The places without what the log does not hold, since a power cut took it: that is not settled after all.
fn within(partitions: &[Box<dyn Storage>], mut places: Places) -> Places {
    for ((_, partition), at) in &mut places {
        if let Some(storage) = partitions.get(*partition as usize) {
            *at = at.below(storage.next());
        }
    }
    places
}

/// The groups that the journal knows.
fn groups(partitions: &[Box<dyn Storage>], places: Places) -> Groups {
    let names: BTreeSet<String> = places.keys().map(|(name, _)| name.clone()).collect();
    let mut groups = Groups::new();
    for name in names {
        let cursors = (0..).zip(partitions).map(|(partition, storage)| {
            let place = places.get(&(name.clone(), partition)).cloned();
            Cursor::new(place.unwrap_or_else(|| Settled::new(storage.first())))
        });
        let group = Group::new(&name, cursors.collect(), now_ns());
        groups.insert(group.name.clone(), Arc::new(group));
    }
    groups
}
