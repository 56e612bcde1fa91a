//! From a source into a stream, and the acknowledgements back. The only place where a source is connected again.

use super::{Backoff, BrokerError, Received, Source};
use crate::log::SequenceLog;
use crate::stream::{Acks, Permits, Stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What the host wants of a pump or publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Go on.
    Run,
    /// Read no more, but go on acknowledging.
    Drain,
    /// Close.
    Close,
}

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// On its way.
    Connecting,
    /// Working.
    Up,
    /// Lost; the try with this number, from 1, is made at this time.
    BackingOff {
        /// From 1.
        attempt: u32,
        /// When.
        next: Instant,
    },
    /// It reads no more, and passes on acknowledgements.
    Draining,
    /// A finite source has given all it has.
    Finished,
    /// It has stopped for good.
    Failed(String),
}

impl Link {
    /// Whether nothing more will come of it by itself.
    pub fn is_over(&self) -> bool {
        matches!(self, Link::Finished | Link::Failed(_))
    }

    /// Whether it reads no more.
    pub fn has_stopped(&self) -> bool {
        self.is_over() || *self == Link::Draining
    }
}

/// Where a source's messages go.
pub enum Intake {
    /// A buffer; its source waits until every cursor has settled them.
    Buffer(Stream),
    /// A log.
    Log {
        /// The log.
        log: SequenceLog,
        /// Its source waits only until they are stored.
        on_append: bool,
    },
}

/// Room for some messages.
enum Room {
    Buffer(Stream, Permits),
    Log(SequenceLog, bool),
}

impl Intake {
    fn name(&self) -> &Arc<str> {
        match self {
            Intake::Buffer(stream) => stream.name(),
            Intake::Log { log, .. } => log.name(),
        }
    }

    /// Waits for room.
    async fn room(&self) -> Room {
        match self {
            Intake::Buffer(stream) => Room::Buffer(stream.clone(), stream.permits(MOST).await),
            Intake::Log { log, on_append } => {
                log.room().await;
                Room::Log(log.clone(), *on_append)
            }
        }
    }
}

impl Room {
    fn messages(&self) -> usize {
        match self {
            Room::Buffer(_, permits) => permits.count(),
            Room::Log(..) => MOST,
        }
    }

    async fn fill(self, received: Vec<Received>) -> Result<(), BrokerError> {
        match self {
            Room::Buffer(stream, permits) => stream.append_received(permits, received),
            Room::Log(log, on_append) => {
                log.append_received(received, on_append).await.map_err(|e| BrokerError::Fatal(e.into()))?;
            }
        }
        Ok(())
    }
}

/// The most messages asked of a source at once.
const MOST: usize = 1024;

/// Moves messages from one source into one stream until it is told to close.
pub struct Pump {
    source: Box<dyn Source>,
    intake: Intake,
    acks: Acks,
    order: watch::Receiver<Order>,
    link: watch::Sender<Link>,
}

impl Pump {
    /// A pump that is not yet running.
    pub fn new(
        source: Box<dyn Source>,
        intake: Intake,
        acks: Acks,
        order: watch::Receiver<Order>,
        link: watch::Sender<Link>,
    ) -> Pump {
        Pump { source, intake, acks, order, link }
    }

    /// Runs until told to close. A source that ends or fails for good only stops the reading.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut attempt = 0;
        while *self.order.borrow() == Order::Run {
            self.link.send_replace(Link::Connecting);
            let lost = match self.source.connect().await {
                Ok(()) => {
                    self.link.send_replace(Link::Up);
                    let mut received = false;
                    let read = self.read(&mut received).await;
                    if received {
                        backoff.reset();
                        attempt = 0;
                    }
                    match read {
                        Ok(()) => break,
                        Err(e) => e,
                    }
                }
                Err(e) => e,
            };
            attempt += 1;
            let name = self.intake.name().clone();
            let wait = match lost {
                BrokerError::Finished => {
                    self.link.send_replace(Link::Finished);
                    break;
                }
                BrokerError::Fatal(e) => {
                    tracing::error!(stream = %name, error = %format!("{e:#}"), "source stopped for good");
                    self.link.send_replace(Link::Failed(format!("{e:#}")));
                    break;
                }
                BrokerError::Disconnected(e) => (backoff.next_delay(), e),
                BrokerError::BackOff(least, e) => (backoff.next_delay().max(least), e),
            };
            tracing::warn!(stream = %name, error = %format!("{:#}", wait.1), wait = ?wait.0, attempt, "source lost, trying again");
            self.link.send_replace(Link::BackingOff { attempt, next: Instant::now() + wait.0 });
            self.pause(wait.0).await;
        }
        self.link.send_if_modified(|link| {
            let stops = !link.is_over();
            if stops {
                *link = Link::Draining;
            }
            stops
        });
        self.drain().await;
        self.source.close().await;
    }

    /// Reads while it may. `Ok` where the host wants no more. `received`: whether there was anything.
    async fn read(&mut self, received: &mut bool) -> Result<(), BrokerError> {
        let mut room: Option<Room> = None;
        loop {
            match room.take() {
                None => tokio::select! {
                    biased;
                    () = changed(&mut self.order) => return Ok(()),
                    Some(tokens) = self.acks.recv() => self.source.settle(&tokens).await?,
                    granted = self.intake.room() => room = Some(granted),
                    idle = self.source.idle() => idle?,
                },
                Some(granted) => tokio::select! {
                    biased;
                    () = changed(&mut self.order) => return Ok(()),
                    Some(tokens) = self.acks.recv() => {
                        room = Some(granted);
                        self.source.settle(&tokens).await?;
                    }
                    batch = self.source.recv(granted.messages()) => {
                        granted.fill(batch?).await?;
                        *received = true;
                    }
                },
            }
        }
    }

    /// Passes acknowledgements on until the host says close, and those that are there by then.
    async fn drain(&mut self) {
        let mut alive = !self.link.borrow().is_over();
        loop {
            tokio::select! {
                biased;
                Some(tokens) = self.acks.recv() => drop(self.source.settle(&tokens).await),
                () = closed(&mut self.order) => break,
                // Heart-beats go on meanwhile; a connection that is lost now is not made again.
                idle = self.source.idle(), if alive => alive = idle.is_ok(),
            }
        }
        while let Ok(tokens) = self.acks.try_recv() {
            drop(self.source.settle(&tokens).await);
        }
    }

    async fn pause(&mut self, wait: Duration) {
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = changed(&mut self.order) => {} }
    }
}

/// Waits until the order is more than to run; for ever where nobody gives orders.
pub(super) async fn changed(order: &mut watch::Receiver<Order>) {
    if order.wait_for(|o| *o > Order::Run).await.is_err() {
        std::future::pending().await
    }
}

/// Waits until the order is to close, or whoever gave orders is gone.
pub(super) async fn closed(order: &mut watch::Receiver<Order>) {
    // An error means that the host itself is gone, which closes as well.
    let _ = order.wait_for(|o| *o == Order::Close).await;
}
