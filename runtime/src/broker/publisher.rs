//! From a stream to a sink. The only place where a sink is connected again.

use super::pump::{Link, Order, closed};
use super::{Backoff, BrokerError, Sink};
use crate::message::Message;
use crate::stream::{Claim, Cursor, Delivery, Fate, Limit};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The most messages and bytes sent at once.
const BATCH: Limit = Limit { messages: 1024, bytes: 4 << 20 };
/// The most messages sent and not confirmed.
const WINDOW: usize = 8192;

/// Moves messages from one stream to one sink until it is told to close.
pub struct Publisher {
    sink: Box<dyn Sink>,
    cursor: Cursor,
    order: watch::Receiver<Order>,
    link: watch::Sender<Link>,
    /// Sent and not confirmed, in the order of sending.
    sent: VecDeque<(usize, Claim)>,
}

impl Publisher {
    /// A publisher that is not yet running.
    pub fn new(
        sink: Box<dyn Sink>,
        cursor: Cursor,
        order: watch::Receiver<Order>,
        link: watch::Sender<Link>,
    ) -> Publisher {
        Publisher { sink, cursor, order, link, sent: VecDeque::new() }
    }

    /// Runs until told to close. After a loss, what was not confirmed is sent again, in order.
    pub async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut attempt = 0;
        while *self.order.borrow() != Order::Close {
            self.link.send_replace(Link::Connecting);
            let lost = match self.sink.connect().await {
                Ok(()) => {
                    self.link.send_replace(Link::Up);
                    match self.publish(&mut backoff, &mut attempt).await {
                        Ok(()) => break,
                        Err(e) => e,
                    }
                }
                Err(e) => e,
            };
            // Claims that are dropped bring their messages back, before all that come after them.
            self.sent.clear();
            attempt += 1;
            let name = self.cursor.stream().clone();
            let (wait, e) = match lost {
                BrokerError::Fatal(e) => {
                    tracing::error!(stream = %name, error = %format!("{e:#}"), "sink stopped for good");
                    self.link.send_replace(Link::Failed(format!("{e:#}")));
                    closed(&mut self.order).await;
                    break;
                }
                BrokerError::Finished => (backoff.next_delay(), anyhow::anyhow!("the sink was closed")),
                BrokerError::Disconnected(e) => (backoff.next_delay(), e),
                BrokerError::BackOff(least, e) => (backoff.next_delay().max(least), e),
            };
            tracing::warn!(stream = %name, error = %format!("{e:#}"), ?wait, attempt, "sink lost, trying again");
            self.link.send_replace(Link::BackingOff { attempt, next: Instant::now() + wait });
            self.pause(wait).await;
        }
        self.sink.close().await;
    }

    async fn publish(&mut self, backoff: &mut Backoff, attempt: &mut u32) -> Result<(), BrokerError> {
        loop {
            let in_flight: usize = self.sent.iter().map(|(n, _)| n).sum();
            tokio::select! {
                biased;
                confirmed = self.sink.confirmed(), if in_flight > 0 => {
                    self.settle(confirmed?);
                    backoff.reset();
                    *attempt = 0;
                }
                delivery = self.cursor.next(0, BATCH), if in_flight < WINDOW => self.send(delivery).await?,
                () = closed(&mut self.order) => return Ok(()),
            }
        }
    }

    async fn send(&mut self, delivery: Delivery) -> Result<(), BrokerError> {
        let messages: Vec<Message> = delivery.batch().entries.iter().map(|e| e.message.clone()).collect();
        let claim = delivery.complete(&vec![Fate::Later; messages.len()]);
        self.sent.push_back((messages.len(), claim));
        self.sink.send(&messages).await
    }

    fn settle(&mut self, mut confirmed: usize) {
        while confirmed > 0
            && let Some((count, claim)) = self.sent.front_mut()
        {
            let part = confirmed.min(*count);
            claim.split_first(part).settle();
            *count -= part;
            confirmed -= part;
            if *count == 0 {
                self.sent.pop_front();
            }
        }
    }

    async fn pause(&mut self, wait: Duration) {
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = closed(&mut self.order) => {} }
    }
}
