//! Wires streams, sources, sinks and handlers, and knows in which order they start and stop.

mod load;
mod report;
mod storage;
mod tell;

pub use report::{HandlerReport, Report};

use self::load::{Loader, Reloader, load_all};
pub(crate) use self::storage::open_log;
use self::storage::{LogReader, SINK, buffer, cursor, intake};
use crate::broker;
use crate::broker::publisher::Publisher;
use crate::broker::pump::{Link, Order, Pump};
use crate::config::{Config, HandlerConfig, Ordering, Start, StreamConfig};
use crate::events::Events;
use crate::handler::HandlerMaker;
use crate::log::SequenceLog;
use crate::metrics::HandlerMetrics;
use crate::outlet::Outlet;
use crate::pool::Pool;
use crate::serve::{Server, Streams};
use crate::stream::{Acks, CursorOptions, CursorStats, DropReason, Stream, StreamStats};
use crate::worker::{Tuning, Work};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{broadcast, watch as watching};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How long a shutdown goes on where a sink has stopped for good.
const STALLED: Duration = Duration::from_secs(1);

/// Why a host does not start. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[error("{}", reasons.join("\n"))]
pub struct StartError {
    /// Every reason, each naming the thing and what is wrong with it.
    pub reasons: Vec<String>,
}

/// A running configuration.
pub struct Host {
    streams: Vec<(StreamConfig, Outlet)>,
    server: Option<Server>,
    /// Those of this host that read a log.
    readers: Vec<LogReader>,
    events: Events,
    handlers: Vec<RunningHandler>,
    pumps: Vec<Task>,
    publishers: Vec<Task>,
    reload: broadcast::Sender<()>,
    watchers: Vec<JoinHandle<()>>,
    _guests: Guests,
    started: Instant,
}

struct RunningHandler {
    config: HandlerConfig,
    pool: Pool,
}

struct Task {
    stream: String,
    order: watching::Sender<Order>,
    link: watching::Receiver<Link>,
    task: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Handlers that are Rust code instead of modules, by their names in the configuration.
pub type Natives = HashMap<String, Arc<dyn Fn() -> Box<dyn HandlerMaker> + Send + Sync>>;

impl Host {
    /// Loads every module, and only when all are good starts the rest.
    ///
    /// # Errors
    /// Every module that cannot be loaded.
    pub async fn start(config: Config) -> Result<Host, StartError> {
        Host::start_with(config, Natives::new()).await
    }

