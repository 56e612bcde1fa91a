//! Another Pelton: the broker, and the ends that name it.

use std::net::Ipv6Addr;

use super::files::Files;
use super::secure::{client_tls, secret};
use super::{A_NAME, is_name, start};
use crate::config::defaults;
use crate::config::error::Problem;
use crate::config::model::{PeltonBroker, PeltonSink, PeltonSource};
use crate::config::read::Value;

pub(super) fn broker(value: &Value<'_>, files: &Files<'_>) -> Option<PeltonBroker> {
    let fields = value.fields(&["type", "address", "token", "tls", "connect_timeout", "request_timeout"])?;
    Some(PeltonBroker {
        addresses: fields.or("address", vec![defaults::GRPC_ADDRESS.to_string()], addresses),
        token: fields.optional("token").and_then(|token| secret(&token)),
        tls: fields.optional("tls").and_then(|tls| client_tls(&tls, files)),
        connect_timeout: fields.or("connect_timeout", defaults::CONNECT_TIMEOUT, Value::duration_above_zero),
        request_timeout: fields.or("request_timeout", defaults::REQUEST_TIMEOUT, Value::duration_above_zero),
    })
}

/// One address, or a list of them.
fn addresses(value: &Value<'_>) -> Option<Vec<String>> {
    if value.is_scalar() {
        return Some(vec![address(value)?]);
    }
    let items = value.items("host:port, or a list of such addresses")?;
    if items.is_empty() {
        value.wrong(Problem::new("the list is empty").expected("at least one address"));
    }
    Some(items.iter().filter_map(address).collect())
}

fn address(value: &Value<'_>) -> Option<String> {
    const AN_ADDRESS: &str = "host:port, such as 127.0.0.1:50051";
    value.parsed(AN_ADDRESS, |text| {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && is_port(port));
        let bare = text.split_once("://").map(|(_, bare)| bare);
        let wrong = || Problem::new(format!("'{text}' is no address")).expected(AN_ADDRESS).suggest(bare);
        good.then(|| text.to_owned()).ok_or_else(wrong)
    })
}

/// A name, an IPv4 address, or an IPv6 address within brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `name` is that of the stream which it feeds: the group, unless one is given.
pub(super) fn source(value: &Value<'_>, name: &str, broker: &PeltonBroker) -> Option<PeltonSource> {
    let fields = value.fields(&["broker", "stream", "group", "start"])?;
    let stream = fields.required("stream", "the name of a stream of that broker");
    let stream = stream.and_then(|stream| remote_name(&stream, "a stream"));
    let group = fields.or("group", name.to_owned(), |group| remote_name(group, "a group"));
    let start = fields.or("start", defaults::START, start);
    Some(PeltonSource { broker: broker.clone(), stream: stream?, group, start })
}

pub(super) fn sink(value: &Value<'_>, broker: &PeltonBroker) -> Option<PeltonSink> {
    let stream = value.fields(&["broker", "stream"])?.required("stream", "the name of a stream of that broker")?;
    Some(PeltonSink { broker: broker.clone(), stream: remote_name(&stream, "a stream")? })
}

/// The other side has the same rule for names.
fn remote_name(value: &Value<'_>, of: &str) -> Option<String> {
    value.parsed(&format!("the name of {of}"), |text| {
        let wrong = || Problem::new(format!("'{text}' cannot be the name of {of}")).expected(A_NAME);
        is_name(text).then(|| text.to_owned()).ok_or_else(wrong)
    })
}
