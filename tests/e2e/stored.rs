//! Streams on disk: `config/quakes-disk.yaml` in a directory of a test's own.

use pelton::log::SequenceLog;
use pelton::message::Entry;
use pelton::stream::Limit;
use pelton_tests::{Dir, Pelton, Running, feed, pelton};
use serde_json::Value;
use std::collections::BTreeSet;

/// The logs of the demo on disk, and what it reads.
pub(crate) struct Stored {
    pub(crate) dir: Dir,
    /// Set besides.
    variables: Vec<(String, String)>,
}

impl Stored {
    /// Nothing has run; the feed is the real one, with these lines behind it.
    pub(crate) fn new(more: &[&str], variables: &[&str]) -> Stored {
        let dir = Dir::new();
        let lines = feed().into_iter().chain(more.iter().map(|line| (*line).to_owned()));
        dir.write("feed.ndjson", lines.map(|line| line + "\n").collect::<String>());
        let variables = variables.iter().map(|v| v.split_once('=').unwrap());
        let variables = variables.map(|(name, value)| (format!("PELTON__STREAMS__QUAKES__{name}"), value.to_owned()));
        Stored { dir, variables: variables.collect() }
    }

    /// The week has been run, with these lines behind it.
    pub(crate) fn run(more: &[&str]) -> Stored {
        let stored = Stored::new(more, &[]);
        stored.on(pelton(["run", "config/quakes-disk.yaml", "--exit-when-done"])).run().expect(0);
        stored
    }

    /// The week is being run, with these settings of its stream.
    pub(crate) fn start(variables: &[&str]) -> (Stored, Running) {
        let stored = Stored::new(&[], variables);
        let running = stored.on(pelton(["run", "config/quakes-disk.yaml"])).start();
        (stored, running)
    }

    /// A call of the program for these logs.
    pub(crate) fn on(&self, program: Pelton) -> Pelton {
        let mut program = program.env("PELTON__STREAMS__QUAKES__FROM__FILE", self.dir.path("feed.ndjson"));
        for stream in ["quakes", "alerts", "dead"] {
            let variable = format!("PELTON__STREAMS__{}__STORAGE__PATH", stream.to_uppercase());
            program = program.env(&variable, self.dir.path(stream));
        }
        for (name, value) in &self.variables {
            program = program.env(name, value);
        }
        program
    }

    /// A log as it is by now, where it has begun.
    pub(crate) fn log(&self, stream: &str) -> Option<SequenceLog> {
        SequenceLog::open_read_only(stream, &self.dir.path(stream)).ok()
    }

    /// How many messages a log has ever had.
    pub(crate) fn appended(&self, stream: &str) -> u64 {
        self.log(stream).map_or(0, |log| log.appended())
    }

    /// All that a log holds.
    pub(crate) fn entries(&self, stream: &str) -> Vec<Entry> {
        let log = self.log(stream).unwrap();
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let next = entries.last().map_or(log.bounds(0).unwrap().0, |e| e.at.seq + 1);
            let more = log.read(0, next, Limit { messages: 1000, bytes: u64::MAX }).unwrap();
            if more.is_empty() {
                return entries;
            }
            entries.extend(more);
        }
    }

    /// The identifiers in a log's JSON bodies.
    pub(crate) fn ids(&self, stream: &str) -> BTreeSet<String> {
        let id =
            |e: &Entry| serde_json::from_slice::<Value>(e.message.body()).unwrap()["id"].as_str().unwrap().to_owned();
        self.entries(stream).iter().map(id).collect()
    }
}

#[test]
fn a_second_run_goes_on_where_the_first_was() {
    let stored = Stored::new(&["no json"], &[]);
    for run in 1..=2 {
        let run_again = stored.on(pelton(["run", "config/quakes-disk.yaml", "--exit-when-done"]));
        let ran = run_again.run().expect(0);
        // In, out, retried, dead, dropped: of the week that this run has appended, and of no other.
        assert_eq!(ran.row("quake-alert"), [1708, 85, 0, 1, 0], "run {run}: {}", ran.stderr);
        assert_eq!(stored.appended("quakes"), run * 1708);
        assert_eq!((stored.appended("alerts"), stored.appended("dead")), (run * 85, run));
        assert_eq!(stored.log("quakes").unwrap().lag("quake-alert").unwrap(), 0);
    }
}

#[test]
fn every_alert_is_there_after_a_kill_in_the_middle() {
    let (stored, running) = Stored::start(&["FROM__RATE=1500/s"]);
    running.until("some alerts on disk", || (stored.appended("alerts") >= 20).then_some(()));
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    let (quakes, alerts) = (stored.appended("quakes"), stored.appended("alerts"));
    assert!(quakes < 1707 && alerts < 85, "it was killed too late: {quakes} quakes, {alerts} alerts");
    let was_settled = quakes - stored.log("quakes").unwrap().lag("quake-alert").unwrap();

    // What is in the log is handled without a feed.
    let config = stored.dir.write(
        "rest.yaml",
        format!(
            "streams:\n  \
               quakes: {{ storage: {{ type: disk, path: {dir}/quakes }} }}\n  \
               alerts: {{ storage: {{ type: disk, path: {dir}/alerts }} }}\n  \
               dead: {{ storage: {{ type: disk, path: {dir}/dead }} }}\n\
             handlers:\n  \
               quake-alert: {{ module: target/guests/quake-alert.wasm, stream: quakes, output: alerts, dead_letter: dead, \
               config: {{ min_magnitude: \"4.5\" }} }}\n",
            dir = stored.dir.root().display()
        ),
    );
    let ran = pelton(["run".as_ref(), config.as_os_str(), "--exit-when-done".as_ref()]).run().expect(0);
    assert_eq!(ran.row("quake-alert")[0], quakes - was_settled, "what was settled does not come again");
    let is_strong = |e: &&Entry| {
        let quake: Value = serde_json::from_slice(e.message.body()).unwrap();
        let properties = &quake["properties"];
        properties["mag"].as_f64() >= Some(4.5) && properties["type"] == "earthquake"
    };
    let entries = stored.entries("quakes");
    let strong = entries.iter().filter(is_strong);
    let strong: BTreeSet<String> = strong
        .map(|e| serde_json::from_slice::<Value>(e.message.body()).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(strong.len() >= 20, "{} strong ones", strong.len());
    assert_eq!(stored.ids("alerts"), strong);
    assert_eq!(stored.appended("dead"), 0);
}
