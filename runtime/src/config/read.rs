//! Typed values out of a tree of nodes. A mistake is reported and reading goes on, so that all are found at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{Errors, Place, Problem, nearest};
use super::node::{Content, Entry, Node};
use super::units;

/// A node together with the keys that led to it. The readers return `None` for what they have reported.
#[derive(Clone)]
pub(super) struct Value<'a> {
    /// The keys from the root, joined by dots.
    pub(super) path: String,
    /// Where the key was written, for what is said about the value as a whole.
    pub(super) key_place: &'a Place,
    pub(super) node: &'a Node,
    errors: &'a Errors,
}

impl<'a> Value<'a> {
    pub(super) fn root(node: &'a Node, errors: &'a Errors) -> Self {
        Value { path: String::new(), key_place: &node.place, node, errors }
    }

    fn of_entry(&self, entry: &'a Entry) -> Self {
        Value { path: join(&self.path, &entry.key), key_place: &entry.place, node: &entry.value, errors: self.errors }
    }

    /// The path is the list's: the place tells its items apart.
    fn of_item(&self, item: &'a Node) -> Self {
        Value { path: self.path.clone(), key_place: &item.place, node: item, errors: self.errors }
    }

    /// Where the value itself was written.
    pub(super) fn place(&self) -> &'a Place {
        &self.node.place
    }

    /// Reports a problem with the value.
    pub(super) fn wrong(&self, problem: Problem) {
        self.errors.report(self.place(), &self.path, problem);
    }

    /// Reports a problem with the value's key, or with the value as a whole.
    pub(super) fn wrong_key(&self, problem: Problem) {
        self.errors.report(self.key_place, &self.path, problem);
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.content, Content::Scalar { .. })
    }

    /// The text of a value that has no parts.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        let found = match &self.node.content {
            _ if self.node.is_null() => "nothing is given",
            Content::Scalar { text, .. } => return Some(text),
            Content::List(_) => "a list is given",
            Content::Map(_) => "a mapping is given",
            Content::Wrong => return None,
        };
        self.wrong(Problem::new(found).expected(expected));
        None
    }

    /// What `parse` makes of the text.
    pub(super) fn parsed<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Result<T, Problem>) -> Option<T> {
        let parsed = parse(self.text(expected)?);
        parsed.map_err(|problem| self.wrong(problem)).ok()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.choice(&[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let expected = one_of(&names);
        self.parsed(&expected, |text| {
            let word = words.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
            let near = nearest(text, names.iter().copied());
            word.ok_or_else(|| Problem::new(format!("'{text}' is not known here")).expected(&expected).suggest(near))
        })
    }

    /// A whole number; `_` may separate its digits.
    pub(super) fn whole(&self, range: RangeInclusive<u64>) -> Option<u64> {
        const LARGE: u64 = u32::MAX as u64;
        let expected = match (*range.start(), *range.end()) {
            // What people would not count to is no limit to tell them.
            (0, LARGE..) => "a whole number".to_owned(),
            (least, LARGE..) => format!("a whole number from {least}"),
            (least, most) => format!("a whole number from {least} to {most}"),
        };
        self.parsed(&expected, |text| {
            let number = text.replace('_', "").parse::<u64>().ok().filter(|number| range.contains(number));
            number.ok_or_else(|| Problem::new(format!("'{text}' is given")).expected(&expected))
        })
    }

    /// As [`whole`](Self::whole), for what is counted in memory.
    pub(super) fn count(&self, range: RangeInclusive<usize>) -> Option<usize> {
        let number = self.whole(*range.start() as u64..=*range.end() as u64)?;
        usize::try_from(number).ok()
    }

    /// A number that is at least `least`.
    pub(super) fn factor(&self, least: f64) -> Option<f64> {
        let expected = format!("a number from {least}, such as 2.0");
        self.parsed(&expected, |text| {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= least);
            number.ok_or_else(|| Problem::new(format!("'{text}' is given")).expected(&expected))
        })
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.parsed(units::A_DURATION, units::duration)
    }

    pub(super) fn duration_above_zero(&self) -> Option<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() {
            self.wrong(Problem::new("no time at all is given").expected("a duration above zero"));
            return None;
        }
        Some(duration)
    }

    pub(super) fn duration_within(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let duration = self.duration()?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let expected = format!("{} to {}", units::show_duration(*range.start()), units::show_duration(*range.end()));
        self.wrong(Problem::new(format!("{} is given", units::show_duration(duration))).expected(expected));
        None
    }

    /// A share from 1% to 100%, as a fraction of 1.
    pub(super) fn percent(&self) -> Option<f64> {
        self.parsed(units::A_PERCENT, units::percent)
    }

    /// A size in bytes.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let usual = if *range.start() < 1 << 20 { "B" } else { "MiB" };
        let size = self.parsed(units::A_SIZE, |text| units::size(text, usual))?;
        if range.contains(&size) {
            return Some(size);
        }
        let least = units::show_size(*range.start());
        let expected = match *range.end() {
            u64::MAX => format!("at least {least}"),
            most => format!("{least} to {}", units::show_size(most)),
        };
        self.wrong(Problem::new(format!("{} is given", units::show_size(size))).expected(expected));
        None
    }

    /// Events per second, above zero.
    pub(super) fn rate(&self) -> Option<f64> {
        self.parsed(units::A_RATE, units::rate)
    }

    /// The items of a list.
    pub(super) fn items(&self, expected: &str) -> Option<Vec<Value<'a>>> {
        let found = match &self.node.content {
            Content::List(items) => return Some(items.iter().map(|item| self.of_item(item)).collect()),
            Content::Wrong => return None,
            Content::Scalar { .. } => "a single value is given",
            Content::Map(_) => "a mapping is given",
        };
        self.wrong(Problem::new(found).expected(expected));
        None
    }

    /// The entries of a mapping whose keys are the user's own.
    pub(super) fn entries(&self, expected: &str) -> Option<Vec<(&'a str, Value<'a>)>> {
        match &self.node.content {
            Content::Map(entries) => {
                Some(entries.iter().map(|entry| (entry.key.as_str(), self.of_entry(entry))).collect())
            }
            Content::Wrong => None,
            _ if self.node.is_null() => Some(Vec::new()),
            _ => {
                let found = if self.is_scalar() { "a single value is given" } else { "a list is given" };
                self.wrong(Problem::new(found).expected(expected));
                None
            }
        }
    }

    /// For a mapping that says by one of its keys what kind of thing it is: the first such key, else the one that was
    /// probably meant.
    pub(super) fn kind<T: Copy>(&self, kinds: &[(&str, T)], expected: &str) -> Option<T> {
        let entries = self.entries(expected)?;
        let named = |key: &str| kinds.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind);
        let exact = entries.iter().find_map(|(key, _)| named(key));
        let near = || entries.iter().find_map(|(key, _)| named(nearest(key, kinds.iter().map(|(name, _)| *name))?));
        let kind = exact.or_else(near);
        if kind.is_none() {
            self.wrong(Problem::new("none of its keys says what it is").expected(expected));
        }
        kind
    }
}

/// `path.key`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// `'a'`, `'a' or 'b'`, `one of 'a', 'b', 'c'`.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        more => format!("one of {}", more.join(", ")),
    }
}

/// `'a', 'b' and 'c'`.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}
