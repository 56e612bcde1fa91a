//! A process that writes a log is killed at random moments, again and again: nothing that it said is lost.
//!
//! `PELTON_TEST_KILLS` sets how often, `PELTON_TEST_SEED` from which number everything random is made.

use pelton::log::{Consumer, ConsumerOptions, Keep, LogOptions, ProducerBatch, Retention, SequenceLog};
use pelton::message::{Entry, Message};
use pelton::stream::Limit;
use pelton_tests::Dir;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const GROUPS: [&str; 2] = ["a", "b"];
/// Everything in the second one is from a producer, whose sequences are the log's.
const PARTITIONS: u32 = 2;
/// After so many kills a new log is begun.
const KILLS_OF_ONE: u64 = 25;
const WRITER: &str = "PELTON_TEST_WRITER";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn open(path: &Path) -> SequenceLog {
    let retention = Retention { settled: Keep::Drop, ..Retention::default() };
    let options = LogOptions { partitions: PARTITIONS, segment_bytes: 8 << 10, retention, ..LogOptions::default() };
    SequenceLog::open("crash", path, options).unwrap().0
}

/// Which message this is: its place, its batch, and the life of the process that made it.
fn body(seq: u64, batch: (u64, u64), life: u64) -> String {
    format!("{seq} {} {} {life} {}", batch.0, batch.1, "x".repeat((seq % 50) as usize))
}

/// The sequence, the batch and the life that a body tells.
fn parse(entry: &Entry) -> (u64, (u64, u64), u64) {
    let text = std::str::from_utf8(entry.message.body()).unwrap();
    let numbers: Vec<u64> = text.split(' ').take(4).map(|n| n.parse().unwrap()).collect();
    (numbers[0], (numbers[1], numbers[2]), numbers[3])
}

fn batch(first: u64, count: u64, life: u64) -> Vec<Message> {
    (first..first + count).map(|seq| Message::new(body(seq, (first, count), life).as_bytes()).unwrap()).collect()
}

/// The process that is killed. It says what it is about to settle, what is settled, and what is acknowledged.
#[test]
#[ignore = "the process that `what_a_killed_writer_acknowledged_is_there` starts"]
fn writer() {
    let Some(told) = std::env::var_os(WRITER) else { return };
    let told = told.into_string().unwrap();
    let [path, seed, life] = told.splitn(3, '\n').collect::<Vec<_>>().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(write(Path::new(path), Random(seed.parse().unwrap()), life.parse().unwrap()));
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
        println!("\nagain {}", again.duplicate);
    }
    let mut consumers: Vec<Consumer> =
        GROUPS.iter().map(|g| log.consumer(g, ConsumerOptions::default()).unwrap()).collect();
    println!("\nready");
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

/// The process, killed where the test ends before it is.
struct Writer(Child);

