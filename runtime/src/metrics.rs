//! What is counted, once: counters that the data path adds to without waiting, read as dated snapshots.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One handler's counters. Messages, if not said otherwise.
#[derive(Debug, Default)]
pub struct HandlerMetrics {
    /// Done.
    pub done: Counter,
    /// Verdicts and failures that led to another attempt.
    pub retried: Counter,
    /// Put into the dead-letter stream.
    pub dead: Counter,
    /// Rejected with no dead-letter stream to go to.
    pub dropped: Counter,
    /// Emitted by the handler.
    pub outputs: Counter,
    /// Emitted by a handler in Rust to a target that it does not have. A guest's message is rejected for that.
    pub lost_outputs: Counter,
    /// Calls, each with one batch.
    pub calls: Counter,
    /// Calls that trapped, passed their deadline or returned what the contract forbids.
    pub faults: Counter,
    /// Handling time, message by message: a call's time shared among its messages.
    pub time: Histogram,
    /// From a worker's look at the slot to its having a handler of the new generation.
    pub swap: Histogram,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Eight buckets to each doubling: a quantile is off by at most an eighth.
const STEPS: u32 = 3;
const BUCKETS: usize = (64 - STEPS as usize) << STEPS;

/// How long things took, in buckets of nanoseconds that grow with the time. After HdrHistogram (Tene), with one digit.
#[derive(Debug)]
pub struct Histogram(Box<[AtomicU64]>);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Histogram {
    /// Records `count` equal times.
    pub fn record(&self, time: Duration, count: u64) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.0.get(bucket(ns)) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|b| b.load(Ordering::Relaxed)).sum()
    }

    /// The time that a share `q` of all, between 0 and 1, did not exceed. None where nothing was recorded.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = ((total as f64 * q).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        for (i, bucket) in self.0.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= rank {
                return Some(Duration::from_nanos(upper(i)));
            }
        }
        None
    }
}

fn bucket(ns: u64) -> usize {
    let exponent = (64 - ns.leading_zeros()).saturating_sub(STEPS + 1);
    let mantissa = (ns >> exponent) as usize;
    ((exponent as usize) << STEPS) + mantissa
}

/// The largest number in a bucket.
fn upper(bucket: usize) -> u64 {
    let exponent = (bucket >> STEPS).saturating_sub(1);
    let mantissa = (bucket - (exponent << STEPS)) as u64;
    ((mantissa + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_number(ns in 0u64..1 << 50) {
            let b = bucket(ns);
            prop_assert!(b < BUCKETS);
            prop_assert!(upper(b) >= ns && upper(b) <= ns + ns / 8);
            prop_assert!(b == 0 || upper(b - 1) < ns);
        }
    }

    #[test]
    fn quantiles() {
        let h = Histogram::default();
        assert_eq!(h.quantile(0.5), None);
        h.record(Duration::from_nanos(5), 99);
        h.record(Duration::from_millis(1), 1);
        assert_eq!(h.quantile(0.5), Some(Duration::from_nanos(5)));
        assert_eq!(h.quantile(0.99), Some(Duration::from_nanos(5)));
        assert!(h.quantile(1.0) >= Some(Duration::from_millis(1)));
    }
}
