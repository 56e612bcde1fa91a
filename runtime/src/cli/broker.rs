use super::{REFUSED, load, run};
use crate::config::GrpcConfig;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Serve the streams of a configuration to other programs over gRPC
///
/// As `run`, with the section `serve` given by default: 127.0.0.1:50051, no tokens, no TLS. Handlers run where the
/// configuration has any; streams are served that have `storage`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration, in YAML
    #[arg(long)]
    config: PathBuf,
    /// Where to listen, in place of what the configuration says
    #[arg(long)]
    listen: Option<SocketAddr>,
}

pub(super) async fn broker(arguments: Arguments) -> u8 {
    let Some(mut config) = load(&arguments.config) else { return REFUSED };
    let serve = config.serve.get_or_insert_with(GrpcConfig::default);
    if let Some(address) = arguments.listen {
        serve.address = address;
    }
    if !serve.address.ip().is_loopback() && serve.tokens.is_empty() {
        let address = serve.address;
        eprintln!(
            "pelton: {address} can be reached from other machines: give `serve.grpc.tokens`, or listen at 127.0.0.1"
        );
        return REFUSED;
    }
    run::config(config, &arguments.config, false).await
}
