use super::super::files::{Files, Handle};
use super::super::*;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// A file system in memory that can fail once, and whose power can be cut.
#[derive(Clone, Default)]
pub(crate) struct Sim(pub(crate) Arc<Mutex<SimState>>);

#[derive(Default)]
pub(crate) struct SimState {
    pub(super) files: BTreeMap<String, Arc<Mutex<SimFile>>>,
    /// What a power cut leaves of the directory.
    durable: BTreeMap<String, Arc<Mutex<SimFile>>>,
    operations: usize,
    /// Bytes that were read.
    pub(super) read: usize,
    pub(crate) fault: Option<Fault>,
}

#[derive(Default)]
pub(super) struct SimFile {
    pub(super) data: Vec<u8>,
    pub(super) durable: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The operation with this number fails, half done.
    Once(usize),
    /// From this operation on nothing happens any more.
    Power(usize),
    /// The operation with this number finds the disk full; the next one does not.
    Full(usize),
    /// Nothing more fits on the disk.
    NoRoom,
}

impl Sim {
    /// Counts an operation that changes something; an error where it must fail, half done.
    fn operate(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let now = state.operations;
        state.operations += 1;
        match state.fault {
            Some(Fault::Once(at)) if at == now => Err(io::Error::other("made to fail")),
            Some(Fault::Full(at)) if at == now => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Power(at)) if now >= at => Err(io::Error::other("no power")),
            _ => Ok(()),
        }
    }

    pub(crate) fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    /// The disk as it is found after a power cut: what was synced, and of what was not, a part that `luck` decides.
    pub(crate) fn after_power_cut(&self, luck: usize) -> Sim {
        let state = self.0.lock().unwrap();
        let mut files = BTreeMap::new();
        // What was not synced of the directory may be there, or not.
        let mut directory = if luck.is_multiple_of(2) { state.durable.clone() } else { state.files.clone() };
        // A removal may be there, and an earlier one not.
        let mut removed = state.durable.iter().filter(|(name, _)| !state.files.contains_key(*name));
        if luck % 3 == 2
            && let Some((name, file)) = removed.find(|(name, _)| name.ends_with(".seg"))
        {
            directory.insert(name.clone(), file.clone());
        }
        for (i, (name, file)) in directory.iter().enumerate() {
            let file = file.lock().unwrap();
            let mut data = file.durable.clone();
            if let Some(unsynced) = file.data.strip_prefix(file.durable.as_slice()) {
                let kept = (luck * (i + 7)) % (unsynced.len() + 1);
                data.extend_from_slice(&unsynced[..kept]);
                // Its last bytes may not be what was written.
                if luck % 3 == 1 && kept > 0 {
                    *data.last_mut().unwrap() ^= 0x55;
                }
            }
            files.insert(name.clone(), Arc::new(Mutex::new(SimFile { durable: data.clone(), data })));
        }
        // With a directory's name goes what is in it.
        let names: Vec<String> = files.keys().cloned().collect();
        files.retain(|name, _| name.split_once('/').is_none_or(|(of, _)| names.iter().any(|n| n == of)));
        Sim(Arc::new(Mutex::new(SimState { durable: files.clone(), files, ..SimState::default() })))
    }

    /// Another disk with the same on it.
    pub(crate) fn copy(&self) -> Sim {
        let state = self.0.lock().unwrap();
        let copy = |file: &Arc<Mutex<SimFile>>| {
            let file = file.lock().unwrap();
            Arc::new(Mutex::new(SimFile { data: file.data.clone(), durable: file.durable.clone() }))
        };
        let files: BTreeMap<_, _> = state.files.iter().map(|(name, file)| (name.clone(), copy(file))).collect();
        Sim(Arc::new(Mutex::new(SimState { durable: files.clone(), files, ..SimState::default() })))
    }

    pub(super) fn length(&self, name: &str) -> usize {
        self.0.lock().unwrap().files[name].lock().unwrap().data.len()
    }

    /// Puts something else into a file, durably.
    pub(super) fn set(&self, name: &str, data: Vec<u8>) {
        *self.0.lock().unwrap().files[name].lock().unwrap() = SimFile { durable: data.clone(), data };
    }

    /// The same disk, mended.
    pub(crate) fn mended(&self) -> Sim {
        self.0.lock().unwrap().fault = None;
        self.clone()
    }

    /// Whether the fault has come.
    pub(crate) fn has_failed(&self) -> bool {
        let state = self.0.lock().unwrap();
        matches!(state.fault, Some(Fault::Once(at) | Fault::Power(at) | Fault::Full(at)) if at < state.operations)
    }

    /// A directory on it, which is made where it is not there; the disk's own has no name.
    pub(crate) fn directory(&self, name: &str) -> io::Result<SimDirectory> {
        if !name.is_empty() && !self.0.lock().unwrap().files.contains_key(name) {
            self.operate()?;
            self.0.lock().unwrap().files.insert(name.to_owned(), Arc::default());
        }
        let prefix = if name.is_empty() { String::new() } else { format!("{name}/") };
        Ok(SimDirectory { sim: self.clone(), prefix })
    }

    pub(super) fn open_log(&self) -> Result<(Log, Recovery), DiskError> {
        Log::open_in(Box::new(self.clone()), LogOptions { segment_bytes: 600, ..LogOptions::default() }, None)
    }
}

