use super::{FAILED, INTERRUPTED, OK, REFUSED, load, logging, summary};
use crate::config::{Config, SinkConfig};
use crate::host::Host;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Run a configuration until it is told to stop
///
/// Ctrl-C or SIGTERM: stop reading, handle and settle what is inside, close, within `shutdown_timeout`; a second Ctrl-C
/// stops at once. SIGHUP: look at every module file now.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration, in YAML
    config: PathBuf,
    /// Stop when every source has come to its end and all is settled, and print a summary
    #[arg(long)]
    exit_when_done: bool,
}

/// How often the status line changes, and how often a line is logged where there is none.
const STATUS: Duration = Duration::from_millis(200);
const LOG: Duration = Duration::from_secs(10);

pub(super) async fn run(arguments: Arguments) -> u8 {
    let Some(config) = load(&arguments.config) else { return REFUSED };
    self::config(config, &arguments.config, arguments.exit_when_done).await
}

/// Runs a configuration that was read from `path`.
pub(super) async fn config(config: Config, path: &Path, exit_when_done: bool) -> u8 {
    let bar = status_line(&config);
    logging::start("info", bar.clone());
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let limit = config.shutdown_timeout;
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("pelton: cannot listen for signals: {error}");
            return FAILED;
        }
    };
    let started = tokio::select! {
        started = Host::start(config) => started,
        () = signals.stop(|| {}) => return INTERRUPTED,
    };
    let host = match started {
        Ok(host) => host,
        Err(error) => {
            bar.finish_and_clear();
            eprintln!("{error}");
            return REFUSED;
        }
    };
    tracing::info!(config = %path.display(), "running");
    let done = tokio::select! {
        () = host.finished(), if exit_when_done => true,
        () = signals.stop(|| host.reload()) => false,
        () = show(&host, &bar) => false,
    };
    let failed = host.has_failed();
    if !done {
        tracing::info!(within = ?limit, "stopping: handling what is inside");
    }
    let (report, left) = tokio::select! {
        stopped = host.shutdown(limit) => stopped,
        () = signals.again() => {
            bar.finish_and_clear();
            return INTERRUPTED;
        }
    };
    bar.finish_and_clear();
    eprint!("{}", summary::table(&report));
    if left > 0 {
        eprintln!("pelton: {left} messages were not settled within shutdown_timeout, {limit:?}");
    }
    if failed || left > 0 { FAILED } else { OK }
}

/// A line that changes in place, where standard error is a terminal and standard output does not write between its changes.
fn status_line(config: &Config) -> ProgressBar {
    let prints = config.streams.iter().any(|s| matches!(s.to, Some(SinkConfig::Stdout(_))));
    if !stderr().is_terminal() || prints && stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// Shows how far the host is; never returns.
async fn show(host: &Host, bar: &ProgressBar) {
    let mut last = String::new();
    let mut every = tokio::time::interval(if bar.is_hidden() { LOG } else { STATUS });
    loop {
        every.tick().await;
        let line = summary::line(&host.report());
        if !bar.is_hidden() {
            bar.set_message(line);
            bar.tick();
        } else if line != last {
            tracing::info!("{line}");
            last = line;
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for Ctrl-C or SIGTERM, and calls `hangup` at each SIGHUP.
    async fn stop(&mut self, hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => hangup(),
            }
        }
    }

    /// Waits for one more Ctrl-C.
    async fn again(&mut self) {
        self.interrupt.recv().await;
    }
}