impl Writer {
    fn start(path: &Path, seed: u64, life: u64) -> Writer {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::writer", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(WRITER, format!("{}\n{seed}\n{life}", path.display()));
        Writer(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// What it says until it is killed, so long after it was started, or after it was ready.
    fn kill_after(mut self, wait: Duration, ready: bool) -> String {
        let mut stdout = self.0.stdout.take().unwrap();
        let (is_ready, told) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            let (mut all, mut chunk) = (Vec::new(), [0; 8192]);
            while let Ok(read @ 1..) = stdout.read(&mut chunk) {
                all.extend_from_slice(&chunk[..read]);
                if all.windows(6).any(|w| w == b"ready\n") {
                    // Whoever does not wait for it has gone on.
                    let _ = is_ready.send(());
                }
            }
            all
        });
        if ready && told.recv_timeout(pelton_tests::LIMIT).is_err() {
            panic!("the writer does not begin: {}", self.errors());
        }
        std::thread::sleep(wait);
        self.0.kill().unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.code().is_none(), "it ended by itself: {}", self.errors());
        let mut all = String::from_utf8(reading.join().unwrap()).unwrap();
        // The last line may be cut.
        all.truncate(all.rfind('\n').map_or(0, |end| end + 1));
        all
    }

    fn errors(&mut self) -> String {
        let _ = self.0.kill();
        let mut text = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that the writers of one log have said.
#[derive(Default)]
struct Said {
    /// By partition and sequence: whose life it was.
    acknowledged: BTreeMap<(u32, u64), u64>,
    /// By group, partition and sequence.
    settling: BTreeSet<(String, u32, u64)>,
    settled: BTreeSet<(String, u32, u64)>,
}

impl Said {
    fn add(&mut self, lines: &str) {
        for line in lines.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["acknowledged", partition, first, end, life] => {
                    let (partition, life) = (partition.parse().unwrap(), life.parse().unwrap());
                    for seq in numbers(first, end) {
                        let before = self.acknowledged.insert((partition, seq), life);
                        assert_eq!(before, None, "{partition}/{seq} was acknowledged before");
                    }
                }
                ["settling", group, partition, first, end] => {
                    let partition = partition.parse().unwrap();
                    self.settling.extend(numbers(first, end).map(|seq| (group.to_owned(), partition, seq)));
                }
                ["settled", group, partition, first, end] => {
                    let partition = partition.parse().unwrap();
                    self.settled.extend(numbers(first, end).map(|seq| (group.to_owned(), partition, seq)));
                }
                ["again", known] => assert_eq!(known, "true", "the producer's last batch is not known"),
                _ => {}
            }
        }
    }

    fn check(&self, path: &Path, context: &str) {
        let log = open(path);
        for partition in 0..PARTITIONS {
            let (first, next) = log.bounds(partition).unwrap();
            let mut held = Vec::new();
            while first + (held.len() as u64) < next {
                held.extend(log.read(partition, first + held.len() as u64, Limit::messages(10_000)).unwrap());
            }
            for (seq, entry) in (first..next).zip(&held) {
                let (at, (from, count), life) = parse(entry);
                assert_eq!((entry.at.seq, at), (seq, seq), "{context}: out of order");
                assert_eq!(entry.message.body(), body(at, (from, count), life).as_bytes(), "{context}");
                assert!(from + count <= next, "{context}: a part of the batch {from}+{count} ends at {next}");
                let acknowledged = self.acknowledged.get(&(partition, seq));
                assert!(acknowledged.is_none_or(|l| *l == life), "{context}: {partition}/{seq} is another message");
            }
            let last = self.acknowledged.range((partition, 0)..=(partition, u64::MAX)).next_back();
            assert!(last.is_none_or(|((_, seq), _)| *seq < next), "{context}: {last:?} is gone, {next} comes next");
            for group in log.groups() {
                let watermark = group.watermarks[partition as usize];
                let beyond = log.settled_beyond(&group.name, partition).unwrap();
                let is_settled = |seq: u64| seq < watermark || beyond.iter().any(|run| run.contains(&seq));
                assert!(first <= watermark, "{context}: '{}' lost what is below {first}", group.name);
                for seq in 1..next {
                    let at = (group.name.to_string(), partition, seq);
                    assert!(is_settled(seq) || !self.settled.contains(&at), "{context}: {at:?} was settled");
                    assert!(!is_settled(seq) || self.settling.contains(&at), "{context}: {at:?} was never settled");
                }
            }
        }
        let groups = log.groups().len();
        assert!(groups == GROUPS.len() || self.settled.is_empty(), "{context}: {groups} groups");
    }
}

fn numbers(first: &str, end: &str) -> std::ops::Range<u64> {
    first.parse().unwrap()..end.parse().unwrap()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn what_a_killed_writer_acknowledged_is_there() {
    let kills = setting("PELTON_TEST_KILLS").unwrap_or(200);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = setting("PELTON_TEST_SEED").unwrap_or(time.as_nanos() as u64);
    println!("PELTON_TEST_KILLS={kills} PELTON_TEST_SEED={seed}");
    let mut random = Random(seed);
    let (mut dir, mut said) = (Dir::new(), Said::default());
    let (mut acknowledged, mut settled) = (0, 0);
    for kill in 0..kills {
        if kill % KILLS_OF_ONE == 0 {
            (dir, said) = (Dir::new(), Said::default());
        }
        let path = dir.path("log");
        let writer = Writer::start(&path, random.below(u64::MAX), kill);
        // One in eight is killed as it begins.
        let ready = random.below(8) > 0;
        let wait = Duration::from_micros(random.below(30_000));
        let before = (said.acknowledged.len(), said.settled.len());
        said.add(&writer.kill_after(wait, ready));
        acknowledged += said.acknowledged.len() - before.0;
        settled += said.settled.len() - before.1;
        said.check(&path, &format!("seed {seed}, kill {kill}"));
    }
    println!("{kills} kills, {acknowledged} messages acknowledged, {settled} settled");
    // Else the writers never came to writing, and nothing was shown.
    assert!(kills < 50 || acknowledged > kills as usize && settled > kills as usize);
}
