//! Messages for a member of a group, as they come.

use super::convert::to_records;
use super::fetch::{MESSAGES, max_bytes, start};
use super::proto::subscribe_request::Open;
use super::proto::{Place, SubscribeRequest, SubscribeResponse};
use super::status;
use super::streams::{Streams, check_name};
use crate::log::{Commit, Consumer, ConsumerOptions, Deliver, SequenceLog, meant_for};
use crate::message::Entry;
use crate::stream::Limit;
use std::ops::Range;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

const LEASE_MS: u32 = 30_000;
/// So many places in one request: more than a client that gathers them sends.
const MOST_PLACES: usize = 100_000;

type Answers = ReceiverStream<Result<SubscribeResponse, Status>>;

/// Waits for the first request, and joins the group. The member leaves, and what it had in hand comes again, when the
/// client has ended the call, or is gone.
pub(super) async fn subscribe(
    streams: &Streams,
    mut requests: Streaming<SubscribeRequest>,
    stopped: watch::Receiver<bool>,
) -> Result<Answers, Status> {
    let first = tokio::select! {
        first = requests.message() => first.map_err(request_error)?,
        () = super::until(stopped.clone()) => return Err(status::stopping()),
    };
    let first = first.unwrap_or_default();
    let Some(open) = &first.open else {
        return Err(Status::invalid_argument(
            "the first request must open a stream; send 'open' with stream and group",
        ));
    };
    let log = streams.get(&open.stream).ok_or_else(|| status::no_stream(&open.stream))?;
    let consumer = join(&log, open)?;
    // One answer waits while another is sent: a client that does not read holds no more memory than these.
    let (answers, answered) = mpsc::channel(1);
    let mut member = Member { consumer, credit: 0, limit: max_bytes(open.max_bytes) };
    let credit = SubscribeRequest { open: None, ..first };
    tokio::spawn(async move {
        let ended = async {
            member.apply(credit)?;
            member.serve(requests, &answers, stopped).await
        };
        let result = ended.await;
        // First the messages, then the news: whoever reads it may count on them.
        drop(member);
        if let Err(status) = result {
            // The client may be gone.
            let _ = answers.send(Err(status)).await;
        }
    });
    Ok(ReceiverStream::new(answered))
}

fn join(log: &SequenceLog, open: &Open) -> Result<Consumer, Status> {
    check_name("group", &open.group)?;
    // 0 is what a client sends that does not set it: no message has it.
    let offset = if open.offset == 0 { -2 } else { open.offset };
    let start = start(offset, open.time).ok_or_else(|| {
        Status::out_of_range(format!("there is no offset {offset}; -2 is the earliest, -1 what comes next"))
    })?;
    let lease_ms = if open.lease_ms == 0 { LEASE_MS } else { open.lease_ms };
    let options = ConsumerOptions {
        start,
        partitions: open.partitions.clone(),
        lease: Some(Duration::from_millis(u64::from(lease_ms))),
        commit: Commit::Manual,
        deliver: Deliver::Messages,
    };
    Ok(log.consumer(&open.group, options)?)
}

struct Member {
    consumer: Consumer,
    /// So many messages may still be sent.
    credit: u64,
    /// The most bytes of an answer.
    limit: u64,
}

impl Member {
    /// Until the client ends it, or something goes wrong.
    async fn serve(
        &mut self,
        mut requests: Streaming<SubscribeRequest>,
        answers: &mpsc::Sender<Result<SubscribeResponse, Status>>,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), Status> {
        let stopped = super::until(stopped);
        tokio::pin!(stopped);
        let mut room = None;
        loop {
            let messages = usize::try_from(self.credit).unwrap_or(usize::MAX).min(MESSAGES);
            let limit = Limit { messages, bytes: self.limit };
            tokio::select! {
                request = requests.message() => match request.map_err(request_error)? {
                    Some(request) => self.apply(request)?,
                    None => return Ok(()),
                },
                permit = answers.reserve(), if room.is_none() => match permit {
                    Ok(permit) => room = Some(permit),
                    Err(_) => return Ok(()),
                },
                batch = self.consumer.next_batch(limit), if room.is_some() && self.credit > 0 => {
                    let entries = self.own(batch?)?;
                    if entries.is_empty() {
                        continue;
                    }
                    self.credit = self.credit.saturating_sub(entries.len() as u64);
                    if let Some(room) = room.take() {
                        room.send(Ok(SubscribeResponse { records: to_records(&entries) }));
                    }
                }
                () = answers.closed() => return Ok(()),
                () = &mut stopped => return Err(status::stopping()),
            }
        }
    }

    /// Without what was put back for another reader: this one is done with it.
    fn own(&self, entries: Vec<Entry>) -> Result<Vec<Entry>, Status> {
        let mut own = Vec::with_capacity(entries.len());
        for Entry { at, attempt, message, .. } in entries {
            match meant_for(self.consumer.group(), message) {
                Some(message) => own.push(Entry::new(at, attempt, message)),
                None => self.consumer.settle(at)?,
            }
        }
        Ok(own)
    }

    fn apply(&mut self, request: SubscribeRequest) -> Result<(), Status> {
        if request.open.is_some() {
            return Err(Status::invalid_argument(
                "'open' comes first of all, and once; subscribe anew for another stream",
            ));
        }
        if request.settle.len() + request.release.len() > MOST_PLACES {
            let text = format!("more than {MOST_PLACES} places in one request; send runs, or several requests");
            return Err(Status::invalid_argument(text));
        }
        self.credit = self.credit.saturating_add(u64::from(request.credit));
        for place in &request.settle {
            self.consumer.settle_run(place.partition, run(place)?, false)?;
        }
        for place in &request.release {
            self.consumer.release_run(place.partition, run(place)?)?;
        }
        self.consumer.extend();
        Ok(())
    }
}

fn run(place: &Place) -> Result<Range<u64>, Status> {
    let Place { partition, offset, count } = *place;
    match u64::try_from(offset) {
        Ok(seq @ 1..) => Ok(seq..seq + u64::from(count.max(1))),
        _ => Err(Status::out_of_range(format!(
            "partition {partition}: there is no offset {offset}; settle and release what was received"
        ))),
    }
}

/// What the decoder says of a request that it can't read.
fn request_error(error: Status) -> Status {
    match error.code() {
        // Its own word for a request that is too large.
        Code::OutOfRange => status::never_fits(format!("{}; send smaller requests", error.message())),
        _ => error,
    }
}
