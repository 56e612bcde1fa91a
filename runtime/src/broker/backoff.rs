use std::time::Duration;

/// How long to wait before the next try: longer each time, up to a limit. Pure: it never sleeps itself.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    most: Duration,
    multiplier: f64,
    tries: u32,
}

impl Backoff {
    /// `multiplier` is at least 1.
    pub fn new(initial: Duration, most: Duration, multiplier: f64) -> Backoff {
        Backoff { initial, most, multiplier, tries: 0 }
    }

    /// The wait before try `n`, counted from 1 for the first try again.
    pub fn delay(&self, n: u32) -> Duration {
        let factor = self.multiplier.powi(i32::try_from(n.saturating_sub(1)).unwrap_or(i32::MAX));
        let seconds = (self.initial.as_secs_f64() * factor).min(self.most.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or(self.most)
    }

    /// The wait before the next try, which is hereby counted.
    pub fn next_delay(&mut self) -> Duration {
        self.tries = self.tries.saturating_add(1);
        self.delay(self.tries)
    }

    /// It worked: the next failure starts anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

impl Default for Backoff {
    /// For connections: 100 ms, doubled up to 30 s.
    fn default() -> Backoff {
        Backoff::new(Duration::from_millis(100), Duration::from_secs(30), 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_starts_anew() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000), 2.0);
        let delays: Vec<_> = (0..6).map(|_| backoff.next_delay()).collect();
        assert_eq!(delays, [ms(100), ms(200), ms(400), ms(800), ms(1000), ms(1000)]);
        backoff.reset();
        assert_eq!(backoff.next_delay(), ms(100));
        assert_eq!(backoff.delay(u32::MAX), ms(1000), "no overflow however often");
    }
}
