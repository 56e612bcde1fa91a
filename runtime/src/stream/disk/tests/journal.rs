//! Where readers stand, on a disk that fails.

use super::*;
use crate::stream::runs::Settled;

fn open(sim: &Sim) -> (Journal, Places) {
    Journal::open(Box::new(sim.clone())).unwrap()
}

fn places(of: &[(&str, Settled)]) -> Places {
    of.iter().map(|(name, at)| ((name.to_string(), 0), at.clone())).collect()
}

/// A place whose record is longer than what the file may be before it is made anew.
fn long() -> Settled {
    let mut at = Settled::new(1);
    (0..70_000).for_each(|n| drop(at.insert_missing(10 + 2 * n..11 + 2 * n)));
    at
}

/// Also what is settled after the file could not be made anew, at any step of it.
#[test]
fn what_is_written_is_read_again_though_the_file_can_not_be_made_anew() {
    let script = |sim: &Sim| {
        let (mut journal, _) = open(sim);
        let before = sim.operations();
        let all = places(&[("a", long())]);
        journal.set("a", 0, &long(), || all.clone());
        let after = sim.operations();
        let mut at = long();
        at.insert_missing(1..8);
        journal.settled("a", 0, std::slice::from_ref(&(1..8)), || places(&[("a", at.clone())]));
        // Whatever failed is mended by now.
        at.insert_missing(8..9);
        journal.settled("a", 0, std::slice::from_ref(&(8..9)), || places(&[("a", at.clone())]));
        (before..after, at)
    };
    let whole = Sim::default();
    let (operations, _) = script(&whole);
    assert!(operations.len() >= 6, "it is made anew: {operations:?}");
    for fault in operations {
        let sim = Sim::default();
        sim.0.lock().unwrap().fault = Some(Fault::Once(fault));
        let (_, at) = script(&sim);
        assert_eq!(open(&sim.mended()).1, places(&[("a", at)]), "operation {fault} fails");
    }
}

#[test]
fn what_a_reader_that_is_gone_has_settled_hides_nothing() {
    let sim = Sim::default();
    let (mut journal, _) = open(&sim);
    let none = || -> Places { panic!("it is not made anew") };
    journal.set("a", 0, &Settled::new(1), none);
    journal.set("b", 0, &Settled::new(1), none);
    journal.removed("a", none);
    journal.settled("a", 0, std::slice::from_ref(&(1..5)), none);
    journal.settled("b", 0, std::slice::from_ref(&(1..3)), none);
    drop(journal);
    assert_eq!(open(&sim).1, places(&[("b", Settled::new(3))]));
}

/// What was synced is there after a power cut, and what was not is there in whole records or not at all.
#[test]
fn a_torn_tail_is_cut() {
    for luck in 0..40 {
        let sim = Sim::default();
        let (mut journal, _) = open(&sim);
        let none = || -> Places { panic!("it is not made anew") };
        journal.set("a", 0, &Settled::new(1), none);
        journal.sync().unwrap();
        for n in 1..9 {
            journal.settled("a", 0, std::slice::from_ref(&(n..n + 1)), none);
        }
        let found = sim.after_power_cut(luck);
        let (mut journal, at) = open(&found);
        let watermark = at[&("a".to_owned(), 0)].watermark();
        assert!((1..=9).contains(&watermark), "{watermark}");
        journal.settled("a", 0, std::slice::from_ref(&(watermark..20)), none);
        assert_eq!(open(&found).1, places(&[("a", Settled::new(20))]), "luck {luck}");
    }
}
