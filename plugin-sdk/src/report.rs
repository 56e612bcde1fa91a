//! What a handler says beside its verdicts: log lines and the reasons of panics, each beside the right message.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// No message is in hand.
const NONE: u32 = u32::MAX;

/// Which message the instance has in hand.
pub(crate) static PROGRESS: Progress = Progress::new();

/// An instance runs on one thread, so this is plain memory; it is made of atomics only because a static must be.
pub(crate) struct Progress {
    current: AtomicU32,
    told: AtomicU32,
}

impl Progress {
    const fn new() -> Progress {
        Progress { current: AtomicU32::new(NONE), told: AtomicU32::new(NONE) }
    }

    /// A batch begins: message numbers mean other messages from here on.
    pub(crate) fn enter(&self) {
        self.told.store(NONE, Relaxed);
    }

    /// The handler turns to message `index`. The host hears of it only if there is something to be said about it.
    pub(crate) fn turn_to(&self, index: u32) {
        self.current.store(index, Relaxed);
    }

    /// The batch is handled.
    pub(crate) fn leave(&self) {
        self.current.store(NONE, Relaxed);
    }

    /// The message in hand, where there is one.
    #[cfg(any(test, target_family = "wasm"))]
    fn current(&self) -> Option<u32> {
        Some(self.current.load(Relaxed)).filter(|&current| current != NONE)
    }

    /// The message in hand, if the host has not been told of it yet.
    #[cfg(any(test, target_family = "wasm"))]
    fn news(&self) -> Option<u32> {
        let current = self.current()?;
        (self.told.swap(current, Relaxed) != current).then_some(current)
    }
}

/// Sends the lines of the `log` crate and the reasons of panics to the host. Does nothing in a native build, where a
/// test harness has its own ways.
pub fn install() {
    #[cfg(target_family = "wasm")]
    host::install();
}

#[cfg(target_family = "wasm")]
mod host {
    use super::PROGRESS;
    use crate::raw::{logging, progress};

    pub(super) fn install() {
        // Only a handler that set its own logger before makes this fail, and then that one is meant.
        if log::set_logger(&HostLogger).is_ok() {
            log::set_max_level(log::LevelFilter::Trace);
        }
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("a panic without a text");
            let reason = match panic.location() {
                Some(place) => format!("panicked at {place}: {message}"),
                None => format!("panicked: {message}"),
            };
            match PROGRESS.current() {
                Some(message) => progress::fault(message, &reason),
                None => logging::log(logging::Level::Critical, "panic", &reason),
            }
        }));
    }

    struct HostLogger;

    impl log::Log for HostLogger {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            if let Some(message) = PROGRESS.news() {
                progress::begin(message);
            }
            let level = match record.level() {
                log::Level::Error => logging::Level::Error,
                log::Level::Warn => logging::Level::Warn,
                log::Level::Info => logging::Level::Info,
                log::Level::Debug => logging::Level::Debug,
                log::Level::Trace => logging::Level::Trace,
            };
            logging::log(level, record.target(), &record.args().to_string());
        }

        fn flush(&self) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_hears_of_a_message_once_and_in_every_batch_anew() {
        let progress = Progress::new();
        assert_eq!((progress.current(), progress.news()), (None, None), "before any batch");
        progress.enter();
        progress.turn_to(0);
        assert_eq!([progress.news(), progress.news()], [Some(0), None]);
        progress.turn_to(1);
        progress.turn_to(2);
        assert_eq!([progress.news(), progress.news()], [Some(2), None]);
        progress.leave();
        assert_eq!(progress.news(), None, "between batches");
        progress.enter();
        progress.turn_to(2);
        assert_eq!([progress.current(), progress.news()], [Some(2), Some(2)]);
    }
}
