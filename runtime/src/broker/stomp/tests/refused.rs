use super::*;
use bytes::BytesMut;

/// Frames that can't be said, and why.
fn table() -> Vec<(Version, Frame, EncodeError, &'static str)> {
    use Command::*;
    use Version::*;
    let bad_name = |name: &str, what, command, version| EncodeError::Name { name: name.into(), what, command, version };
    let bad_value = |what, command, version| EncodeError::Value { name: "a".into(), what, command, version };
    let named = |command, name: &str| Frame::new(command).with_header(name, "secret");
    let valued = |command, value: &str| Frame::new(command).with_header("a", value);
    let length = |said: &str, bytes| EncodeError::ContentLength { said: said.into(), bytes };
    vec![
        (V1_2, named(Send, ""), EncodeError::HeaderWithoutName(Send), "header of frame SEND has no name"),
        (V1_0, named(Send, "a:b"), bad_name("a:b", "a colon", Send, V1_0), "header \"a:b\" holds a colon"),
        (V1_0, named(Send, "a\nb"), bad_name("a\nb", "a line feed", Send, V1_0), "frame SEND of STOMP 1.0 can't say"),
        (V1_1, named(Send, "a\rb"), bad_name("a\rb", "a carriage return", Send, V1_1), "of STOMP 1.1"),
        (V1_2, named(Send, "a\0b"), bad_name("a\0b", "a NUL", Send, V1_2), "holds a NUL"),
        (V1_2, named(Connect, "a:b"), bad_name("a:b", "a colon", Connect, V1_2), "which frame CONNECT"),
        (V1_0, valued(Send, "x\ny"), bad_value("a line feed", Send, V1_0), "value of header \"a\" holds a line feed"),
        (V1_0, valued(Send, "x\ry"), bad_value("a carriage return", Send, V1_0), "holds a carriage return"),
        (V1_1, valued(Send, "x\r"), bad_value("a carriage return", Send, V1_1), "encode it, or leave it out"),
        (V1_2, valued(Send, "\0"), bad_value("a NUL", Send, V1_2), "holds a NUL"),
        (V1_2, valued(Connect, "x\ny"), bad_value("a line feed", Connect, V1_2), "frame CONNECT of STOMP 1.2"),
        (V1_2, valued(Stomp, "x\ry"), bad_value("a carriage return", Stomp, V1_2), "frame STOMP of STOMP 1.2"),
        (V1_2, valued(Connected, "x\ny"), bad_value("a line feed", Connected, V1_2), "frame CONNECTED"),
        (V1_2, Frame::new(Ack).with_body("x"), EncodeError::UnexpectedBody(Ack), "frame ACK can't have a body"),
        (V1_2, named(Send, "content-length"), length("secret", 0), "the body has 0 bytes"),
        (
            V1_2,
            Frame::new(Send).with_header("content-length", "2").with_body("x"),
            length("2", 1),
            "leave the header out",
        ),
    ]
}

#[test]
fn what_cannot_be_said_is_refused_and_leaves_nothing() {
    for (version, frame, error, says) in table() {
        let mut out = BytesMut::from(&b"before"[..]);
        assert_eq!(encode(&frame, version, &mut out), Err(error.clone()));
        assert_eq!(out, &b"before"[..]);
        assert!(error.to_string().contains(says), "{error}");
        let secret = !matches!(error, EncodeError::ContentLength { .. }) && error.to_string().contains("secret");
        assert!(!secret, "{error}");
    }
}

#[test]
fn a_length_that_is_right_stays_where_it_is() {
    let mut out = BytesMut::new();
    let frame = Frame::new(Command::Send).with_header("content-length", "1").with_header("a", "b").with_body("\0");
    encode(&frame, Version::V1_2, &mut out).unwrap();
    assert_eq!(out, &b"SEND\ncontent-length:1\na:b\n\n\0\0"[..]);
    // A password may hold what would be escaped elsewhere.
    let frame = Frame::new(Command::Connect).with_header("passcode", "a:b\\c");
    out.clear();
    encode(&frame, Version::V1_2, &mut out).unwrap();
    assert_eq!(out, &b"CONNECT\npasscode:a:b\\c\n\n\0"[..]);
}
