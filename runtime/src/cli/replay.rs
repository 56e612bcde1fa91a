use super::difference::difference;
use super::{FAILED, Format, OK, REFUSED, logging, pair};
use crate::broker::render::as_json;
use crate::config::{Config, HandlerConfig, Start};
use crate::dead::log_on_disk;
use crate::log::SequenceLog;
use crate::message::{KEY, Message, Outcome};
use crate::replay::{Past, Runner, Span, Tally, Trial, Verdict};
use crate::wasm::{Cache, EngineOptions, Module, ModuleOptions, WasmEngine, WasmHandler};
use anyhow::{Context, bail};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

/// Run past messages through a module, and show what it would do, or do otherwise than another
///
/// Reads a stream that is kept on disk, also while a host runs. Nothing is settled, nothing is published.
///
/// Without --against or --against-set it shows each message that the module would do something about, and a summary. With
/// them it runs the same messages through a second module, or the same one with other settings, and shows each message
/// whose outcome or outputs differ: `-` is the second, the old one, `+` is the first, the new one. The times of outputs
/// are not compared.
///
/// A message is given once, with attempt 1; what is to be retried is not tried again.
///
/// Exit codes, as of diff(1): 0 nothing differs; 1 something does; 2 a module, the configuration or the log is not to be
/// used. Without a second module: 0 every message was done, 1 some were not.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration, in YAML
    #[arg(long)]
    config: Option<PathBuf>,
    /// The stream of --config that is read; by default the one that --handler reads
    #[arg(long, requires = "config")]
    stream: Option<String>,
    /// The directory of a log that is read instead of a stream of --config
    #[arg(long, conflicts_with = "stream")]
    path: Option<PathBuf>,
    /// Take module, settings, outputs and limits from the handler of this name in --config
    #[arg(long, requires = "config")]
    handler: Option<String>,
    /// Where to begin: a sequence, a time such as 2026-11-21T10:00:00Z, or `earliest` or -2
    #[arg(long, default_value = "earliest", allow_hyphen_values = true)]
    from: Start,
    /// Where to end: with this sequence, before this time, or at the end: `latest` or -1
    #[arg(long, default_value = "latest", allow_hyphen_values = true)]
    to: Start,
    /// Only this partition; otherwise all, one after the other
    #[arg(long)]
    partition: Option<u32>,
    /// At most so many messages
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// The module; by default that of --handler
    #[arg(long)]
    module: Option<PathBuf>,
    /// A second module to compare it with
    #[arg(long, value_name = "MODULE")]
    against: Option<PathBuf>,
    /// A setting of the handler, as NAME=VALUE; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// A setting that the second module has in place of the first one's; may be given several times
    #[arg(long = "against-set", value_name = "NAME=VALUE", value_parser = pair)]
    against_settings: Vec<(String, String)>,
    /// An output the handler may name; may be given several times
    #[arg(long = "output", value_name = "NAME")]
    outputs: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) async fn replay(arguments: Arguments) -> u8 {
    logging::start("warn", ProgressBar::hidden());
    match try_replay(&arguments).await {
        Ok(code) => code,
        // Whoever reads has seen enough.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => OK,
        Err(error) => {
            eprintln!("{error:#}");
            REFUSED
        }
    }
}

async fn try_replay(arguments: &Arguments) -> anyhow::Result<u8> {
    let file = arguments.config.as_deref().map(Config::load).transpose()?;
    let handler = handler_config(arguments, file.as_ref())?;
    let log = open(arguments, file.as_ref(), &handler)?;
    let engine = WasmEngine::new(EngineOptions { instances: 8, memory: handler.limits.memory })?;
    // Without a cache it takes longer, and no more.
    let cache = file.as_ref().and_then(|file| Cache::open(file.cache_dir.as_deref()?).ok());
    let mut first = Side::new(&engine, cache.as_ref(), handler.clone(), log.name()).await?;
    let mut second = match second_config(arguments, &handler) {
        Some(config) => Some(Side::new(&engine, cache.as_ref(), config, log.name()).await?),
        None => None,
    };
    let span = Span { from: arguments.from, to: arguments.to, partition: arguments.partition, most: arguments.limit };
    let mut past = Past::new(&log, &span, arguments.handler.as_deref())?;
    let names = std::iter::once("output".to_owned()).chain(handler.outputs.keys().cloned()).collect();
    let mut show = Show { format: arguments.format, names, is_partitioned: log.partitions() > 1, out: stdout().lock() };

    let (mut tally, mut differ) = (Tally::default(), 0);
    if let Some(second) = &second {
        show.sides(&first.about, &second.about)?;
    }
    loop {
        let entries = past.next_batch()?;
        let at_end = entries.is_empty();
        let olds = match &mut second {
            Some(second) => Some(second.run(entries.clone(), at_end).await?),
            None => None,
        };
        let news = first.run(entries, at_end).await?;
        for (i, new) in news.iter().enumerate() {
            tally.add(new);
            match olds.as_ref().map(|olds| olds.get(i)) {
                None if new.is_nothing() => {}
                None => show.trial(new)?,
                Some(Some(old)) if old.is_like(new) => {}
                Some(Some(old)) => {
                    differ += 1;
                    show.difference(old, new)?;
                }
                // Both sides get the same messages, and give a verdict on each.
                Some(None) => bail!("the second module gave no verdict on sequence {}", new.entry.at.seq),
            }
        }
        if at_end {
            break;
        }
    }
    show.summary(&tally, second.is_some().then_some(differ))?;
    let is_good = if second.is_some() { differ == 0 } else { tally.done == tally.messages };
    Ok(if is_good { OK } else { FAILED })
}