    /// The same, with some handlers in Rust.
    ///
    /// # Errors
    /// As for [`Host::start`].
    pub async fn start_with(config: Config, natives: Natives) -> Result<Host, StartError> {
        let fatal = |e: anyhow::Error| StartError { reasons: vec![format!("{e:#}")] };
        let (runtime, guests) = Guests::start().map_err(|e| fatal(e.into()))?;
        let handlers: Vec<HandlerConfig> = config.handlers.iter().filter(|h| h.enabled).cloned().collect();
        let loader = Loader::new(&config, &handlers).map_err(fatal)?;
        // Instances belong on the guests' runtime: their timers and streams live where they were made.
        let native: HashSet<String> = natives.keys().cloned().collect();
        let slots = guests.spawn(load_all(loader.clone(), handlers.clone(), natives)).await;
        let slots = slots.map_err(|e| fatal(e.into()))?.map_err(|reasons| StartError { reasons })?;

        let started = Instant::now();
        let events = Events::default();
        let mut watchers = vec![tell::start(&events)];
        let mut streams = Vec::new();
        let mut acks: Vec<Option<Acks>> = Vec::new();
        let mut reasons = Vec::new();
        for stream in &config.streams {
            match open_log(stream, &events).await {
                Ok(Some(log)) => {
                    acks.push(log.take_acks());
                    streams.push((stream.clone(), Outlet::Log(log)));
                }
                Ok(None) => {
                    let (made, ack) = buffer(stream, &handlers);
                    acks.push(Some(ack));
                    streams.push((stream.clone(), Outlet::Buffer(made)));
                }
                Err(error) => reasons.push(error.to_string()),
            }
        }
        if !reasons.is_empty() {
            return Err(StartError { reasons });
        }
        let find = |name: &str| streams.iter().find(|(c, _)| c.name == name);
        let outlet = |name: &String| find(name).map(|(_, outlet)| outlet.clone());
        let refused = |e: crate::log::LogError| StartError { reasons: vec![e.to_string()] };
        let mut readers = Vec::new();

        // Every reader must be there before the first message: who has to settle a message is fixed when it comes in.
        let mut pools = Vec::new();
        for (handler, slot) in handlers.iter().zip(slots) {
            let Some((config, stream)) = find(&handler.stream) else { continue };
            let reads = CursorOptions { ordering: handler.ordering, deliver: handler.deliver };
            let work = Work {
                name: Arc::from(handler.name.as_str()),
                cursor: cursor(config, stream, &handler.name, handler.start, reads, &mut readers).map_err(refused)?,
                slot: Arc::new(slot),
                outputs: std::iter::once(handler.output.as_ref())
                    .chain(handler.outputs.values().map(Some))
                    .map(|name| name.and_then(outlet))
                    .collect(),
                dead: handler.dead_letter.as_ref().and_then(outlet),
                events: events.clone(),
                metrics: Arc::new(HandlerMetrics::default()),
                tuning: Tuning::new(handler),
            };
            pools.push(RunningHandler { config: handler.clone(), pool: Pool::new(Arc::new(work), guests.clone()) });
        }
        let mut publishers = Vec::new();
        for (config, stream) in &streams {
            if let Some(to) = &config.to {
                let reads = CursorOptions::ordered(Ordering::None);
                let cursor = cursor(config, stream, SINK, Start::Earliest, reads, &mut readers).map_err(refused)?;
                let sink = broker::sink(to);
                publishers
                    .push(Task::start(&config.name, |order, link| Publisher::new(sink, cursor, order, link).run()));
            }
        }
        for handler in &pools {
            handler.pool.resize(handler.config.workers.max).await;
        }
        let (reload, _) = broadcast::channel(1);
        for handler in &pools {
            if !native.contains(&handler.config.name) {
                let reloader = Reloader {
                    path: handler.config.module.clone(),
                    config: handler.config.clone(),
                    work: handler.pool.work().clone(),
                    loader: loader.clone(),
                    signal: reload.subscribe(),
                };
                watchers.push(guests.spawn(reloader.run()));
            }
        }
        let mut server = None;
        if let Some(serve) = config.serve.clone() {
            let served = Streams::default();
            for log in streams.iter().filter_map(|(_, outlet)| outlet.log()) {
                served.insert(log.clone());
            }
            server = Some(Server::start(serve, served).await.map_err(fatal)?);
        }
        readers.iter_mut().for_each(LogReader::start);
        let mut pumps = Vec::new();
        for ((config, stream), acks) in streams.iter().zip(&mut acks) {
            if let (Some(from), Some(acks)) = (&config.from, acks.take()) {
                let (source, intake) = (broker::source(from), intake(config, stream));
                pumps.push(Task::start(&config.name, |order, link| Pump::new(source, intake, acks, order, link).run()));
            }
        }
        Ok(Host {
            streams,
            server,
            readers,
            events,
            handlers: pools,
            pumps,
            publishers,
            reload,
            watchers,
            _guests: runtime,
            started,
        })
    }

    /// A stream by its name.
    pub fn stream(&self, name: &str) -> Option<&Outlet> {
        self.streams.iter().find(|(c, _)| c.name == name).map(|(_, s)| s)
    }

    /// The streams that keep their messages.
    pub fn logs(&self) -> impl Iterator<Item = &SequenceLog> {
        self.streams.iter().filter_map(|(_, outlet)| outlet.log())
    }

    /// What serves the streams to other programs, where something does.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// What happens here.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// A handler's pool by its name: to resize it, and to see what its workers share.
    pub fn pool(&self, handler: &str) -> Option<&Pool> {
        self.handlers.iter().find(|h| h.config.name == handler).map(|h| &h.pool)
    }

    /// Looks at every module file now.
    pub fn reload(&self) {
        // No handler may be watching: then there is nobody to tell.
        let _ = self.reload.send(());
    }

    /// Waits until every source has come to its end, or stopped for good, and all that came in is settled; or until a sink
    /// has stopped for good, since then nothing is settled any more. Waits for ever where a source has no end.
    pub async fn finished(&self) {
        tokio::select! { () = self.settled() => {}, () = self.sink_failed() => {} }
    }

