//! What the sequence log costs: `cargo xtask bench log`. All in one run on one machine and disk, 256-byte bodies.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod heap;

use common::{Aim, Rows, median};
use pelton::client::{self, Connection, Producer, ProducerOptions};
use pelton::config::{GrpcConfig, Start};
use pelton::log::{ConsumerOptions, LogOptions, SequenceLog};
use pelton::message::Message;
use pelton::serve::{Server, Streams};
use pelton::stream::{Limit, disk};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tokio::runtime::Runtime;

const KEYS: &[(&str, &str)] = &[
    ("raw_write", "plain writes to one file, each synced, as large as the log's were in the same round"),
    ("append", "append with group commit, every batch synced: 64 producers, 500 messages a batch"),
    ("append_to_raw", "the ratio of these two, round by round"),
    ("append_messages", "the same appends, in messages"),
    ("publish_three_readers", "in memory: published in batches of 256, each read and settled by three readers"),
    ("grpc_produce", "over loopback gRPC without TLS, in memory: produced in batches of 500, acks 1"),
    ("grpc_fetch", "the same messages fetched by offset"),
    ("grpc_subscribe", "the same messages by a member of a group, each batch settled"),
    ("grpc_disk", "produced to a disk stream, synced, by two producers, and read by a group at the same time"),
    ("reopen_1gb", "opening a log of 1 GB"),
    ("reopen_growth", "the same against one of 256 MB, round by round"),
    ("flood", "heap of 10,000 messages in one stream, less 1 MB, over their payload"),
    ("copies_1mb", "bytes allocated from publish to the third reader, over the payload, 1 MB bodies"),
    ("copies_small", "the same for 256-byte bodies"),
    ("flat_20m", "heap over 20 million messages with a lagging reader: the most in the last half over the first"),
];

const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let mut rows = Rows::new("log", KEYS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Named parts alone, to look into one of them; the file then lacks rows, and the bench says so.
    let named: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|n| n == part);
    let directory = directory();
    if wanted("append") {
        append(&runtime, &directory, &mut rows);
    }
    if wanted("publish") {
        publish(&runtime, &mut rows);
    }
    if wanted("reopen") {
        reopen(&runtime, &directory, &mut rows);
    }
    if wanted("grpc") {
        grpc(&runtime, &directory, &mut rows);
    }
    if wanted("heap") {
        flood(&runtime, &mut rows);
        copies(&runtime, &mut rows);
        flat(&runtime, &mut rows);
    }
    fs::remove_dir_all(&directory).unwrap();
    rows.finish()
}

/// On the disk that the project lies on; a temporary directory may be memory.
fn directory() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    let directory = root.join(format!("log-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn body(i: usize) -> Vec<u8> {
    (0..256).map(|b| ((b * 31 + i * 7) % 96 + 32) as u8).collect()
}

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|i| Message::new(&body(i)).unwrap()).collect()
}

/// Appends for a second at least; bytes written, syncs, seconds, messages.
fn append_round(runtime: &Runtime, path: &Path, batch: &[Message]) -> (u64, u64, f64, usize) {
    const PRODUCERS: usize = 64;
    const BATCHES: usize = 40;
    let (log, _) = disk::Log::open(path, disk::LogOptions::default()).unwrap();
    let (bytes, syncs) = (log.bytes(), log.syncs());
    let begun = Instant::now();
    runtime.block_on(async {
        let mut producers = tokio::task::JoinSet::new();
        for _ in 0..PRODUCERS {
            let (log, batch) = (log.clone(), batch.to_vec());
            producers.spawn(async move {
                for _ in 0..BATCHES {
                    log.append(batch.clone()).await.unwrap();
                }
            });
        }
        producers.join_all().await;
    });
    let time = begun.elapsed().as_secs_f64();
    let written = (log.bytes() - bytes, log.syncs() - syncs);
    drop(log);
    fs::remove_dir_all(path).unwrap();
    (written.0, written.1, time, PRODUCERS * BATCHES * batch.len())
}

/// Writes so many bytes with so many syncs; seconds.
fn raw_round(path: &Path, bytes: u64, syncs: u64) -> f64 {
    let chunk = vec![0x5au8; (bytes / syncs) as usize];
    let mut file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
    let begun = Instant::now();
    for _ in 0..syncs {
        file.write_all(&chunk).unwrap();
        file.sync_data().unwrap();
    }
    let time = begun.elapsed().as_secs_f64();
    drop(file);
    fs::remove_file(path).unwrap();
    time
}

fn append(runtime: &Runtime, directory: &Path, rows: &mut Rows) {
    let batch = messages(500);
    let (mut raw, mut log, mut ratios, mut each) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (bytes, syncs, time, count) = append_round(runtime, &directory.join("append"), &batch);
        let plain = raw_round(&directory.join("raw"), bytes, syncs);
        if round > 0 {
            let (raw_speed, log_speed) = (bytes as f64 / plain / 1e6, bytes as f64 / time / 1e6);
            raw.push(raw_speed);
            log.push(log_speed);
            ratios.push(log_speed / raw_speed);
            each.push(count as f64 / time);
        }
    }
    rows.add("raw_write", median(raw), "MB/s", None);
    rows.add("append", median(log), "MB/s", None);
    rows.add("append_to_raw", median(ratios), "", Some(Aim::AtLeast(0.6)));
    rows.add("append_messages", median(each), "/s", None);
}

