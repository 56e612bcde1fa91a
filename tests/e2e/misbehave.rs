//! Each of `misbehave`'s tricks harms only its own message.

use pelton::config::{Config, Environment};
use pelton::host::{Host, Report};
use pelton::message::Message;
use pelton_tests::{Dir, LIMIT, cache, guest};
use serde_json::Value;
use std::time::Duration;

/// Each harmful command, and what its dead letter says of it; any of these.
const HARM: &[(&str, &[&str])] = &[
    ("loop", &["took longer than its deadline of 250ms"]),
    ("sleep 60000", &["took longer than its deadline of 250ms"]),
    ("allocate", &["no memory beyond its limit"]),
    ("trap", &["wasm `unreachable` instruction executed"]),
    ("panic", &["on command"]),
    ("exit", &["the handler called exit(1)"]),
    ("recurse", &["call stack exhausted"]),
    // Eight MiB to be carried across, which an unoptimised build may not manage in time.
    (
        "output",
        &["more outputs than `limits.output`, 1048576 bytes", "no memory beyond its limit", "longer than its deadline"],
    ),
    ("output 1100000", &["more outputs than `limits.output`, 1048576 bytes"]),
    ("copies 20000 of a text that comes to more than its limit", &["more outputs than `limits.output`, 1048576 bytes"]),
    ("fewer", &["0 verdicts for 1 messages"]),
    ("columns ends", &["the handler returned bodies whose item 1 is 3..1 of 3"]),
    ("columns outside", &["the handler returned bodies whose item 1 is 3..4 of 3"]),
    ("columns length", &["the handler returned a column of 3 bodies where there are 2 to be"]),
    ("columns index", &["the handler returned string index 7 of 0"]),
    ("columns text", &["the handler returned string 1 that is not UTF-8"]),
    ("columns inputs", &["the handler returned output 0 of message 1, out of range"]),
    ("columns order", &["the handler returned output 0 of message 1, out of range"]),
    ("columns considered", &["2 verdicts for 1 messages"]),
    ("columns failures", &["the handler returned a failure of message 0, out of range or out of order"]),
    ("columns kinds", &["the handler returned header 'n' of kind 2 with bytes that do not fit it"]),
];

/// What a run has left.
struct Ran {
    report: Report,
    /// Of the module that served.
    hash: String,
    out: Vec<Value>,
    dead: Vec<Value>,
}

/// Handles messages of these bodies to the end; `more` is added to the handler's configuration.
async fn run(lines: &[String], more: &str) -> Ran {
    let messages = lines.iter().map(|line| Message::builder().timestamp(1).build(line.as_bytes()).unwrap());
    run_messages(messages.collect(), more).await
}

async fn run_messages(messages: Vec<Message>, more: &str) -> Ran {
    let dir = Dir::new();
    dir.write("in.txt", "");
    let yaml = format!(
        "cache: {{ path: {} }}\n\
         streams:\n  \
           in: {{ from: {{ file: {dir}/in.txt }} }}\n  \
           out: {{ to: {{ file: {dir}/out.ndjson, format: json }} }}\n  \
           dead: {{ to: {{ file: {dir}/dead.ndjson, format: json }} }}\n\
         handlers:\n  \
           tricky: {{ module: {}, stream: in, output: out, dead_letter: dead, \
             limits: {{ memory: 16MiB, deadline: 250ms, output: 1MiB }}, {more} }}\n",
        cache().display(),
        guest("misbehave").display(),
        dir = dir.root().display(),
    );
    let config = Config::parse(&yaml, "misbehave.yaml", &Environment::default()).unwrap();
    let host = Host::start(config).await.unwrap();
    let hash = host.pool("tricky").unwrap().work().slot.current().label().to_owned();
    host.stream("in").unwrap().append(messages).await;
    tokio::time::timeout(LIMIT, host.finished()).await.expect("all messages are settled in the end");
    let (report, left) = host.shutdown(Duration::from_secs(10)).await;
    assert_eq!((left, report.failed.as_slice()), (0, [].as_slice()));
    Ran { report, hash, out: dir.json("out.ndjson"), dead: dir.json("dead.ndjson") }
}

