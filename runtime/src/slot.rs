//! Which code a handler runs: generations in a slot. One serves while the next is loaded and its instances are prepared;
//! workers look at the slot between batches only, so that every message is handled by one generation.

use crate::handler::{Handler, HandlerError, HandlerMaker};
use arc_swap::ArcSwap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// What is known of a generation; kept when its code is gone.
#[derive(Debug)]
pub struct Record {
    number: u64,
    label: String,
    handled: AtomicU64,
}

impl Record {
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
}

/// One version of a handler's code.
pub struct Generation {
    record: Arc<Record>,
    maker: Box<dyn HandlerMaker>,
    ready: Mutex<Vec<Box<dyn Handler>>>,
}

impl Deref for Generation {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl Generation {
    async fn prepare(
        number: u64,
        label: &str,
        maker: Box<dyn HandlerMaker>,
        count: usize,
    ) -> anyhow::Result<Generation> {
        let mut ready = Vec::with_capacity(count);
        for _ in 0..count {
            ready.push(maker.make().await?);
        }
        let record = Arc::new(Record { number, label: label.to_owned(), handled: AtomicU64::new(0) });
        Ok(Generation { record, maker, ready: Mutex::new(ready) })
    }

    /// A handler: one that was prepared, or a new one.
    pub(crate) async fn handler(&self) -> Result<Box<dyn Handler>, HandlerError> {
        let prepared = self.take_ready().pop();
        match prepared {
            Some(handler) => Ok(handler),
            None => self.maker.make().await.map_err(|e| HandlerError::Unavailable(format!("{e:#}"))),
        }
    }

    fn take_ready(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Handler>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handler's place for its code.
pub struct HandlerSlot {
    current: ArcSwap<Generation>,
    latest: watch::Sender<u64>,
    /// Only one replacement at a time.
    replacing: tokio::sync::Mutex<()>,
    history: Mutex<Vec<Arc<Record>>>,
}

impl HandlerSlot {
    /// A slot with its first generation, `prepared` handlers of which are made at once.
    ///
    /// # Errors
    /// Where one cannot be made.
    pub async fn new(label: &str, maker: Box<dyn HandlerMaker>, prepared: usize) -> anyhow::Result<HandlerSlot> {
        let first = Generation::prepare(1, label, maker, prepared).await?;
        Ok(HandlerSlot {
            history: Mutex::new(vec![first.record.clone()]),
            current: ArcSwap::from_pointee(first),
            latest: watch::Sender::new(1),
            replacing: tokio::sync::Mutex::default(),
        })
    }

    /// The generation that serves.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// All generations that have served, the present one last.
    pub fn history(&self) -> Vec<Arc<Record>> {
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
    ) -> anyhow::Result<Arc<Record>> {
        let _turn = self.replacing.lock().await;
        let number = self.current.load().number() + 1;
        let next = Arc::new(Generation::prepare(number, label, maker, prepared).await?);
        let record = next.record.clone();
        let before = self.current.swap(next);
        let unused = std::mem::take(&mut *before.take_ready());
        for mut handler in unused {
            handler.stop().await;
        }
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        self.latest.send_replace(number);
        Ok(record)
    }
}
