//! Messages to what goes over the wire, and back.
//!
//! What leaves is gathered into one buffer for a whole batch, of which each message has slices; what comes in is slices of
//! the buffer that it was received in, and each message is copied once, into its own allocation.

use super::proto;
use crate::message::{Entry, KEY, Kind, Message, MessageBuilder, MessageTooLarge, Position, Value};
use bytes::{Bytes, BytesMut};
use proto::header;
use std::cell::RefCell;

thread_local! {
    /// Remembers the shapes of messages, so that those of one make share one.
    static BUILDER: RefCell<MessageBuilder> = RefCell::default();
}

/// The messages for the wire.
pub(crate) fn to_wire<'a>(messages: impl ExactSizeIterator<Item = &'a Message> + Clone) -> Vec<proto::Message> {
    let bytes = messages.clone().map(|m| m.id().len() + m.key().map_or(0, <[u8]>::len) + m.body().len()).sum();
    let mut buffer = BytesMut::with_capacity(bytes);
    messages.map(|message| one_to_wire(message, &mut buffer)).collect()
}

/// The entries for the wire, each where it stands.
pub(crate) fn to_records(entries: &[Entry]) -> Vec<proto::Record> {
    let messages = to_wire(entries.iter().map(|e| &e.message));
    let record = |(entry, message): (&Entry, _)| proto::Record {
        offset: offset(entry.at.seq),
        attempt: entry.attempt,
        message: Some(message),
        partition: entry.at.partition,
    };
    entries.iter().zip(messages).map(record).collect()
}