const RETRY: &str = "retry: { max_attempts: 2, initial_delay: 1ms, max_delay: 10ms }";

fn ordinary(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("ordinary {i:04}")).collect()
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|m| m["body"].as_str().unwrap()).collect()
}

fn sorted<T: Ord + Clone>(items: &[T]) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort();
    items
}

/// Fails where ordinary messages were charged with an attempt that another message spoiled. A machine under load may let a
/// few of them miss the short deadline.
fn check_retries(retried: u64, tricks: u64) {
    assert!((tricks..tricks + 5).contains(&retried), "{retried} retries for {tricks} tricks");
}

/// Fails where a dead letter does not tell the whole story.
fn check_letter(letter: &Value, ran: &Ran, place: usize, why: &str, attempts: u64, reasons: &[&str]) {
    let told = |name: &str| &letter["headers"][format!("pelton-dead-{name}")];
    let reason = told("reason").as_str().unwrap();
    assert!(reasons.iter().any(|r| reason.contains(r)), "{letter}");
    assert_eq!((told("why"), told("attempts")), (&Value::from(why), &Value::from(attempts)), "{letter}");
    assert_eq!((told("handler"), told("stream")), (&Value::from("tricky"), &Value::from("in")), "{letter}");
    assert_eq!((told("generation"), told("module")), (&Value::from(1), &Value::from(ran.hash.as_str())), "{letter}");
    assert_eq!(told("sequence"), &Value::from(place + 1), "{letter}");
    let (first, last) = (told("first").as_i64().unwrap(), told("last").as_i64().unwrap());
    let made = letter["timestamp"].as_i64().unwrap();
    assert!(0 < made && made <= first && first <= last && (attempts > 1) == (first < last), "{letter}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trick_harms_only_its_own_message() {
    for (trick, reasons) in HARM {
        let plain = ordinary(300);
        let mut lines = plain.clone();
        lines.insert(150, (*trick).to_owned());
        let ran = run(&lines, RETRY).await;
        assert_eq!(sorted(&bodies(&ran.out)), plain, "{trick}");
        assert_eq!(bodies(&ran.dead), [*trick]);
        check_letter(&ran.dead[0], &ran, 150, "exhausted", 2, reasons);
        let h = &ran.report.handlers[0];
        assert_eq!((h.handled, h.outputs, h.dead, h.dropped), (301, 300, 1, 0), "{trick}");
        check_retries(h.retried, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_is_followed() {
    let mut lines = ordinary(300);
    let plain = lines.clone();
    let verdicts = ["reject", "retry", "retry-after 5", "fail-until 3", "fail-until 4"];
    for (i, verdict) in verdicts.iter().enumerate() {
        lines.insert(50 * (i + 1), (*verdict).to_owned());
    }
    let ran = run(&lines, "retry: { max_attempts: 3, initial_delay: 1ms, max_delay: 10ms }").await;
    let done = [&["fail-until 3".to_owned()], plain.as_slice()].concat();
    assert_eq!(sorted(&bodies(&ran.out)), done);
    let mut dead = ran.dead.clone();
    dead.sort_by_key(|letter| letter["headers"]["pelton-dead-sequence"].as_u64());
    assert_eq!(bodies(&dead), ["reject", "retry", "retry-after 5", "fail-until 4"]);
    check_letter(&dead[0], &ran, 50, "rejected", 1, &["on command"]);
    check_letter(&dead[1], &ran, 100, "exhausted", 3, &["on command"]);
    check_letter(&dead[2], &ran, 150, "exhausted", 3, &["on command"]);
    check_letter(&dead[3], &ran, 250, "exhausted", 3, &["not yet"]);
    assert_eq!(ran.report.handlers[0].retried, 8);
}

/// All tricks among ordinary messages, with some way to run them, and each message with one of seven keys. The ordinary
/// messages in the order in which they came out.
async fn all_tricks(more: &str) -> Vec<Value> {
    let plain = ordinary(300);
    let mut lines = plain.clone();
    for (i, (trick, _)) in HARM.iter().enumerate() {
        lines.insert(10 + 13 * i, (*trick).to_owned());
    }
    let messages = lines.iter().enumerate().map(|(i, line)| {
        let key = format!("key {}", i % 7);
        Message::builder().key(key.as_bytes()).timestamp(1).build(line.as_bytes()).unwrap()
    });
    let ran = run_messages(messages.collect(), &format!("{RETRY}, {more}")).await;
    assert_eq!(sorted(&bodies(&ran.out)), plain, "{more}");
    assert_eq!(ran.dead.len(), HARM.len(), "{more}: {:?}", bodies(&ran.dead));
    for letter in &ran.dead {
        let place = lines.iter().position(|line| line == letter["body"].as_str().unwrap()).unwrap();
        let (_, reasons) = HARM.iter().find(|(trick, _)| *trick == lines[place]).unwrap();
        check_letter(letter, &ran, place, "exhausted", 2, reasons);
    }
    let h = &ran.report.handlers[0];
    let tricks = HARM.len() as u64;
    assert_eq!((h.handled, h.outputs, h.dead, h.dropped), (300 + tricks, 300, tricks, 0), "{more}");
    check_retries(h.retried, tricks);
    ran.out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tricks_with_two_workers() {
    all_tricks("workers: 2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tricks_in_order_by_key() {
    let out = all_tricks("workers: 2, ordering: key").await;
    for key in 0..7 {
        let of_key: Vec<Value> = out.iter().filter(|m| m["key"] == format!("key {key}")).cloned().collect();
        assert!(of_key.len() > 30 && bodies(&of_key).is_sorted(), "key {key}: {:?}", bodies(&of_key));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tricks_in_total_order() {
    assert_eq!(bodies(&all_tricks("ordering: total").await), ordinary(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tricks_with_an_instance_per_batch() {
    all_tricks("instance: per_batch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_tricks_with_an_instance_per_message() {
    all_tricks("instance: per_message").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_policy_keeps_the_order_of_one_worker() {
    let plain = ordinary(200);
    // Batches of 1, 2, 4, … begin at 0, 1, 3, 7, …: at what is rejected or fails, which the others must not suffer from.
    let lines: Vec<String> = plain
        .chunks(2)
        .flat_map(|pair| [pair[0].clone(), "reject".to_owned(), pair[1].clone(), "fail-until 2".to_owned()])
        .collect();
    for policy in ["until_trap", "per_batch", "per_message"] {
        let ran = run(&lines, &format!("instance: {policy}, {RETRY}")).await;
        let (again, once): (Vec<&str>, Vec<&str>) = bodies(&ran.out).iter().partition(|body| **body == "fail-until 2");
        assert_eq!((once, again.len()), (plain.iter().map(String::as_str).collect(), 100), "{policy}");
        assert_eq!(bodies(&ran.dead), ["reject"; 100], "{policy}");
        let h = &ran.report.handlers[0];
        assert_eq!((h.handled, h.outputs, h.dead), (400, 300, 100), "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_a_retry_waits_for_it_in_total_order() {
    let mut lines = ordinary(300);
    for place in [20, 21, 150, 299] {
        lines.insert(place, "fail-until 3".to_owned());
    }
    let retry = "retry: { max_attempts: 3, initial_delay: 1ms, max_delay: 10ms }";
    let ran = run(&lines, &format!("ordering: total, {retry}")).await;
    assert_eq!(bodies(&ran.out), lines);
    assert_eq!(ran.report.handlers[0].retried, 8);
}