fn publish(runtime: &Runtime, rows: &mut Rows) {
    const COUNT: usize = 4_000_000;
    let bodies: Vec<Vec<u8>> = (0..256).map(body).collect();
    let mut speeds = Vec::new();
    for round in 0..=ROUNDS {
        let speed = runtime.block_on(async {
            let log = SequenceLog::memory("bench", LogOptions::default()).unwrap();
            let mut readers = tokio::task::JoinSet::new();
            for reader in ["a", "b", "c"] {
                let mut consumer = log.consumer(reader, ConsumerOptions::default()).unwrap();
                readers.spawn(async move {
                    let mut read = 0;
                    while read < COUNT {
                        let batch = consumer.next_batch(Limit::messages(1024)).await.unwrap();
                        consumer.settle_batch(&batch).unwrap();
                        read += batch.len();
                    }
                });
            }
            let begun = Instant::now();
            let mut builder = Message::builder();
            for _ in 0..COUNT / 256 {
                let batch = bodies.iter().map(|body| builder.build(body).unwrap()).collect();
                log.append(batch).await.unwrap();
            }
            readers.join_all().await;
            COUNT as f64 / begun.elapsed().as_secs_f64()
        });
        if round > 0 {
            speeds.push(speed);
        }
    }
    rows.add("publish_three_readers", median(speeds), "/s", Some(Aim::AtLeast(1_700_000.0)));
}

/// A log of so many bytes at least.
fn fill(runtime: &Runtime, path: &Path, bytes: u64) {
    let options = LogOptions { durability: disk::Durability::Os, ..LogOptions::default() };
    let batch = messages(5000);
    runtime.block_on(async {
        let (log, _) = SequenceLog::open("bench", path, options).unwrap();
        while log.bytes() < bytes {
            log.append(batch.clone()).await.unwrap();
        }
        log.close().await;
    });
}

fn reopen(runtime: &Runtime, directory: &Path, rows: &mut Rows) {
    let (small, large) = (directory.join("small"), directory.join("large"));
    // The last segments are about as full, so that what differs is the number of sealed ones.
    fill(runtime, &small, 250 << 20);
    fill(runtime, &large, 1018 << 20);
    let open = |path: &Path| {
        runtime.block_on(async {
            let begun = Instant::now();
            let (log, _) = SequenceLog::open("bench", path, LogOptions::default()).unwrap();
            let time = begun.elapsed().as_secs_f64();
            log.close().await;
            time
        })
    };
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (s, l) = (open(&small), open(&large));
        if round > 0 {
            times.push(l);
            ratios.push(l / s);
        }
    }
    rows.add("reopen_1gb", median(times), "s", Some(Aim::AtMost(1.0)));
    rows.add("reopen_growth", median(ratios), "", Some(Aim::AtMost(1.5)));
}

/// Produces so many messages in batches of 500.
async fn produce(connection: Connection, stream: &str, count: usize) {
    let producer = Producer::new(connection, ProducerOptions { batch: 500, ..ProducerOptions::new(stream) });
    let body = body(7);
    let mut builder = Message::builder();
    for _ in 0..count {
        producer.send(builder.build(&body).unwrap()).await.unwrap();
    }
    producer.shutdown().await.unwrap();
}

async fn consume(connection: Connection, options: client::ConsumerOptions, count: usize) {
    let mut consumer = client::Consumer::new(connection, options);
    let mut got = 0;
    while got < count {
        let batch = consumer.next_batch().await.unwrap();
        got += batch.len();
        consumer.settle(&batch).await;
    }
    consumer.close().await;
}

