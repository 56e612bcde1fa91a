//! How fast it is, over the loopback: `cargo test --release -p pelton --lib serve::tests::speed -- --ignored --nocapture`.

use super::*;
use crate::client::{Consumer, ConsumerOptions};
use std::time::Instant;

const MESSAGES: usize = 400_000;
const BATCH: usize = 500;

fn say(what: &str, begun: Instant) {
    println!("{what}: {:.0} messages/s", MESSAGES as f64 / begun.elapsed().as_secs_f64());
}

#[ignore = "a measurement, for release builds"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn produce_and_consume_in_batches_of_500() {
    let fixture = Fixture::new().await;
    let options = LogOptions { bytes: 1 << 30, threshold: 1 << 30, ..LogOptions::default() };
    let log = SequenceLog::memory("speed", options).unwrap();
    assert!(fixture.streams.insert(log.clone()));
    let body = [b'x'; 256];

    let producer =
        Producer::new(fixture.connection(), ProducerOptions { batch: BATCH, ..ProducerOptions::new("speed") });
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        producer.send(Message::new(&body).unwrap()).await.unwrap();
    }
    producer.shutdown().await.unwrap();
    say("produce", begun);
    assert_eq!(log.messages(), MESSAGES as u64);

    let options = ConsumerOptions::partition("speed", 0, crate::config::Start::Earliest);
    let mut consumer = Consumer::new(fixture.connection(), options);
    let (begun, mut got) = (Instant::now(), 0);
    while got < MESSAGES {
        got += consumer.next_batch().await.unwrap().len();
    }
    say("fetch", begun);

    let options = ConsumerOptions {
        auto_commit: None,
        prefetch: 20 * BATCH as u32,
        max_bytes: (BATCH * 310) as u32,
        ..ConsumerOptions::group("speed", "g")
    };
    let mut consumer = Consumer::new(fixture.connection(), options);
    let (begun, mut got, mut batches) = (Instant::now(), 0, 0);
    while got < MESSAGES {
        let batch = consumer.next_batch().await.unwrap();
        (got, batches) = (got + batch.len(), batches + 1);
        consumer.settle(&batch).await;
    }
    consumer.close().await;
    say("subscribe and settle", begun);
    println!("batches of {}", got / batches);
    assert_eq!(log.lag("g").unwrap(), 0);
}