fn handler_config(arguments: &Arguments, file: Option<&Config>) -> anyhow::Result<HandlerConfig> {
    let mut config = match (file, &arguments.handler) {
        (Some(file), Some(name)) => {
            let found = file.handlers.iter().find(|h| h.name == *name).cloned();
            found
                .with_context(|| format!("the configuration has no handler '{name}'; it names them under 'handlers'"))?
        }
        _ => {
            let module =
                arguments.module.as_ref().context("name the module with --module, or a handler with --handler")?;
            HandlerConfig::new("replay", module, arguments.stream.as_deref().unwrap_or("replay"))
        }
    };
    if let Some(module) = &arguments.module {
        config.module.clone_from(module);
    }
    config.output.get_or_insert_with(|| "output".into());
    config.outputs.extend(arguments.outputs.iter().map(|o| (o.clone(), o.clone())));
    config.config.extend(arguments.settings.iter().cloned());
    Ok(config)
}

/// What there is to compare with: another module, or other settings.
fn second_config(arguments: &Arguments, first: &HandlerConfig) -> Option<HandlerConfig> {
    if arguments.against.is_none() && arguments.against_settings.is_empty() {
        return None;
    }
    let mut config = first.clone();
    if let Some(module) = &arguments.against {
        config.module.clone_from(module);
    }
    config.config.extend(arguments.against_settings.iter().cloned());
    Some(config)
}

fn open(arguments: &Arguments, file: Option<&Config>, handler: &HandlerConfig) -> anyhow::Result<SequenceLog> {
    let from_handler = arguments.handler.as_ref().map(|_| handler.stream.as_str());
    let stream = arguments.stream.as_deref().or(from_handler);
    let path = match (&arguments.path, file, stream) {
        (Some(path), _, _) => path,
        (None, Some(file), Some(stream)) => &log_on_disk(file, stream)?.1.path,
        _ => bail!("name what to read: a stream with --config and --stream, or the directory of a log with --path"),
    };
    Ok(SequenceLog::open_read_only(stream.unwrap_or("replay"), path)?)
}

/// A module with its settings.
struct Side {
    runner: Option<Runner>,
    about: String,
}

impl Side {
    async fn new(
        engine: &WasmEngine,
        cache: Option<&Cache>,
        config: HandlerConfig,
        stream: &str,
    ) -> anyhow::Result<Side> {
        let module = Module::load(engine, cache, &config.module, ModuleOptions::new(&config)).await?;
        let handler = WasmHandler::new(module).await.with_context(|| config.module.display().to_string())?;
        let runner = Runner::new(Box::new(handler), &config, stream);
        Ok(Side { runner: Some(runner), about: about(&config.module, &config) })
    }

    /// `at_end`: with what is left, too.
    async fn run(&mut self, entries: Vec<crate::message::Entry>, at_end: bool) -> anyhow::Result<Vec<Trial>> {
        let mut trials = match &mut self.runner {
            Some(runner) => runner.run(entries).await?,
            None => Vec::new(),
        };
        if let Some(runner) = self.runner.take_if(|_| at_end) {
            trials.extend(runner.finish().await?);
        }
        Ok(trials)
    }
}

fn about(module: &Path, config: &HandlerConfig) -> String {
    let settings = config.config.iter().map(|(name, value)| format!(" {name}={value}"));
    format!("{}{}", module.display(), settings.collect::<String>())
}

/// Prints what was found.
struct Show<W> {
    format: Format,
    /// Of outputs, by target.
    names: Vec<String>,
    is_partitioned: bool,
    out: W,
}

impl<W: Write> Show<W> {
    fn sides(&mut self, new: &str, old: &str) -> std::io::Result<()> {
        match self.format {
            Format::Text => writeln!(self.out, "--- {old}\n+++ {new}"),
            Format::Json => Ok(()),
        }
    }

