//! A disk that is full, and one that has failed, under a whole log.

use super::faults::open;
use super::*;
use crate::broker::pump::{Intake, Link, Order, Pump};
use crate::broker::{AckStyle, BrokerError, Received, Source, SourceTraits};
use crate::stream::disk::tests::sim::{Fault, Sim};
use async_trait::async_trait;
use tokio::sync::watch;

/// Gives ten messages whenever it is asked, as long as no more than its window are not accepted.
#[derive(Clone, Default)]
struct Endless {
    given: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
    window: Arc<AtomicU64>,
}

#[async_trait]
impl Source for Endless {
    async fn connect(&mut self) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn recv(&mut self, _: usize) -> Result<Vec<Received>, BrokerError> {
        let open = || self.given.load(Ordering::Relaxed) - self.accepted.load(Ordering::Relaxed);
        while open() >= self.window.load(Ordering::Relaxed) {
            soon().await;
        }
        let from = self.given.fetch_add(10, Ordering::Relaxed);
        let received = |tag: u64| Received::new(message(&tag.to_string()), AckToken { epoch: 1, tag });
        Ok((from..from + 10).map(received).collect())
    }

    async fn settle(&mut self, tokens: &[(AckToken, Ack)]) -> Result<(), BrokerError> {
        self.accepted.fetch_add(tokens.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn close(&mut self) {}

    fn traits(&self) -> SourceTraits {
        SourceTraits { acks: AckStyle::Individual, redelivers: true }
    }
}

/// A source that feeds a log; the ends keep it running.
fn feed(log: &SequenceLog) -> (Endless, watch::Sender<Order>, watch::Receiver<Link>) {
    let source = Endless { window: Arc::new(AtomicU64::new(50)), ..Endless::default() };
    let ((order, orders), (link, links)) = (watch::channel(Order::Run), watch::channel(Link::Connecting));
    let intake = Intake::Log { log: log.clone(), on_append: true };
    let pump = Pump::new(Box::new(source.clone()), intake, log.take_acks().unwrap(), orders, link);
    tokio::spawn(pump.run());
    (source, order, links)
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        soon().await;
    }
}

/// The paused clock goes on only while everybody sleeps: whoever looks again and again must sleep, too.
async fn soon() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_the_intake_until_there_is_room() {
    let sim = Sim::default();
    let log = open(&sim, Durability::EveryBatch).unwrap();
    sim.0.lock().unwrap().fault = Some(Fault::NoRoom);
    let waiting = tokio::spawn({
        let log = log.clone();
        async move { log.publish(message("first")).await }
    });
    until(|| log.is_full()).await;
    let (source, _order, _link) = feed(&log);
    // A whole hour, in which it looks for room every tenth of a second.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(source.given.load(Ordering::Relaxed), 0, "it was asked for more than there is room for");
    assert!(!waiting.is_finished() && log.failure().is_none());
    sim.mended();
    assert_eq!(waiting.await.unwrap().unwrap().seq, 1);
    until(|| source.accepted.load(Ordering::Relaxed) >= 100).await;
    assert!(!log.is_full() && log.messages() > 100);
}

#[tokio::test(start_paused = true)]
async fn a_source_of_a_log_that_has_failed_is_asked_no_more_and_keeps_its_messages() {
    let sim = Sim::default();
    let log = open(&sim, Durability::EveryBatch).unwrap();
    let (source, _order, mut link) = feed(&log);
    until(|| source.accepted.load(Ordering::Relaxed) >= 10).await;
    let next = sim.operations();
    sim.0.lock().unwrap().fault = Some(Fault::Once(next));
    log.failed().await;
    // It asks again, though all that it gave may have failed at once.
    source.window.store(u64::MAX, Ordering::Relaxed);
    let failed = link.wait_for(|l| matches!(l, Link::Failed(_))).await.unwrap().clone();
    assert!(matches!(&failed, Link::Failed(why) if why.contains("made to fail")), "{failed:?}");
    let given = source.given.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(source.given.load(Ordering::Relaxed), given);
    // What was accepted is there, when the disk is mended.
    let accepted = source.accepted.load(Ordering::Relaxed);
    assert!(accepted < given);
    drop(log);
    assert!(open(&sim.mended(), Durability::EveryBatch).unwrap().messages() >= accepted);
}
