//! What must be read, and as what.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{environment, parse, parse_with};
use crate::config::*;

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// A directory in which the files exist that `config/quakes.yaml` names.
pub(super) fn demo_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (folder, file) in [("config/demo", "quakes.ndjson"), ("target/guests", "quake-alert.wasm")] {
        fs::create_dir_all(directory.path().join(folder)).unwrap();
        fs::write(directory.path().join(folder).join(file), "").unwrap();
    }
    directory
}

pub(super) fn default_buffer() -> BufferConfig {
    BufferConfig { messages: 10_000, bytes: 64 << 20, when_full: WhenFull::Block }
}

fn quakes(directory: &Path, repeat: bool, rate: Option<f64>) -> Config {
    let source = FileSource {
        path: directory.join("config/demo/quakes.ndjson"),
        follow: false,
        repeat,
        rate,
        max_message: 16 << 20,
    };
    let dead = FileSink { path: directory.join("target/dead-letters.ndjson"), format: Format::Json, append: true };
    let stream = |name: &str, from, to| StreamConfig {
        name: name.to_owned(),
        from,
        to,
        buffer: default_buffer(),
        storage: None,
    };
    Config {
        brokers: Vec::new(),
        serve: None,
        streams: vec![
            stream("quakes", Some(SourceConfig::File(source)), None),
            stream("alerts", None, Some(SinkConfig::Stdout(StdoutSink { format: Format::Lines }))),
            stream("dead", None, Some(SinkConfig::File(dead))),
        ],
        handlers: vec![HandlerConfig {
            name: "quake-alert".into(),
            module: directory.join("target/guests/quake-alert.wasm"),
            stream: "quakes".into(),
            output: Some("alerts".into()),
            outputs: BTreeMap::new(),
            dead_letter: Some("dead".into()),
            workers: Workers { min: 1, max: 1 },
            batch: BatchConfig { max: 256, wait: Duration::ZERO },
            deliver: Deliver::Messages,
            start: Start::Earliest,
            ordering: Ordering::None,
            instance: InstancePolicy::UntilTrap,
            retry: RetryConfig {
                max_attempts: 5,
                initial_delay: Duration::from_millis(100),
                max_delay: Duration::from_secs(30),
                multiplier: 2.0,
            },
            limits: Limits { memory: 64 << 20, deadline: Duration::from_secs(1), output: 16 << 20 },
            reload: ReloadConfig { watch: true, poll: Duration::from_secs(2) },
            config: strings(&[("min_magnitude", "4.5")]),
            enabled: true,
        }],
        cache_dir: Some("/home/somebody/.cache/pelton".into()),
        shutdown_timeout: Duration::from_secs(30),
        warnings: Vec::new(),
    }
}

/// The examples are valid, and hold the defaults that their comments state.
#[test]
fn the_examples() {
    let directory = demo_directory();
    let watch = include_str!("../../../../config/quakes-watch.yaml");
    let plain = include_str!("../../../../config/quakes.yaml");
    for (text, repeat, rate) in [(plain, false, None), (watch, true, Some(20.0))] {
        let config = Config::parse(text, "quakes.yaml", &environment(directory.path())).unwrap();
        assert_eq!(config, quakes(directory.path(), repeat, rate));
    }
    // With what is commented out: it claims to be the defaults.
    let uncomment = |line: &str| match line.strip_prefix("    # ") {
        Some(inside) if !inside.contains("defaults;") => format!("    {inside}\n"),
        _ => format!("{line}\n"),
    };
    let uncommented: String = plain.lines().map(uncomment).collect();
    assert_ne!(uncommented, plain);
    let config = Config::parse(&uncommented, "quakes.yaml", &environment(directory.path())).unwrap();
    assert_eq!(config, quakes(directory.path(), false, None));
}

#[test]
fn checking_leaves_no_file() {
    let directory = demo_directory();
    Config::parse(include_str!("../../../../config/quakes.yaml"), "quakes.yaml", &environment(directory.path()))
        .unwrap();
    let left: Vec<_> =
        fs::read_dir(directory.path().join("target")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["guests"]);
}

