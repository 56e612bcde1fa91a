//! Finding damage in a log's directory, and giving up what is lost, in all its partitions.

use super::directory::partitions_in;
use super::{LogError, failed};
use crate::stream::disk::{self, Damage, DiskError, Repair};
use std::path::Path;

/// Reads the whole log in a directory, and lists what is damaged, with the partition that it is in. It changes nothing, and
/// may be called while a host has the log open.
///
/// # Errors
/// [`LogError::InvalidConfiguration`] where there is no log, [`LogError::OperationFailed`] where it can't be read.
pub fn inspect(directory: &Path) -> Result<Vec<(u32, Damage)>, LogError> {
    each(directory, disk::inspect)
}

/// Makes the damaged log in a directory one that can be opened, and says what was damaged. Where it is interrupted, it can be
/// repeated.
///
/// # Errors
/// As for [`inspect`]; [`LogError::OperationFailed`] where a process has it open.
pub fn repair(directory: &Path, how: Repair) -> Result<Vec<(u32, Damage)>, LogError> {
    let name = directory.display().to_string();
    partitions_in(&name, directory)?;
    let lock = disk::lock(directory).map_err(|e| failed(&name, DiskError::io(&name, "lock", e)))?;
    let _lock = lock.ok_or_else(|| failed(&name, DiskError::Locked { directory: directory.to_owned() }))?;
    each(directory, |partition| disk::repair(partition, how))
}

fn each(
    directory: &Path,
    look: impl Fn(&Path) -> Result<Vec<Damage>, DiskError>,
) -> Result<Vec<(u32, Damage)>, LogError> {
    let name = directory.display().to_string();
    let mut found = Vec::new();
    for partition in 0..partitions_in(&name, directory)? {
        let damages = look(&directory.join(partition.to_string())).map_err(|e| failed(&name, e))?;
        found.extend(damages.into_iter().map(|damage| (partition, damage)));
    }
    Ok(found)
}
