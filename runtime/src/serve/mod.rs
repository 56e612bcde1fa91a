//! The embedded broker: streams of this host, over gRPC.
//!
//! # Layout
//! - `mod`: [`Server`], which listens, and stops
//! - `proto`: the protocol, `proto/pelton/v1/pelton.proto`; `convert` its messages
//! - `service`: its methods; `produce`, `fetch`, `subscribe` and `groups` the larger ones
//! - `streams`: what is served; `made` what clients have made, on disk
//! - `status`: errors; `auth` tokens; `limit` requests that are too large
//!
//! Server reflection asks for a token as the broker itself does; the standard health service does not, so that whoever
//! watches the process needs none. Both are there under TLS only, where there is TLS.

mod auth;
pub(crate) mod convert;
mod fetch;
mod groups;
mod limit;
mod made;
mod produce;
pub mod proto;
mod service;
pub(crate) mod status;
mod streams;
mod subscribe;
#[cfg(test)]
mod tests;

pub use streams::Streams;

use crate::config::{GrpcConfig, ServerTls};
use anyhow::Context;
use auth::Tokens;
use limit::Limited;
use proto::broker_server::BrokerServer;
use service::Service;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// A client that says nothing for so long is asked whether it is there, and given up if it does not answer in time.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// How long answers may take that are under way when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// What a connection, and each call on it, may have under way, in bytes.
const WINDOW: u32 = 4 << 20;
/// Of HTTP/2: a batch in few pieces.
pub(crate) const FRAME: u32 = 256 << 10;
/// The most calls that one connection may have under way.
const CALLS: u32 = 100;
/// A batch may be larger than the largest message, where that is small: as much as gRPC takes by custom.
const LEAST_REQUEST: u64 = 4 << 20;
/// Room for what stands around a message.
const AROUND: u64 = 64 << 10;

/// Serves streams until it is shut down.
///
/// ```
/// # use pelton::{client::{Admin, Connection}, config::GrpcConfig, log::{LogOptions, SequenceLog}, serve::{Server, Streams}};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> anyhow::Result<()> {
/// let streams = Streams::default();
/// streams.insert(SequenceLog::memory("orders", LogOptions::default())?);
/// let config = GrpcConfig { address: "127.0.0.1:0".parse()?, tokens: vec![], tls: None, directory: None, max_message: 1 << 20 };
/// let server = Server::start(config, streams).await?;
/// let admin = Admin::new(Connection::to(&server.address().to_string()));
/// assert_eq!(admin.list().await?, ["orders"]);
/// server.shutdown().await;
/// # Ok(()) }
/// ```
pub struct Server {
    address: SocketAddr,
    streams: Streams,
    health: HealthReporter,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Server {
    /// Opens what clients have made earlier, and listens. Returns once clients can connect.
    ///
    /// # Errors
    /// Where the address is taken, a certificate can't be read, or a stream can't be opened.
    pub async fn start(config: GrpcConfig, streams: Streams) -> anyhow::Result<Server> {
        let mut builder = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .max_concurrent_streams(Some(CALLS))
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME);
        if let Some(tls) = &config.tls {
            builder =
                builder.tls_config(server_tls(tls)?).context("the certificates of serve.grpc.tls can't be used")?;
        }
        let listener = TcpListener::bind(config.address).await;
        let listener = listener.with_context(|| format!("cannot listen at {}; is it taken?", config.address))?;
        let address = listener.local_addr().context("the address that is listened at")?;
        streams.restore(config.directory.as_deref()).await?;

        let (stop, stopped) = watch::channel(false);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status(proto::SERVICE, ServingStatus::Serving).await;
        let service = Service::new(streams.clone(), config.max_message, stopped.clone());
        let request = config.max_message.max(LEAST_REQUEST) + AROUND;
        let broker =
            BrokerServer::new(service).max_decoding_message_size(usize::try_from(request).unwrap_or(usize::MAX));
        let tokens = Tokens::new(&config.tokens);
        let limited = Limited { inner: broker, max_message: config.max_message };
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let router = builder
            .add_service(health_service)
            .add_service(InterceptedService::new(reflection().build_v1()?, tokens.clone()))
            .add_service(InterceptedService::new(reflection().build_v1alpha()?, tokens.clone()))
            .add_service(InterceptedService::new(limited, tokens));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = tokio::spawn(router.serve_with_incoming_shutdown(incoming, until(stopped)));
        tracing::info!(%address, tls = config.tls.is_some(), tokens = config.tokens.len(), "serving streams over gRPC");
        Ok(Server { address, streams, health, stop, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it serves.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Takes no more calls, ends those that wait for messages, lets the others come to their end, and closes what clients
    /// have made. Takes 5 seconds at most.
    pub async fn shutdown(mut self) {
        for service in ["", proto::SERVICE] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
        }
        self.stop.send_replace(true);
        match tokio::time::timeout(GRACE, &mut self.serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::error!(%error, "serving over gRPC has failed"),
            Ok(Err(error)) => tracing::error!(%error, "serving over gRPC has failed"),
            Err(_) => {
                tracing::warn!("a client of the broker does not hang up; left behind");
                self.serving.abort();
            }
        }
        self.streams.close().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Waits until the server is told to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // Where the server is gone altogether, it has stopped.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn server_tls(tls: &ServerTls) -> anyhow::Result<ServerTlsConfig> {
    let read = |path: &std::path::Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let identity = Identity::from_pem(read(&tls.identity.cert)?, read(&tls.identity.key)?);
    let config = ServerTlsConfig::new().identity(identity);
    Ok(match &tls.client_ca {
        Some(ca) => config.client_ca_root(Certificate::from_pem(read(ca)?)),
        None => config,
    })
}
