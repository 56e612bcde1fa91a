//! The server and its clients, over real TCP.

mod bad_input;
mod groups;
mod idempotence;
mod made;
mod secure;
mod standard;

use super::{Server, Streams};
use crate::client::{Connection, Producer, ProducerOptions};
use crate::config::GrpcConfig;
use crate::log::{LogOptions, SequenceLog};
use crate::message::Message;
use std::time::Duration;

/// How long anything may take; it only matters to a test that fails.
const LIMIT: Duration = Duration::from_secs(60);

struct Fixture {
    server: Server,
    streams: Streams,
}

fn config() -> GrpcConfig {
    let address = "127.0.0.1:0".parse().unwrap();
    GrpcConfig { address, tokens: vec![], tls: None, directory: None, max_message: 1 << 20 }
}

impl Fixture {
    async fn new() -> Fixture {
        Fixture::with(config()).await
    }

    async fn with(config: GrpcConfig) -> Fixture {
        let streams = Streams::default();
        Fixture { server: Server::start(config, streams.clone()).await.unwrap(), streams }
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }

    fn connection(&self) -> Connection {
        Connection::to(&self.address())
    }

    /// A stream of the host's, in memory.
    fn stream(&self, name: &str, partitions: u32) -> SequenceLog {
        let log = SequenceLog::memory(name, LogOptions { partitions, ..LogOptions::default() }).unwrap();
        assert!(self.streams.insert(log.clone()));
        log
    }

    async fn produce(&self, stream: &str, messages: impl IntoIterator<Item = Message>) {
        let producer = Producer::new(self.connection(), ProducerOptions::new(stream));
        for message in messages {
            producer.send(message).await.unwrap();
        }
        producer.shutdown().await.unwrap();
    }
}

fn message(body: &str) -> Message {
    Message::new(body.as_bytes()).unwrap()
}

/// A week of real earthquakes.
fn feed() -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/demo/quakes.ndjson");
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
