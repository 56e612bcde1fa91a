//! Why a message is not done.

use std::fmt;
use std::time::Duration;

use crate::raw;

/// A message that is not done, and what should become of it.
///
/// Whether to try again is a decision, so no plain string turns into a failure by itself: say
/// [`retry`](Failure::retry) or [`reject`](Failure::reject), or [`OrFail::or_retry`] and [`OrFail::or_reject`] on any
/// `Result`. Only errors that another attempt cannot mend convert through `?`: JSON that does not parse and text that
/// is not UTF-8 are rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    retry: bool,
    after: Option<Duration>,
    reason: String,
}

impl Failure {
    /// Give the message again later, by the configured back-off and up to the configured number of attempts.
    pub fn retry(reason: impl fmt::Display) -> Failure {
        Failure { retry: true, after: None, reason: reason.to_string() }
    }

    /// Give the message again no earlier than after `delay`, counted in whole milliseconds, rounded up, at least one.
    pub fn retry_after(delay: Duration, reason: impl fmt::Display) -> Failure {
        Failure { retry: true, after: Some(delay), reason: reason.to_string() }
    }

    /// Never give the message again: it goes to the dead letters, with the reason beside it.
    pub fn reject(reason: impl fmt::Display) -> Failure {
        Failure { retry: false, after: None, reason: reason.to_string() }
    }

    /// Whether the message comes again.
    pub fn is_retry(&self) -> bool {
        self.retry
    }

    /// Whether the message goes to the dead letters at once.
    pub fn is_reject(&self) -> bool {
        !self.retry
    }

    /// The least delay before the next attempt, where this failure asks for one.
    pub fn after(&self) -> Option<Duration> {
        self.after
    }

    /// What people will read in the log and in the dead letter.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// As the contract has it, for message number `message` of the batch.
    pub(crate) fn into_raw(self, message: u32) -> raw::Failure {
        // 0 would mean the configured back-off, so a delay that was asked for is at least 1.
        let delay_ms = match self.after {
            None => 0,
            Some(delay) => u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1),
        };
        raw::Failure { message, action: u8::from(!self.retry), delay_ms, reason: self.reason }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.retry { "retry: " } else { "reject: " })?;
        f.write_str(&self.reason)
    }
}

/// The same text never parses, however often it is tried: reject.
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::reject(error)
    }
}

/// The same bytes never become text: reject.
impl From<core::str::Utf8Error> for Failure {
    fn from(error: core::str::Utf8Error) -> Failure {
        Failure::reject(error)
    }
}

/// Turns the error of any `Result` into a [`Failure`], saying which.
///
/// ```
/// use pelton_sdk::{Failure, OrFail};
///
/// fn port(text: &str) -> Result<u16, Failure> {
///     text.parse().or_reject()
/// }
///
/// assert_eq!(port("many").unwrap_err().reason(), "invalid digit found in string");
/// ```
pub trait OrFail<T> {
    /// An error gives the message again later; its text is the reason.
    fn or_retry(self) -> Result<T, Failure>;

    /// An error rejects the message; its text is the reason.
    fn or_reject(self) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_retry(self) -> Result<T, Failure> {
        self.map_err(Failure::retry)
    }

    fn or_reject(self) -> Result<T, Failure> {
        self.map_err(Failure::reject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_round_up_and_never_become_the_default() {
        let delay_ms = |delay| Failure::retry_after(delay, "r").into_raw(0).delay_ms;
        assert_eq!(delay_ms(Duration::ZERO), 1);
        assert_eq!(delay_ms(Duration::from_micros(1500)), 2);
        assert_eq!(delay_ms(Duration::from_secs(3)), 3000);
        assert_eq!(delay_ms(Duration::MAX), u64::MAX);
        assert_eq!(Failure::retry("r").into_raw(0).delay_ms, 0);
    }

    #[test]
    fn actions_are_the_contracts_numbers() {
        let retry = Failure::retry("busy").into_raw(3);
        assert_eq!((retry.message, retry.action, retry.reason.as_str()), (3, 0, "busy"));
        assert_eq!(Failure::reject("bad").into_raw(3).action, 1);
    }
}
