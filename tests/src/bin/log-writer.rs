//! Writes and reads a log until it is killed, and says what it is about to settle, what is settled, and what is acknowledged:
//! `log-writer PATH SEED LIFE`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use pelton::log::{Consumer, ConsumerOptions, ProducerBatch};
use pelton::message::Entry;
use pelton::stream::Limit;
use pelton_tests::killed::{GROUPS, PARTITIONS, Random, batch, open, parse};
use std::path::Path;

fn main() {
    let [path, seed, life] = std::env::args().skip(1).collect::<Vec<_>>().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(write(Path::new(&path), Random(seed.parse().unwrap()), life.parse().unwrap()));
}

async fn write(path: &Path, mut random: Random, life: u64) {
    let log = open(path);
    let mut next: Vec<u64> = (0..PARTITIONS).map(|p| log.bounds(p).unwrap().1).collect();
    let (first, end) = log.bounds(1).unwrap();
    if first < end {
        // What came last comes again.
        let last = parse(&log.read(1, end - 1, Limit::messages(1)).unwrap()[0]);
        let producer = Some(ProducerBatch { producer: 1, sequence: last.1.0 });
        let again = log.append_to(1, batch(last.1.0, last.1.1, last.2), producer).await.unwrap();
        println!("again {}", again.duplicate);
    }
    let mut consumers: Vec<Consumer> =
        GROUPS.iter().map(|g| log.consumer(g, ConsumerOptions::default()).unwrap()).collect();
    println!("ready");
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        for _ in 0..1 + random.below(3) {
            let (partition, count) = (random.below(u64::from(PARTITIONS)) as u32, 1 + random.below(50));
            let first = next[partition as usize];
            next[partition as usize] += count;
            let producer = (partition == 1).then_some(ProducerBatch { producer: 1, sequence: first });
            let log = log.clone();
            under_way.spawn(async move {
                let appended = log.append_to(partition, batch(first, count, life), producer).await.unwrap();
                assert_eq!((appended.seq, appended.duplicate), (Some(first), false));
                println!("acknowledged {partition} {first} {} {life}", first + count);
            });
        }
        while under_way.len() > 4 {
            under_way.join_next().await.unwrap().unwrap();
        }
        for consumer in &mut consumers {
            let limit = Limit::messages(1 + random.below(120) as usize);
            let entries = tokio::select! {
                biased;
                entries = consumer.next_batch(limit) => entries.unwrap(),
                () = std::future::ready(()) => continue,
            };
            // Now whole batches, now single messages, some of which are left to come again.
            let parts: Vec<&[Entry]> = if random.below(2) == 0 { vec![&entries] } else { entries.chunks(1).collect() };
            for part in parts {
                if part.len() == 1 && random.below(8) == 0 {
                    consumer.release(part[0].at);
                    continue;
                }
                let (from, to) = (part[0].at, part.last().unwrap().at.seq + 1);
                let run = format!("{} {} {} {to}", consumer.group(), from.partition, from.seq);
                println!("settling {run}");
                consumer.settle_batch(part).unwrap();
                println!("settled {run}");
            }
        }
        if random.below(10) == 0 {
            log.enforce_retention().unwrap();
        }
    }
}
