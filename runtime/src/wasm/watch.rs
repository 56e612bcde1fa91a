use anyhow::Context;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Why to look at a module file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Something has happened to it.
    Changed,
    /// It is time again.
    Poll,
}

/// Tells when a module file may have changed: by the file system's events, and by a slow poll for those that get lost
/// (network file systems, full queues). What the file holds, its reader compares.
pub struct Watch {
    events: mpsc::UnboundedReceiver<Seen>,
    poll: Duration,
    /// Watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A writer has closed the file, or it was moved into place.
    Whole,
    /// Someone may still be writing.
    Partial,
}

/// After an event that may come from the middle of a write, nothing must happen for this long.
const QUIET: Duration = Duration::from_millis(50);

/// Watches a file through its directory: a watch on the file itself dies when another file takes its place. Where the
/// system has no events to give, the poll has to do, and a warning says so.
pub fn watch(path: &Path, poll: Duration) -> Watch {
    let (sender, events) = mpsc::unbounded_channel();
    let watcher = match watcher(path, sender) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(file = %path.display(), error = %format!("{error:#}"), ?poll, "cannot watch, polling instead");
            None
        }
    };
    Watch { events, poll, _watcher: watcher }
}

fn watcher(path: &Path, sender: mpsc::UnboundedSender<Seen>) -> anyhow::Result<RecommendedWatcher> {
    let name = path.file_name().context("it names no file")?.to_owned();
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let seen = match event {
            Ok(event) if event.paths.iter().any(|p| p.file_name() == Some(&name)) => kind(event.kind),
            Ok(event) if event.need_rescan() => Some(Seen::Partial),
            Ok(_) => None,
            Err(_) => Some(Seen::Partial),
        };
        // Nobody listens any more when the handler is being taken down.
        let _ = seen.map(|seen| sender.send(seen));
    })?;
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn kind(kind: EventKind) -> Option<Seen> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Seen::Whole),
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(Seen::Whole),
        EventKind::Access(_) | EventKind::Remove(_) => None,
        _ => Some(Seen::Partial),
    }
}

impl Watch {
    /// Waits until the file may have changed and nobody seems to be writing it. Cancel-safe.
    pub async fn changed(&mut self) -> Look {
        let poll = Instant::now() + self.poll;
        let mut seen = match timeout_at(poll, self.events.recv()).await {
            Ok(Some(seen)) => seen,
            Ok(None) => {
                sleep_until(poll).await;
                return Look::Poll;
            }
            Err(_) => return Look::Poll,
        };
        while seen == Seen::Partial {
            match timeout_at(Instant::now() + QUIET, self.events.recv()).await {
                Ok(Some(next)) => seen = next,
                Ok(None) | Err(_) => break,
            }
        }
        Look::Changed
    }
}
