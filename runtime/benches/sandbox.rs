//! What the sandbox costs: `cargo xtask bench sandbox`. All in one run on one machine, 256-byte bodies and 4 headers.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Aim, Rows, median};
use pelton::broker::{AckToken, Received};
use pelton::config::{Config, HandlerConfig, InstancePolicy, Ordering};
use pelton::events::Events;
use pelton::handler::{Handler, HandlerMaker, Native};
use pelton::host::Host;
use pelton::message::{Batch, Entry, Handled, Message, Position};
use pelton::metrics::HandlerMetrics;
use pelton::outlet::Outlet;
use pelton::pool::Pool;
use pelton::slot::HandlerSlot;
use pelton::stream::{CursorOptions, Stream, StreamOptions};
use pelton::wasm::{EngineOptions, Module, ModuleOptions, WasmEngine, WasmHandler};
use pelton::worker::{Tuning, Work};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const KEYS: &[(&str, &str)] = &[
    ("native", "memory stream, native closure that reads headers and body, settled"),
    ("columns", "the same in wasm by columns"),
    ("columns_to_native", "the ratio of these two, round by round"),
    ("native_idle", "as native, but the closure looks at the body's first byte only"),
    ("columns_idle", "the same in wasm by columns"),
    ("columns_to_native_idle", "the ratio of these two, round by round"),
    ("columns_echo", "by columns, each message forwarded into a second stream and settled there"),
    ("records", "memory stream, wasm by records, settled"),
    ("per_batch", "by columns, a fresh instance for each batch of up to 256"),
    ("per_message", "by columns, a fresh instance for each message"),
    ("call_256", "the bare call by columns, 256 messages a call"),
    ("handle_256", "the same with gathering the columns and checking the answer"),
    ("handle_1", "the same for one message"),
    ("steady_p50", "received to settled at a steady 10,000 messages a second"),
    ("steady_p99", "the same, 99 of 100"),
    ("reload_pause", "the longest a worker waited for its new instance, over all reloads under load"),
    ("reload_new", "from the write of a changed module to its first message, compiled"),
    ("reload_cached", "the same where the code is in the cache"),
    ("run_first_message", "`pelton run`, module cached: from start to the first message's output"),
    ("run_idle_memory", "`pelton run`, waiting for input: resident memory"),
];

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let mut rows = Rows::new("sandbox", KEYS);
    let bench = Bench::new();
    // Named parts alone, to look into one of them; the file then lacks rows, and the bench says so.
    let named: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |part: &str| named.is_empty() || named.iter().any(|n| n == part);
    if wanted("throughput") {
        throughput(&bench, &mut rows);
    }
    if wanted("calls") {
        calls(&bench, &mut rows);
    }
    if wanted("steady") {
        steady(&bench, &mut rows);
    }
    if wanted("reload") {
        reload(&mut rows);
    }
    if wanted("program") {
        program(&mut rows);
    }
    rows.finish()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn guest(name: &str) -> PathBuf {
    root().join(format!("target/guests/{name}.wasm"))
}

/// Messages of one make, each with a body of its own.
fn messages(count: usize) -> Vec<Message> {
    let mut builder = Message::builder();
    (0..count)
        .map(|i| {
            let body: Vec<u8> = (0..256).map(|b| ((b * 31 + i * 7) % 96 + 32) as u8).collect();
            builder.subject("bench.events").timestamp(1_700_000_000_000_000_000 + i as i64);
            builder.header("content-type", "application/json").header("tenant", "acme-corporation");
            builder.header("trace", format!("{i:032x}").as_str()).header("n", i as i64);
            builder.build(&body).unwrap()
        })
        .collect()
}

struct Bench {
    guests: Runtime,
    io: Runtime,
    engine: WasmEngine,
    messages: Vec<Message>,
}

impl Bench {
    fn new() -> Bench {
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = WasmEngine::new(EngineOptions::default()).unwrap();
        Bench { guests: runtime(), io: runtime(), engine, messages: messages(16_384) }
    }

