//! Batches that come again.

use super::*;
use crate::serve::proto::ProduceRequest;
use crate::serve::proto::broker_client::BrokerClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_is_there_once() {
    let fixture = Fixture::new().await;
    let log = fixture.stream("one", 1);
    let mut client = BrokerClient::connect(format!("http://{}", fixture.address())).await.unwrap();
    let batch = |sequence, count: usize| ProduceRequest {
        stream: "one".into(),
        required_acks: Some(1),
        messages: vec![Default::default(); count],
        producer_id: 7,
        sequence,
        ..Default::default()
    };
    let first = client.produce(batch(1, 3)).await.unwrap().into_inner().appended;
    let again = client.produce(batch(1, 3)).await.unwrap().into_inner().appended;
    assert_eq!((first[0].offset, first[0].count, first[0].duplicate), (1, 3, false));
    assert_eq!((again[0].offset, again[0].count, again[0].duplicate), (1, 3, true));
    let gap = client.produce(batch(9, 1)).await.unwrap_err();
    assert_eq!(gap.code(), tonic::Code::FailedPrecondition);
    assert!(gap.message().contains("sent sequence 9 where 4 comes next; send again from there"), "{gap:?}");
    assert_eq!(client.produce(batch(4, 1)).await.unwrap().into_inner().appended[0].offset, 4);
    assert_eq!(log.messages(), 4);
}

/// Passes bytes on, and cuts a connection once so many have passed, both ways together.
async fn cutting_proxy(to: String, every: usize, cuts: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut limit = every;
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let Ok(mut far) = TcpStream::connect(&to).await else { continue };
            let mut left = limit;
            // Otherwise it would be cut at the same place for ever.
            limit += every / 2;
            let cuts = cuts.clone();
            tokio::spawn(async move {
                let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
                while left > 0 {
                    let (read, from_near) = tokio::select! {
                        read = near.read(&mut up) => (read, true),
                        read = far.read(&mut down) => (read, false),
                    };
                    let Ok(read @ 1..) = read else { return };
                    let passed = read.min(left);
                    left -= passed;
                    let sent = match from_near {
                        true => far.write_all(&up[..passed]).await,
                        false => near.write_all(&down[..passed]).await,
                    };
                    if sent.is_err() {
                        return;
                    }
                }
                cuts.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_whose_connection_is_cut_delivers_everything_once() {
    let fixture = Fixture::new().await;
    let expected: Vec<String> = (0..300).map(|i| format!("message {i}")).collect();
    // Cut in the handshake, in the headers, in a batch, in an answer.
    for every in [301, 701, 1009, 2503, 5003] {
        let name = format!("cut-{every}");
        let log = fixture.stream(&name, 2);
        let cuts = Arc::new(AtomicUsize::new(0));
        let proxy = cutting_proxy(fixture.address(), every, cuts.clone()).await;
        let options = ProducerOptions { partition: Some(1), batch: 10, retries: 100, ..ProducerOptions::new(&name) };
        let producer = Producer::new(Connection::to(&proxy), options);
        for body in &expected {
            producer.send(message(body)).await.unwrap();
        }
        within("everything is delivered", producer.shutdown()).await.unwrap();
        assert!(cuts.load(Ordering::Relaxed) > 0, "every {every} bytes: never cut");
        let entries = log.read(1, 1, crate::stream::Limit::messages(1000)).unwrap();
        let bodies: Vec<String> =
            entries.iter().map(|e| String::from_utf8(e.message.body().to_vec()).unwrap()).collect();
        assert_eq!(bodies, expected, "every {every} bytes");
    }
}