fn one_to_wire(message: &Message, buffer: &mut BytesMut) -> proto::Message {
    let mut part = |bytes: &[u8]| -> Bytes {
        if bytes.is_empty() {
            return Bytes::new();
        }
        buffer.extend_from_slice(bytes);
        buffer.split().freeze()
    };
    let mut wire = proto::Message {
        subject: message.subject().to_owned(),
        id: part(message.id()),
        key: message.key().map(&mut part),
        timestamp: message.timestamp(),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    let mut key = wire.key.is_some();
    for (name, value) in message.headers() {
        // The first of that name is the key, which has a field of its own.
        if name == KEY && std::mem::take(&mut key) {
            continue;
        }
        wire.headers.push(proto::Header { name: name.to_owned(), value: header_to_wire(value) });
    }
    wire.body = part(message.body());
    wire
}

fn header_to_wire(value: Value<'_>) -> Option<header::Value> {
    Some(match value {
        Value::Bytes(bytes) => header::Value::Binary(Bytes::copy_from_slice(bytes)),
        Value::Text(text) => header::Value::Text(text.to_owned()),
        Value::Bool(value) => header::Value::Boolean(value),
        Value::Integer(value) => header::Value::Integer(value),
        Value::Float(value) => header::Value::Number(value),
        Value::Timestamp(value) => header::Value::Timestamp(value),
        Value::Opaque(kind, value) => {
            header::Value::Opaque(header::Opaque { kind: u32::from(kind), value: Bytes::copy_from_slice(value) })
        }
        Value::Null => return None,
    })
}

/// The messages that came over the wire.
pub(crate) fn from_wire(messages: &[proto::Message]) -> Result<Vec<Message>, MessageTooLarge> {
    BUILDER.with_borrow_mut(|builder| messages.iter().map(|wire| one_from_wire(builder, wire)).collect())
}

/// The entries that came over the wire; one without a message is an empty one.
pub(crate) fn from_records(records: &[proto::Record]) -> Result<Vec<Entry>, MessageTooLarge> {
    let none = proto::Message::default();
    let entry = |builder: &mut MessageBuilder, record: &proto::Record| {
        let message = one_from_wire(builder, record.message.as_ref().unwrap_or(&none))?;
        let at = Position { partition: record.partition, seq: u64::try_from(record.offset).unwrap_or(0) };
        Ok(Entry::new(at, record.attempt, message))
    };
    BUILDER.with_borrow_mut(|builder| records.iter().map(|record| entry(builder, record)).collect())
}

fn one_from_wire(builder: &mut MessageBuilder, wire: &proto::Message) -> Result<Message, MessageTooLarge> {
    builder.subject(&wire.subject).id(&wire.id).timestamp(wire.timestamp);
    if let Some(key) = &wire.key {
        builder.key(key);
    }
    for header in &wire.headers {
        header_from_wire(builder, &header.name, header.value.as_ref());
    }
    builder.build(&wire.body)
}

fn header_from_wire(builder: &mut MessageBuilder, name: &str, value: Option<&header::Value>) {
    match value {
        Some(header::Value::Text(text)) => builder.header(name, text.as_str()),
        Some(header::Value::Binary(bytes)) => builder.header(name, &bytes[..]),
        Some(header::Value::Boolean(value)) => builder.header(name, Value::Bool(*value)),
        Some(header::Value::Integer(value)) => builder.header(name, *value),
        Some(header::Value::Number(value)) => builder.header(name, Value::Float(*value)),
        Some(header::Value::Timestamp(value)) => builder.header(name, Value::Timestamp(*value)),
        Some(header::Value::Opaque(opaque)) => match u8::try_from(opaque.kind) {
            Ok(kind) if kind >= Kind::OPAQUE => builder.header(name, Value::Opaque(kind, &opaque.value)),
            // No kind that there is: its bytes are passed on all the same.
            _ => builder.header(name, &opaque.value[..]),
        },
        // Null; or of a kind that a later version of the protocol has.
        None => builder.header(name, Value::Null),
    };
}

/// A sequence as the protocol writes it.
pub(crate) fn offset(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message as _;

    fn value() -> impl Strategy<Value = (u8, Vec<u8>)> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..9);
        prop_oneof![
            bytes().prop_map(|b| (0, b)),
            any::<String>().prop_map(|t| (1, t.into_bytes())),
            any::<bool>().prop_map(|b| (2, vec![u8::from(b)])),
            (3u8..6, any::<[u8; 8]>()).prop_map(|(kind, b)| (kind, b.to_vec())),
            Just((6, Vec::new())),
            (16u8.., bytes()),
        ]
    }

    proptest! {
        /// Whatever a message is, it is the same on the other side.
        #[test]
        fn what_is_sent_is_what_comes(
            subject in any::<String>(),
            id in proptest::collection::vec(any::<u8>(), 0..9),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
            headers in proptest::collection::vec((any::<String>(), value()), 0..5),
            timestamp in any::<i64>(),
            body in proptest::collection::vec(any::<u8>(), 0..99),
        ) {
            let mut builder = Message::builder();
            builder.subject(&subject).id(&id).timestamp(timestamp);
            if let Some(key) = &key {
                builder.key(key);
            }
            for (name, (kind, bytes)) in &headers {
                builder.raw_header(name, Kind(*kind), bytes);
            }
            let message = builder.build(&body).unwrap();
            let sent: Vec<Vec<u8>> =
                to_wire([&message, &message].into_iter()).iter().map(proto::Message::encode_to_vec).collect();
            let wire: Vec<_> = sent.iter().map(|b| proto::Message::decode(&b[..]).unwrap()).collect();
            // NaN is not itself, so the bytes are compared.
            let came = from_wire(&wire).unwrap();
            prop_assert_eq!(came.len(), 2);
            for came in came {
                prop_assert_eq!(&came, &message);
                prop_assert_eq!(came.key(), key.as_deref().or(message.key()));
            }
        }
    }

    #[test]
    fn a_kind_that_there_is_not_becomes_bytes() {
        let opaque = header::Opaque { kind: 300, value: Bytes::from_static(b"x") };
        let headers = vec![proto::Header { name: "n".into(), value: Some(header::Value::Opaque(opaque)) }];
        let came = from_wire(&[proto::Message { headers, ..Default::default() }]).unwrap();
        assert_eq!(came[0].header("n"), Some(Value::Bytes(b"x")));
    }
}
