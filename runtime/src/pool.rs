//! The workers of one handler, as many as asked for.

use crate::worker::{Work, Worker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Starts and retires workers. Dropping it ends them where they are: what they had in hand is given again.
pub struct Pool {
    work: Arc<Work>,
    runtime: Handle,
    workers: Mutex<Vec<Running>>,
    /// One change at a time: a number is given anew only when the worker that had it is gone.
    resizing: tokio::sync::Mutex<()>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pool {
    /// No workers yet. They will run on `runtime`.
    pub fn new(work: Arc<Work>, runtime: Handle) -> Pool {
        Pool { work, runtime, workers: Mutex::default(), resizing: tokio::sync::Mutex::default() }
    }

    /// What the workers share.
    pub fn work(&self) -> &Arc<Work> {
        &self.work
    }

    /// How many workers there are, those that are retiring not counted.
    pub fn size(&self) -> usize {
        self.workers().len()
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Running>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it `n` workers. Those that retire finish what they have in hand first; no message is lost or repeated.
    pub async fn resize(&self, n: usize) {
        let _turn = self.resizing.lock().await;
        self.work.cursor.assign(n);
        let mut retiring: Vec<Running> = {
            let mut workers = self.workers();
            while workers.len() < n {
                let number = workers.len();
                workers.push(self.start(number));
            }
            workers.drain(n..).collect()
        };
        for worker in &retiring {
            worker.stop.send_replace(true);
        }
        for worker in &mut retiring {
            // A worker that panicked has been told of, and is as gone as one that stopped.
            let _ = (&mut worker.task).await;
        }
        // One that retired may have swallowed a wake-up.
        self.work.cursor.assign(n);
    }

    fn start(&self, number: usize) -> Running {
        let (stop, stopped) = watch::channel(false);
        let (work, runtime) = (self.work.clone(), self.runtime.clone());
        let task = self.runtime.spawn(async move {
            while !*stopped.borrow() {
                let worker = Worker::new(number, work.clone(), stopped.clone());
                let Err(error) = Guard(runtime.spawn(worker.run())).join().await else { return };
                // A fault of ours, not of a guest: what the worker had in hand is given again, to another.
                tracing::error!(handler = &*work.name, number, %error, "worker failed, starting another");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Running { stop, task }
    }
}

/// Ends a task with the one that waits for it.
struct Guard(JoinHandle<()>);

impl Guard {
    async fn join(mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}
