use std::collections::BTreeMap;
use std::ops::Range;

/// Appends one number to a list of rising runs.
pub(crate) fn push(runs: &mut Vec<Range<u64>>, seq: u64) {
    match runs.last_mut() {
        Some(last) if last.end == seq => last.end += 1,
        _ => runs.push(seq..seq + 1),
    }
}

/// A set of numbers that mostly come in runs, all above a watermark below which every number is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    watermark: u64,
    beyond: BTreeMap<u64, u64>,
    /// How many numbers are in above the watermark.
    count: u64,
}

impl Settled {
    /// Everything below `first` is settled.
    pub(crate) fn new(first: u64) -> Settled {
        Settled { watermark: first, beyond: BTreeMap::new(), count: 0 }
    }

    /// The first number that is not in.
    pub(crate) fn watermark(&self) -> u64 {
        self.watermark
    }

    /// How many numbers are in above the watermark.
    pub(crate) fn beyond(&self) -> u64 {
        self.count
    }

    /// The runs above the watermark, rising.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Range<u64>> {
        self.beyond.iter().map(|(start, end)| *start..*end)
    }

    /// The first numbers from `from` on that are not in, up to the next one that is; the end is `u64::MAX` where none is.
    pub(crate) fn gap(&self, from: u64) -> Range<u64> {
        let from = from.max(self.watermark);
        let inside = self.beyond.range(..=from).next_back().filter(|(_, end)| **end > from);
        let start = inside.map_or(from, |(_, end)| *end);
        let end = self.beyond.range(start..).next().map_or(u64::MAX, |(next, _)| *next);
        start..end
    }

    /// Puts in those of a run that are not in yet, and returns them.
    pub(crate) fn insert_missing(&mut self, run: Range<u64>) -> Vec<Range<u64>> {
        let mut added = Vec::new();
        let mut from = run.start;
        loop {
            let gap = self.gap(from);
            let part = gap.start..gap.end.min(run.end);
            if part.is_empty() {
                return added;
            }
            from = part.end;
            self.insert(part.clone());
            added.push(part);
        }
    }

    /// The same, without what is at `end` or above.
    pub(crate) fn below(&self, end: u64) -> Settled {
        let mut cut = Settled::new(self.watermark.min(end));
        for run in self.runs() {
            cut.insert_missing(run.start.min(end)..run.end.min(end));
        }
        cut
    }

    /// Whether a number is in.
    pub(crate) fn contains(&self, seq: u64) -> bool {
        seq < self.watermark || self.beyond.range(..=seq).next_back().is_some_and(|(_, end)| seq < *end)
    }

    /// Puts in a run, none of which was in.
    pub(crate) fn insert(&mut self, run: Range<u64>) {
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

        #[test]
        fn what_is_missing_is_put_in_once(runs in prop::collection::vec((0u64..80, 1u64..12), 0..20)) {
            let mut settled = Settled::new(5);
            let mut model: BTreeSet<u64> = (0..5).collect();
            for (start, length) in runs {
                let run = start..start + length;
                let added: Vec<u64> = settled.insert_missing(run.clone()).into_iter().flatten().collect();
                let missing: Vec<u64> = run.clone().filter(|s| !model.contains(s)).collect();
                prop_assert_eq!(added, missing);
                model.extend(run);
                for s in 0..100 {
                    prop_assert_eq!(settled.contains(s), model.contains(&s));
                    let gap = settled.gap(s);
                    prop_assert_eq!(gap.start, (s.max(5)..).find(|n| !model.contains(n)).unwrap());
                }
                let kept: Vec<u64> = settled.runs().flatten().collect();
                prop_assert_eq!(kept, model.iter().copied().filter(|s| *s > settled.watermark()).collect::<Vec<_>>());
            }
        }
    }
}
