use super::*;
use crate::testing::{batch as fixture_batch, message};

#[test]
fn every_column_is_read_at_its_own_place() {
    let first = message().stream("s").body("one");
    let second = message()
        .partition(3)
        .sequence(99)
        .attempt(2)
        .timestamp(5)
        .subject("orders.new")
        .id("m-1")
        .key(b"k\xff")
        .header("n", "v")
        .header("size", 12_i64)
        .header("n", "again")
        .content_type("text/plain")
        .reply_to("back")
        .correlation_id(b"c")
        .body("two");
    let third = message().subject("orders.new").header("n", "third");
    let batch = fixture_batch(&[first, second, third]);
    let strings = core::str::from_utf8(&batch.strings.data).unwrap();
    let at = |index| Message::new(&batch, strings, index);

    assert_eq!((at(0).stream(), at(0).body(), at(0).subject()), ("s", b"one".as_slice(), ""));
    assert_eq!((at(0).attempt(), at(0).timestamp(), at(0).id(), at(0).key()), (1, None, None, None));
    assert_eq!(at(0).headers().count(), 0);

    let second = at(1);
    assert_eq!((second.partition(), second.sequence(), second.attempt()), (3, 99, 2));
    assert_eq!((second.timestamp(), second.subject(), second.id()), (Some(5), "orders.new", Some("m-1")));
    assert_eq!(second.key(), Some(b"k\xff".as_slice()));
    let headers: Vec<_> = second.headers().collect();
    assert_eq!(headers[..3], [("n", Value::Text("v")), ("size", Value::Integer(12)), ("n", Value::Text("again"))]);
    assert_eq!(headers.len(), 6, "the key is no header, metadata is: {headers:?}");
    assert_eq!(second.header("n"), Some(Value::Text("v")));
    assert_eq!(second.header("none"), None);
    assert_eq!((second.content_type(), second.reply_to()), (Some("text/plain"), Some("back")));
    assert_eq!((second.correlation_id(), second.text().unwrap()), (Some(b"c".as_slice()), "two"));

    assert_eq!((at(2).subject(), at(2).body(), at(2).key()), ("orders.new", b"".as_slice(), None));
    assert_eq!(at(2).header("n"), Some(Value::Text("third")));
    assert_eq!(at(2).attempt(), 1);
}

#[test]
fn a_body_of_the_wrong_form_is_rejected_with_the_reason() {
    let bad = message().body(b"\xff");
    let failure = bad.message().text().unwrap_err();
    assert!(failure.is_reject() && failure.reason().starts_with("body is not text: "), "{failure}");

    let bad = message().body("no JSON");
    let failure = bad.message().json::<u32>().unwrap_err();
    assert!(failure.is_reject() && failure.reason().starts_with("body is not JSON: expected ident"), "{failure}");

    let bad = message().body("\"four\"");
    let failure = bad.message().json::<u32>().unwrap_err();
    assert!(failure.reason().starts_with("body is not as expected: invalid type: string"), "{failure}");
}

#[test]
fn json_may_borrow_from_the_body() {
    let fixture = message().body("\"text\"");
    let text: &str = fixture.message().json().unwrap();
    assert_eq!(text, "text");
}

#[test]
fn indexes_out_of_range_read_as_nothing() {
    let mut batch = fixture_batch(&[message().subject("s").header("n", "v").body("b")]);
    batch.subjects = vec![77];
    batch.headers.names = vec![88];
    batch.bodies.ends = vec![5000];
    let strings = core::str::from_utf8(&batch.strings.data).unwrap();
    let message = Message::new(&batch, strings, 0);
    assert_eq!((message.subject(), message.body()), ("", b"".as_slice()));
    assert_eq!(message.headers().collect::<Vec<_>>(), [("", Value::Text("v"))]);
}
