use super::*;

const SMALL: Limits = Limits { frame: 50, headers: 2, line: 20 };

/// Streams that end in an error, which one, and what it says.
fn table() -> Vec<(Version, Limits, &'static [u8], DecodeError, &'static str)> {
    use DecodeError::*;
    use Version::*;
    let usual = Limits::default();
    let escape = |sequence: &str, version| UnknownEscape { header: "a".into(), sequence: sequence.into(), version };
    let too_large = |length, limit| ContentLengthTooLarge { length, limit };
    vec![
        (
            V1_2,
            usual,
            b"HTTP/1.1 400 Bad Request\r\n",
            UnknownCommand("HTTP/1.1 400".into()),
            "\"HTTP/1.1 400\" is no STOMP command",
        ),
        (V1_2, usual, b"AMQP\0\0\x09\x01", UnknownCommand("AMQP\0".into()), "is this a STOMP port"),
        (V1_2, usual, b"\x15\x03\x03\0\x02\x02\x28", UnknownCommand("\x15\x03\x03\0".into()), "is TLS wanted here"),
        (V1_2, usual, b"message\n\n\0", UnknownCommand("message".into()), "\"message\""),
        (V1_2, usual, b"UNSUBSCRIBED", UnknownCommand("UNSUBSCRIBED".into()), "UNSUBSCRIBED"),
        (V1_2, usual, b"\0", UnknownCommand("\0".into()), "is no STOMP command"),
        (V1_1, usual, b"SEND\r\n", UnknownCommand("SEND\r".into()), "\"SEND\\r\""),
        (V1_2, usual, b"MESSAGE\nfoo\n\n\0", HeaderWithoutColon("foo".into()), "header line \"foo\" has no colon"),
        (V1_1, usual, b"MESSAGE\n\r\n\0", HeaderWithoutColon("\r".into()), "has no colon"),
        (V1_2, usual, b"MESSAGE\n:foo\n\n\0", HeaderWithoutName("foo".into()), "only the value \"foo\""),
        (V1_2, usual, b"MESSAGE\n\xff:foo\n\n\0", NameNotUtf8("\u{fffd}".into()), "is not UTF-8"),
        (
            V1_2,
            usual,
            b"MESSAGE\na:\\t\n\n\0",
            escape("\\t", V1_2),
            "header \"a\" holds \"\\\\t\", which is no escape in STOMP 1.2",
        ),
        (V1_2, usual, b"MESSAGE\na:b\\\n\n\0", escape("\\", V1_2), "holds \"\\\\\""),
        (V1_2, usual, b"MESSAGE\na:b\\\r\n\n\0", escape("\\", V1_2), "holds \"\\\\\""),
        (V1_1, usual, b"MESSAGE\na:\\r\n\n\0", escape("\\r", V1_1), "no escape in STOMP 1.1"),
        (
            V1_2,
            usual,
            b"RECEIPT\nreceipt-id:77\n\0",
            EndsInHeaders(Command::Receipt),
            "frame RECEIPT ends within its headers",
        ),
        (V1_2, usual, b"MESSAGE\na:\0b\n\n\0", EndsInHeaders(Command::Message), "ends within its headers"),
        (
            V1_2,
            usual,
            b"SEND\ncontent-length:five\n\n",
            ContentLengthNotANumber("five".into()),
            "\"five\" is not a number",
        ),
        (V1_2, usual, b"SEND\ncontent-length:\n\n", ContentLengthNotANumber("".into()), "is not a number"),
        (V1_2, usual, b"SEND\ncontent-length: 5\n\n", ContentLengthNotANumber(" 5".into()), "\" 5\""),
        (V1_2, usual, b"SEND\ncontent-length:+5\n\n", ContentLengthNotANumber("+5".into()), "\"+5\""),
        (V1_2, usual, b"SEND\ncontent-length:--5\n\n", ContentLengthNotANumber("--5".into()), "\"--5\""),
        (
            V1_2,
            usual,
            b"SEND\ncontent-length:-5\n\n",
            ContentLengthNegative("-5".into()),
            "content-length -5 is negative",
        ),
        (
            V1_2,
            usual,
            b"SEND\ncontent-length:99999999999999999999999\n\n",
            too_large(usize::MAX, 32 << 20),
            "of more than 33554432 bytes",
        ),
        (
            V1_2,
            usual,
            b"SEND\ncontent-length:3\n\nabcd\0",
            BodyTooLong { command: Command::Send, length: 3 },
            "goes on after the 3 bytes",
        ),
        (
            V1_0,
            usual,
            b"SEND\ncontent-length:0\n\na\0",
            BodyTooLong { command: Command::Send, length: 0 },
            "goes on after the 0 bytes",
        ),
        (V1_2, usual, b"RECEIPT\nreceipt-id:1\n\nbody\0", UnexpectedBody(Command::Receipt), "frame RECEIPT has a body"),
        (V1_2, usual, b"ACK\ncontent-length:2\n\n", UnexpectedBody(Command::Ack), "frame ACK has a body"),
        (
            V1_2,
            SMALL,
            b"SEND\na:456789012345678901",
            TooLarge { limit: Limit::Line, most: 20 },
            "a header line has a length in bytes of more than 20",
        ),
        (
            V1_2,
            SMALL,
            b"SEND\na:\nb:\nc:\n",
            TooLarge { limit: Limit::Headers, most: 2 },
            "a frame has a number of headers of more than 2",
        ),
        (
            V1_2,
            SMALL,
            b"SEND\n\n67890123456789012345678901234567890123456789\0",
            TooLarge { limit: Limit::Frame, most: 50 },
            "a frame has a size in bytes of more than 50; raise that limit",
        ),
        (
            V1_2,
            SMALL,
            b"SEND\ncontent-length:26\n\n",
            too_large(26, 50),
            "content-length 26 makes a frame of more than 50 bytes",
        ),
        (
            V1_2,
            Limits { frame: 9, ..SMALL },
            b"SEND\na:89",
            TooLarge { limit: Limit::Frame, most: 9 },
            "of more than 9",
        ),
    ]
}

