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
use std::path::Path;
use std::sync::Arc;

const ABOUT: &str = "pelton-log";
const FIRST_LINE: &str = "pelton log 1";

pub(super) struct Opened {
    pub(super) partitions: Vec<Box<dyn Storage>>,
    pub(super) journal: Option<Journal>,
    pub(super) groups: Groups,
    pub(super) lock: File,
    pub(super) recovery: Recovery,
}

/// As a reader sees it that writes nothing.
pub(super) struct Seen {
    pub(super) partitions: Vec<Box<dyn Storage>>,
    pub(super) groups: Groups,
}

pub(super) fn open(name: &str, path: &Path, options: &LogOptions) -> Result<Opened, LogError> {
    let io = |what: &'static str| move |e| failed(name, DiskError::io(&path.display().to_string(), what, e));
    std::fs::create_dir_all(path).map_err(io("make this directory"))?;
    let lock = disk::lock(path).map_err(io("lock this directory"))?;
    let lock = lock.ok_or_else(|| failed(name, DiskError::Locked { directory: path.to_owned() }))?;
    match about(name, path)? {
        Some(partitions) if partitions != options.partitions => {
            let (there, wanted) = (partitions, options.partitions);
            return Err(LogError::InvalidConfiguration(format!(
                "stream '{name}': the log in {} has {there} partitions, not {wanted}: keys would move; say 'partitions: \
                 {there}', or begin a new log elsewhere",
                path.display()
            )));
        }
        Some(_) => {}
        None => begin(path, options.partitions).map_err(|e| failed(name, e))?,
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
        let directory = path.join(partition.to_string());
        let opened = disk::Log::open(&directory, disk_options);
        let (log, found) = opened.map_err(|e| failed(name, located(&directory, e)))?;
        recovery.cut = recovery.cut.or(found.cut);
        partitions.push(Box::new(log));
    }
    let (mut journal, mut places) = Journal::open(Box::new(Directory(path.to_owned()))).map_err(|e| failed(name, e))?;
    hold_back(&mut journal, &mut places, &partitions).map_err(|e| failed(name, e))?;
    let groups = groups(&partitions, places);
    Ok(Opened { partitions, journal: Some(journal), groups, lock, recovery })
}

pub(super) fn open_read_only(name: &str, path: &Path) -> Result<Seen, LogError> {
    let mut partitions: Vec<Box<dyn Storage>> = Vec::new();
    for partition in 0..partitions_in(name, path)? {
        let directory = path.join(partition.to_string());
        let log = disk::Log::open_read_only(&directory).map_err(|e| failed(name, located(&directory, e)))?;
        partitions.push(Box::new(log));
    }
    let places = Journal::read(&Directory(path.to_owned())).map_err(|e| failed(name, e))?;
    let groups = groups(&partitions, places);
    Ok(Seen { partitions, groups })
}

/// How many partitions the log in a directory has.
pub(super) fn partitions_in(name: &str, path: &Path) -> Result<u32, LogError> {
    let nothing = || LogError::InvalidConfiguration(format!("stream '{name}': there is no log in {}", path.display()));
    about(name, path)?.ok_or_else(nothing)
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
fn about(name: &str, path: &Path) -> Result<Option<u32>, LogError> {
    let wrong = |what: &str| {
        let what = format!("stream '{name}': {} {what}; name an empty directory", path.display());
        Err(LogError::InvalidConfiguration(what))
    };
    match std::fs::read_to_string(path.join(ABOUT)) {
        Ok(text) => {
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let partitions = lines.next().and_then(|l| l.strip_prefix("partitions ")).and_then(|n| n.parse().ok());
            match (first == FIRST_LINE, partitions) {
                (true, Some(partitions)) => Ok(Some(partitions)),
                _ => wrong(&format!("holds a log of another version ('{first}', this is '{FIRST_LINE}')")),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let names = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.file_name());
            // What a crash may have left before the log was begun.
            let ours = |n: &std::ffi::OsString| n == "lock" || n.to_string_lossy() == format!("{ABOUT}.tmp");
            match names.into_iter().find(|n| !ours(n)) {
                None => Ok(None),
                Some(foreign) => wrong(&format!("is no log: it holds {}", foreign.to_string_lossy())),
            }
        }
        Err(e) => Err(failed(name, DiskError::io(&path.join(ABOUT).display().to_string(), "read", e))),
    }
}

/// Says what the directory is: only then is anything else put into it.
fn begin(path: &Path, partitions: u32) -> Result<(), DiskError> {
    let files = Directory(path.to_owned());
    let temporary = format!("{ABOUT}.tmp");
    let begun = (|| {
        if files.list()?.contains(&temporary) {
            files.remove(&temporary)?;
        }
        let mut handle = files.create(&temporary)?;
        handle.append(format!("{FIRST_LINE}\npartitions {partitions}\n").as_bytes())?;
        handle.sync()?;
        files.rename(&temporary, ABOUT)?;
        files.sync_directory()
    })();
    begun.map_err(|e| DiskError::io(&path.display().to_string(), "begin a log in", e))
}

/// Where a power cut or a repair has taken messages that a group had settled, their sequences are given out again: the
/// journal must not call settled what will come at them.
fn hold_back(journal: &mut Journal, places: &mut Places, partitions: &[Box<dyn Storage>]) -> Result<(), DiskError> {
    let mut held = places.clone();
    for ((_, partition), place) in &mut held {
        if let Some(storage) = partitions.get(*partition as usize) {
            *place = place.below(storage.next());
        }
    }
    for ((name, partition), place) in held.iter().filter(|(key, place)| places.get(*key) != Some(*place)) {
        journal.set(name, *partition, place, || held.clone());
    }
    if held != *places {
        journal.sync()?;
        *places = held;
    }
    Ok(())
}

/// The groups that the journal knows. What the log no longer holds counts as settled; what it does not hold yet, since
/// a power cut took it, is not settled after all.
fn groups(partitions: &[Box<dyn Storage>], places: Places) -> Groups {
    let names: BTreeSet<String> = places.keys().map(|(name, _)| name.clone()).collect();
    let mut groups = Groups::new();
    for name in names {
        let cursors = (0..).zip(partitions).map(|(partition, storage)| {
            let place = places.get(&(name.clone(), partition)).cloned();
            let place = place.unwrap_or_else(|| Settled::new(storage.first()));
            Cursor::new(place.below(storage.next()))
        });
        let group = Group::new(&name, cursors.collect(), now_ns());
        groups.insert(group.name.clone(), Arc::new(group));
    }
    groups
}
