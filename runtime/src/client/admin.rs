//! Looking after streams.

use super::connection::Client;
use super::{ClientError, Connection};
use crate::serve::proto::*;
use std::time::Duration;

/// Lists, creates, deletes and describes streams, and reads and sets the places of groups.
///
/// ```
/// # use pelton::{config::GrpcConfig, serve::{Server, Streams}};
/// # use pelton::client::{Admin, Connection, NewStream};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// # let config = GrpcConfig { address: "127.0.0.1:0".parse()?, tokens: vec![], tls: None, directory: None, max_message: 1 << 20 };
/// # let server = Server::start(config, Streams::default()).await?;
/// # let address = server.address().to_string();
/// let admin = Admin::new(Connection::to(&address));
/// admin.create("orders", NewStream { partitions: 4, memory: true, ..NewStream::default() }).await?;
/// assert_eq!(admin.list().await?, ["orders"]);
/// assert_eq!(admin.describe("orders").await?.partitions.len(), 4);
/// admin.delete("orders").await?;
/// # server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Admin(Connection);

/// How a stream is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewStream {
    /// 0 is 1.
    pub partitions: u32,
    /// Kept in memory only, and gone when the broker stops.
    pub memory: bool,
    /// The most bytes kept; none: no limit.
    pub retention_bytes: Option<u64>,
    /// How long a message is kept, to the millisecond; none: no limit.
    pub retention: Option<Duration>,
}

impl Admin {
    /// Over this connection.
    pub fn new(connection: Connection) -> Admin {
        Admin(connection)
    }

    /// The names of all streams, in order.
    ///
    /// # Errors
    /// Where the broker can't be reached, or lets nobody in.
    pub async fn list(&self) -> Result<Vec<String>, ClientError> {
        let call = |mut client: Client| async move { client.list_streams(ListStreamsRequest {}).await };
        Ok(self.0.call(Duration::ZERO, call).await?.streams)
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`]; [`ClientError::InvalidRequest`] for a name or a number that can't be;
    /// [`ClientError::FailedPrecondition`] where the broker keeps no streams on disk for clients.
    pub async fn create(&self, stream: &str, new: NewStream) -> Result<(), ClientError> {
        let request = CreateStreamRequest {
            stream: stream.to_owned(),
            partitions: new.partitions,
            memory: new.memory,
            retention_bytes: new.retention_bytes.unwrap_or(0),
            retention_ms: new.retention.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX).max(1)),
        };
        let call = |mut client: Client| async move { client.create_stream(request).await };
        self.0.call(Duration::ZERO, call).await.map(drop)
    }

    /// Deletes a stream that a client has made, and everything in it.
    ///
    /// # Errors
    /// [`ClientError::NotFound`]; [`ClientError::FailedPrecondition`] where the stream is the host's own.
    pub async fn delete(&self, stream: &str) -> Result<(), ClientError> {
        let request = DeleteStreamRequest { stream: stream.to_owned() };
        let call = |mut client: Client| async move { client.delete_stream(request).await };
        self.0.call(Duration::ZERO, call).await.map(drop)
    }

    /// The partitions of a stream, and its groups with their lag.
    ///
    /// # Errors
    /// [`ClientError::NotFound`].
    pub async fn describe(&self, stream: &str) -> Result<DescribeStreamResponse, ClientError> {
        let request = DescribeStreamRequest { stream: stream.to_owned() };
        let call = |mut client: Client| async move { client.describe_stream(request).await };
        self.0.call(Duration::ZERO, call).await
    }

    /// Says that a group is done with everything below an offset of a partition. A group that is not known begins here.
    ///
    /// # Errors
    /// [`ClientError::NotFound`]; [`ClientError::OutOfRange`] beyond the end.
    pub async fn commit(&self, stream: &str, group: &str, partition: u32, offset: u64) -> Result<(), ClientError> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let offsets = vec![Offset { partition, offset }];
        let request = CommitRequest { stream: stream.to_owned(), group: group.to_owned(), offsets };
        let call = |mut client: Client| async move { client.commit(request).await };
        self.0.call(Duration::ZERO, call).await.map(drop)
    }

    /// Where a group stands: for each partition, the offset below which everything is handled.
    ///
    /// # Errors
    /// [`ClientError::NotFound`].
    pub async fn committed(&self, stream: &str, group: &str) -> Result<Vec<Offset>, ClientError> {
        let request = CommittedRequest { stream: stream.to_owned(), group: group.to_owned() };
        let call = |mut client: Client| async move { client.committed(request).await };
        Ok(self.0.call(Duration::ZERO, call).await?.offsets)
    }
}