    fn module(&self, name: &str, change: impl FnOnce(&mut HandlerConfig)) -> Arc<Module> {
        let mut config = HandlerConfig::new(name, &guest(name), "bench");
        config.output = Some("out".into());
        change(&mut config);
        let load = Module::load(&self.engine, None, &config.module, ModuleOptions::new(&config));
        self.guests.block_on(load).unwrap()
    }

    /// Messages a second from the first append until the last is settled.
    fn round(&self, maker: Box<dyn HandlerMaker>, count: usize, workers: usize, echo: bool) -> f64 {
        let stream = Stream::new("bench", StreamOptions { messages: 16_384, ..StreamOptions::default() });
        let output = Stream::new("out", StreamOptions { messages: 16_384, ..StreamOptions::default() });
        let config = HandlerConfig::new("bench", Path::new(""), "bench");
        let pool = self.guests.block_on(async {
            let work = Work {
                name: "bench".into(),
                cursor: stream.cursor("bench", CursorOptions::ordered(Ordering::None)),
                slot: Arc::new(HandlerSlot::new("1", maker, workers).await.unwrap()),
                outputs: vec![Some(Outlet::Buffer(output.clone()))],
                dead: None,
                events: Events::default(),
                metrics: Arc::new(HandlerMetrics::default()),
                tuning: Tuning::new(&config),
            };
            let pool = Pool::new(Arc::new(work), self.guests.handle().clone());
            pool.resize(workers).await;
            pool
        });
        if echo {
            let sink = output.cursor("sink", CursorOptions::ordered(Ordering::None));
            self.io.spawn(async move {
                loop {
                    sink.next(0, pelton::stream::Limit::messages(1024)).await.settle();
                }
            });
        }
        let begun = Instant::now();
        self.io.block_on(async {
            let mut left = count;
            let mut chunks = self.messages.chunks(1024).cycle();
            while left > 0 {
                let chunk = chunks.next().unwrap();
                let some = &chunk[..chunk.len().min(left)];
                stream.append(some.to_vec()).await;
                left -= some.len();
            }
            stream.drained().await;
        });
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        self.guests.block_on(pool.resize(0));
        rate
    }
}

fn native(headers: bool) -> Box<dyn HandlerMaker> {
    Box::new(Native(move |batch: &Batch| {
        for entry in &batch.entries {
            if headers {
                black_box(entry.message.headers().count());
            }
            black_box(entry.message.body().first());
        }
        Handled { considered: batch.entries.len(), ..Handled::default() }
    }))
}

fn throughput(bench: &Bench, rows: &mut Rows) {
    let workers = 1;
    let columns = bench.module("drain", |c| drop(c.config.insert("headers".into(), "true".into())));
    let idle = bench.module("drain", |_| {});
    let echo = bench.module("echo", |_| {});
    let records = bench.module("records", |c| drop(c.config.insert("emit".into(), "false".into())));
    let per_batch = bench.module("drain", |c| c.instance = InstancePolicy::PerBatch);
    let per_message = bench.module("drain", |c| c.instance = InstancePolicy::PerMessage);
    const MANY: usize = 2_000_000;
    let mut seen: [Vec<f64>; 10] = Default::default();
    for round in 0..=ROUNDS {
        let run = |maker, count| bench.round(maker, count, workers, false);
        let (n, c) = (run(native(true), MANY), run(Box::new(columns.clone()), MANY));
        let (ni, ci) = (run(native(false), MANY), run(Box::new(idle.clone()), MANY));
        let rates = [
            n,
            c,
            c / n,
            ni,
            ci,
            ci / ni,
            bench.round(Box::new(echo.clone()), MANY, workers, true),
            run(Box::new(records.clone()), MANY / 20),
            run(Box::new(per_batch.clone()), MANY / 10),
            run(Box::new(per_message.clone()), MANY / 100),
        ];
        // The first round warms up.
        if round > 0 {
            seen.iter_mut().zip(rates).for_each(|(s, r)| s.push(r));
        }
    }
    let [n, c, ratio, ni, ci, ratio_idle, e, r, b, m] = seen.map(median);
    rows.add("native", n, "1/s", None);
    rows.add("columns", c, "1/s", Some(Aim::AtLeast(2_000_000.0)));
    rows.add("columns_to_native", ratio, "", Some(Aim::AtLeast(0.7)));
    rows.add("native_idle", ni, "1/s", None);
    rows.add("columns_idle", ci, "1/s", Some(Aim::AtLeast(2_000_000.0)));
    rows.add("columns_to_native_idle", ratio_idle, "", Some(Aim::AtLeast(0.7)));
    rows.add("columns_echo", e, "1/s", None);
    rows.add("records", r, "1/s", None);
    rows.add("per_batch", b, "1/s", None);
    rows.add("per_message", m, "1/s", None);
}