    fn trial(&mut self, trial: &Trial) -> std::io::Result<()> {
        if self.format == Format::Json {
            let mut object = self.place_as_json(trial);
            object.extend(self.trial_as_json(trial));
            return writeln!(self.out, "{}", Value::Object(object));
        }
        writeln!(self.out, "{}: {}", self.place(trial), verdict(&trial.verdict))?;
        for (target, message) in &trial.outputs {
            let line = format!("  {}: {}", self.name(*target), as_json(message));
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn difference(&mut self, old: &Trial, new: &Trial) -> std::io::Result<()> {
        if self.format == Format::Json {
            let mut object = self.place_as_json(new);
            object.insert("old".into(), self.trial_as_json(old).into());
            object.insert("new".into(), self.trial_as_json(new).into());
            return writeln!(self.out, "{}", Value::Object(object));
        }
        writeln!(self.out, "{}", self.place(new))?;
        let lines = difference(&self.lines(old), &self.lines(new));
        lines.iter().try_for_each(|line| writeln!(self.out, "{line}"))
    }

    fn summary(&mut self, tally: &Tally, differ: Option<u64>) -> std::io::Result<()> {
        let Tally { messages, done, retry, reject, faults, outputs } = *tally;
        match (self.format, differ) {
            (Format::Text, None) => writeln!(
                self.out,
                "{messages} messages: {done} done, {retry} to retry, {reject} rejected, {faults} faults; {outputs} outputs"
            ),
            (Format::Text, Some(differ)) => writeln!(self.out, "{differ} of {messages} messages differ"),
            (Format::Json, None) => {
                let counts = json!({
                    "messages": messages, "done": done, "retry": retry, "reject": reject, "faults": faults, "outputs": outputs
                });
                writeln!(self.out, "{counts}")
            }
            (Format::Json, Some(differ)) => writeln!(self.out, "{}", json!({ "messages": messages, "differ": differ })),
        }?;
        self.out.flush()
    }

    /// Sequence and key.
    fn place(&self, trial: &Trial) -> String {
        let at = trial.entry.at;
        let place = if self.is_partitioned { format!("{}:{}", at.partition, at.seq) } else { at.seq.to_string() };
        match trial.entry.message.key() {
            Some(key) => format!("{place}, key {}", text(key)),
            None => place,
        }
    }

    fn place_as_json(&self, trial: &Trial) -> serde_json::Map<String, Value> {
        let mut object = serde_json::Map::new();
        object.insert("partition".into(), trial.entry.at.partition.into());
        object.insert("sequence".into(), trial.entry.at.seq.into());
        if let Some(key) = as_json(&trial.entry.message).get("key") {
            object.insert("key".into(), key.clone());
        }
        object
    }

    fn trial_as_json(&self, trial: &Trial) -> serde_json::Map<String, Value> {
        let mut object = serde_json::Map::new();
        let (what, reason) = match &trial.verdict {
            Verdict::Said(Outcome::Done) => ("done", None),
            Verdict::Said(Outcome::Retry { reason, .. }) => ("retry", Some(reason)),
            Verdict::Said(Outcome::Reject { reason }) => ("reject", Some(reason)),
            Verdict::Fault(reason) => ("fault", Some(reason)),
        };
        object.insert("outcome".into(), what.into());
        if let Some(reason) = reason {
            object.insert("reason".into(), reason.as_str().into());
        }
        if let Verdict::Said(Outcome::Retry { after: Some(after), .. }) = &trial.verdict {
            object.insert("after_ms".into(), u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into());
        }
        let output =
            |(target, message): &(usize, Message)| json!({ "to": self.name(*target), "message": as_json(message) });
        object.insert("outputs".into(), trial.outputs.iter().map(output).collect());
        object
    }

    fn name(&self, target: usize) -> &str {
        self.names.get(target).map_or("output", String::as_str)
    }

    /// All that is compared, in lines.
    fn lines(&self, trial: &Trial) -> Vec<String> {
        let mut lines = vec![verdict(&trial.verdict)];
        for (target, message) in &trial.outputs {
            lines.push(format!("{}:", self.name(*target)));
            if !message.subject().is_empty() {
                lines.push(format!("  subject: {}", message.subject()));
            }
            for (name, value) in message.headers() {
                lines.push(format!("  {}: {value}", if name == KEY { "key" } else { name }));
            }
            lines.extend(body(message.body()).lines().map(|line| format!("  {line}")));
        }
        lines
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Said(Outcome::Done) => "done".into(),
        Verdict::Said(Outcome::Retry { after: Some(after), reason }) => format!("retry after {after:?}: {reason}"),
        Verdict::Said(Outcome::Retry { after: None, reason }) => format!("retry: {reason}"),
        Verdict::Said(Outcome::Reject { reason }) => format!("reject: {reason}"),
        Verdict::Fault(reason) => format!("fault: {reason}"),
    }
}

/// A body over several lines, where it is JSON.
fn body(bytes: &[u8]) -> String {
    let value = serde_json::from_slice::<Value>(bytes).ok().filter(|value| value.is_object() || value.is_array());
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| text(bytes))
}

fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}
