use indicatif::ProgressBar;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Writes log lines to standard error, above the status line where there is one.
#[derive(Clone)]
struct Stderr(ProgressBar);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Stderr;

    fn make_writer(&'a self) -> Stderr {
        self.clone()
    }
}

/// Logs to standard error what `RUST_LOG` asks for; by default Pelton's own lines from `level` on.
pub(super) fn start(level: &str, status: ProgressBar) {
    let default = format!("warn,pelton={level}");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(Stderr(status));
    // A program that embeds this one may have set up its own.
    let _ = logger.try_init();
}
