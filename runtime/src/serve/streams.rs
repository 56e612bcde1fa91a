//! The streams that are served, by name.

use super::made::{self, MadeWith};
use super::status;
use crate::log::{LogOptions, SequenceLog};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tonic::Status;

/// The most partitions of a stream that a client makes, as in the configuration.
const PARTITIONS: u32 = 1024;
/// File systems take names of 255 bytes; this leaves room for what stands before and behind.
const LONGEST_NAME: usize = 200;

/// The streams that are served, shared between the host and the server. Cloning it shares it.
///
/// ```
/// # use pelton::{log::{LogOptions, SequenceLog}, serve::Streams};
/// let streams = Streams::default();
/// assert!(streams.insert(SequenceLog::memory("orders", LogOptions::default())?));
/// assert_eq!(streams.list(), ["orders"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Streams(Arc<Inner>);

#[derive(Default)]
struct Inner {
    all: Mutex<BTreeMap<String, Stream>>,
    /// One is made or deleted at a time.
    making: tokio::sync::Mutex<Option<PathBuf>>,
}

struct Stream {
    log: SequenceLog,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The host's own.
    Host,
    /// Made by a client, in memory.
    Memory,
    /// Made by a client, on disk.
    Disk,
}

impl Streams {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one of the host's own streams, which clients can't delete. Says false, and does nothing, where there is one
    /// of its name.
    pub fn insert(&self, log: SequenceLog) -> bool {
        self.add(log, Origin::Host)
    }

    fn add(&self, log: SequenceLog, origin: Origin) -> bool {
        let mut all = self.all();
        let free = !all.contains_key(&**log.name());
        if free {
            all.insert(log.name().to_string(), Stream { log, origin });
        }
        free
    }

    /// The stream of this name.
    pub fn get(&self, name: &str) -> Option<SequenceLog> {
        self.all().get(name).map(|stream| stream.log.clone())
    }

    /// All names, in order.
    pub fn list(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    /// Opens all streams that clients have made in a directory, and makes more of them there.
    pub(super) async fn restore(&self, directory: Option<&Path>) -> anyhow::Result<()> {
        *self.0.making.lock().await = directory.map(Path::to_owned);
        let Some(directory) = directory.map(Path::to_owned) else { return Ok(()) };
        let streams = self.clone();
        tokio::task::spawn_blocking(move || {
            for (name, made) in made::list(&directory)? {
                if streams.get(&name).is_some() {
                    let at = directory.join(&name);
                    bail!("the stream '{name}' is the host's own, and in {} too; rename one of them", at.display());
                }
                streams.add(open(&directory, &name, made)?, Origin::Disk);
            }
            Ok(())
        })
        .await?
    }

    /// Makes a stream.
    pub(super) async fn create(&self, name: &str, memory: bool, made: MadeWith) -> Result<SequenceLog, Status> {
        let (streams, name) = (self.clone(), name.to_owned());
        to_its_end(async move { streams.make(&name, memory, made).await }).await
    }

    async fn make(&self, name: &str, memory: bool, made: MadeWith) -> Result<SequenceLog, Status> {
        check_name("stream", name)?;
        if made.partitions > PARTITIONS {
            let count = made.partitions;
            let text = format!("{count} partitions are too many; ask for {PARTITIONS} at most");
            return Err(Status::invalid_argument(text));
        }
        let making = self.0.making.lock().await;
        if self.get(name).is_some() {
            let text = format!("there is a stream '{name}' already; use it, or take another name");
            return Err(Status::already_exists(text));
        }
        let (log, origin) = match (memory, making.clone()) {
            (true, _) => (SequenceLog::memory(name, made.options())?, Origin::Memory),
            (false, Some(directory)) => (create_on_disk(directory, name, made).await?, Origin::Disk),
            (false, None) => {
                let text = "this server keeps no streams on disk for clients; set serve.grpc.directory, or ask for one in memory";
                return Err(Status::failed_precondition(text));
            }
        };
        self.add(log.clone(), origin);
        tracing::info!(stream = name, memory, partitions = made.partitions, "stream created");
        Ok(log)
    }

    /// Deletes a stream that a client has made: its readers end, and what it held is gone.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Status> {
        let (streams, name) = (self.clone(), name.to_owned());
        to_its_end(async move { streams.unmake(&name).await }).await
    }

    async fn unmake(&self, name: &str) -> Result<(), Status> {
        let making = self.0.making.lock().await;
        let found = self.all().get(name).map(|stream| (stream.log.clone(), stream.origin));
        let Some((log, origin)) = found else { return Err(status::no_stream(name)) };
        if origin == Origin::Host {
            let text = format!("the stream '{name}' is the host's own; take it out of the host's configuration");
            return Err(Status::failed_precondition(text));
        }
        let directory = making.clone().filter(|_| origin == Origin::Disk);
        if let Some(directory) = directory.clone() {
            let name = name.to_owned();
            let retired = tokio::task::spawn_blocking(move || made::retire(&directory, &name)).await;
            retired.map_err(|e| internal(e.into()))?.map_err(internal)?;
        }
        self.all().remove(name);
        // From here on nothing more is written.
        log.close().await;
        if let Some(directory) = directory {
            let name = name.to_owned();
            let removed = tokio::task::spawn_blocking(move || made::remove_retired(&directory, &name)).await;
            removed.map_err(|e| internal(e.into()))?;
        }
        tracing::info!(stream = name, "stream deleted");
        Ok(())
    }

    /// Closes what clients have made; the host closes its own.
    pub(super) async fn close(&self) {
        let made: Vec<SequenceLog> = {
            let mut all = self.all();
            let gone = all.extract_if(.., |_, stream| stream.origin != Origin::Host);
            gone.map(|(_, stream)| stream.log).collect()
        };
        for log in made {
            log.close().await;
        }
    }
}

async fn create_on_disk(directory: PathBuf, name: &str, made: MadeWith) -> Result<SequenceLog, Status> {
    let name = name.to_owned();
    let created = tokio::task::spawn_blocking(move || {
        made::create(&directory, &name, made)?;
        open(&directory, &name, made)
    });
    created.await.map_err(|e| internal(e.into()))?.map_err(internal)
}

fn open(directory: &Path, name: &str, made: MadeWith) -> anyhow::Result<SequenceLog> {
    let path = made::log_directory(directory, name);
    let options: LogOptions = made.options();
    let (log, recovery) = SequenceLog::open(name, &path, options).context("a stream that a client has made")?;
    if let Some(cut) = recovery.cut {
        tracing::warn!(stream = name, ?cut, "a torn tail was cut off");
    }
    Ok(log)
}

/// Does all of it, though the client hangs up meanwhile: a stream that is half deleted would take messages that the next
/// start removes.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    tokio::spawn(work).await.map_err(|e| internal(e.into()))?
}

fn internal(error: anyhow::Error) -> Status {
    Status::internal(format!("{error:#}"))
}

/// As in the configuration; and no name that a path could be, nor one that this server uses itself.
pub(super) fn check_name(of: &str, name: &str) -> Result<(), Status> {
    if crate::config::is_name(name) && !name.starts_with('.') && name.len() <= LONGEST_NAME {
        return Ok(());
    }
    let shown: String = name.chars().take(60).collect();
    Err(Status::invalid_argument(format!(
        "'{}' cannot be the name of a {of}; use letters, digits, '.', '_' and '-', not '.' first, and at most {LONGEST_NAME}",
        shown.escape_debug()
    )))
}
