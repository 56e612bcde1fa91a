//! What clients should not send, each with its status and the next step.

use super::*;
use crate::serve::proto::broker_client::BrokerClient;
use crate::serve::proto::subscribe_request::Open;
use crate::serve::proto::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Channel;

async fn client(fixture: &Fixture) -> BrokerClient<Channel> {
    BrokerClient::connect(format!("http://{}", fixture.address())).await.unwrap()
}

fn one() -> Vec<proto::Message> {
    vec![proto::Message { body: bytes::Bytes::from_static(b"x"), ..Default::default() }]
}

use crate::serve::proto;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_produce_is_refused() {
    let fixture = Fixture::new().await;
    let (one_log, many) = (fixture.stream("one", 1), fixture.stream("many", 4));
    let closed = fixture.stream("closed", 1);
    closed.close().await;
    let mut client = client(&fixture).await;
    let good = ProduceRequest { stream: "one".into(), required_acks: Some(1), messages: one(), ..Default::default() };
    let large = |bytes: usize| vec![proto::Message { body: vec![0; bytes].into(), ..Default::default() }];
    let bad = [
        (ProduceRequest { stream: "two".into(), ..good.clone() }, Code::NotFound, "no stream 'two'; list the streams"),
        (ProduceRequest { stream: "closed".into(), ..good.clone() }, Code::Unavailable, "closed; connect again"),
        (ProduceRequest { partition: Some(9), ..good.clone() }, Code::NotFound, "no partition 9; it has 1"),
        (ProduceRequest { messages: vec![], ..good.clone() }, Code::InvalidArgument, "send 1 message at least"),
        (ProduceRequest { required_acks: Some(-1), ..good.clone() }, Code::InvalidArgument, "it must be 0 or 1"),
        (ProduceRequest { required_acks: Some(2), ..good.clone() }, Code::InvalidArgument, "it must be 0 or 1"),
        (ProduceRequest { sequence: 5, ..good.clone() }, Code::InvalidArgument, "send both, or neither"),
        (ProduceRequest { producer_id: 5, ..good.clone() }, Code::InvalidArgument, "begin with 1"),
        (
            ProduceRequest { stream: "many".into(), producer_id: 5, sequence: 1, ..good.clone() },
            Code::InvalidArgument,
            "needs a partition",
        ),
        (
            ProduceRequest { messages: large(1 << 20), ..good.clone() },
            Code::ResourceExhausted,
            "the limit is 1048576; send the payload another way",
        ),
        (
            ProduceRequest { messages: large(9 << 20), ..good.clone() },
            Code::ResourceExhausted,
            "a message may have 1048576 bytes",
        ),
    ];
    for (request, code, text) in bad {
        let status = client.produce(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
    assert_eq!((one_log.messages(), many.messages()), (0, 0));
    client.produce(good).await.unwrap();
    assert_eq!(one_log.messages(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_fetch_or_commit_is_refused() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("one", 1);
    log.append(vec![message("a"), message("b")]).await.unwrap();
    let mut client = client(&fixture).await;
    let good = FetchRequest { stream: "one".into(), offset: -2, max_wait_ms: Some(0), ..Default::default() };
    let bad = [
        (FetchRequest { stream: "".into(), ..good.clone() }, Code::NotFound, "no stream ''"),
        (FetchRequest { partition: 1, ..good.clone() }, Code::NotFound, "no partition 1"),
        (
            FetchRequest { offset: -3, ..good.clone() },
            Code::OutOfRange,
            "holds 1 up to, not including, 3; -2 is the earliest",
        ),
        (FetchRequest { offset: i64::MIN, ..good.clone() }, Code::OutOfRange, "-2 is the earliest"),
        (
            FetchRequest { offset: 4, ..good.clone() },
            Code::OutOfRange,
            "holds 1 up to, not including, 3; -2 is the earliest",
        ),
        (FetchRequest { offset: i64::MAX, ..good.clone() }, Code::OutOfRange, "up to, not including, 3"),
    ];
    for (request, code, text) in bad {
        let status = client.fetch(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
    let response = client.fetch(good.clone()).await.unwrap().into_inner();
    assert_eq!((response.records.len(), response.next_offset, response.end_offset), (2, 3, 3));
    let tiny = FetchRequest { max_bytes: 1, ..good };
    assert_eq!(client.fetch(tiny).await.unwrap().into_inner().records.len(), 1, "one larger than all comes alone");

    let commit = |group: &str, partition, offset| {
        let offsets = vec![Offset { partition, offset: 1 }, Offset { partition, offset }];
        CommitRequest { stream: "one".into(), group: group.into(), offsets }
    };
    let bad = [
        (commit("g", 0, 4), Code::OutOfRange, "commit one behind the last message"),
        (commit("g", 0, -1), Code::OutOfRange, "commit one behind the last message"),
        (commit("g", 7, 1), Code::NotFound, "no partition 7"),
        (commit("", 0, 1), Code::InvalidArgument, "cannot be the name of a group"),
        (commit("a\n/b", 0, 1), Code::InvalidArgument, "'a\\n/b' cannot be the name of a group"),
    ];
    for (request, code, text) in bad {
        let status = client.commit(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
    let asked = CommittedRequest { stream: "one".into(), group: "g".into() };
    assert_eq!(client.committed(asked.clone()).await.unwrap_err().code(), Code::NotFound, "nothing was made of it");
    client.commit(commit("g", 0, 3)).await.unwrap();
    client.commit(commit("g", 0, 2)).await.unwrap();
    let offsets = client.committed(asked).await.unwrap().into_inner().offsets;
    assert_eq!(offsets, [Offset { partition: 0, offset: 3 }], "a commit never goes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_subscriber_is_thrown_out_and_loses_nothing() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("one", 1);
    log.append(vec![message("a"), message("b")]).await.unwrap();
    let mut client = client(&fixture).await;
    let open = |stream: &str, group: &str, offset| {
        let open = Open { stream: stream.into(), group: group.into(), offset, ..Default::default() };
        SubscribeRequest { open: Some(open), credit: 9, ..Default::default() }
    };
    let partitions = Open { stream: "one".into(), group: "g".into(), partitions: vec![3], ..Default::default() };
    let firsts = [
        (SubscribeRequest::default(), Code::InvalidArgument, "must open a stream"),
        (open("two", "g", -2), Code::NotFound, "no stream 'two'"),
        (open("one", "", -2), Code::InvalidArgument, "name of a group"),
        (open("one", "g", -9), Code::OutOfRange, "-2 is the earliest"),
        (open("one", "g", 4), Code::OutOfRange, "-2 is the earliest"),
        (SubscribeRequest { open: Some(partitions), ..Default::default() }, Code::NotFound, "no partition 3"),
    ];
    for (first, code, text) in firsts {
        let status = client.subscribe(tokio_stream::iter([first])).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
    let place = |partition, offset, count| vec![Place { partition, offset, count }];
    let settle = |settle| SubscribeRequest { settle, ..Default::default() };
    let release = |release| SubscribeRequest { release, ..Default::default() };
    let thens = [
        (settle(place(0, 1, 3)), Code::OutOfRange, "out of bounds"),
        (settle(place(0, 1, u32::MAX)), Code::OutOfRange, "out of bounds"),
        (settle(place(0, i64::MAX, 1)), Code::OutOfRange, "out of bounds"),
        (settle(place(0, -1, 1)), Code::OutOfRange, "settle and release what was received"),
        (settle(place(5, 1, 1)), Code::NotFound, "no partition 5"),
        (release(place(0, 2, u32::MAX)), Code::OutOfRange, "out of bounds"),
        (release(place(0, 0, 1)), Code::OutOfRange, "settle and release what was received"),
        (open("one", "g", -2), Code::InvalidArgument, "once"),
    ];
    for (then, code, text) in thens {
        let (requests, requested) = tokio::sync::mpsc::channel(4);
        requests.send(open("one", "g", -2)).await.unwrap();
        let requested = tokio_stream::wrappers::ReceiverStream::new(requested);
        let mut answers = client.subscribe(requested).await.unwrap().into_inner();
        let records = within("the messages", answers.message()).await.unwrap().unwrap().records;
        assert_eq!(records.len(), 2, "both are there again");
        requests.send(then).await.unwrap();
        let status = within("the status", answers.message()).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(text), "{status:?}");
    }
    let stats = log.group_stats("g").unwrap();
    assert_eq!((stats.members, stats.lag, stats.in_flight), (0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_vanishing_clients_harm_nobody() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("one", 1);
    log.append(vec![message("a")]).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let garbage = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        [preface.clone(), vec![0xff; 64]].concat(),
        // A frame that says it has 16 MiB, and ends.
        [preface, vec![0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat(),
    ];
    for bytes in garbage {
        let mut socket = TcpStream::connect(fixture.address()).await.unwrap();
        // It may hang up before it has read everything.
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let _ = within("the server hangs up", socket.read_to_end(&mut Vec::new())).await;
    }
    // A message that is no message.
    let channel = Channel::from_shared(format!("http://{}", fixture.address())).unwrap().connect().await.unwrap();
    let mut raw = tonic::client::Grpc::new(channel);
    raw.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/pelton.v1.Broker/Produce");
    // A field that is 4 GiB long, of which nothing follows; as a message of another type that has the same bytes.
    let codec = tonic_prost::ProstCodec::<Header, ProduceResponse>::default();
    let lying = Header { name: "\u{a}\u{7f}\u{7f}".into(), value: None };
    let status = raw.unary(tonic::Request::new(lying), path, codec).await.unwrap_err();
    assert!(matches!(status.code(), Code::NotFound | Code::Internal | Code::InvalidArgument), "{status:?}");

    // One that is gone in mid-stream, with a message in hand.
    let mut client = client(&fixture).await;
    // Its lease would not end before the test.
    let open = Open { stream: "one".into(), group: "g".into(), lease_ms: 3_600_000, ..Default::default() };
    let (requests, requested) = tokio::sync::mpsc::channel(4);
    requests.send(SubscribeRequest { open: Some(open), credit: 9, ..Default::default() }).await.unwrap();
    let mut answers =
        client.subscribe(tokio_stream::wrappers::ReceiverStream::new(requested)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().records.len(), 1);
    drop((answers, requests, client));
    let mut other = crate::client::Consumer::new(
        fixture.connection(),
        crate::client::ConsumerOptions { poll: LIMIT, ..crate::client::ConsumerOptions::group("one", "g") },
    );
    let batch = other.next_batch().await.unwrap();
    assert_eq!((batch.len(), batch[0].attempt), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_say_otherwise_waits_until_messages_are_safe() {
    let fixture = Fixture::new().await;
    fixture.stream("one", 1);
    let request = ProduceRequest { stream: "one".into(), messages: one(), ..Default::default() };
    let answer = client(&fixture).await.produce(request).await.unwrap().into_inner();
    assert_eq!(answer.appended.len(), 1);
}
