//! Points in time, and where a reader starts.

use std::str::FromStr;

use super::model::Start;

pub(super) const A_START: &str = "'earliest', 'latest', a sequence number, or a time such as 2026-11-21T10:00:00Z";

/// A time as RFC 3339 writes it, such as `2026-11-21T10:00:00Z` or `2026-11-21T11:00:00.25+01:00`, in ns since 1970. What
/// is finer than that is cut off; a leap second is the first of the next day. `None` for any other text, and for times that
/// 64 bits do not reach: before 1677 and after 2262.
pub fn parse_time(text: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    let year = number(&mut rest, 4, 0..=9999)?;
    literal(&mut rest, b"-")?;
    let month = number(&mut rest, 2, 1..=12)?;
    literal(&mut rest, b"-")?;
    let day = number(&mut rest, 2, 1..=days_in(year, month))?;
    literal(&mut rest, b"Tt")?;
    let hour = number(&mut rest, 2, 0..=23)?;
    literal(&mut rest, b":")?;
    let minute = number(&mut rest, 2, 0..=59)?;
    literal(&mut rest, b":")?;
    let second = number(&mut rest, 2, 0..=60)?;
    let nanos = fraction(&mut rest)?;
    let offset = offset(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    // Leap seconds end a day.
    if second == 60 && seconds.rem_euclid(DAY) != 0 {
        return None;
    }
    let since = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    i64::try_from(since).ok()
}

/// A time in ns since 1970 as [`parse_time`] reads it, in UTC and to the millisecond.
pub fn show_time(ns: i64) -> String {
    let ms = ns.div_euclid(1_000_000);
    let (seconds, ms) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

const DAY: i64 = 86_400;

/// Exactly so many digits, with a value in `range`.
fn number(rest: &mut &[u8], digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    let value =
        number.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')));
    value.filter(|value| range.contains(value))
}

/// One of these characters.
fn literal(rest: &mut &[u8], allowed: &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    allowed.contains(first).then_some(*first)
}

/// `.` and at least one digit, or nothing; in ns.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let Some(after) = rest.strip_prefix(b".") else {
        return Some(0);
    };
    let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = after.split_at_checked(length).filter(|_| length > 0)?;
    *rest = after;
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
    Some(padded.take(9).fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `Z`, or by how much the clock is ahead of UTC; in seconds.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    let sign = match literal(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = number(rest, 2, 0..=23)?;
    literal(rest, b":")?;
    let minutes = number(rest, 2, 0..=59)?;
    Some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// In the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let years = before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    // 719,162 days lie between the first of January of the years 1 and 1970.
    years + months + day - 1 - 719_162
}

/// The year, month and day that so many days since 1970 lead to.
fn date(days: i64) -> (i64, i64, i64) {
    // The year, or one that is earlier by a few, as far as 64 bits of ns reach.
    let mut year = 1969 + days.div_euclid(366);
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days_since_1970(year, month + 1, 1) <= days {
        month += 1;
    }
    (year, month, days - days_since_1970(year, month, 1) + 1)
}

/// A text that does not say where to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no place to start; expected {A_START}")]
pub struct ParseStartError(String);

impl FromStr for Start {
    type Err = ParseStartError;

    fn from_str(text: &str) -> Result<Start, ParseStartError> {
        match text {
            "earliest" | "-2" => return Ok(Start::Earliest),
            "latest" | "-1" => return Ok(Start::Latest),
            _ => {}
        }
        let start = sequence(text).map(Start::Sequence).or_else(|| parse_time(text).map(Start::Time));
        start.ok_or_else(|| ParseStartError(text.to_owned()))
    }
}

/// Sequences travel as signed numbers, hence the limit.
fn sequence(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|sequence| digits && i64::try_from(*sequence).is_ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        const SECOND: i64 = 1_000_000_000;
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2000-02-29T00:00:00Z", 951_782_400 * SECOND),
            ("2026-11-21T10:00:00Z", 1_795_255_200 * SECOND),
            ("2026-11-21t10:00:00z", 1_795_255_200 * SECOND),
            ("2026-11-21T11:30:00+01:30", 1_795_255_200 * SECOND),
            ("2026-11-20T23:00:00-11:00", 1_795_255_200 * SECOND),
            ("2026-11-21T10:00:00-00:00", 1_795_255_200 * SECOND),
            ("2026-11-21T10:00:00.5Z", 1_795_255_200 * SECOND + 500_000_000),
            ("2026-11-21T10:00:00.0000000019Z", 1_795_255_200 * SECOND + 1),
            // The examples of RFC 3339, 5.8.
            ("1985-04-12T23:20:50.52Z", 482_196_050 * SECOND + 520_000_000),
            ("1996-12-19T16:39:57-08:00", 851_042_397 * SECOND),
            ("1990-12-31T23:59:60Z", 662_688_000 * SECOND),
            ("1990-12-31T15:59:60-08:00", 662_688_000 * SECOND),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_172 * SECOND - 130_000_000),
            // The last and the first that there are.
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
            ("1677-09-21T00:12:43.145224192Z", i64::MIN),
        ];
        for (text, expected) in table {
            assert_eq!(parse_time(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_shown_is_read_again() {
        // The first and last milliseconds of years, leap years and days among them, and far-off times.
        let years = [1677, 1700, 1899, 1900, 1969, 1970, 1999, 2000, 2004, 2026, 2100, 2262];
        let days = years.into_iter().flat_map(|year| [days_since_1970(year, 3, 1), days_since_1970(year, 12, 31)]);
        let times = days.flat_map(|day| [day * DAY * 1000, day * DAY * 1000 - 1]);
        for ms in times.filter(|ms| ms.checked_mul(1_000_000).is_some()) {
            let shown = show_time(ms * 1_000_000);
            assert_eq!(parse_time(&shown), Some(ms * 1_000_000), "{shown}");
        }
        assert_eq!(show_time(1_795_255_200_250_999_999), "2026-11-21T10:00:00.250Z");
        assert_eq!(show_time(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_time() {
        let table = [
            "",
            "2026-11-21",
            "2026-11-21T10:00Z",
            "2026-11-21T10:00:00",
            "2026-11-21 10:00:00Z",
            "2026-11-21T10:00:00.Z",
            "2026-11-21T10:00:00,5Z",
            "2026-11-21T10:00:00+01",
            "2026-11-21T10:00:00+0100",
            "2026-11-21T10:00:00+24:00",
            "2026-11-21T10:00:00+01:60",
            "2026-11-21T10:00:00Zx",
            "2026-11-21T10:00:00Z ",
            "2026-00-21T10:00:00Z",
            "2026-13-21T10:00:00Z",
            "2026-11-00T10:00:00Z",
            "2026-11-31T10:00:00Z",
            "2026-02-29T10:00:00Z",
            "2100-02-29T10:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10:60:00Z",
            "2026-11-21T10:00:60Z",
            "2026-11-21T10:00:61Z",
            "+026-11-21T10:00:00Z",
            "２026-11-21T10:00:00Z",
            "2262-04-11T23:47:16.854775808Z",
            "1677-09-21T00:12:43.145224191Z",
            "9999-12-31T23:59:59Z",
        ];
        for text in table {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn starts() {
        let table = [
            ("earliest", Start::Earliest),
            ("-2", Start::Earliest),
            ("latest", Start::Latest),
            ("-1", Start::Latest),
            ("0", Start::Sequence(0)),
            ("9223372036854775807", Start::Sequence(i64::MAX as u64)),
            ("1970-01-01T00:00:01Z", Start::Time(1_000_000_000)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "first", "-3", "+1", "1.5", "9223372036854775808", "Earliest", "1970-01-01"] {
            assert_eq!(text.parse::<Start>(), Err(ParseStartError(text.to_owned())), "{text}");
        }
    }
}