#[test]
fn a_bad_stream_is_told_exactly_wherever_it_is_cut() {
    for (version, limits, bytes, error, says) in table() {
        let stream = [b"\nACK\n\n\0", bytes].concat();
        let before = [Event::HeartBeat, Event::Frame(Frame::new(Command::Ack))];
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            let read = read(version, limits, [front, back, b"MESSAGE\n\n\0"]);
            assert_eq!(read.error.as_ref(), Some(&error), "{:?} cut at {cut}", bytes.escape_ascii().to_string());
            assert_eq!(read.events, before);
        }
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn what_just_keeps_to_the_limits_is_read() {
    for (bytes, body) in [
        (&b"SEND\na:45678901234567890\nb:\n\n\0"[..], 0),
        (b"SEND\n\n6789012345678901234567890123456789012345678\0", 43),
        (b"SEND\ncontent-length:25\n\n4567890123456789012345678\0", 25),
        (b"UNSUBSCRIBE\r\n\r\n\0", 0),
    ] {
        let read = read(Version::V1_2, SMALL, bytes.chunks(1));
        let [Event::Frame(frame)] = &read.events[..] else { panic!("{read:?}") };
        assert_eq!((frame.body.len(), read.error), (body, None));
    }
}

/// Which is not by the book, but what would end the connection each time such a message is delivered.
#[test]
fn what_can_be_read_one_way_alone_is_read() {
    for (version, bytes, value) in [
        (Version::V1_2, &b"MESSAGE\na:b:c\n\n\0"[..], &b"b:c"[..]),
        (Version::V1_2, b"MESSAGE\na:b\rc\n\n\0", b"b\rc"),
        (Version::V1_2, b"MESSAGE\na:\xff\n\n\0", b"\xff"),
        (Version::V1_2, b"MESSAGE\na: b \n\n\0", b" b "),
        (Version::V1_2, b"MESSAGE\na:\n\n\0", b""),
        (Version::V1_0, b"CONNECTED\r\na:\\x\r\n\r\n\n\0", b"\\x"),
        (Version::V1_0, b"MESSAGE\na:b\ncontent-length: 1 \n\nx\0", b"b"),
    ] {
        let read = read(version, Limits::default(), [bytes]);
        let [Event::Frame(frame)] = &read.events[..] else { panic!("{read:?}") };
        assert_eq!(frame.headers.get("a"), Some(value));
    }
}
