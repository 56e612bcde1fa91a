use super::*;
use std::time::Duration;

fn headers(name: &str, value: impl AsRef<[u8]>) -> Headers {
    Frame::new(Command::Connect).with_header(name, value).headers
}

#[test]
fn the_highest_version_of_both_is_taken() {
    use Version::*;
    let none =
        |theirs: &str, ours: &str| Err(NegotiationError::NoCommonVersion { theirs: theirs.into(), ours: ours.into() });
    for (theirs, ours, expected) in [
        ("1.0,1.1,2.0", &Version::ALL[..], Ok(V1_1)),
        ("1.2,1.0", &Version::ALL, Ok(V1_2)),
        ("1.2,1.1", &[V1_0, V1_1], Ok(V1_1)),
        ("1.2", &[V1_0, V1_1], none("1.2", "1.0,1.1")),
        ("", &Version::ALL, none("", "1.0,1.1,1.2")),
    ] {
        assert_eq!(Version::highest_common(&headers("accept-version", theirs), ours), expected, "{theirs}");
    }
    assert_eq!(Version::highest_common(&Headers::default(), &Version::ALL), Ok(V1_0));
    assert_eq!(Version::highest_common(&Headers::default(), &[V1_2]), none("1.0", "1.2"));
}

#[test]
fn a_server_chooses_of_what_is_offered() {
    use Version::*;
    assert_eq!(Version::chosen(&headers("version", "1.1"), &Version::ALL), Ok(V1_1));
    assert_eq!(Version::chosen(&Headers::default(), &[V1_0, V1_2]), Ok(V1_0));
    for (headers, theirs) in
        [(headers("version", "1.0"), "1.0"), (headers("version", "1.3"), "1.3"), (Headers::default(), "1.0")]
    {
        let error = Version::chosen(&headers, &[V1_1, V1_2]).unwrap_err();
        assert_eq!(error, NegotiationError::NoCommonVersion { theirs: theirs.into(), ours: "1.1,1.2".into() });
        assert!(error.to_string().contains("the other end speaks STOMP"), "{error}");
    }
    assert_eq!(Version::chosen(&headers("version", b"\xff"), &[V1_1]), Err(NegotiationError::NotText("version")));
}

#[test]
fn heart_beats_are_the_slower_of_can_and_wants() {
    let beats = |can, wants| HeartBeats { can: Duration::from_millis(can), wants: Duration::from_millis(wants) };
    let ms = |ms| Some(Duration::from_millis(ms));
    for (ours, theirs, send, expect) in [
        (beats(100, 200), beats(300, 50), ms(100), ms(300)),
        (beats(100, 200), beats(150, 400), ms(400), ms(200)),
        (beats(0, 200), beats(300, 50), None, ms(300)),
        (beats(100, 0), beats(300, 50), ms(100), None),
        (beats(100, 200), beats(0, 50), ms(100), None),
        (beats(100, 200), beats(300, 0), None, ms(300)),
        (beats(100, 200), HeartBeats::default(), None, None),
    ] {
        assert_eq!(ours.negotiate(theirs), Beats { send, expect }, "{ours} {theirs}");
        assert_eq!(theirs.negotiate(ours), Beats { send: expect, expect: send }, "{theirs} {ours}");
    }
}

#[test]
fn heart_beats_are_read_as_they_are_written() {
    let beats = HeartBeats { can: Duration::from_micros(1), wants: Duration::from_secs(10) };
    assert_eq!(beats.to_string(), "1,10000");
    let read = HeartBeats::of(&headers("heart-beat", beats.to_string())).unwrap();
    assert_eq!(read, HeartBeats { can: Duration::from_millis(1), wants: Duration::from_secs(10) });
    assert_eq!(HeartBeats::of(&Headers::default()), Ok(HeartBeats::default()));
    for bad in ["", "5", ",", "5,", "-1,5", "+1,5", "1,2,3", "1.5,2", "99999999999999999999,0"] {
        let error = HeartBeats::of(&headers("heart-beat", bad)).unwrap_err();
        assert_eq!(error, NegotiationError::HeartBeat(bad.into()));
        assert!(error.to_string().contains("two numbers of milliseconds"), "{error}");
    }
}