fn grpc(runtime: &Runtime, directory: &Path, rows: &mut Rows) {
    const COUNT: usize = 500_000;
    let (mut produced, mut fetched, mut subscribed, mut both) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let path = directory.join("grpc");
        let speeds = runtime.block_on(async {
            let room = LogOptions { bytes: 4 << 30, threshold: 4 << 30, ..LogOptions::default() };
            let (disk, _) = SequenceLog::open("disk", &path, LogOptions::default()).unwrap();
            let streams = Streams::default();
            streams.insert(SequenceLog::memory("memory", room).unwrap());
            streams.insert(disk);
            let listen = GrpcConfig { address: "127.0.0.1:0".parse().unwrap(), ..GrpcConfig::default() };
            let server = Server::start(listen, streams).await.unwrap();
            let connection = || Connection::to(&server.address().to_string());
            let group = |stream: &str| client::ConsumerOptions {
                auto_commit: None,
                prefetch: 10_000,
                max_bytes: 500 * 310,
                ..client::ConsumerOptions::group(stream, "g")
            };
            let timed = |begun: Instant| COUNT as f64 / begun.elapsed().as_secs_f64();
            let begun = Instant::now();
            produce(connection(), "memory", COUNT).await;
            let produced = timed(begun);
            let begun = Instant::now();
            let from = client::ConsumerOptions {
                max_bytes: 500 * 310,
                ..client::ConsumerOptions::partition("memory", 0, Start::Earliest)
            };
            consume(connection(), from, COUNT).await;
            let fetched = timed(begun);
            let begun = Instant::now();
            consume(connection(), group("memory"), COUNT).await;
            let subscribed = timed(begun);
            let begun = Instant::now();
            let half = || produce(connection(), "disk", COUNT / 2);
            tokio::join!(half(), half(), consume(connection(), group("disk"), COUNT));
            let both = timed(begun);
            server.shutdown().await;
            [produced, fetched, subscribed, both]
        });
        fs::remove_dir_all(&path).unwrap();
        if round > 0 {
            for (all, speed) in [&mut produced, &mut fetched, &mut subscribed, &mut both].into_iter().zip(speeds) {
                all.push(speed);
            }
        }
    }
    rows.add("grpc_produce", median(produced), "/s", Some(Aim::AtLeast(400_000.0)));
    rows.add("grpc_fetch", median(fetched), "/s", Some(Aim::AtLeast(400_000.0)));
    rows.add("grpc_subscribe", median(subscribed), "/s", Some(Aim::AtLeast(400_000.0)));
    rows.add("grpc_disk", median(both), "/s", None);
}

fn flood(runtime: &Runtime, rows: &mut Rows) {
    const COUNT: usize = 10_000;
    let used = runtime.block_on(async {
        let before = heap::held();
        let log = SequenceLog::memory("bench", LogOptions::default()).unwrap();
        for i in 0..COUNT {
            log.publish(Message::new(&body(i)).unwrap()).await.unwrap();
        }
        heap::held() - before
    });
    let payload = (COUNT * 256) as f64;
    rows.add("flood", (used as f64 - 1e6) / payload, "", Some(Aim::AtMost(1.3)));
}

fn copies(runtime: &Runtime, rows: &mut Rows) {
    const COUNT: usize = 1000;
    let measure = |size: usize| {
        runtime.block_on(async {
            let log = SequenceLog::memory("bench", LogOptions { bytes: 4 << 30, ..LogOptions::default() }).unwrap();
            let body = vec![7u8; size];
            let batch: Vec<Message> = (0..COUNT).map(|_| Message::new(&body).unwrap()).collect();
            let mut consumers: Vec<_> =
                ["a", "b", "c"].map(|name| log.consumer(name, ConsumerOptions::default()).unwrap()).into();
            let before = heap::ever();
            log.append(batch).await.unwrap();
            for consumer in &mut consumers {
                let batch = consumer.next_batch(Limit::messages(COUNT)).await.unwrap();
                assert_eq!(batch.len(), COUNT);
                consumer.settle_batch(&batch).unwrap();
            }
            (heap::ever() - before) as f64 / (COUNT * size) as f64
        })
    };
    let small = measure(256);
    rows.add("copies_1mb", measure(1 << 20), "", Some(Aim::AtMost(small)));
    rows.add("copies_small", small, "", None);
}

fn flat(runtime: &Runtime, rows: &mut Rows) {
    const COUNT: usize = 20_000_000;
    const BEHIND: u64 = 50_000;
    let bodies: Vec<Vec<u8>> = (0..256).map(body).collect();
    let samples = runtime.block_on(async {
        let log = SequenceLog::memory("bench", LogOptions::default()).unwrap();
        let mut readers = tokio::task::JoinSet::new();
        for (name, behind) in [("quick", 0), ("lagging", BEHIND)] {
            let mut consumer = log.consumer(name, ConsumerOptions::default()).unwrap();
            let log = log.clone();
            readers.spawn(async move {
                let mut read = 0;
                while read < COUNT {
                    let next = log.bounds(0).unwrap().1;
                    if (next as usize) <= COUNT && next < read as u64 + behind {
                        log.ready(0, next).await.unwrap();
                        continue;
                    }
                    let batch = consumer.next_batch(Limit::messages(1024)).await.unwrap();
                    consumer.settle_batch(&batch).unwrap();
                    read += batch.len();
                }
            });
        }
        let mut samples = Vec::new();
        let mut builder = Message::builder();
        let batches = COUNT / 256;
        for i in 0..batches {
            let batch = bodies.iter().map(|body| builder.build(body).unwrap()).collect();
            log.append(batch).await.unwrap();
            // The first tenth fills the log up to where its readers are.
            if i > batches / 10 {
                samples.push(heap::held() as f64);
            }
        }
        readers.abort_all();
        samples
    });
    let (first, last) = samples.split_at(samples.len() / 2);
    let most = |half: &[f64]| half.iter().copied().fold(0.0, f64::max);
    rows.add("flat_20m", most(last) / most(first), "", Some(Aim::AtMost(1.1)));
}