fn calls(bench: &Bench, rows: &mut Rows) {
    let module = bench.module("drain", |_| {});
    let batch = |size: usize| {
        let entries = bench.messages.iter().take(size).zip(1..);
        let entry = |(m, seq): (&Message, u64)| {
            let at = Position { partition: 0, seq };
            Entry::new(at, 1, m.clone())
        };
        Batch { stream: "bench".into(), entries: entries.map(entry).collect() }
    };
    let measure = |size: usize, bare: bool| {
        let (batch, calls) = (batch(size), 400_000 / size);
        bench.guests.block_on(async {
            let mut handler = WasmHandler::new(module.clone()).await.unwrap();
            let mut each = Vec::new();
            for round in 0..=ROUNDS {
                let begun = Instant::now();
                if bare {
                    handler.call_again(&batch, calls).await.unwrap();
                } else {
                    for _ in 0..calls {
                        black_box(handler.handle(&batch).await.unwrap());
                    }
                }
                let ns = begun.elapsed().as_nanos() as f64 / (calls * size) as f64;
                each.extend((round > 0).then_some(ns));
            }
            median(each)
        })
    };
    rows.add("call_256", measure(256, true), "ns", Some(Aim::AtMost(60.0)));
    rows.add("handle_256", measure(256, false), "ns", None);
    rows.add("handle_1", measure(1, false), "ns", None);
}

fn steady(bench: &Bench, rows: &mut Rows) {
    const SECONDS: usize = 5;
    const EACH: usize = 10;
    let (stream, mut acks) = Stream::with_acks("bench", StreamOptions::default());
    let module = bench.module("drain", |_| {});
    let pool = bench.guests.block_on(async {
        let config = HandlerConfig::new("bench", Path::new(""), "bench");
        let work = Work {
            name: "bench".into(),
            cursor: stream.cursor("bench", CursorOptions::ordered(Ordering::None)),
            slot: Arc::new(HandlerSlot::new("1", Box::new(module), 1).await.unwrap()),
            outputs: vec![None],
            dead: None,
            events: Events::default(),
            metrics: Arc::new(HandlerMetrics::default()),
            tuning: Tuning::new(&config),
        };
        let pool = Pool::new(Arc::new(work), bench.guests.handle().clone());
        pool.resize(1).await;
        pool
    });
    let total = SECONDS * 1000 * EACH;
    let begun = Instant::now();
    let settled = bench.io.spawn(async move {
        let mut at = vec![0.0; total];
        let mut left = total;
        while left > 0 {
            let acks = acks.recv().await.unwrap();
            let now = begun.elapsed().as_secs_f64();
            acks.iter().for_each(|(token, _)| at[token.tag as usize] = now);
            left -= acks.len();
        }
        at
    });
    let received = bench.io.block_on(async {
        let mut at = Vec::with_capacity(total);
        let mut every = tokio::time::interval(Duration::from_millis(1));
        for tick in 0..SECONDS * 1000 {
            every.tick().await;
            let permits = stream.permits(EACH).await;
            let messages = bench.messages.iter().cycle().skip(tick % 1000).take(EACH);
            let now = begun.elapsed().as_secs_f64();
            let received = messages
                .enumerate()
                .map(|(i, m)| Received::new(m.clone(), AckToken { epoch: 1, tag: (tick * EACH + i) as u64 }));
            let received: Vec<Received> = received.collect();
            at.extend(received.iter().map(|_| now));
            stream.append_received(permits, received);
        }
        at
    });
    let settled = bench.io.block_on(settled).unwrap();
    bench.guests.block_on(pool.resize(0));
    // The first second warms up.
    let times: Vec<f64> = received.iter().zip(&settled).skip(1000 * EACH).map(|(r, s)| (s - r) * 1e6).collect();
    rows.add("steady_p50", quantile(times.clone(), 0.5), "µs", None);
    rows.add("steady_p99", quantile(times, 0.99), "µs", Some(Aim::AtMost(1000.0)));
}

