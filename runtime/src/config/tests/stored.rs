//! What must be read of brokers, storage, groups and the embedded broker, and as what.

use std::time::Duration;

use super::accepted::{default_buffer, demo_directory};
use super::{environment, parse, parse_with, root};
use crate::config::*;

const EVERYTHING: &str = r#"
brokers:
  upstream:
    type: pelton
    address: ["first.example:50051", "10.0.0.1:1", "[::1]:65535"]
    token: "${TOKEN}"
    tls: { ca: config/bad/empty.wasm, cert: config/bad/empty.txt, key: config/bad/empty.yaml, domain: pelton }
    connect_timeout: 1m
    request_timeout: 1s
  near: { type: pelton }
serve:
  grpc:
    address: "[::]:0"
    tokens: ["${TOKEN}", second]
    tls: { cert: config/bad/empty.txt, key: config/bad/empty.yaml, client_ca: config/bad/empty.wasm }
    directory: data/served
    max_message: 1GiB
streams:
  orders:
    from: { broker: upstream, stream: all, group: billing, start: 7 }
    to: { broker: near, stream: alerts }
    partitions: 4
    storage:
      type: disk
      path: data/orders
      durability: { interval: 10ms }
      segment: { bytes: 1MiB, age: 1d }
      retention: { bytes: 1GiB, age: 7d, settled: drop, unsettled: drop }
      ack: on_append
    stale: { age: 7d, lag: 1_000_000 }
  near: { from: { broker: near, stream: all, start: 1970-01-01T00:00:01Z }, storage: { type: disk, path: data/near } }
  held: { storage: { type: memory, threshold: 12.5%, retention: { age: 1h } } }
  relaxed: { storage: { type: disk, path: data/relaxed, durability: os } }
handlers:
  groups:
    module: config/bad/empty.wasm
    stream: orders
    dead_letter: near
    deliver: groups
    group: { timeout: 5s, messages: 10 }
    start: 1970-01-01T00:00:01Z
  plain: { module: config/bad/empty.wasm, stream: orders, dead_letter: near, deliver: messages, start: latest }
  bare: { module: config/bad/empty.wasm, stream: held, dead_letter: near, deliver: groups }
"#;

fn everything() -> Config {
    parse_with(EVERYTHING, &[("TOKEN", "first")]).unwrap()
}

fn upstream() -> PeltonBroker {
    let file = |name| root().join("config/bad").join(name);
    PeltonBroker {
        addresses: ["first.example:50051", "10.0.0.1:1", "[::1]:65535"].map(String::from).into(),
        token: Secret::new("first"),
        tls: Some(ClientTls {
            ca: file("empty.wasm"),
            identity: Some(Identity { cert: file("empty.txt"), key: file("empty.yaml") }),
            domain: Some("pelton".into()),
        }),
        connect_timeout: Duration::from_secs(60),
        request_timeout: Duration::from_secs(1),
    }
}

fn near() -> PeltonBroker {
    PeltonBroker {
        addresses: vec!["127.0.0.1:50051".into()],
        token: None,
        tls: None,
        connect_timeout: Duration::from_secs(30),
        request_timeout: Duration::from_secs(5),
    }
}

const KEEP_ALL: Retention = Retention { bytes: None, age: None, settled: Keep::Keep, unsettled: Keep::Keep };

fn on_disk(disk: DiskConfig) -> StorageConfig {
    StorageConfig {
        kind: StorageKind::Disk(disk),
        partitions: 1,
        retention: KEEP_ALL,
        ack: AckWhen::Settled,
        stale: StalePolicy { age: None, lag: None },
    }
}

#[test]
fn brokers_and_what_is_served() {
    let config = everything();
    let broker = |name: &str, broker| BrokerConfig { name: name.into(), kind: BrokerKind::Pelton(broker) };
    assert_eq!(config.brokers, [broker("upstream", upstream()), broker("near", near())]);
    let file = |name| root().join("config/bad").join(name);
    let expected = GrpcConfig {
        address: "[::]:0".parse().unwrap(),
        tokens: vec![Secret::new("first").unwrap(), Secret::new("second").unwrap()],
        tls: Some(ServerTls {
            identity: Identity { cert: file("empty.txt"), key: file("empty.yaml") },
            client_ca: Some(file("empty.wasm")),
        }),
        directory: Some(root().join("data/served")),
        max_message: 1 << 30,
    };
    assert_eq!(config.serve, Some(expected));
    assert!(!format!("{config:?}").contains("second"), "a token is shown");
}

#[test]
fn streams_of_brokers() {
    let config = everything();
    let [orders, other, ..] = config.streams.as_slice() else { panic!("{:?}", config.streams) };
    let source =
        PeltonSource { broker: upstream(), stream: "all".into(), group: "billing".into(), start: Start::Sequence(7) };
    assert_eq!(orders.from, Some(SourceConfig::Pelton(source)));
    assert_eq!(orders.to, Some(SinkConfig::Pelton(PeltonSink { broker: near(), stream: "alerts".into() })));
    let start = Start::Time(1_000_000_000);
    let source = PeltonSource { broker: near(), stream: "all".into(), group: "near".into(), start };
    assert_eq!(other.from, Some(SourceConfig::Pelton(source)));
    assert!(other.from.as_ref().unwrap().awaits_acknowledgement());
}

