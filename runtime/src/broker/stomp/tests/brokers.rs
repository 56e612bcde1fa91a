//! Frames in the shapes of RabbitMQ 3.10 and ActiveMQ 5.17; the identifiers are made up.

use super::*;

/// What the last of some frames is, each followed by as many heart-beats as this.
fn frames(stream: &[u8], beats: usize) -> Vec<Frame> {
    let read = read(Version::V1_2, Limits::default(), [stream]);
    assert_eq!(read.error, None);
    assert_eq!(read.events.iter().filter(|event| **event == Event::HeartBeat).count(), beats);
    read.events
        .into_iter()
        .filter_map(|event| if let Event::Frame(frame) = event { Some(frame) } else { None })
        .collect()
}

#[test]
fn rabbitmq() {
    let frames = frames(
        b"CONNECTED\nserver:RabbitMQ/3.10.8\nsession:session-x7Yb\nheart-beat:10000,10000\nversion:1.2\n\n\0\n\
        MESSAGE\nsubscription:0\ndestination:/queue/orders\nmessage-id:T_0@@session-x7Yb@@1\nredelivered:true\n\
        ack:T_0@@session-x7Yb@@1\ncontent-type:application/octet-stream\ncontent-length:3\n\n\0\n\xff\0\
        RECEIPT\nreceipt-id:bye\n\n\0\
        ERROR\nmessage:Bad CONNECT\ncontent-type:text/plain\nversion:1.0,1.1,1.2\ncontent-length:32\n\n\
        Access refused for user 'pelton'\0",
        1,
    );
    let [connected, message, receipt, error] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(Version::chosen(&connected.headers, &Version::ALL), Ok(Version::V1_2));
    assert_eq!(HeartBeats::of(&connected.headers).unwrap().to_string(), "10000,10000");
    assert_eq!(message.headers.text("ack"), Some("T_0@@session-x7Yb@@1"));
    assert_eq!(message.body, &b"\0\n\xff"[..]);
    assert_eq!(receipt.headers.text("receipt-id"), Some("bye"));
    assert_eq!((error.command, error.headers.text("message")), (Command::Error, Some("Bad CONNECT")));
    assert_eq!(error.body, "Access refused for user 'pelton'");
}

/// No content-length for text, a line feed behind each frame, colons escaped but in CONNECTED.
#[test]
fn activemq() {
    let frames = frames(
        b"CONNECTED\nserver:ActiveMQ/5.17.2\nheart-beat:10000,10000\nsession:ID:host-35121-1700000000000-2:1\nversion:1.2\n\n\0\n\
        MESSAGE\nack:ID\\chost-35121-1700000000000-2\\c1\nexpires:0\ndestination:/queue/orders\nsubscription:0\npriority:4\n\
        message-id:ID\\chost-35121-1700000000000-2\\c1\\c-1\\c1\\c1\ntimestamp:1700000000001\n\nna\xc3\xafve\0\n",
        2,
    );
    let [connected, message] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(connected.headers.text("session"), Some("ID:host-35121-1700000000000-2:1"));
    assert_eq!(message.headers.text("message-id"), Some("ID:host-35121-1700000000000-2:1:-1:1:1"));
    assert_eq!(message.headers.get("content-length"), None);
    assert_eq!(message.body, "naïve".as_bytes());
}
