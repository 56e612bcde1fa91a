mod agree;
mod bad;
mod brokers;
mod cuts;
mod garbage;
mod refused;

use super::*;
use proptest::prelude::*;

/// What became of a stream: its events, how it ended, and how many bytes were looked at.
#[derive(Debug, PartialEq)]
struct Read {
    events: Vec<Event>,
    error: Option<DecodeError>,
    work: usize,
}

/// Feeds the pieces one by one, and takes all that is there after each. An error has to stay.
fn read<'a>(version: Version, limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut decoder = Decoder::new(version, limits);
    let mut events = Vec::new();
    let mut error = None;
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.decode() {
                Ok(Some(event)) => {
                    assert_eq!(error, None, "it went on after an error");
                    events.push(event);
                }
                Ok(None) => break,
                Err(e) => {
                    assert_eq!(*error.get_or_insert(e.clone()), e);
                    assert_eq!(decoder.held(), 0, "a decoder that failed keeps nothing");
                    break;
                }
            }
        }
    }
    Read { events, error, work: decoder.work }
}

/// `bytes`, cut at these places, taken modulo their number.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// However a stream is cut, it gives the same, and a byte is searched once and parsed once.
fn the_same_at_cuts(version: Version, limits: Limits, bytes: &[u8], cuts: &[usize]) -> Result<Read, TestCaseError> {
    let whole = read(version, limits, [bytes]);
    for pieces in [pieces(bytes, cuts), bytes.chunks(1).collect()] {
        let cut = read(version, limits, pieces);
        prop_assert_eq!(&cut.events, &whole.events);
        prop_assert_eq!(&cut.error, &whole.error);
        prop_assert!(cut.work <= 2 * bytes.len(), "{} bytes looked at of {}", cut.work, bytes.len());
    }
    prop_assert!(whole.work <= 2 * bytes.len(), "{} bytes looked at of {}", whole.work, bytes.len());
    Ok(whole)
}

fn version() -> impl Strategy<Value = Version> {
    proptest::sample::select(&Version::ALL[..])
}

/// Text with much in it that has to be escaped.
fn odd() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => proptest::sample::select(vec!['\\', ':', '\n', '\r', 'c', 'n', 'r', ' ', 'é']),
        1 => any::<char>(),
    ];
    proptest::collection::vec(char, 0..6).prop_map(|chars| chars.into_iter().collect())
}

/// A frame that can be said in a version.
fn frame(version: Version) -> impl Strategy<Value = Frame> {
    let value =
        (odd(), proptest::collection::vec(any::<u8>(), 0..3)).prop_map(|(text, bytes)| [text.into(), bytes].concat());
    let headers = proptest::collection::vec((odd(), value), 0..4);
    let body = proptest::collection::vec(prop_oneof![Just(0), Just(b'\n'), any::<u8>()], 0..12);
    (proptest::sample::select(&Command::ALL[..]), headers, body).prop_map(move |(command, headers, body)| {
        let plain = version == Version::V1_0 || ["CONNECT", "STOMP", "CONNECTED"].contains(&command.name());
        let sayable = |byte: u8, name: bool| match byte {
            0 => false,
            b'\r' => version == Version::V1_2 && !plain,
            b'\n' => !plain,
            b':' => !plain || !name,
            _ => true,
        };
        let mut frame = Frame::new(command);
        for (mut name, mut value) in headers {
            name.retain(|char| u8::try_from(char).map_or(true, |byte| sayable(byte, true)));
            value.retain(|byte| sayable(*byte, false));
            frame.headers.push(&format!("x{name}"), value);
        }
        if ["SEND", "MESSAGE", "ERROR"].contains(&command.name()) {
            frame.body = body.into();
        }
        frame
    })
}

/// How a sender may write one and the same frame.
#[derive(Clone, Copy, Debug)]
struct Spelling {
    eol: &'static str,
    length: bool,
    beats: usize,
}

fn spelling(version: Version) -> impl Strategy<Value = Spelling> {
    let eols = if version == Version::V1_1 { vec!["\n"] } else { vec!["\n", "\r\n"] };
    (proptest::sample::select(eols), any::<bool>(), 0usize..3).prop_map(|(eol, length, beats)| Spelling {
        eol,
        length,
        beats,
    })
}

/// Another encoder, of the simplest kind: bytes, and what should be read of them.
fn spell(frame: &Frame, version: Version, spelling: Spelling) -> (Vec<u8>, Vec<Event>) {
    let Spelling { eol, length, beats } = spelling;
    let plain = version == Version::V1_0 || ["CONNECT", "STOMP", "CONNECTED"].contains(&frame.command.name());
    let escape = |bytes: &[u8]| -> Vec<u8> {
        if plain {
            return bytes.to_vec();
        }
        bytes
            .iter()
            .flat_map(|byte| match byte {
                b':' => b"\\c".to_vec(),
                b'\n' => b"\\n".to_vec(),
                b'\r' => b"\\r".to_vec(),
                b'\\' => b"\\\\".to_vec(),
                byte => vec![*byte],
            })
            .collect()
    };
    let mut expected = frame.clone();
    if frame.body.contains(&0) || (length && !frame.body.is_empty()) {
        expected.headers.push("content-length", frame.body.len().to_string());
    }
    let mut bytes = format!("{}{eol}", frame.command.name()).into_bytes();
    for (name, value) in expected.headers.iter() {
        bytes.extend([&escape(name.as_bytes())[..], b":", &escape(value), eol.as_bytes()].concat());
    }
    bytes.extend([eol.as_bytes(), &frame.body, b"\0", eol.repeat(beats).as_bytes()].concat());
    let mut events = vec![Event::Frame(expected)];
    events.resize(1 + beats, Event::HeartBeat);
    (bytes, events)
}

/// A version, a stream of it, and what should be read.
fn stream() -> impl Strategy<Value = (Version, Vec<u8>, Vec<Event>)> {
    version().prop_flat_map(|version| {
        proptest::collection::vec((frame(version), spelling(version)), 0..4).prop_map(move |frames| {
            let (mut bytes, mut events) = (Vec::new(), Vec::new());
            for (frame, spelling) in frames {
                let spelt = spell(&frame, version, spelling);
                bytes.extend(spelt.0);
                events.extend(spelt.1);
            }
            (version, bytes, events)
        })
    })
}
