//! The section `brokers`, and the streams' references to it.

use super::files::Files;
use super::{check_name, pelton, typed};
use crate::config::error::{Problem, nearest};
use crate::config::model::{BrokerConfig, BrokerKind, SinkConfig, SourceConfig};
use crate::config::read::{Value, one_of};

/// What the section declares.
pub(super) struct Brokers<'a> {
    /// Each name with its broker, where that is valid.
    list: Vec<(&'a str, Option<BrokerConfig>)>,
    /// Whether the section could be read: if not, any name may be in it.
    known: bool,
}

impl<'a> Brokers<'a> {
    pub(super) fn read(section: Option<Value<'a>>, files: &Files<'_>) -> Brokers<'a> {
        let entries = match &section {
            Some(section) => section.entries("a mapping of names to brokers"),
            None => Some(Vec::new()),
        };
        let known = entries.is_some();
        let list = entries.unwrap_or_default().into_iter().map(|(name, value)| (name, broker(name, &value, files)));
        Brokers { list: list.collect(), known }
    }

    pub(super) fn into_list(self) -> Vec<BrokerConfig> {
        self.list.into_iter().filter_map(|(_, broker)| broker).collect()
    }

    /// The broker that an end names by its key `broker`, or was probably meant to name.
    fn of_end(&self, end: &Value<'_>) -> Option<&BrokerKind> {
        let value = end.deciding("broker", "the name of a broker")?;
        let name = value.text("the name of a broker")?;
        let find = |name: &str| self.list.iter().find(|(known, _)| *known == name);
        if let Some((_, broker)) = find(name) {
            return broker.as_ref().map(|broker| &broker.kind);
        }
        if !self.known {
            return None;
        }
        let names: Vec<&str> = self.list.iter().map(|(name, _)| *name).collect();
        let near = nearest(name, names.iter().copied());
        let problem = Problem::new(format!("there is no broker '{name}'"));
        value.wrong(match (near, names.as_slice()) {
            (Some(_), _) => problem.suggest(near),
            (None, []) => problem.expected(format!("'{name}' in the section 'brokers'")),
            (None, names) => problem.expected(one_of(names)),
        });
        let (_, broker) = find(near?)?;
        broker.as_ref().map(|broker| &broker.kind)
    }

    /// `{ broker: NAME, … }`; the other keys depend on the broker. `stream` is the name of the stream that it feeds.
    pub(super) fn source(&self, value: &Value<'_>, stream: &str) -> Option<SourceConfig> {
        match self.of_end(value)? {
            BrokerKind::Pelton(broker) => pelton::source(value, stream, broker).map(SourceConfig::Pelton),
        }
    }

    /// `{ broker: NAME, … }`; the other keys depend on the broker.
    pub(super) fn sink(&self, value: &Value<'_>) -> Option<SinkConfig> {
        match self.of_end(value)? {
            BrokerKind::Pelton(broker) => pelton::sink(value, broker).map(SinkConfig::Pelton),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Pelton,
}

fn broker(name: &str, value: &Value<'_>, files: &Files<'_>) -> Option<BrokerConfig> {
    check_name(name, value);
    let kind = match typed(value, &[("pelton", Kind::Pelton)])? {
        Kind::Pelton => BrokerKind::Pelton(pelton::broker(value, files)?),
    };
    Some(BrokerConfig { name: name.to_owned(), kind })
}