#[test]
fn storage() {
    let config = everything();
    let [orders, near, held, relaxed] = config.streams.as_slice() else { panic!("{:?}", config.streams) };
    let day = Duration::from_secs(86_400);
    let disk = DiskConfig {
        path: root().join("data/orders"),
        durability: Durability::Interval(Duration::from_millis(10)),
        segment_bytes: 1 << 20,
        segment_age: Some(day),
    };
    let retention = Retention { bytes: Some(1 << 30), age: Some(7 * day), settled: Keep::Drop, unsettled: Keep::Drop };
    let expected = StorageConfig {
        partitions: 4,
        retention,
        ack: AckWhen::Appended,
        stale: StalePolicy { age: Some(7 * day), lag: Some(1_000_000) },
        ..on_disk(disk)
    };
    assert_eq!(orders.storage, Some(expected));
    let disk = |path, durability| DiskConfig {
        path: root().join(path),
        durability,
        segment_bytes: 64 << 20,
        segment_age: None,
    };
    assert_eq!(near.storage, Some(on_disk(disk("data/near", Durability::EveryBatch))));
    let in_memory = StorageConfig {
        kind: StorageKind::Memory { threshold: 0.125 },
        retention: Retention { age: Some(Duration::from_secs(3600)), ..KEEP_ALL },
        ..on_disk(disk("", Durability::Os))
    };
    assert_eq!(held.storage, Some(in_memory));
    assert_eq!(relaxed.storage, Some(on_disk(disk("data/relaxed", Durability::Os))));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn groups_and_starts() {
    let config = everything();
    let [groups, plain, bare] = config.handlers.as_slice() else { panic!("{:?}", config.handlers) };
    assert_eq!(groups.deliver, Deliver::Groups { timeout: Duration::from_secs(5), most: 10 });
    assert_eq!(groups.start, Start::Time(1_000_000_000));
    assert_eq!((plain.deliver, plain.start), (Deliver::Messages, Start::Latest));
    assert_eq!(bare.deliver, Deliver::Groups { timeout: Duration::from_secs(30), most: 1000 });
    assert_eq!(bare.start, Start::Earliest);
}

#[test]
fn the_defaults() {
    let text = "serve: { grpc: {} }\nstreams: { kept: { storage: { type: memory } } }";
    let config = parse(text).unwrap();
    let expected = GrpcConfig {
        address: "127.0.0.1:50051".parse().unwrap(),
        tokens: Vec::new(),
        tls: None,
        directory: None,
        max_message: 16 << 20,
    };
    assert_eq!(config.serve, Some(expected));
    assert_eq!(config.streams[0].storage.as_ref().unwrap().kind, StorageKind::Memory { threshold: 0.8 });
}

/// A stream in memory that only clients feed and read needs somebody to serve it; one on disk does not.
#[test]
fn who_feeds_and_reads() {
    let kept = |storage: &str, more: &str| parse(&format!("streams: {{ kept: {{ storage: {storage} }} }}\n{more}"));
    assert!(kept("{ type: disk, path: data/kept }", "").is_ok());
    assert!(kept("{ type: memory }", "serve: { grpc: {} }").is_ok());
    let errors = kept("{ type: memory }", "").unwrap_err().errors;
    let problems: Vec<&str> = errors.iter().map(|error| error.problem.as_str()).collect();
    assert_eq!(problems, ["nothing feeds this stream", "nothing reads this stream"]);
}

/// A stream on disk takes what comes round without waiting for its readers; one in memory does not.
#[test]
fn cycles_may_cross_a_disk() {
    let cycle = |storage: &str| {
        parse(&format!(
            "
streams: {{ there: {{ from: generate, {storage} }}, back: {{}} }}
handlers:
  go: {{ module: config/bad/empty.wasm, stream: there, output: back, dead_letter: back }}
  return: {{ module: config/bad/empty.wasm, stream: back, output: there, dead_letter: there }}"
        ))
    };
    assert!(cycle("storage: { type: disk, path: data/there }").is_ok());
    for storage in ["", "storage: { type: memory }"] {
        let error = cycle(storage).unwrap_err().to_string();
        assert!(error.contains("closes a cycle") && error.ends_with("with 'storage' on disk"), "{error}");
    }
}

/// Links and what does not exist yet are seen through.
#[test]
#[cfg(unix)]
fn one_directory_by_two_names() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
    let text = |second: &str| {
        let stream = |name, path| format!("  {name}: {{ storage: {{ type: disk, path: {path} }} }}\n");
        format!("streams:\n{}{}", stream("one", "real/a"), stream("two", second))
    };
    for (second, how) in
        [("link/a", Some("is")), ("link/a/b", Some("lies inside")), ("link/../real", Some("holds")), ("link/b", None)]
    {
        let parsed = Config::parse(&text(second), "x.yaml", &environment(directory.path()));
        let expected = how.map(|how| {
            format!("x.yaml:3:39: streams.two.storage.path: {how} the directory of the stream 'one'; expected a directory of its own")
        });
        assert_eq!(parsed.err().map(|errors| errors.to_string()), expected, "{second}");
    }
}

#[test]
fn the_example_on_disk() {
    let directory = demo_directory();
    let text = include_str!("../../../../config/quakes-disk.yaml");
    let config = Config::parse(text, "quakes-disk.yaml", &environment(directory.path())).unwrap();
    let paths = config.streams.iter().map(|stream| match &stream.storage {
        Some(StorageConfig { kind: StorageKind::Disk(disk), .. }) => disk.path.strip_prefix(directory.path()).unwrap(),
        other => panic!("{}: {other:?}", stream.name),
    });
    let paths: Vec<_> = paths.collect();
    assert_eq!(paths, ["data/quakes", "data/alerts", "data/dead"].map(std::path::Path::new));
    assert!(config.streams.iter().all(|stream| stream.to.is_none() && stream.buffer == default_buffer()));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!directory.path().join("data").exists(), "checking makes nothing");
}
