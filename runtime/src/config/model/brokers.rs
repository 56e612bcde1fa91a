//! Brokers that Pelton connects to, and the one that it is itself.

use crate::config::defaults;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A broker that streams name in `from` and `to`.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// The name that streams use: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// What it is, and how it is reached.
    pub kind: BrokerKind,
}

/// What a broker is.
#[derive(Debug, Clone, PartialEq)]
pub enum BrokerKind {
    /// Another Pelton, over gRPC.
    Pelton(PeltonBroker),
}

/// How another Pelton is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct PeltonBroker {
    /// `host:port`, at least one; tried in turn.
    pub addresses: Vec<String>,
    /// What it wants to hear.
    pub token: Option<Secret>,
    /// `None` speaks in the clear.
    pub tls: Option<ClientTls>,
    /// How long a connection may take to come about; above zero.
    pub connect_timeout: Duration,
    /// How long an answer may take; above zero. Not for what waits for messages.
    pub request_timeout: Duration,
}

/// How a client trusts a server, and shows who it is. The files existed and could be read when the configuration was
/// checked; all are PEM.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTls {
    /// The certificates that the server's must be signed by.
    pub ca: PathBuf,
    /// The client's own, for servers that ask.
    pub identity: Option<Identity>,
    /// The name that the server's certificate must be for; `None` takes the address's host.
    pub domain: Option<String>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The certificate, and those between it and the root.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How this host serves its streams over gRPC.
#[derive(Debug, Clone, PartialEq)]
pub struct GrpcConfig {
    /// Where it listens; port 0 takes one that is free.
    pub address: SocketAddr,
    /// A client must show one of these; empty asks for none, which only a loopback address may do.
    pub tokens: Vec<Secret>,
    /// `None` speaks in the clear.
    pub tls: Option<ServerTls>,
    /// Where streams live that clients make; `None` lets them make none on disk. It may not exist yet, and is no
    /// stream's own directory, nor inside one, nor around one.
    pub directory: Option<PathBuf>,
    /// The largest message taken, in bytes, from 1 KiB to 1 GiB.
    pub max_message: u64,
}

/// How a server shows who it is, and whom it lets in. The files existed and could be read when the configuration was
/// checked; all are PEM.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTls {
    /// The server's own.
    pub identity: Identity,
    /// The certificates that a client's must be signed by; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// A text that must not be shown: printable ASCII, at least one character, no spaces.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Default for GrpcConfig {
    /// Port 50051 of this machine alone, without tokens or TLS.
    fn default() -> GrpcConfig {
        GrpcConfig {
            address: defaults::GRPC_ADDRESS,
            tokens: Vec::new(),
            tls: None,
            directory: None,
            max_message: defaults::MAX_MESSAGE,
        }
    }
}

impl Secret {
    /// The secret of a text; `None` where it could not travel in a header.
    pub fn new(text: &str) -> Option<Secret> {
        let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Secret(text.to_owned()))
    }

    /// The text itself: to be sent or compared, and not to be logged.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
