use super::*;

/// Pieces of frames and of what looks like them.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop_oneof![
        proptest::sample::select(vec![
            "MESSAGE\n",
            "SEND\r\n",
            "RECEIPT\n",
            "CONNECTED\n",
            "ERR",
            "content-length:",
            "-",
            "3",
            "0",
            "\n",
            "\n\n",
            "\r",
            "\0",
            ":",
            "\\",
            "\\c",
            "\\r",
            "\\x",
            "a:b\n",
            "a",
        ])
        .prop_map(|scrap| scrap.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(scrap, 0..30).prop_map(|scraps| scraps.concat())
}

#[derive(Clone, Debug)]
enum Change {
    Put(u8),
    Insert(u8),
    Remove,
    Repeat(usize),
}

fn changed(mut bytes: Vec<u8>, changes: &[(usize, Change)]) -> Vec<u8> {
    for (at, change) in changes {
        let at = at % (bytes.len() + 1);
        match change {
            Change::Put(byte) => bytes.get_mut(at).into_iter().for_each(|b| *b = *byte),
            Change::Insert(byte) => bytes.insert(at, *byte),
            Change::Remove => drop((at < bytes.len()).then(|| bytes.remove(at))),
            Change::Repeat(length) => {
                let piece = bytes[at..].iter().take(*length).copied().collect::<Vec<u8>>();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![proptest::sample::select(b"\0\n\r:\\-9".to_vec()), any::<u8>()];
    prop_oneof![
        byte().prop_map(Change::Put),
        byte().prop_map(Change::Insert),
        Just(Change::Remove),
        (1usize..20).prop_map(Change::Repeat),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let small = (0usize..60, 0usize..4, 0usize..20).prop_map(|(frame, headers, line)| Limits { frame, headers, line });
    prop_oneof![Just(Limits::default()), small]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn garbage_gives_the_same_however_it_is_cut(
        version in version(),
        limits in limits(),
        bytes in scraps(),
        cuts in proptest::collection::vec(any::<usize>(), 0..9),
    ) {
        the_same_at_cuts(version, limits, &bytes, &cuts)?;
    }

    #[test]
    fn damaged_frames_give_the_same_however_they_are_cut(
        (version, bytes, _) in stream(),
        limits in limits(),
        changes in proptest::collection::vec((any::<usize>(), change()), 1..4),
        cuts in proptest::collection::vec(any::<usize>(), 0..9),
    ) {
        the_same_at_cuts(version, limits, &changed(bytes, &changes), &cuts)?;
    }
}

/// What would take quadratic time or grow without bound, were it searched, moved or kept again and again.
#[test]
fn no_stream_is_searched_twice_or_kept() {
    const MANY: usize = 100_000;
    let limits = Limits { frame: 2 * MANY, headers: MANY, line: 2 * MANY };
    let body = [&b"MESSAGE\n\n"[..], &vec![b'a'; MANY]].concat();
    let counted = [&b"MESSAGE\ncontent-length:150000\n\n"[..], &vec![0; MANY]].concat();
    let line = [&b"MESSAGE\na:"[..], &vec![b'\\'; MANY]].concat();
    let headers = [&b"MESSAGE\n"[..], &b"a:\n".repeat(MANY / 3)].concat();
    let beats = b"\n".repeat(MANY);
    let frames = b"RECEIPT\nreceipt-id:1\n\n\0\n".repeat(MANY / 25);
    for (name, bytes, whole) in [
        ("body", body, 0),
        ("counted", counted, 0),
        ("line", line, 0),
        ("headers", headers, 0),
        ("beats", beats, MANY),
        ("frames", frames, MANY / 25 * 2),
    ] {
        let mut decoder = Decoder::new(Version::V1_2, limits);
        let (mut events, mut held) = (0, 0);
        for byte in bytes.chunks(1) {
            decoder.feed(byte);
            while decoder.decode().unwrap().is_some() {
                events += 1;
            }
            held = held.max(decoder.held());
        }
        assert_eq!(events, whole, "{name}");
        assert!(decoder.work <= 2 * bytes.len(), "{name}: {} bytes looked at of {}", decoder.work, bytes.len());
        let most = if whole > 0 { 1000 } else { 2 * limits.frame };
        assert!(held <= most, "{name}: {held} bytes held");
    }
}