const EVERYTHING: &str = r#"
streams:
  numbers:
    from: { generate: { count: 1_000, rate: 30/m, size: 1kB, seed: 7 } }
    buffer: { messages: 5, bytes: 1MiB, when_full: drop_oldest }
  lines:
    from: { stdin: { max_message: 2KiB } }
    to: { stdout: { format: json } }
    buffer: { when_full: reject }
  tail:
    from: { file: config/demo/quakes.ndjson, follow: true, max_message: 1B }
    to: { file: /dev/null, format: lines, append: false }
  endless: { from: generate, to: { file: /dev/null } }
  small: { from: stdin, buffer: { bytes: 100B } }
handlers:
  a.b-c_D:
    module: config/bad/empty.wasm
    stream: numbers
    output: lines
    outputs: { severe: lines, mild: tail }
    dead_letter: tail
    workers: { min: 2, max: 8 }
    batch: { max: 16, wait: 5ms }
    ordering: key
    instance: per_message
    retry: { max_attempts: 1, initial_delay: 1s, max_delay: 1m, multiplier: 1 }
    limits: { memory: 1MiB, deadline: 10ms, output: 1B }
    reload: { watch: false, poll: 1h }
    config: { number: 4.5, text: "", flag: true, null-like: "null", dollars: "$${5}", home: "${HOME}" }
    enabled: true
  drained: { module: config/bad/empty.wasm, stream: small, dead_letter: tail, workers: 3, instance: per_batch, ordering: none }
cache: { path: /var/cache/pelton }
shutdown_timeout: 0
"#;

#[test]
fn every_key() {
    let config =
        parse(&EVERYTHING.replace("small: { from: stdin,", "small: { from: generate,").replace("100B", "300B"))
            .unwrap();
    let [numbers, lines, tail, endless, small] = config.streams.as_slice() else { panic!("{:?}", config.streams) };
    let generate = GenerateSource { count: Some(1_000), rate: Some(0.5), size: 1_000, seed: 7 };
    assert_eq!(numbers.from, Some(SourceConfig::Generate(generate)));
    assert_eq!(numbers.buffer, BufferConfig { messages: 5, bytes: 1 << 20, when_full: WhenFull::DropOldest });
    assert_eq!(lines.from, Some(SourceConfig::Stdin(StdinSource { max_message: 2_048 })));
    assert_eq!(lines.to, Some(SinkConfig::Stdout(StdoutSink { format: Format::Json })));
    assert_eq!(lines.buffer, BufferConfig { when_full: WhenFull::Reject, ..default_buffer() });
    let Some(SourceConfig::File(source)) = &tail.from else { panic!("{:?}", tail.from) };
    assert!(source.follow && !source.repeat && source.rate.is_none() && source.max_message == 1);
    let sink = FileSink { path: "/dev/null".into(), format: Format::Lines, append: false };
    assert_eq!(tail.to, Some(SinkConfig::File(sink)));
    let generate = GenerateSource { count: None, rate: None, size: 256, seed: 0 };
    assert_eq!(endless.from, Some(SourceConfig::Generate(generate)));
    assert_eq!(small.buffer.bytes, 300);

    let [handler, drained] = config.handlers.as_slice() else { panic!("{:?}", config.handlers) };
    let expected = HandlerConfig {
        name: "a.b-c_D".into(),
        module: super::root().join("config/bad/empty.wasm"),
        stream: "numbers".into(),
        output: Some("lines".into()),
        outputs: strings(&[("severe", "lines"), ("mild", "tail")]),
        dead_letter: Some("tail".into()),
        workers: Workers { min: 2, max: 8 },
        batch: BatchConfig { max: 16, wait: Duration::from_millis(5) },
        deliver: Deliver::Messages,
        start: Start::Earliest,
        ordering: Ordering::Key,
        instance: InstancePolicy::PerMessage,
        retry: RetryConfig {
            max_attempts: 1,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            multiplier: 1.0,
        },
        limits: Limits { memory: 1 << 20, deadline: Duration::from_millis(10), output: 1 },
        reload: ReloadConfig { watch: false, poll: Duration::from_secs(3600) },
        config: strings(&[
            ("number", "4.5"),
            ("text", ""),
            ("flag", "true"),
            ("null-like", "null"),
            ("dollars", "${5}"),
            ("home", "/home/somebody"),
        ]),
        enabled: true,
    };
    assert_eq!(*handler, expected);
    assert_eq!(drained.workers, Workers { min: 3, max: 3 });
    assert_eq!(drained.instance, InstancePolicy::PerBatch);
    assert_eq!(config.cache_dir, Some(PathBuf::from("/var/cache/pelton")));
    assert_eq!(config.shutdown_timeout, Duration::ZERO);
    assert_eq!(config.warnings, Vec::<String>::new());
}

