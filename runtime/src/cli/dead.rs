use super::table::{one_line, table};
use super::{FAILED, Format, OK, REFUSED, load, logging};
use crate::broker::render::as_json;
use crate::config::{Config, parse_duration, show_time};
use crate::dead::{DeadLetters, Filter, Letter, Letters, Target, ToolError, Why, log_on_disk, target};
use crate::log::SequenceLog;
use crate::stream::now_ns;
use anyhow::Context;
use indicatif::ProgressBar;
use serde_json::json;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Look at dead letters, put them back where they came from, or give them up
///
/// For streams of dead letters that are kept on disk. A letter is there until it is redriven or purged, or until the stream's
/// retention takes it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List dead letters; a host may have the stream open meanwhile
    List {
        #[command(flatten)]
        which: Which,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show all of one letter; a host may have the stream open meanwhile
    Show {
        /// The stream of dead letters
        stream: String,
        /// The letter's sequence, as `list` shows it
        sequence: u64,
        /// The configuration, in YAML
        #[arg(long)]
        config: PathBuf,
        /// Its partition, in a stream of several
        #[arg(long)]
        partition: Option<u32>,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Put letters back into the stream they came from, for the handler that gave up on them
    ///
    /// The host must be stopped. Only the handler that gave up on a message gets it again; other readers of the stream pass it
    /// over. The message keeps its story in its headers. Should this be killed half-way, a message may be put back twice.
    ///
    /// Exit codes: 0 all were put back; 1 some were not; 2 nothing was tried.
    Redrive {
        #[command(flatten)]
        which: Which,
        /// Put them into this stream instead; where the handler does not read it, all its readers get them
        #[arg(long)]
        to: Option<String>,
        /// Only show what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Give letters up for good
    ///
    /// The host must be stopped. Where nothing says which, all are meant, and it asks first.
    Purge {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Only show what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// A stream, and which of its letters.
#[derive(clap::Args)]
struct Which {
    /// The stream of dead letters
    stream: String,
    /// The configuration, in YAML
    #[arg(long)]
    config: PathBuf,
    /// Those that this handler gave up on
    #[arg(long)]
    handler: Option<String>,
    /// Those whose reason has this text in it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Those that died so
    #[arg(long, value_parser = why)]
    why: Option<Why>,
    /// Those whose last failure is longer ago, such as 1h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Those whose last failure is no longer ago
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    newer_than: Option<Duration>,
    /// The one at this sequence, or those from N up to M and with it
    #[arg(long = "seq", value_name = "N[..M]", value_parser = sequences)]
    sequences: Option<RangeInclusive<u64>>,
    /// Those in this partition
    #[arg(long)]
    partition: Option<u32>,
    /// The first so many of them
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl Which {
    fn filter(&self) -> Filter {
        Filter {
            handler: self.handler.clone(),
            reason: self.reason.clone(),
            why: self.why,
            older_than: self.older_than,
            newer_than: self.newer_than,
            sequences: self.sequences.clone(),
            partition: self.partition,
            most: self.limit,
        }
    }
}

fn why(text: &str) -> Result<Why, String> {
    let found = [Why::Rejected, Why::Exhausted].into_iter().find(|why| why.as_str() == text);
    found.ok_or_else(|| format!("'{text}' is neither rejected nor exhausted"))
}

/// `N`, or `N..M`.
fn sequences(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("'{text}' is neither a sequence nor a range of them, such as 7 or 7..12")),
    }
}

pub(super) async fn dead(arguments: Arguments) -> u8 {
    logging::start("warn", ProgressBar::hidden());
    let (Command::List { which: Which { config, .. }, .. }
    | Command::Show { config, .. }
    | Command::Redrive { which: Which { config, .. }, .. }
    | Command::Purge { which: Which { config, .. }, .. }) = &arguments.command;
    let Some(config) = load(config) else { return REFUSED };
    let done = match arguments.command {
        Command::List { which, format } => list(&config, &which, format),
        Command::Show { stream, sequence, partition, format, .. } => {
            show(&config, &stream, partition, sequence, format)
        }
        Command::Redrive { which, to, dry_run: true } => would_redrive(&config, &which, to.as_deref()),
        Command::Redrive { which, to, .. } => redrive(&config, &which, to.as_deref()).await,
        Command::Purge { which, dry_run: true, .. } => would_purge(&config, &which),
        Command::Purge { which, yes, .. } => purge(&config, &which, yes).await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        REFUSED
    })
}

/// The log of the letters, to be read.
fn read_only(config: &Config, stream: &str) -> Result<SequenceLog, ToolError> {
    let (_, disk) = log_on_disk(config, stream)?;
    Ok(SequenceLog::open_read_only(stream, &disk.path)?)
}

fn list(config: &Config, which: &Which, format: Format) -> anyhow::Result<u8> {
    let log = read_only(config, &which.stream)?;
    let mut letters = Letters::new(&log, which.filter(), now_ns())?;
    let mut rows =
        vec![["sequence", "time", "handler", "attempts", "why", "from", "reason"].map(str::to_owned).to_vec()];
    loop {
        let batch = letters.next_batch()?;
        if batch.is_empty() {
            break;
        }
        for letter in &batch {
            match format {
                Format::Text => rows.push(row(&log, letter)),
                Format::Json => say!("{}", story(letter)),
            }
        }
    }
    match format {
        Format::Text if rows.len() == 1 => say!("no dead letters"),
        Format::Text => say!("{}", table(&rows).trim_end()),
        Format::Json => {}
    }
    Ok(OK)
}

/// A letter's place, as --seq and --partition name it.
fn place(log: &SequenceLog, letter: &Letter) -> String {
    match log.partitions() {
        1 => letter.at.seq.to_string(),
        _ => format!("{}:{}", letter.at.partition, letter.at.seq),
    }
}

fn row(log: &SequenceLog, letter: &Letter) -> Vec<String> {
    const UNKNOWN: &str = "-";
    let from = match (letter.stream(), letter.sequence()) {
        (Some(stream), Some(seq)) => format!("{stream}:{seq}"),
        (stream, _) => stream.unwrap_or(UNKNOWN).to_owned(),
    };
    vec![
        place(log, letter),
        letter.last_failed().map_or(UNKNOWN.into(), show_time),
        letter.handler().unwrap_or(UNKNOWN).to_owned(),
        letter.attempts().map_or(UNKNOWN.into(), |attempts| attempts.to_string()),
        letter.why().map_or(UNKNOWN, Why::as_str).to_owned(),
        from,
        one_line(letter.reason().unwrap_or(UNKNOWN), 100),
    ]
}

fn story(letter: &Letter) -> serde_json::Value {
    json!({
        "partition": letter.at.partition,
        "sequence": letter.at.seq,
        "time": letter.last_failed().map(show_time),
        "first": letter.first_failed().map(show_time),
        "handler": letter.handler(),
        "attempts": letter.attempts(),
        "deaths": letter.deaths(),
        "why": letter.why().map(Why::as_str),
        "reason": letter.reason(),
        "stream": letter.stream(),
        "stream_sequence": letter.sequence(),
    })
}

fn show(config: &Config, stream: &str, partition: Option<u32>, seq: u64, format: Format) -> anyhow::Result<u8> {
    let log = read_only(config, stream)?;
    if partition.is_none() && log.partitions() > 1 {
        anyhow::bail!("stream '{stream}' has {} partitions; say which with --partition", log.partitions());
    }
    let filter = Filter { sequences: Some(seq..=seq), partition: Some(partition.unwrap_or(0)), ..Filter::default() };
    let found = Letters::new(&log, filter, now_ns())?.next_batch()?;
    let letter = found.first().with_context(|| {
        format!(
            "stream '{stream}' has no dead letter {seq}, or it was redriven or purged; `pelton dead list` shows all"
        )
    })?;
    let message = &letter.message;
    if format == Format::Json {
        let mut all = story(letter);
        if let Some(all) = all.as_object_mut() {
            all.insert("message".into(), as_json(message));
        }
        say!("{all}");
        return Ok(OK);
    }
    let mut rows = vec![vec!["sequence".to_owned(), place(&log, letter)]];
    let mut add = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if !message.subject().is_empty() {
        add("subject", message.subject().to_owned());
    }
    if !message.id().is_empty() {
        add("id", message.id().escape_ascii().to_string());
    }
    if message.timestamp() != 0 {
        add("timestamp", show_time(message.timestamp()));
    }
    for (name, value) in message.headers() {
        let value = match value {
            crate::message::Value::Timestamp(ns) => show_time(ns),
            other => other.to_string(),
        };
        add(name, value);
    }
    say!("{}", table(&rows).trim_end());
    say!("");
    // As with `say!`.
    let _ = stdout().write_all(message.body());
    say!("");
    Ok(OK)
}

/// What became, or would become, of one letter.
fn tell(log: &SequenceLog, letter: &Letter, target: &Result<Target<'_>, ToolError>) -> bool {
    let place = place(log, letter);
    match target {
        Ok(Target { stream, reader: Some(reader) }) => say!("{place}: to {}, for {reader}", stream.name),
        Ok(Target { stream, reader: None }) => say!("{place}: to {}, for all its readers", stream.name),
        Err(error) => eprintln!("{place}: left: {error}"),
    }
    target.is_ok()
}

fn would_redrive(config: &Config, which: &Which, to: Option<&str>) -> anyhow::Result<u8> {
    let log = read_only(config, &which.stream)?;
    let mut letters = Letters::new(&log, which.filter(), now_ns())?;
    let (mut good, mut left) = (0, 0);
    loop {
        let batch = letters.next_batch()?;
        if batch.is_empty() {
            break;
        }
        for letter in &batch {
            match tell(&log, letter, &target(config, &which.stream, letter, to)) {
                true => good += 1,
                false => left += 1,
            }
        }
    }
    say!("{good} would be redriven, {left} left; nothing was changed");
    Ok(if left == 0 { OK } else { FAILED })
}

async fn redrive(config: &Config, which: &Which, to: Option<&str>) -> anyhow::Result<u8> {
    let mut tool = DeadLetters::open(config, &which.stream).await?;
    let log = tool.log().clone();
    let mut letters = Letters::new(&log, which.filter(), now_ns())?;
    let (mut good, mut left) = (0u64, 0u64);
    let done = loop {
        let batch = match letters.next_batch() {
            Ok(batch) if batch.is_empty() => break Ok(()),
            Ok(batch) => batch,
            Err(error) => break Err(error.into()),
        };
        let told = |letter: &Letter, target: Result<Target<'_>, ToolError>| match tell(&log, letter, &target) {
            true => good += 1,
            false => left += 1,
        };
        if let Err(error) = tool.redrive(batch, to, told).await {
            break Err(error);
        }
    };
    let freed = tool.close().await;
    say!("{good} redriven, {left} left{}", freed_text(freed.as_ref().ok()));
    conclude([done, freed.map(drop)], left == 0)
}

fn would_purge(config: &Config, which: &Which) -> anyhow::Result<u8> {
    let log = read_only(config, &which.stream)?;
    say!("{} would be purged; nothing was changed", count(&log, which)?);
    Ok(OK)
}

fn count(log: &SequenceLog, which: &Which) -> anyhow::Result<u64> {
    let mut letters = Letters::new(log, which.filter(), now_ns())?;
    let mut count = 0;
    loop {
        match letters.next_batch()?.len() {
            0 => return Ok(count),
            more => count += more as u64,
        }
    }
}

async fn purge(config: &Config, which: &Which, yes: bool) -> anyhow::Result<u8> {
    let tool = DeadLetters::open(config, &which.stream).await?;
    let log = tool.log().clone();
    if !yes && which.filter().is_all() {
        confirm(count(&log, which)?, &which.stream, &which.config)?;
    }
    let mut letters = Letters::new(&log, which.filter(), now_ns())?;
    let mut purged = 0;
    let done = loop {
        let batch = match letters.next_batch() {
            Ok(batch) if batch.is_empty() => break Ok(()),
            Ok(batch) => batch,
            Err(error) => break Err(error.into()),
        };
        if let Err(error) = tool.purge(&batch) {
            break Err(error);
        }
        purged += batch.len();
    };
    let freed = tool.close().await;
    say!("{purged} purged{}", freed_text(freed.as_ref().ok()));
    conclude([done, freed.map(drop)], true)
}

/// Asks whether all is meant.
fn confirm(count: u64, stream: &str, config: &Path) -> anyhow::Result<()> {
    if !stdin().is_terminal() {
        anyhow::bail!(
            "all {count} dead letters of stream '{stream}' ({}) would be gone; say --yes, or which",
            config.display()
        );
    }
    eprint!("give up all {count} dead letters of stream '{stream}'? [y/N] ");
    let mut answer = String::new();
    stdin().read_line(&mut answer).context("cannot read the answer")?;
    anyhow::ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was changed");
    Ok(())
}

fn freed_text(bytes: Option<&u64>) -> String {
    bytes.filter(|bytes| **bytes > 0).map_or(String::new(), |bytes| format!(", {bytes} bytes freed"))
}

/// Something was done, so an error is no refusal.
fn conclude(results: [Result<(), ToolError>; 2], whole: bool) -> anyhow::Result<u8> {
    let mut code = if whole { OK } else { FAILED };
    for error in results.into_iter().filter_map(Result::err) {
        eprintln!("{error}");
        code = FAILED;
    }
    Ok(code)
}
