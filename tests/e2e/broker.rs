//! `pelton produce` and `pelton consume`, against a broker in this process.

use pelton::config::{GrpcConfig, Secret};
use pelton::log::{LogOptions, SequenceLog};
use pelton::serve::{Server, Streams};
use pelton_tests::{Dir, feed, pelton, root};
use serde_json::Value;
use std::collections::BTreeSet;

struct Broker {
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
    log: SequenceLog,
    address: String,
}

impl Broker {
    fn new(partitions: u32, token: Option<&str>) -> Broker {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (server, log) = runtime.block_on(async {
            let log = SequenceLog::memory("quakes", LogOptions { partitions, ..LogOptions::default() }).unwrap();
            let streams = Streams::default();
            assert!(streams.insert(log.clone()));
            let address = "127.0.0.1:0".parse().unwrap();
            let tokens = token.map(|t| Secret::new(t).unwrap()).into_iter().collect();
            let config = GrpcConfig { address, tokens, tls: None, directory: None, max_message: 1 << 20 };
            (Server::start(config, streams).await.unwrap(), log)
        });
        let address = server.address().to_string();
        Broker { server: Some(server), runtime, log, address }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

#[test]
fn what_is_produced_is_consumed() {
    let broker = Broker::new(1, None);
    let at = broker.address.as_str();
    let file = root().join("config/demo/quakes.ndjson");
    let file = file.to_str().unwrap();
    let produced = pelton(["produce", "quakes", "--broker", at, "--file", file, "--batch", "500"]).run().expect(0);
    assert!(produced.lines()[0].starts_with("1,707 messages, "), "{produced:?}");
    assert!(produced.stderr.is_empty(), "no progress but on a terminal: {}", produced.stderr);
    let feed = feed();
    let all = pelton(["consume", "quakes", "--broker", at]).run().expect(0);
    assert!(all.lines() == feed, "as they were");
    let last = pelton(["consume", "quakes", "--broker", at, "--offset", "1700", "--count", "3"]).run().expect(0);
    assert!(last.lines() == feed[1699..1702]);
    assert!(pelton(["consume", "quakes", "--broker", at, "--offset", "-1"]).run().expect(0).stdout.is_empty());

    // A group goes on where it was.
    let some = pelton(["consume", "quakes", "--broker", at, "--group", "g", "--count", "1000"]).run().expect(0);
    assert!(some.lines() == feed[..1000]);
    assert_eq!(broker.log.lag("g").unwrap(), 707);
    let rest = pelton(["consume", "quakes", "--broker", at, "--group", "g"]).run().expect(0);
    assert!(rest.lines() == feed[1000..]);
    assert_eq!(broker.log.lag("g").unwrap(), 0);
}

#[test]
fn lines_of_standard_input_get_key_and_headers() {
    let broker = Broker::new(4, Some("open-sesame"));
    let at = broker.address.as_str();
    let arguments = ["produce", "quakes", "--broker", at, "--key", "k", "--header", "a=1", "--token", "open-sesame"];
    pelton(arguments).stdin("one\ntwo\n\nlast").run().expect(0);
    let consumed = pelton(["consume", "quakes", "--broker", at, "--format", "json"]).env("PELTON_TOKEN", "open-sesame");
    let consumed = consumed.run().expect(0);
    let objects: Vec<Value> = consumed.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bodies: Vec<&str> = objects.iter().map(|object| object["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["one", "two", "", "last"], "one key, one partition, one order");
    assert!(objects.iter().all(|object| object["key"] == "k" && object["headers"]["a"] == "1"), "{objects:?}");

    let refused = pelton(["consume", "quakes", "--broker", at]).run().expect(1);
    assert!(refused.stderr.contains("Bearer TOKEN"), "{}", refused.stderr);
}

#[test]
fn a_follower_is_given_what_comes_and_a_killed_one_loses_nothing() {
    let broker = Broker::new(2, None);
    let at = broker.address.as_str();
    let arguments = ["consume", "quakes", "--broker", at, "--group", "g", "--follow"];
    let follower = pelton(arguments).start();
    let feed = feed();
    let (first, second) = feed.split_at(800);
    let produce = |lines: &[String]| {
        pelton(["produce", "quakes", "--broker", at]).stdin(lines.join("\n")).run().expect(0);
    };
    produce(first);
    follower
        .until("the follower has printed the first part", || (follower.stdout().lines().count() == 800).then_some(()));
    follower.signal("KILL");
    let killed = follower.end();
    assert_eq!(killed.code, None);
    produce(second);
    let other = pelton(["consume", "quakes", "--broker", at, "--group", "g"]).run().expect(0);
    let seen: BTreeSet<&str> = killed.lines().into_iter().chain(other.lines()).collect();
    assert_eq!(seen, feed.iter().map(String::as_str).collect());
    assert_eq!(broker.log.lag("g").unwrap(), 0);
}

#[test]
fn a_configuration_says_where_the_broker_is() {
    let broker = Broker::new(1, Some("from-the-file"));
    let at = broker.address.as_str();
    let dir = Dir::new();
    let serve = format!(
        "serve: {{ grpc: {{ address: {at}, tokens: [from-the-file] }} }}\nstreams: {{ a: {{ from: stdin, to: stdout }} }}\n"
    );
    let serve = dir.write("serve.yaml", serve);
    pelton(["produce", "quakes", "--config", serve.to_str().unwrap()]).stdin("a\n").run().expect(0);
    let named = format!(
        "brokers: {{ there: {{ type: pelton, address: [127.0.0.1:1, '{at}'], token: from-the-file }} }}\nstreams: {{ a: {{ from: stdin, to: stdout }} }}\n"
    );
    let named = dir.write("brokers.yaml", named);
    for broker in [vec![], vec!["--broker", "there"]] {
        let arguments = ["consume", "quakes", "--config", named.to_str().unwrap()].into_iter().chain(broker);
        assert_eq!(pelton(arguments).run().expect(0).lines(), ["a"]);
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let broker = Broker::new(1, None);
    let at = broker.address.as_str();
    let cases = [
        (vec!["produce", "none", "--broker", at], 1, "there is no stream 'none'"),
        (vec!["consume", "none", "--broker", at], 1, "there is no stream 'none'"),
        (vec!["consume", "quakes", "--broker", at, "--partition", "7"], 1, "no partition 7"),
        (vec!["consume", "quakes", "--broker", at, "--offset", "99"], 1, "is out of bounds"),
        (vec!["consume", "quakes", "--broker", at, "--offset", "soon"], 2, "soon"),
        (vec!["consume", "quakes", "--broker", "127.0.0.1:1"], 1, "is it running"),
        (vec!["consume", "quakes", "--broker", "no address"], 2, "use host:port"),
        (vec!["produce", "quakes", "--broker", at, "--acks", "2"], 2, "0..=1"),
        (vec!["produce", "quakes", "--broker", at, "--flush", "5"], 2, "a duration such as"),
        (vec!["produce", "quakes", "--broker", at, "--file", "no/such"], 1, "cannot read no/such"),
    ];
    for (arguments, code, text) in cases {
        let ended = pelton(&arguments).stdin("x\n").run().expect(code);
        assert!(ended.stderr.contains(text), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(broker.log.messages(), 0);
}

#[test]
fn one_host_reads_and_feeds_the_streams_of_another() {
    let broker = Broker::new(4, None);
    let at = broker.address.as_str();
    let feed = feed();
    pelton(["produce", "quakes", "--broker", at]).stdin(feed.join("\n")).run().expect(0);
    let copies = broker.runtime.block_on(async { SequenceLog::memory("copies", LogOptions::default()).unwrap() });
    assert!(broker.server.as_ref().unwrap().streams().insert(copies.clone()));
    let dir = Dir::new();
    let config = dir.write(
        "copy.yaml",
        format!(
            "brokers: {{ there: {{ type: pelton, address: '{at}' }} }}\n\
             streams: {{ copy: {{ from: {{ broker: there, stream: quakes }}, to: {{ broker: there, stream: copies }} }} }}\n"
        ),
    );
    let all = || (broker.log.lag("copy") == Ok(0)).then_some(());
    let host = pelton(["run".as_ref(), config.as_os_str()]).start();
    host.until("everything is copied and settled", all);
    host.signal("TERM");
    host.end().expect(0);
    assert_eq!(copies.messages(), 1707);

    // Killed in the middle, it loses nothing, and may repeat some.
    pelton(["produce", "quakes", "--broker", at]).stdin(feed.join("\n")).run().expect(0);
    let host = pelton(["run".as_ref(), config.as_os_str()]).start();
    host.until("something is copied", || (copies.messages() > 1707).then_some(()));
    host.signal("KILL");
    drop(host.end());
    let host = pelton(["run".as_ref(), config.as_os_str()]).start();
    host.until("everything is copied and settled", all);
    host.signal("TERM");
    host.end().expect(0);
    let copied = copies.read(0, 1, pelton::stream::Limit::messages(100_000)).unwrap();
    let mut times: std::collections::BTreeMap<&[u8], usize> = feed.iter().map(|line| (line.as_bytes(), 0)).collect();
    for entry in &copied {
        *times.get_mut(entry.message.body()).unwrap() += 1;
    }
    assert!(times.values().all(|times| *times >= 2), "each came both times");
}
