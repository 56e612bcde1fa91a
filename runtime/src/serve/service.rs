//! The methods of the protocol. What each does is said in the protocol's file.

use super::made::MadeWith;
use super::proto::broker_server::Broker;
use super::proto::*;
use super::streams::Streams;
use super::{fetch, groups, produce, status, subscribe};
use crate::log::SequenceLog;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(super) struct Service {
    streams: Streams,
    max_message: u64,
    stopped: watch::Receiver<bool>,
}

type Answer<T> = Result<Response<T>, Status>;

impl Service {
    pub(super) fn new(streams: Streams, max_message: u64, stopped: watch::Receiver<bool>) -> Service {
        Service { streams, max_message, stopped }
    }

    fn stream(&self, name: &str) -> Result<SequenceLog, Status> {
        self.streams.get(name).ok_or_else(|| status::no_stream(name))
    }
}

#[tonic::async_trait]
impl Broker for Service {
    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;

    async fn produce(&self, request: Request<ProduceRequest>) -> Answer<ProduceResponse> {
        let request = request.into_inner();
        let log = self.stream(&request.stream)?;
        Ok(Response::new(produce::produce(&log, request, self.max_message).await?))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Answer<FetchResponse> {
        let request = request.into_inner();
        let log = self.stream(&request.stream)?;
        tokio::select! {
            answer = fetch::fetch(&log, &request) => Ok(Response::new(answer?)),
            () = super::until(self.stopped.clone()) => Err(status::stopping()),
        }
    }

    async fn subscribe(&self, request: Request<Streaming<SubscribeRequest>>) -> Answer<Self::SubscribeStream> {
        let answers = subscribe::subscribe(&self.streams, request.into_inner(), self.stopped.clone()).await?;
        Ok(Response::new(answers))
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Answer<CommitResponse> {
        let request = request.into_inner();
        groups::commit(&self.stream(&request.stream)?, &request)?;
        Ok(Response::new(CommitResponse {}))
    }

    async fn committed(&self, request: Request<CommittedRequest>) -> Answer<CommittedResponse> {
        let request = request.into_inner();
        let group = self.stream(&request.stream)?.group_stats(&request.group)?;
        Ok(Response::new(CommittedResponse { offsets: groups::offsets(&group.watermarks) }))
    }

    async fn list_streams(&self, _: Request<ListStreamsRequest>) -> Answer<ListStreamsResponse> {
        Ok(Response::new(ListStreamsResponse { streams: self.streams.list() }))
    }

    async fn create_stream(&self, request: Request<CreateStreamRequest>) -> Answer<CreateStreamResponse> {
        let CreateStreamRequest { stream, partitions, memory, retention_bytes, retention_ms } = request.into_inner();
        let made = MadeWith { partitions: partitions.max(1), retention_bytes, retention_ms };
        self.streams.create(&stream, memory, made).await?;
        Ok(Response::new(CreateStreamResponse {}))
    }

    async fn delete_stream(&self, request: Request<DeleteStreamRequest>) -> Answer<DeleteStreamResponse> {
        self.streams.delete(&request.into_inner().stream).await?;
        Ok(Response::new(DeleteStreamResponse {}))
    }

    async fn describe_stream(&self, request: Request<DescribeStreamRequest>) -> Answer<DescribeStreamResponse> {
        let log = self.stream(&request.into_inner().stream)?;
        Ok(Response::new(groups::describe(&log)?))
    }
}
