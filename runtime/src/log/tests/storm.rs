//! Many at once: nobody waits for ever, and nothing is lost.

use super::*;

/// On threads; fails where it does not end, also where threads wait for each other.
fn storm(what: &str, test: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let ended = runtime.block_on(async {
        let test = tokio::spawn(test);
        tokio::time::timeout(Duration::from_secs(60), test).await
    });
    // Not to wait for those that wait for ever.
    runtime.shutdown_background();
    ended.unwrap_or_else(|_| panic!("{what}: somebody waits for ever")).unwrap();
}

/// What a member does until it is stopped: takes some, settles some, gives some back, leaves with some, and joins again.
async fn member(log: SequenceLog, group: &'static str, mut choice: usize, seen: Arc<Mutex<BTreeSet<Position>>>) {
    loop {
        // What it keeps in hand fills the log, until its lease ends.
        let lease = Some(Duration::from_millis(5));
        let mut consumer = log.consumer(group, ConsumerOptions { lease, ..ConsumerOptions::default() }).unwrap();
        for _ in 0..5 {
            choice = choice.wrapping_mul(31).wrapping_add(7);
            let Ok(batch) = consumer.next_batch(Limit::messages(1 + choice % 7)).await else { return };
            for (i, entry) in batch.iter().enumerate() {
                match (choice + i) % 9 {
                    0 => consumer.release(entry.at),
                    1 => {}
                    _ => {
                        lock(&seen).insert(entry.at);
                        consumer.settle(entry.at).unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn appends_readers_and_room_go_on() {
    const MANY: u64 = 3000;
    for on_disk in [false, true] {
        storm(if on_disk { "on disk" } else { "in memory" }, async move {
            let directory = tempfile::tempdir().unwrap();
            let options = LogOptions { partitions: 2, messages: 20, segment_bytes: 4096, ..LogOptions::default() };
            let options = LogOptions { durability: Durability::Os, ..options };
            let log = match on_disk {
                true => SequenceLog::open("s", directory.path(), options).unwrap().0,
                false => SequenceLog::memory("s", options).unwrap(),
            };
            let groups: [(&str, Arc<Mutex<BTreeSet<Position>>>); 2] = [("a", Arc::default()), ("b", Arc::default())];
            let mut members = tokio::task::JoinSet::new();
            for (i, (group, seen)) in groups.iter().flat_map(|group| [group; 2]).enumerate() {
                log.start(group, Start::Earliest).unwrap();
                members.spawn(member(log.clone(), group, i, seen.clone()));
            }
            let mut appends = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let log = log.clone();
                appends.spawn(async move {
                    for n in 0..MANY / 4 / 3 {
                        log.append((0..3).map(|i| message(&format!("{n} {i}"))).collect()).await.unwrap();
                    }
                });
            }
            while let Some(appended) = appends.join_next().await {
                appended.unwrap();
            }
            for (group, seen) in groups {
                log.caught_up(group).await.unwrap();
                assert_eq!(lock(&seen).len() as u64, MANY, "'{group}'");
            }
            log.close().await;
            while let Some(ended) = members.join_next().await {
                ended.unwrap();
            }
        });
    }
}

/// Message groups are put together while the reader is moved, and while what it has yet to read is given up.
#[test]
fn moving_a_reader_and_retention_hold_up_no_message_groups() {
    storm("message groups", async {
        let directory = tempfile::tempdir().unwrap();
        let retention = Retention { bytes: Some(2000), unsettled: Keep::Drop, ..Retention::default() };
        let options = LogOptions { segment_bytes: 300, retention, durability: Durability::Os, ..LogOptions::default() };
        let (log, _) = SequenceLog::open("s", directory.path(), options).unwrap();
        let deliver = Deliver::Groups { timeout: Duration::from_millis(1), most: 10 };
        let mut members = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let mut consumer = log.consumer("g", ConsumerOptions { deliver, ..ConsumerOptions::default() }).unwrap();
            members.spawn(async move {
                while let Ok(group) = consumer.next_group().await {
                    consumer.settle_batch(&group.entries).unwrap();
                }
            });
        }
        let mut others = tokio::task::JoinSet::new();
        let (appending, moving, retaining) = (log.clone(), log.clone(), log.clone());
        others.spawn(async move {
            for n in 0..1500 {
                let id = (n / 3).to_string();
                let mark = if n % 3 == 0 { GroupMark::Start(3) } else { GroupMark::Member };
                let message = Message::builder().group(&id, mark).build(b"m").unwrap();
                appending.publish(message).await.unwrap();
            }
        });
        others.spawn(async move {
            for _ in 0..1500 {
                // What is the earliest may be gone by then.
                drop(moving.seek("g", Start::Earliest));
                tokio::task::yield_now().await;
            }
        });
        others.spawn(async move {
            for _ in 0..1500 {
                retaining.enforce_retention().unwrap();
                tokio::task::yield_now().await;
            }
        });
        while let Some(ended) = others.join_next().await {
            ended.unwrap();
        }
        log.caught_up("g").await.unwrap();
        log.close().await;
        while let Some(ended) = members.join_next().await {
            ended.unwrap();
        }
    });
}