/// A message must fit into its stream, so a small stream has a small limit by itself.
#[test]
fn the_longest_line_follows_the_buffer() {
    let config = parse("streams: { lines: { from: stdin, to: stdout, buffer: { bytes: 100B } } }").unwrap();
    assert_eq!(config.streams[0].from, Some(SourceConfig::Stdin(StdinSource { max_message: 100 })));
}

#[test]
fn aliases_and_merge_keys() {
    let config = parse(
        "streams:\n  one: &one { from: generate, to: stdout, buffer: &small { messages: 5 } }\n  two: *one\n  \
         three: { <<: *one, buffer: { <<: [*small, { bytes: 1MiB, messages: 9 }], when_full: reject } }\n",
    );
    let config = config.unwrap();
    assert_eq!(config.streams[1], StreamConfig { name: "two".into(), ..config.streams[0].clone() });
    let buffer = BufferConfig { messages: 5, bytes: 1 << 20, when_full: WhenFull::Reject };
    assert_eq!(config.streams[2].buffer, buffer);
    assert_eq!(config.streams[2].to, config.streams[0].to);
}

#[test]
fn a_key_of_its_own_wins_over_a_merged_one() {
    let handler = "{ module: config/bad/empty.wasm, stream: a, config: { own: '1', <<: { own: '2', more: '3' } } }";
    let text = format!("streams: {{ a: {{ from: generate }} }}\nhandlers: {{ h: {handler} }}");
    let expected = strings(&[("own", "1"), ("more", "3")]);
    assert_eq!(parse(&text).unwrap().handlers[0].config, expected);
}

#[test]
fn what_is_left_empty_has_its_default() {
    let empty = parse("streams: { a: { from: generate, to: stdout, buffer: , } }\nhandlers:\ncache: ~\n").unwrap();
    let absent = parse("streams: { a: { from: generate, to: stdout } }").unwrap();
    assert_eq!(empty, absent);
    let lone_minimum = "streams: { a: { from: generate } }\nhandlers: { h: { module: config/bad/empty.wasm, stream: a, workers: { min: 3 } } }";
    assert_eq!(parse(lone_minimum).unwrap().handlers[0].workers, Workers { min: 3, max: 3 });
}

#[test]
fn the_cache() {
    let streams = "streams: { a: { from: generate, to: stdout } }";
    let cache = |more: &str, variables: &[(&str, &str)]| {
        parse_with(&format!("{streams}\n{more}"), variables).unwrap().cache_dir
    };
    assert_eq!(cache("", &[]), Some("/home/somebody/.cache/pelton".into()));
    assert_eq!(cache("", &[("XDG_CACHE_HOME", "/c")]), Some("/c/pelton".into()));
    assert_eq!(cache("", &[("XDG_CACHE_HOME", "relative")]), Some("/home/somebody/.cache/pelton".into()));
    assert_eq!(cache("cache: off", &[("XDG_CACHE_HOME", "/c")]), None);
    assert_eq!(cache("cache: { path: /d }", &[("XDG_CACHE_HOME", "/c")]), Some("/d".into()));

    let homeless = Config::parse(streams, "x.yaml", &Environment::default()).unwrap();
    assert_eq!(homeless.cache_dir, None);
    assert_eq!(homeless.warnings.len(), 1, "{:?}", homeless.warnings);
}

#[test]
fn warnings() {
    let text = "
streams: { a: { from: generate }, b: { to: stdout } }
handlers:
  first: { module: config/bad/empty.wasm, stream: a, dead_letter: b }
  second: { module: config/bad/empty.wasm, stream: a }
  third: { module: not/built/yet.wasm, stream: a, dead_letter: b, enabled: false }
";
    let expected = [
        "x.yaml:5:3: handlers.second: has no 'dead_letter', so messages that it gives up on are dropped and counted",
        "x.yaml:2:12: streams.a: its readers first, second share its buffer of 64MiB, so the slowest holds up the others",
    ];
    assert_eq!(parse(text).unwrap().warnings, expected);
}
