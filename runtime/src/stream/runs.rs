use std::collections::BTreeMap;
use std::ops::Range;

/// Appends one number to a list of rising runs.
pub(super) fn push(runs: &mut Vec<Range<u64>>, seq: u64) {
    match runs.last_mut() {
        Some(last) if last.end == seq => last.end += 1,
        _ => runs.push(seq..seq + 1),
    }
}

/// A set of numbers that mostly come in runs, all above a watermark below which every number is in.
#[derive(Debug)]
pub(super) struct Settled {
    watermark: u64,
    beyond: BTreeMap<u64, u64>,
    /// How many numbers are in above the watermark.
    count: u64,
}

impl Settled {
    /// Everything below `first` is settled.
    pub(super) fn new(first: u64) -> Settled {
        Settled { watermark: first, beyond: BTreeMap::new(), count: 0 }
    }

    /// The first number that is not in.
    pub(super) fn watermark(&self) -> u64 {
        self.watermark
    }

    /// How many numbers are in above the watermark.
    pub(super) fn beyond(&self) -> u64 {
        self.count
    }

    #[cfg(test)]
    pub(super) fn contains(&self, seq: u64) -> bool {
        seq < self.watermark || self.beyond.range(..=seq).next_back().is_some_and(|(_, end)| seq < *end)
    }

    /// Puts in a run, none of which was in.
    pub(super) fn insert(&mut self, run: Range<u64>) {
        let mut run = run;
        if run.start == self.watermark {
            self.watermark = run.end;
            while let Some(next) = self.beyond.first_entry()
                && *next.key() == self.watermark
            {
                self.count -= next.get() - next.key();
                self.watermark = next.remove();
            }
            return;
        }
        self.count += run.end - run.start;
        if let Some(end) = self.beyond.remove(&run.end) {
            run.end = end;
        }
        if let Some((_, end)) = self.beyond.range_mut(..run.start).next_back()
            && *end == run.start
        {
            *end = run.end;
            return;
        }
        self.beyond.insert(run.start, run.end);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn settled_is_a_set(order in Just((5u64..60).collect::<Vec<_>>()).prop_shuffle(), upto in 0usize..55) {
            let mut settled = Settled::new(5);
            let mut model = BTreeSet::new();
            for seq in order.into_iter().take(upto) {
                settled.insert(seq..seq + 1);
                model.insert(seq);
                let watermark = (5..).find(|s| !model.contains(s)).unwrap();
                prop_assert_eq!(settled.watermark(), watermark);
                prop_assert_eq!(settled.beyond(), model.iter().filter(|s| **s > watermark).count() as u64);
                for s in 5..60 {
                    prop_assert_eq!(settled.contains(s), model.contains(&s));
                }
            }
        }
    }
}
