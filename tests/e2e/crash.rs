//! A process that writes a log is killed at random moments, again and again: nothing that it said is lost.
//!
//! `PELTON_TEST_KILLS` sets how often, `PELTON_TEST_SEED` from which number everything random is made.

use pelton::stream::Limit;
use pelton_tests::Dir;
use pelton_tests::killed::{GROUPS, PARTITIONS, Random, body, open, parse};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// After so many kills a new log is begun.
const KILLS_OF_ONE: u64 = 25;

/// The process, killed where the test ends before it is.
struct Writer(Child);

impl Writer {
    fn start(path: &Path, seed: u64, life: u64) -> Writer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_log-writer"));
        command.arg(path).args([seed.to_string(), life.to_string()]);
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
