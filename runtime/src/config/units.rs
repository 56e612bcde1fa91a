//! Values with a unit: durations, sizes and rates, and back to text.
//!
//! A bare number is refused with a hint, since nobody can know what its author had in mind; only `0` needs no unit.

use std::time::Duration;

use super::error::{Problem, nearest};

const NANOS: &[(&str, u128)] = &[
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const BYTES: &[(&str, u128)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
/// In seconds.
const PER: &[(&str, u128)] = &[("/s", 1), ("/m", 60), ("/h", 3_600)];

const PERCENT: &[(&str, u128)] = &[("%", 100)];

pub(super) const A_DURATION: &str = "a duration such as 100ms, 1s, 5m, 1h or 7d";
pub(super) const A_SIZE: &str = "a size such as 256B, 10kB, 64MiB or 1GiB";
pub(super) const A_RATE: &str = "a rate above zero such as 1000/s, 30/m or 0.5/s";
pub(super) const A_PERCENT: &str = "1% to 100%";

/// `100ms`, `1.5s`, `5m`, `1h`, `7d`; up to about 584 years.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let wrong = |problem: Problem| problem.expected(A_DURATION);
    let amount = Amount::read(text, NANOS, "s").map_err(wrong)?;
    let nanos = amount.whole(text).map_err(wrong)?;
    Ok(Duration::from_nanos(nanos))
}

/// A duration as configurations have it, such as `1.5s` or `7d`.
///
/// # Errors
/// What is expected instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|_| format!("'{text}' is no duration; expected {A_DURATION}"))
}

/// `256B`, `10kB` (thousands), `64MiB` (1024s), `1.5GiB`, in bytes. `usual` is the unit that is proposed for a
/// bare number.
pub(super) fn size(text: &str, usual: &str) -> Result<u64, Problem> {
    let wrong = |problem: Problem| problem.expected(A_SIZE);
    let amount = Amount::read(text, BYTES, usual).map_err(wrong)?;
    amount.whole(text).map_err(wrong)
}

/// `1000/s`, `30/m`, in events per second; above zero.
pub(super) fn rate(text: &str) -> Result<f64, Problem> {
    let wrong = |problem: Problem| problem.expected(A_RATE);
    let amount = Amount::read(text, PER, "/s").map_err(wrong)?;
    let rate = amount.digits as f64 / amount.divisor as f64 / amount.unit as f64;
    if rate > 0.0 { Ok(rate) } else { Err(wrong(Problem::new(format!("'{text}' never lets anything through")))) }
}

/// `80%`, as a fraction of 1; from 1% to 100%.
pub(super) fn percent(text: &str) -> Result<f64, Problem> {
    let wrong = |problem: Problem| problem.expected(A_PERCENT);
    let amount = Amount::read(text, PERCENT, "%").map_err(wrong)?;
    let fraction = amount.digits as f64 / amount.divisor as f64 / 100.0;
    if (0.01..=1.0).contains(&fraction) { Ok(fraction) } else { Err(wrong(Problem::new(format!("'{text}' is given")))) }
}

/// A size as a person would write it: the largest unit that divides it.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes.into(), BYTES)
}

/// A duration as a person would write it: the largest unit that divides it.
pub(super) fn show_duration(duration: Duration) -> String {
    show(duration.as_nanos(), NANOS)
}

fn show(amount: u128, units: &[(&str, u128)]) -> String {
    let unit =
        units.iter().filter(|(_, unit)| amount > 0 && amount.is_multiple_of(*unit)).max_by_key(|(_, unit)| *unit);
    match unit {
        Some((name, unit)) => format!("{}{name}", amount / unit),
        None => amount.to_string(),
    }
}

/// `digits / divisor × unit`, exactly as written.
struct Amount {
    digits: u128,
    divisor: u128,
    unit: u128,
}

