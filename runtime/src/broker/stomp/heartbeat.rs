use super::version::text;
use super::{Headers, NegotiationError};
use std::time::Duration;

/// What one end says of heart-beats in CONNECT or CONNECTED: section "Heart-beating". Zero is none; otherwise whole
/// milliseconds count, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeats {
    /// How often it can send one, at best.
    pub can: Duration,
    /// How often it wants one.
    pub wants: Duration,
}

/// What both ends agreed on, as seen from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beats {
    /// It has to send something at least so often.
    pub send: Option<Duration>,
    /// It can expect something so often; the specification asks for some tolerance.
    pub expect: Option<Duration>,
}

impl HeartBeats {
    /// Of the headers of CONNECT or CONNECTED. Without `heart-beat` there are none.
    pub fn of(headers: &Headers) -> Result<HeartBeats, NegotiationError> {
        let Some(value) = text(headers, "heart-beat")? else { return Ok(HeartBeats::default()) };
        let bad = || NegotiationError::HeartBeat(value.into());
        let (can, wants) = value.split_once(',').ok_or_else(bad)?;
        Ok(HeartBeats { can: milliseconds(can).ok_or_else(bad)?, wants: milliseconds(wants).ok_or_else(bad)? })
    }

    /// What this end and the other agree on: the slower of what one can and the other wants.
    pub fn negotiate(self, other: HeartBeats) -> Beats {
        let agree = |can: Duration, wants: Duration| (!can.is_zero() && !wants.is_zero()).then(|| can.max(wants));
        Beats { send: agree(self.can, other.wants), expect: agree(other.can, self.wants) }
    }
}

/// The value of the header `heart-beat`: `10000,10000`.
impl std::fmt::Display for HeartBeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Up, since a part of a millisecond that became 0 would say "none".
        let up = |time: Duration| time.as_nanos().div_ceil(1_000_000);
        write!(f, "{},{}", up(self.can), up(self.wants))
    }
}

/// Digits alone: `parse` would take a sign, too.
fn milliseconds(digits: &str) -> Option<Duration> {
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
    number.map(Duration::from_millis)
}
