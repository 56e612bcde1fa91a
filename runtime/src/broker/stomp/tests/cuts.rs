use super::*;
use bytes::{BufMut, BytesMut};

proptest! {
    /// What is written is what a plain encoder writes, and what is read of it is the frame.
    #[test]
    fn what_is_encoded_is_what_is_decoded((version, frame) in version().prop_flat_map(|v| (Just(v), frame(v)))) {
        let mut out = BytesMut::from(&b"before"[..]);
        encode(&frame, version, &mut out).unwrap();
        let (bytes, events) = spell(&frame, version, Spelling { eol: "\n", length: true, beats: 0 });
        prop_assert_eq!(&out[6..], &bytes[..]);
        for cut in 0..=bytes.len() {
            let (front, back) = bytes.split_at(cut);
            let read = read(version, Limits::default(), [front, back]);
            prop_assert_eq!(&read.events, &events, "cut at {}", cut);
            prop_assert_eq!(read.error, None);
        }
    }

    /// A frame that was read can be written again, as it came but for a length that it came without.
    #[test]
    fn what_is_decoded_can_be_encoded((version, bytes, _) in stream()) {
        for event in read(version, Limits::default(), [&bytes[..]]).events {
            let Event::Frame(mut frame) = event else { continue };
            let mut out = BytesMut::new();
            encode(&frame, version, &mut out).unwrap();
            if !frame.body.is_empty() && frame.headers.get("content-length").is_none() {
                frame.headers.push("content-length", frame.body.len().to_string());
            }
            prop_assert_eq!(read(version, Limits::default(), [&out[..]]).events, [Event::Frame(frame)]);
        }
    }

    #[test]
    fn streams_do_not_depend_on_the_pieces(
        (version, bytes, events) in stream(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let read = the_same_at_cuts(version, Limits::default(), &bytes, &cuts)?;
        prop_assert_eq!(read.events, events);
        prop_assert_eq!(read.error, None);
    }
}

#[test]
fn whether_a_stream_may_end_here_is_known() {
    let bytes = b"\nMESSAGE\na:b\n\nbody\0\n";
    for cut in 0..=bytes.len() {
        let mut decoder = Decoder::new(Version::V1_2, Limits::default());
        decoder.feed(&bytes[..cut]);
        while decoder.decode().unwrap().is_some() {}
        let expected = cut <= 1 || cut >= bytes.len() - 1;
        assert_eq!(decoder.is_between_frames(), expected, "after {cut} bytes");
    }
}

#[test]
fn a_body_is_not_copied() {
    let bytes = b"MESSAGE\ncontent-length:4\n\nbody\0";
    let mut decoder = Decoder::new(Version::V1_2, Limits::default());
    let start = decoder.space(bytes.len()).chunk_mut().as_mut_ptr() as usize;
    decoder.space(bytes.len()).put_slice(bytes);
    let Some(Event::Frame(frame)) = decoder.decode().unwrap() else { panic!() };
    assert_eq!(frame.body, "body");
    assert_eq!(frame.body.as_ptr() as usize, start + bytes.len() - 5);
}

#[test]
fn a_version_holds_from_the_next_frame_on() {
    let mut decoder = Decoder::new(Version::V1_0, Limits::default());
    decoder.feed(b"CONNECTED\r\nversion:1.1\r\nserver:a\\c\r\n\r\n\0MESSAGE\na:\\c\r\n\n\0");
    let Some(Event::Frame(connected)) = decoder.decode().unwrap() else { panic!() };
    assert_eq!(connected.headers.text("server"), Some("a\\c"));
    decoder.set_version(Version::V1_1);
    let Some(Event::Frame(message)) = decoder.decode().unwrap() else { panic!() };
    assert_eq!(message.headers.text("a"), Some(":\r"));
}

#[test]
fn the_first_of_two_headers_counts_and_both_are_seen() {
    let read = read(
        Version::V1_2,
        Limits::default(),
        [&b"MESSAGE\ncontent-length:3\nfoo:World\nfoo:Hello\ncontent-length:1\n\na\0b\0"[..]],
    );
    let [Event::Frame(frame)] = &read.events[..] else { panic!("{read:?}") };
    assert_eq!(frame.headers.text("foo"), Some("World"));
    assert_eq!(frame.body, &b"a\0b"[..]);
    let all: Vec<_> = frame.headers.iter().filter(|(name, _)| *name == "foo").map(|(_, value)| value).collect();
    assert_eq!(all, [b"World", b"Hello"]);
}

#[test]
fn a_password_does_not_show() {
    let connect = Frame::new(Command::Connect).with_header("login", "pelton").with_header("passcode", "hunter2");
    let shown = format!("{connect:?}");
    assert!(shown.contains("pelton") && !shown.contains("hunter2"), "{shown}");
}