    async fn settled(&self) {
        for pump in &self.pumps {
            let mut link = pump.link.clone();
            // An error means that the pump is gone, which is over as well.
            let _ = link.wait_for(Link::is_over).await;
        }
        loop {
            let before = self.appended();
            for log in self.logs() {
                log.written().await;
            }
            self.drained().await;
            for reader in &self.readers {
                // A reader that was removed has nothing left to settle.
                let _ = reader.log.caught_up(&reader.name).await;
            }
            if self.appended() == before {
                return;
            }
        }
    }

    /// Waits until some sink, or a log, has stopped for good.
    async fn sink_failed(&self) {
        let mut waits = tokio::task::JoinSet::new();
        for log in self.logs() {
            let log = log.clone();
            waits.spawn(async move {
                log.failed().await;
                true
            });
        }
        for reader in self.readers.iter().filter_map(|r| r.pump.as_ref()) {
            let mut link = reader.link.clone();
            waits.spawn(async move { link.wait_for(|l| matches!(l, Link::Failed(_))).await.is_ok() });
        }
        for publisher in &self.publishers {
            let mut link = publisher.link.clone();
            waits.spawn(async move { link.wait_for(|l| matches!(l, Link::Failed(_))).await.is_ok() });
        }
        while let Some(failed) = waits.join_next().await {
            if failed.unwrap_or(false) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Waits until no buffer holds a message, and readers have settled all that logs in memory hold; logs on disk keep
    /// theirs. Handlers move messages downstream only, so two looks that find nothing with nothing appended in between find
    /// nothing at all.
    async fn drained(&self) {
        loop {
            let before = self.appended();
            for stream in self.buffers() {
                stream.drained().await;
            }
            for reader in self.readers.iter().filter(|r| !r.log.outlives_the_process()) {
                // A reader that was removed has nothing left to settle.
                let _ = reader.log.caught_up(&reader.name).await;
            }
            if self.appended() == before {
                return;
            }
        }
    }

    /// Everything that holds messages only until they are settled.
    fn buffers(&self) -> impl Iterator<Item = &Stream> {
        let own = self.streams.iter().filter_map(|(_, outlet)| outlet.buffer());
        own.chain(self.readers.iter().map(|r| &r.window))
    }

    fn appended(&self) -> u64 {
        let logged: u64 = self.logs().map(SequenceLog::appended).sum();
        logged + self.buffers().map(|s| s.stats().appended).sum::<u64>()
    }

    /// What reads and writes outside, and what reads the logs.
    fn tasks(&self) -> impl Iterator<Item = &Task> {
        let readers = self.readers.iter().filter_map(|r| r.pump.as_ref());
        self.publishers.iter().chain(readers).chain(&self.pumps)
    }

    /// Whether some connection has stopped for good.
    pub fn has_failed(&self) -> bool {
        let failed = |t: &Task| matches!(*t.link.borrow(), Link::Failed(_));
        self.tasks().any(failed) || self.logs().any(|log| log.failure().is_some())
    }

    /// Stops reading, lets what is inside be handled and settled for at most `limit`, and closes. Returns how many messages
    /// were left unsettled; their brokers have them still, where they keep them.
    pub async fn shutdown(mut self, limit: Duration) -> (Report, usize) {
        let end = Instant::now() + limit;
        self.watchers.iter().for_each(JoinHandle::abort);
        if let Some(server) = self.server.take() {
            // It gives itself 5 seconds at most.
            server.shutdown().await;
        }
        // What a log on disk holds is read when the host starts again; what one in memory holds is read now or never.
        let stored = self.readers.iter().filter(|r| r.log.outlives_the_process());
        let reading = || self.pumps.iter().chain(stored.clone().filter_map(|r| r.pump.as_ref()));
        for pump in reading() {
            pump.order.send_replace(Order::Drain);
        }
        for pump in reading() {
            // What a pump is just receiving must be inside before anyone says that nothing is.
            let _ = timeout_at(end, pump.link.clone().wait_for(Link::has_stopped)).await;
        }
        let drained = tokio::select! {
            drained = timeout_at(end, self.drained()) => drained.is_ok(),
            // What waits for a sink that is gone will wait for ever; the others get a moment.
            () = async { self.sink_failed().await; tokio::time::sleep(STALLED).await } => false,
        };
        if drained {
            for handler in &self.handlers {
                // Idle workers stop at once.
                let _ = timeout_at(end.max(Instant::now() + Duration::from_millis(500)), handler.pool.resize(0)).await;
            }
        }
        let report = self.report();
        // Workers that are still inside a call are ended with their pool.
        self.handlers.clear();
        // What a sink confirms settles in the log, and that tells the log's source.
        let readers = self.readers.iter_mut().filter_map(|r| r.pump.as_mut());
        let closing = self.publishers.iter_mut().chain(readers).chain(&mut self.pumps);
        let grace = Instant::now() + Duration::from_secs(2);
        for task in closing {
            task.order.send_replace(Order::Close);
            // One that hangs is ended when it is dropped.
            let _ = timeout_at(grace, &mut task.task).await;
        }
        let left = self.buffers().map(|s| s.stats().messages).sum();
        let logs: Vec<SequenceLog> = self.logs().cloned().collect();
        for log in &logs {
            log.close().await;
        }
        drop(self);
        // The last one waits for what is being written.
        let _ = tokio::task::spawn_blocking(move || drop(logs)).await;
        (report, left)
    }

    /// What has been done so far.
    pub fn report(&self) -> Report {
        let mut handlers = Vec::new();
        for handler in &self.handlers {
            let work = handler.pool.work();
            let m = &work.metrics;
            handlers.push(HandlerReport {
                name: handler.config.name.clone(),
                handled: m.done.get() + m.dead.get() + m.dropped.get(),
                outputs: m.outputs.get(),
                retried: m.retried.get(),
                dead: m.dead.get(),
                dropped: m.dropped.get(),
                p50: m.time.quantile(0.5),
                p99: m.time.quantile(0.99),
                lag: self.lag(handler),
                generation: work.slot.current().number(),
                workers: handler.pool.size(),
            });
        }
        let failed = |t: &Task| match &*t.link.borrow() {
            Link::Failed(why) => Some((t.stream.clone(), why.clone())),
            _ => None,
        };
        let poisoned = |log: &SequenceLog| Some((log.name().to_string(), log.failure()?.to_string()));
        Report {
            elapsed: self.started.elapsed(),
            streams: self.streams.iter().map(|(c, s)| (c.name.clone(), stats(s))).collect(),
            handlers,
            failed: self.tasks().filter_map(failed).chain(self.logs().filter_map(poisoned)).collect(),
        }
    }

    fn lag(&self, handler: &RunningHandler) -> u64 {
        let name = &handler.config.name;
        let reader = self.readers.iter().find(|r| r.name == *name);
        let lag = reader.and_then(|r| r.log.lag(name).ok());
        lag.unwrap_or_else(|| handler.pool.work().cursor.stats().lag)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

/// The runtime that guests run on. Dropping it does not wait for it, which an async thread must not do.
struct Guests(Option<Runtime>);

impl Guests {
    fn start() -> std::io::Result<(Guests, Handle)> {
        let runtime = Builder::new_multi_thread().thread_name("pelton-guest").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok((Guests(Some(runtime)), handle))
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Task {
    fn start<F>(stream: &str, run: impl FnOnce(watching::Receiver<Order>, watching::Sender<Link>) -> F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (order, orders) = watching::channel(Order::Run);
        let (links, link) = watching::channel(Link::Connecting);
        Task { stream: stream.to_owned(), order, link, task: tokio::spawn(run(orders, links)) }
    }
}

fn stats(outlet: &Outlet) -> StreamStats {
    let log = match outlet {
        Outlet::Buffer(stream) => return stream.stats(),
        Outlet::Log(log) => log,
    };
    let cursors = log.groups().into_iter().map(|g| CursorStats {
        name: g.name,
        watermark: g.watermarks.into_iter().min().unwrap_or(0),
        lag: g.lag,
        in_flight: usize::try_from(g.in_flight).unwrap_or(usize::MAX),
        delayed: 0,
        abandoned: 0,
    });
    let mut stats = StreamStats::default();
    stats.messages = usize::try_from(log.messages()).unwrap_or(usize::MAX);
    (stats.bytes, stats.appended, stats.tail) = (log.bytes(), log.appended(), log.appended() + 1);
    stats.cursors = cursors.collect();
    stats.count_dropped(DropReason::BufferFull, log.dropped());
    stats
}

#[cfg(test)]
mod tests;