/// `stamp.wasm` with another stamp: another module, of the same size.
fn stamped(n: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(guest("stamp")).unwrap();
    let at = bytes.windows(13).position(|w| w == b"PELTON-STAMP-").unwrap() + 13;
    bytes[at..at + 3].copy_from_slice(format!("{n:03}").as_bytes());
    bytes
}

fn reload(rows: &mut Rows) {
    const RELOADS: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("stamp.wasm"), stamped(0)).unwrap();
    let yaml = format!(
        "cache: {{ path: {0}/cache }}\nstreams:\n  in: {{ from: {{ generate: {{ rate: 20000/s, size: 256B }} }} }}\n  \
         out: {{ to: {{ file: /dev/null }} }}\nhandlers:\n  stamp: {{ module: {0}/stamp.wasm, stream: in, output: out }}\n",
        directory.path().display()
    );
    std::fs::write(path("bench.yaml"), yaml).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config::load(&path("bench.yaml")).unwrap_or_else(|e| panic!("{e}"));
        let host = Host::start(config).await.unwrap();
        let work = host.pool("stamp").unwrap().work().clone();
        let (mut compiled, mut cached) = (Vec::new(), Vec::new());
        for n in 1..=2 * RELOADS {
            let before = work.slot.current().number();
            let bytes = stamped(n % RELOADS);
            let begun = Instant::now();
            std::fs::write(path("stamp.wasm"), bytes).unwrap();
            while work.slot.current().number() == before || work.slot.current().handled() == 0 {
                tokio::time::sleep(Duration::from_micros(200)).await;
                assert!(begun.elapsed() < Duration::from_secs(30), "reload {n} did not happen");
            }
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            if n < RELOADS {
                compiled.push(ms)
            } else {
                cached.push(ms)
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let pause = work.metrics.swap.quantile(1.0).unwrap();
        rows.add("reload_pause", pause.as_secs_f64() * 1e6, "µs", Some(Aim::AtMost(1000.0)));
        rows.add("reload_new", median(compiled), "ms", Some(Aim::AtMost(500.0)));
        rows.add("reload_cached", median(cached), "ms", Some(Aim::AtMost(50.0)));
        host.shutdown(Duration::from_secs(5)).await;
    });
}

/// Ends the program, however the bench goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(rows: &mut Rows) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("run.yaml");
    let yaml = format!(
        "cache: {{ path: {}/cache }}\nstreams:\n  in: {{ from: stdin }}\n  out: {{ to: stdout }}\nhandlers:\n  \
         echo: {{ module: {}, stream: in, output: out }}\n",
        directory.path().display(),
        guest("echo").display()
    );
    std::fs::write(&config, yaml).unwrap();
    let (mut first, mut memory) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command.arg("run").arg(&config).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Running(command.spawn().unwrap());
        let mut stdin = child.0.stdin.take().unwrap();
        stdin.write_all(b"hello\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        assert_eq!(line, "hello\n");
        std::thread::sleep(Duration::from_millis(300));
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap();
        let rss = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
        let kib: f64 = rss.split_whitespace().nth(1).unwrap().parse().unwrap();
        // The first round fills the cache.
        if round > 0 {
            first.push(ms);
            memory.push(kib * 1024.0 / 1e6);
        }
    }
    rows.add("run_first_message", median(first), "ms", Some(Aim::AtMost(150.0)));
    rows.add("run_idle_memory", median(memory), "MB", Some(Aim::AtMost(60.0)));
}

/// The value that a share `q` of all does not exceed.
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = ((values.len() as f64 * q).ceil() as usize).clamp(1, values.len().max(1));
    values.get(rank - 1).copied().unwrap_or(f64::NAN)
}