impl Files for Sim {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        self.operate()?;
        let file = Arc::new(Mutex::new(SimFile::default()));
        self.0.lock().unwrap().files.insert(name.to_owned(), file.clone());
        Ok(Box::new(SimHandle { sim: self.clone(), file }))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        let file = self.0.lock().unwrap().files.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimHandle { sim: self.clone(), file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate()?;
        self.0.lock().unwrap().files.remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate()?;
        let mut state = self.0.lock().unwrap();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.operate()?;
        let mut state = self.0.lock().unwrap();
        state.durable = state.files.clone();
        Ok(())
    }
}

struct SimHandle {
    sim: Sim,
    file: Arc<Mutex<SimFile>>,
}

impl Handle for SimHandle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fault = self.sim.0.lock().unwrap().fault;
        let operated = match fault {
            Some(Fault::NoRoom) => Err(io::ErrorKind::StorageFull.into()),
            _ => self.sim.operate(),
        };
        let written = if operated.is_ok() { bytes.len() } else { bytes.len() / 2 };
        self.file.lock().unwrap().data.extend_from_slice(&bytes[..written]);
        operated
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sim.operate()?;
        let mut file = self.file.lock().unwrap();
        file.durable = file.data.clone();
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.sim.operate()?;
        self.file.lock().unwrap().data.truncate(length as usize);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.lock().unwrap().data.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        let file = self.file.lock().unwrap();
        let rest = file.data.get(place as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        self.sim.0.lock().unwrap().read += read;
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

/// One of several directories on a disk: each is synced by itself.
pub(crate) struct SimDirectory {
    sim: Sim,
    prefix: String,
}

impl SimDirectory {
    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The name here of what has this name on the disk.
    fn own<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.prefix).filter(|name| !name.contains('/'))
    }
}

impl Files for SimDirectory {
    fn list(&self) -> io::Result<Vec<String>> {
        let all = self.sim.list()?;
        Ok(all.iter().filter_map(|name| self.own(name)).map(str::to_owned).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        self.sim.create(&self.full(name))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        self.sim.read(&self.full(name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Handle>> {
        self.sim.open(&self.full(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.sim.remove(&self.full(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.sim.rename(&self.full(from), &self.full(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.sim.operate()?;
        let mut state = self.sim.0.lock().unwrap();
        let state = &mut *state;
        state.durable.retain(|name, _| self.own(name).is_none());
        let here = state.files.iter().filter(|(name, _)| self.own(name).is_some());
        state.durable.extend(here.map(|(name, file)| (name.clone(), file.clone())));
        Ok(())
    }
}
