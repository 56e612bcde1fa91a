//! The section `serve`: what this host serves.

use std::net::SocketAddr;

use super::files::Files;
use super::secure::{secrets, server_tls};
use crate::config::defaults;
use crate::config::error::Problem;
use crate::config::model::GrpcConfig;
use crate::config::read::Value;

/// Every message has room for its headers; above it, a message is a file.
const LEAST_MESSAGE: u64 = 1 << 10;
const MOST_MESSAGE: u64 = 1 << 30;

/// The embedded broker, with what the checks across the configuration need.
pub(super) struct Served<'a> {
    pub(super) config: GrpcConfig,
    /// What was given as `directory`.
    pub(super) directory: Option<Value<'a>>,
}

pub(super) fn read<'a>(section: &Value<'a>, files: &Files<'_>) -> Option<Served<'a>> {
    let grpc = section.fields(&["grpc"])?.required("grpc", "a mapping; 'grpc: {}' has the defaults")?;
    let fields = grpc.fields(&["address", "tokens", "tls", "directory", "max_message"])?;
    let address = fields.or("address", defaults::GRPC_ADDRESS, address);
    // Tokens with a mistake are tokens nevertheless.
    let tokens = fields.optional("tokens").map_or(Some(Vec::new()), |tokens| secrets(&tokens));
    let open = tokens.as_ref().is_some_and(Vec::is_empty);
    if let (true, false, Some(given)) = (open, address.ip().to_canonical().is_loopback(), fields.optional("address")) {
        let problem = Problem::new(format!("without 'tokens', anybody who reaches {address} could read every stream"));
        given.wrong(problem.expected("'tokens', or a loopback address such as 127.0.0.1:50051"));
    }
    let directory = fields.optional("directory");
    let max_message = |value: &Value<'_>| value.size(LEAST_MESSAGE..=MOST_MESSAGE);
    let config = GrpcConfig {
        address,
        tokens: tokens.unwrap_or_default(),
        tls: fields.optional("tls").and_then(|tls| server_tls(&tls, files)),
        directory: directory.as_ref().and_then(|directory| files.directory(directory)),
        max_message: fields.or("max_message", defaults::MAX_MESSAGE, max_message),
    };
    Some(Served { config, directory })
}

fn address(value: &Value<'_>) -> Option<SocketAddr> {
    const AN_ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051";
    let wrong = |text: &str| Problem::new(format!("'{text}' is no address to listen at")).expected(AN_ADDRESS);
    value.parsed(AN_ADDRESS, |text| text.parse().map_err(|_| wrong(text)))
}
