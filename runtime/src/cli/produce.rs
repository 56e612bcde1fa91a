use super::summary::{number, rate};
use super::target::{Target, failure};
use super::{OK, REFUSED, logging, pair};
use crate::broker::lines::Lines;
use crate::client::{Connection, Producer, ProducerOptions};
use crate::config::parse_duration;
use crate::message::{Message, MessageBuilder};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::AsyncRead;

/// The most that a broker can be set to take.
const LONGEST_LINE: u64 = 1 << 30;
/// So many lines are taken at once.
const LINES: usize = 1024;

/// Send lines to a stream of a broker, one message each
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The stream
    stream: String,
    #[command(flatten)]
    target: Target,
    /// The file to read; standard input without it
    #[arg(long)]
    file: Option<PathBuf>,
    /// Messages of a batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// How long a batch waits to be full
    #[arg(long, default_value = "100ms", value_parser = parse_duration)]
    flush: Duration,
    /// 1: wait until messages are safe; 0: until the broker has room for them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    acks: u8,
    /// The key of every message
    #[arg(long)]
    key: Option<String>,
    /// A header of every message, as NAME=VALUE; may be given several times
    #[arg(long = "header", value_parser = pair)]
    headers: Vec<(String, String)>,
    /// The partition; by the key, or in turn, without it
    #[arg(long)]
    partition: Option<u32>,
}

pub(super) async fn produce(arguments: Arguments) -> u8 {
    let bar = bar(arguments.file.as_deref());
    logging::start("warn", bar.clone());
    let connection = match arguments.target.connection() {
        Ok(connection) => connection,
        Err(error) => {
            eprintln!("{error:#}");
            return REFUSED;
        }
    };
    let begun = Instant::now();
    let result = send_all(&arguments, connection, &bar).await;
    bar.finish_and_clear();
    match result {
        Ok((messages, bytes)) => {
            let took = begun.elapsed();
            let (seconds, rate) = (took.as_secs_f64(), rate(messages, took));
            say!("{} messages, {} bytes, in {seconds:.2} s: {}/s", number(messages), number(bytes), number(rate));
            OK
        }
        Err(error) => failure(&error),
    }
}

/// Says how many messages and bytes of bodies were sent.
async fn send_all(arguments: &Arguments, connection: Connection, bar: &ProgressBar) -> anyhow::Result<(u64, u64)> {
    connection.connect().await?;
    let options = ProducerOptions {
        partition: arguments.partition,
        batch: arguments.batch as usize,
        flush: arguments.flush,
        acks: arguments.acks,
        ..ProducerOptions::new(&arguments.stream)
    };
    let producer = Producer::new(connection, options);
    let (name, mut input): (String, Box<dyn AsyncRead + Unpin>) = match &arguments.file {
        Some(path) => {
            let file = File::open(path).await.with_context(|| format!("cannot read {}", path.display()))?;
            (path.display().to_string(), Box::new(file))
        }
        None => ("standard input".to_owned(), Box::new(tokio::io::stdin())),
    };
    let mut lines = Lines::new(name.clone(), LONGEST_LINE);
    let mut builder = Message::builder();
    let (mut messages, mut bytes) = (0, 0);
    loop {
        let more = lines.fill(&mut input).await.with_context(|| format!("cannot read {name}"))?;
        loop {
            let mut received = lines.take(LINES)?;
            if !more && received.is_empty() {
                received.extend(lines.rest()?);
            }
            if received.is_empty() {
                break;
            }
            for line in received {
                messages += 1;
                bytes += line.message.body().len() as u64;
                bar.inc(line.message.body().len() as u64 + 1);
                producer.send(dressed(&mut builder, arguments, line.message)?).await?;
            }
            bar.set_message(number(messages));
        }
        if !more {
            break;
        }
    }
    producer.shutdown().await?;
    Ok((messages, bytes))
}

/// With the key and the headers that every message gets.
fn dressed(builder: &mut MessageBuilder, arguments: &Arguments, line: Message) -> anyhow::Result<Message> {
    if arguments.key.is_none() && arguments.headers.is_empty() {
        return Ok(line);
    }
    builder.timestamp(line.timestamp());
    if let Some(key) = &arguments.key {
        builder.key(key.as_bytes());
    }
    for (name, value) in &arguments.headers {
        builder.header(name, value.as_str());
    }
    Ok(builder.build(line.body())?)
}

/// How much of the file is sent; of standard input, how much. Only where standard error is a terminal.
fn bar(file: Option<&Path>) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = file.and_then(|path| std::fs::metadata(path).ok()).map(|about| about.len());
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{wide_bar} {bytes}/{total_bytes} {msg} messages {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg} messages {elapsed}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
