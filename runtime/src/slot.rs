//! Which code a handler runs: generations in a slot. One serves while the next is loaded and its instances are prepared;
//! workers look at the slot between batches only, so that every message is handled by one generation.

use crate::handler::{Handler, HandlerMaker};
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// One version of a handler's code.
pub struct Generation {
    number: u64,
    label: String,
    maker: Box<dyn HandlerMaker>,
    ready: Mutex<Vec<Box<dyn Handler>>>,
    handled: AtomicU64,
}

impl Generation {
    /// From 1, in the order they came to serve.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What tells its code from others: the hash of the module, mostly.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Messages that it was done with or rejected for good.
    pub fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    pub(crate) fn count_handled(&self, messages: u64) {
        self.handled.fetch_add(messages, Ordering::Relaxed);
    }

    /// A handler: one that was prepared, or a new one.
    pub(crate) async fn handler(&self) -> anyhow::Result<Box<dyn Handler>> {
        let prepared = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match prepared {
            Some(handler) => Ok(handler),
            None => self.maker.make().await,
        }
    }
}

/// A handler's place for its code.
pub struct HandlerSlot {
    current: ArcSwap<Generation>,
    latest: watch::Sender<u64>,
    /// Only one replacement at a time.
    replacing: tokio::sync::Mutex<()>,
    history: Mutex<Vec<Arc<Generation>>>,
}

impl HandlerSlot {
    /// A slot with its first generation, `prepared` handlers of which are made at once.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub async fn new(label: &str, maker: Box<dyn HandlerMaker>, prepared: usize) -> anyhow::Result<HandlerSlot> {
        let first = Arc::new(prepare(1, label, maker, prepared).await?);
        Ok(HandlerSlot {
            current: ArcSwap::new(first.clone()),
            latest: watch::Sender::new(1),
            replacing: tokio::sync::Mutex::default(),
            history: Mutex::new(vec![first]),
        })
    }

    /// The generation that serves.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// All generations that have served, the present one last.
    pub fn history(&self) -> Vec<Arc<Generation>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Prepares so many handlers of new code, and lets it serve from every worker's next batch on.
    ///
    /// # Errors
    /// Where one cannot be made: then the present generation goes on serving.
    pub async fn replace(
        &self,
        label: &str,
        maker: Box<dyn HandlerMaker>,
        prepared: usize,
    ) -> anyhow::Result<Arc<Generation>> {
        let _turn = self.replacing.lock().await;
        let number = self.current.load().number + 1;
        let next = Arc::new(prepare(number, label, maker, prepared).await?);
        let before = self.current.swap(next.clone());
        before.ready.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(next.clone());
        self.latest.send_replace(number);
        Ok(next)
    }
}

async fn prepare(number: u64, label: &str, maker: Box<dyn HandlerMaker>, count: usize) -> anyhow::Result<Generation> {
    let mut ready = Vec::with_capacity(count);
    for _ in 0..count {
        ready.push(maker.make().await?);
    }
    Ok(Generation { number, label: label.to_owned(), maker, ready: Mutex::new(ready), handled: AtomicU64::new(0) })
}
