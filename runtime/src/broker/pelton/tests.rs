//! The ends, against a server over TCP.

use super::*;
use crate::config::{GrpcConfig, PeltonBroker, Secret, Start};
use crate::log::{LogOptions, SequenceLog};
use crate::serve::{Server, Streams};

#[test]
fn a_tag_is_a_place() {
    for (partition, seq) in [(0, 1), (65535, (1 << 48) - 1), (3, 77)] {
        let at = Position { partition, seq };
        assert_eq!(tag(at).map(place), Some(at));
    }
    assert_eq!(tag(Position { partition: 65536, seq: 1 }), None);
    assert_eq!(tag(Position { partition: 0, seq: 1 << 48 }), None);
}

async fn server(address: &str, tokens: Vec<Secret>, log: &SequenceLog) -> Server {
    let streams = Streams::default();
    streams.insert(log.clone());
    let address = address.parse().unwrap();
    let config = GrpcConfig { address, tokens, tls: None, directory: None, max_message: 1 << 20 };
    Server::start(config, streams).await.unwrap()
}

fn log(partitions: u32) -> SequenceLog {
    SequenceLog::memory("orders", LogOptions { partitions, ..LogOptions::default() }).unwrap()
}

fn broker(server: &Server, token: Option<&str>) -> PeltonBroker {
    let token = token.and_then(Secret::new);
    PeltonBroker { addresses: vec![server.address().to_string()], token, ..PeltonBroker::default() }
}

fn source(broker: PeltonBroker, stream: &str) -> PeltonSource {
    let (stream, group) = (stream.to_owned(), "host".to_owned());
    PeltonSource::new(config::PeltonSource { broker, stream, group, start: Start::Earliest })
}

fn sink(broker: PeltonBroker, stream: &str) -> PeltonSink {
    PeltonSink::new(config::PeltonSink { broker, stream: stream.to_owned() })
}

fn messages(numbers: std::ops::Range<u32>) -> Vec<Message> {
    numbers.map(|i| Message::new(i.to_string().as_bytes()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_does_not_come_again_and_the_rest_does() {
    let log = log(3);
    log.append(messages(0..30)).await.unwrap();
    let server = server("127.0.0.1:0", vec![], &log).await;
    let mut source = source(broker(&server, None), "orders");
    source.connect().await.unwrap();
    let mut received = Vec::new();
    while received.len() < 30 {
        let some = source.recv(7).await.unwrap();
        assert!((1..=7).contains(&some.len()));
        received.extend(some);
    }
    let kept: Vec<Message> = received.iter().skip(20).map(|r| r.message.clone()).collect();
    let acks: Vec<_> = received.iter().take(20).map(|r| (r.token, Ack::Accept)).collect();
    source.settle(&acks).await.unwrap();
    source.close().await;
    assert_eq!(log.lag("host").unwrap(), 10);

    // Another life: tokens of the first say nothing.
    source.connect().await.unwrap();
    let old: Vec<_> = received.iter().map(|r| (r.token, Ack::Accept)).collect();
    source.settle(&old).await.unwrap();
    let mut again = Vec::new();
    while again.len() < 10 {
        again.extend(source.recv(100).await.unwrap());
    }
    assert!(again.iter().all(|r| r.attempt == 2 && kept.contains(&r.message)));
    let acks: Vec<_> = again.iter().map(|r| (r.token, Ack::Reject)).collect();
    source.settle(&acks).await.unwrap();
    source.close().await;
    assert_eq!(log.lag("host").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_is_there_in_order() {
    let log = log(1);
    let server = server("127.0.0.1:0", vec![], &log).await;
    let mut sink = sink(broker(&server, None), "orders");
    sink.connect().await.unwrap();
    for i in 0..10 {
        sink.send(&messages(i * 100..(i + 1) * 100)).await.unwrap();
    }
    let mut confirmed = 0;
    while confirmed < 1000 {
        confirmed += sink.confirmed().await.unwrap();
        assert!(log.messages() >= confirmed as u64);
    }
    sink.close().await;
    let there = log.read(0, 1, crate::stream::Limit::messages(9999)).unwrap();
    assert!(there.iter().map(|entry| &entry.message).eq(messages(0..1000).iter()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_get_better_is_told_from_what_will_not() {
    let log = log(1);
    let server = server("127.0.0.1:0", vec![Secret::new("right").unwrap()], &log).await;
    let is_lost = |e: &BrokerError| matches!(e, BrokerError::Disconnected(_));
    let is_fatal = |e: &BrokerError| matches!(e, BrokerError::Fatal(_));
    let confirmed = async |mut sink: PeltonSink| {
        sink.connect().await.unwrap();
        sink.send(&messages(0..1)).await.unwrap();
        sink.confirmed().await
    };

    // A stream may be made later, a token does not become right.
    let error = source(broker(&server, Some("right")), "later").connect().await.unwrap_err();
    assert!(is_lost(&error) && error.to_string().contains("there is no stream 'later'"), "{error:?}");
    let error = confirmed(sink(broker(&server, Some("right")), "later")).await.unwrap_err();
    assert!(is_lost(&error), "{error:?}");
    let error = source(broker(&server, Some("wrong")), "orders").connect().await.unwrap_err();
    assert!(is_fatal(&error) && error.to_string().contains("ask for a valid one"), "{error:?}");
    let error = confirmed(sink(broker(&server, None), "orders")).await.unwrap_err();
    assert!(is_fatal(&error), "{error:?}");

    // A server that stops is a lost connection, for both.
    let mut source = source(broker(&server, Some("right")), "orders");
    let mut sink = sink(broker(&server, Some("right")), "orders");
    source.connect().await.unwrap();
    sink.connect().await.unwrap();
    server.shutdown().await;
    let error = source.recv(1).await.unwrap_err();
    assert!(is_lost(&error), "{error:?}");
    sink.send(&messages(0..1)).await.unwrap();
    let error = sink.confirmed().await.unwrap_err();
    assert!(is_lost(&error), "{error:?}");
    assert!(is_lost(&source.connect().await.unwrap_err()) && is_lost(&sink.connect().await.unwrap_err()));
}