impl Amount {
    /// `usual` is the unit that is proposed for a bare number.
    fn read(text: &str, units: &[(&str, u128)], usual: &str) -> Result<Amount, Problem> {
        let no_number = || Problem::new(format!("'{text}' is no number with a unit"));
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(end).ok_or_else(no_number)?;
        let unit = unit.trim_start();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let both = format!("{whole}{fraction}");
        // 18 digits leave room for the largest unit in 128 bits.
        if whole.is_empty() || number.ends_with('.') || fraction.contains('.') || both.len() > 18 {
            return Err(no_number());
        }
        let digits: u128 = both.parse().map_err(|_| no_number())?;
        let divisor = fraction.chars().fold(1, |divisor, _| divisor * 10);
        if unit.is_empty() && digits == 0 {
            return Ok(Amount { digits, divisor, unit: 1 });
        }
        if unit.is_empty() {
            return Err(Problem::new(format!("'{text}' has no unit")).suggest(Some(format!("{number}{usual}"))));
        }
        let known = units.iter().find(|(name, _)| *name == unit);
        let Some(&(_, unit)) = known else {
            let near = nearest(unit, units.iter().map(|(name, _)| *name)).map(|near| format!("{number}{near}"));
            return Err(Problem::new(format!("'{unit}' is no unit known here")).suggest(near));
        };
        Ok(Amount { digits, divisor, unit })
    }

    /// The amount in the base unit, rounded down; a value that vanishes or does not fit is refused.
    fn whole(&self, text: &str) -> Result<u64, Problem> {
        let value = self.digits * self.unit / self.divisor;
        if value == 0 && self.digits != 0 {
            return Err(Problem::new(format!("'{text}' is too small")));
        }
        u64::try_from(value).map_err(|_| Problem::new(format!("'{text}' is too large")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            ("0", 0),
            ("0ms", 0),
            ("250us", 250_000),
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("5m", 300_000_000_000),
            ("1 h", 3_600_000_000_000),
            ("7d", 604_800_000_000_000),
        ];
        for (text, nanos) in table {
            assert_eq!(duration(text).unwrap(), Duration::from_nanos(nanos), "{text}");
        }
        for text in
            ["", "s", "5", "-1s", "1.s", ".5s", "1.2.3s", "1sec", "1m30s", "1e3s", "١s", "0.0001us", "999999999d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("0", 0),
            ("1B", 1),
            ("10kB", 10_000),
            ("10KiB", 10_240),
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("1.5GiB", 3 << 29),
        ];
        for (text, bytes) in table {
            assert_eq!(size(text, "B").unwrap(), bytes, "{text}");
        }
        for text in ["", "64", "64M", "64mib", "-1B", "0.5B", "1B ", "99999999999GiB", "1234567890123456789B"] {
            assert!(size(text, "B").is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, rate_per_second) in [("1000/s", 1000.0), ("30/m", 0.5), ("3600/h", 1.0), ("0.5/s", 0.5)] {
            assert_eq!(rate(text).unwrap(), rate_per_second, "{text}");
        }
        for text in ["", "0", "0/s", "100", "100/x", "/s", "NaN/s", "inf/s", "-1/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_missing_or_misspelt_unit_gets_a_proposal() {
        assert_eq!(
            duration("5").unwrap_err(),
            Problem::new("'5' has no unit").expected(A_DURATION).suggest(Some("5s"))
        );
        assert_eq!(
            size("64", "MiB").unwrap_err(),
            Problem::new("'64' has no unit").expected(A_SIZE).suggest(Some("64MiB"))
        );
        assert_eq!(
            size("64mib", "B").unwrap_err(),
            Problem::new("'mib' is no unit known here").expected(A_SIZE).suggest(Some("64MiB"))
        );
    }

    #[test]
    fn percentages() {
        for (text, fraction) in [("1%", 0.01), ("80%", 0.8), ("12.5%", 0.125), ("100 %", 1.0)] {
            assert_eq!(percent(text).unwrap(), fraction, "{text}");
        }
        for text in ["", "0", "80", "0.8", "0.9%", "100.1%", "-1%", "%", "80%%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["250us", "10ms", "90s", "1h", "7d", "0"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for text in ["1B", "10kB", "64MiB", "1536MiB", "3GiB", "1001B"] {
            assert_eq!(show_size(size(text, "B").unwrap()), text);
        }
        assert_eq!(show_size(0), "0");
    }
}
