#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

type Header = (String, u8, Vec<u8>);

fn headers() -> impl Strategy<Value = Vec<Header>> {
    let name = prop_oneof![Just(KEY.to_owned()), "[a-z:é]{0,12}"];
    let kind = prop_oneof![0u8..7, 16u8..20];
    proptest::collection::vec((name, kind, proptest::collection::vec(any::<u8>(), 0..20)), 0..6)
}

proptest! {
    /// Whatever goes in comes out, with a builder that is used again and again.
    #[test]
    fn a_message_gives_back_its_parts(
        many in proptest::collection::vec((".{0,10}", headers(), any::<Vec<u8>>(), any::<Vec<u8>>(), any::<i64>()), 1..8)
    ) {
        let mut builder = Message::builder();
        for (subject, headers, id, body, time) in many {
            builder.subject(&subject).id(&id).timestamp(time);
            for (name, kind, bytes) in &headers {
                builder.raw_header(name, Kind(*kind), bytes);
            }
            let message = builder.build(&body).unwrap();
            prop_assert_eq!(message.subject(), subject);
            prop_assert_eq!(message.id(), id);
            prop_assert_eq!(message.timestamp(), time);
            prop_assert_eq!(message.body(), body);
            let back: Vec<Header> = message
                .shape()
                .fields()
                .iter()
                .enumerate()
                .map(|(i, f)| (f.name.to_string(), f.kind.0, message.value_bytes(i).to_vec()))
                .collect();
            let key = headers.iter().find(|h| h.0 == KEY).map(|h| h.2.as_slice());
            prop_assert_eq!(message.key(), key);
            prop_assert_eq!(back, headers);
        }
    }
}

#[test]
fn messages_of_one_make_share_their_shape() {
    let mut builder = Message::builder();
    let one = builder.subject("a").header("x", "1").build(b"").unwrap();
    let two = builder.subject("a").header("x", "2").build(b"").unwrap();
    let three = builder.subject("a").header("x", 3i64).build(b"").unwrap();
    assert!(Arc::ptr_eq(one.shape(), two.shape()));
    assert!(!Arc::ptr_eq(one.shape(), three.shape()), "another kind is another shape");
}

#[test]
fn values_keep_their_kind() {
    let values = [
        Value::Bytes(b"\xff\x00"),
        Value::Text("ü"),
        Value::Bool(true),
        Value::Integer(-1),
        Value::Float(2.5),
        Value::Timestamp(7),
        Value::Null,
        Value::Opaque(17, b"table"),
    ];
    let mut builder = Message::builder();
    for value in values {
        builder.header("v", value);
    }
    let message = builder.build(b"").unwrap();
    assert_eq!(message.headers().map(|(_, v)| v).collect::<Vec<_>>(), values);
}
