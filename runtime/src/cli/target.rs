//! Which broker the commands that produce and consume mean.

use super::{FAILED, REFUSED};
use crate::client::{ClientError, Connection};
use crate::config::{BrokerConfig, BrokerKind, ClientTls, Config, GrpcConfig, PeltonBroker, Secret};
use anyhow::{Context, bail};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Target {
    /// A configuration: its `brokers`, or lacking any, the broker of its `serve`
    #[arg(long)]
    config: Option<PathBuf>,
    /// host:port, or the name of a broker in --config; may be given several times, tried in turn [default: 127.0.0.1:50051]
    #[arg(long = "broker")]
    brokers: Vec<String>,
    /// What the broker wants to hear; PELTON_TOKEN says it unseen by other users of this machine
    #[arg(long)]
    token: Option<String>,
    /// The certificates that the broker's must be signed by, in PEM; without it, TLS is spoken only where --config says so
    #[arg(long)]
    ca: Option<PathBuf>,
}

impl Target {
    pub(super) fn connection(&self) -> anyhow::Result<Connection> {
        let mut broker = match &self.config {
            Some(path) => self.of_config(&Config::load(path)?).with_context(|| path.display().to_string())?,
            None if self.brokers.is_empty() => PeltonBroker::default(),
            None => PeltonBroker { addresses: self.brokers.clone(), ..PeltonBroker::default() },
        };
        if let Some(token) = self.token.clone().or_else(|| std::env::var("PELTON_TOKEN").ok()) {
            broker.token = Some(Secret::new(&token).context("the token must be printable ASCII without spaces")?);
        }
        if let Some(ca) = &self.ca {
            let tls = broker.tls.take().unwrap_or(ClientTls { ca: ca.clone(), identity: None, domain: None });
            broker.tls = Some(ClientTls { ca: ca.clone(), ..tls });
        }
        Ok(Connection::new(broker))
    }

    fn of_config(&self, config: &Config) -> anyhow::Result<PeltonBroker> {
        let named = |name: &str| config.brokers.iter().find(|b| b.name == name).map(|BrokerConfig { kind, .. }| kind);
        let first = self.brokers.iter().find_map(|name| named(name));
        let mut broker = match (first, config.brokers.as_slice(), &config.serve) {
            (Some(BrokerKind::Pelton(broker)), ..) => broker.clone(),
            (None, _, _) if !self.brokers.is_empty() => PeltonBroker::default(),
            (None, [BrokerConfig { kind: BrokerKind::Pelton(broker), .. }], _) => broker.clone(),
            (None, [], Some(serve)) => return self.of_serve(serve),
            (None, [], None) => bail!("there is neither a broker nor 'serve.grpc'; name a broker by --broker"),
            (None, several, _) => {
                let names: Vec<&str> = several.iter().map(|b| b.name.as_str()).collect();
                bail!("there are several brokers; name one of {} by --broker", names.join(", "))
            }
        };
        for name in &self.brokers {
            // What one broker is to hear is no other's business.
            if let Some(BrokerKind::Pelton(other)) = named(name)
                && (&other.token, &other.tls) != (&broker.token, &broker.tls)
            {
                bail!("the broker '{name}' has another token or other certificates than the first; name one of them");
            }
        }
        if !self.brokers.is_empty() {
            let addresses = |name: &String| match named(name) {
                Some(BrokerKind::Pelton(broker)) => broker.addresses.clone(),
                None => vec![name.clone()],
            };
            broker.addresses = self.brokers.iter().flat_map(addresses).collect();
        }
        Ok(broker)
    }

    /// The broker that runs, or will, on this machine by the same configuration.
    fn of_serve(&self, serve: &GrpcConfig) -> anyhow::Result<PeltonBroker> {
        let ip = match serve.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        if serve.tls.is_some() && self.ca.is_none() {
            bail!("'serve.grpc' speaks TLS; name the certificates to trust by --ca, or declare it under 'brokers'");
        }
        let address = SocketAddr::new(ip, serve.address.port());
        let token = serve.tokens.first().cloned();
        Ok(PeltonBroker { addresses: vec![address.to_string()], token, ..PeltonBroker::default() })
    }
}

/// What went wrong, on standard error, and the exit code.
pub(super) fn failure(error: &anyhow::Error) -> u8 {
    eprintln!("pelton: {error:#}");
    match error.downcast_ref() {
        Some(ClientError::InvalidConfiguration(_)) => REFUSED,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn a_token_is_shown_only_to_the_broker_that_it_is_for() {
        let text = "brokers:\n  a: { type: pelton, address: \"a:1\", token: one }\n  \
                    b: { type: pelton, address: \"b:1\", token: two }\n  \
                    c: { type: pelton, address: \"c:1\", token: one }\n\
                    streams:\n  s: { from: { broker: a, stream: s }, to: { broker: b, stream: s } }\n";
        let config = Config::parse(text, "x.yaml", &Environment::default()).unwrap();
        let of = |brokers: &[&str]| {
            let brokers = brokers.iter().map(|name| (*name).to_owned()).collect();
            Target { config: None, brokers, token: None, ca: None }.of_config(&config)
        };
        assert_eq!(of(&["a", "c"]).unwrap().addresses, ["a:1", "c:1"]);
        let refused = of(&["a", "b"]).unwrap_err().to_string();
        assert!(refused.contains("'b' has another token or"), "{refused}");
    }
}
