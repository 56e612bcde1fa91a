use tokio::time::{Duration, Instant};

/// Keeps a source to so many messages a second. What was not taken in time may be taken at once later on.
pub(super) struct Pace {
    rate: Option<f64>,
    start: Instant,
    given: u64,
}

impl Pace {
    /// `None`: as fast as possible.
    pub(super) fn new(rate: Option<f64>) -> Pace {
        Pace { rate, start: Instant::now(), given: 0 }
    }

    /// Waits until at least one message may go, and says how many may, up to `max`. Cancel-safe.
    pub(super) async fn ready(&self, max: usize) -> usize {
        let Some(rate) = self.rate else { return max };
        loop {
            let allowed = (self.start.elapsed().as_secs_f64() * rate) as u64 + 1;
            if allowed > self.given {
                return max.min(usize::try_from(allowed - self.given).unwrap_or(usize::MAX));
            }
            let next = Duration::try_from_secs_f64(self.given as f64 / rate).unwrap_or(Duration::from_secs(3600));
            tokio::time::sleep_until(self.start + next).await;
        }
    }

    /// So many went.
    pub(super) fn took(&mut self, count: usize) {
        self.given += count as u64;
    }
}
