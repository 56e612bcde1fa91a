//! Places of messages, as runs.

use crate::message::Position;
use crate::serve::proto::Place;

/// Adds a place; to the last run, where it follows on that.
pub(crate) fn add(places: &mut Vec<Place>, at: Position) {
    let offset = i64::try_from(at.seq).unwrap_or(i64::MAX);
    if let Some(last) = places.last_mut()
        && last.partition == at.partition
        && last.offset + i64::from(last.count) == offset
        && last.count < u32::MAX
    {
        last.count += 1;
        return;
    }
    places.push(Place { partition: at.partition, offset, count: 1 });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_the_last_run_is_added_to_it() {
        let mut places = Vec::new();
        for (partition, seq) in [(0, 1), (0, 2), (1, 3), (1, 5), (1, 6), (0, 7)] {
            add(&mut places, Position { partition, seq });
        }
        let runs: Vec<_> = places.iter().map(|p| (p.partition, p.offset, p.count)).collect();
        assert_eq!(runs, [(0, 1, 2), (1, 3, 1), (1, 5, 2), (0, 7, 1)]);
    }
}
