//! A member of a group, as long as one call lasts.

use super::connection::Client;
use super::{ClientError, Connection};
use crate::config::Start;
use crate::message::Entry;
use crate::serve::convert::{from_records, offset};
use crate::serve::proto::subscribe_request::Open;
use crate::serve::proto::{SubscribeRequest, SubscribeResponse};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// What is not settled within this time comes again, unless anything is sent meanwhile.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// How often something is to be sent, so that leases do not end under a member that is alive.
pub(crate) const RENEW: Duration = Duration::from_secs(10);

/// Dropping it gives back what was not settled.
pub(crate) struct Subscription {
    connection: Connection,
    epoch: u64,
    requests: mpsc::Sender<SubscribeRequest>,
    answers: Streaming<SubscribeResponse>,
}

/// An offset and a time, as the protocol asks for them.
pub(crate) fn start_to_wire(start: Start) -> (i64, Option<i64>) {
    match start {
        Start::Earliest => (-2, None),
        Start::Latest => (-1, None),
        Start::Sequence(seq) => (offset(seq), None),
        Start::Time(time) => (0, Some(time)),
    }
}

/// What opens a group of a stream.
pub(crate) fn open(stream: &str, group: &str, start: Start) -> Open {
    let (offset, time) = start_to_wire(start);
    let lease_ms = u32::try_from(LEASE.as_millis()).unwrap_or(u32::MAX);
    Open { stream: stream.to_owned(), group: group.to_owned(), offset, time, lease_ms, ..Open::default() }
}

impl Subscription {
    /// Joins the group that `first` opens.
    pub(crate) async fn open(connection: &Connection, first: SubscribeRequest) -> Result<Subscription, ClientError> {
        let (requests, requested) = mpsc::channel(64);
        // The broker answers once it has read this.
        requests.send(first).await.map_err(|_| ClientError::Closed)?;
        let (_, epoch) = connection.client().await?;
        let requested = ReceiverStream::new(requested);
        let call = |mut client: Client| async move { client.subscribe(requested).await };
        let answers = connection.call(Duration::ZERO, call).await?;
        Ok(Subscription { connection: connection.clone(), epoch, requests, answers })
    }

    /// The next messages, at least one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Vec<Entry>, ClientError> {
        loop {
            match self.answers.message().await {
                Ok(Some(answer)) if answer.records.is_empty() => {}
                Ok(Some(answer)) => return Ok(from_records(&answer.records)?),
                Ok(None) => return Err(ClientError::Unavailable("the broker has ended the subscription".into())),
                Err(status) => {
                    let error = ClientError::from(status);
                    self.connection.failed(self.epoch, &error).await;
                    return Err(error);
                }
            }
        }
    }

    /// Gives credit, settles, releases, and empties what it is given; whatever that says, it renews the leases. Cancel-safe:
    /// a dropped call has sent nothing. Where the call has ended nothing is sent, and [`Subscription::next`] says why.
    pub(crate) async fn send(&self, owed: &mut SubscribeRequest) {
        if let Ok(permit) = self.requests.reserve().await {
            permit.send(std::mem::take(owed));
        }
    }

    /// Leaves the group, once the broker has read everything that was sent.
    pub(crate) async fn close(self) {
        let Subscription { connection, requests, mut answers, .. } = self;
        drop(requests);
        let rest = async { while let Ok(Some(_)) = answers.message().await {} };
        // Where the broker does not answer, it will find that the member is gone.
        let _ = tokio::time::timeout(connection.broker().request_timeout, rest).await;
    }
}
