//! Mappings with known keys: what is unknown is reported with what was probably meant.

use super::error::{Problem, nearest};
use super::read::{Value, listed, one_of};

impl<'a> Value<'a> {
    /// A mapping with `keys` and no others. A key that is misspelt is reported, and then read as what it was meant to
    /// be: so it is not missed as well, and mistakes inside it are found.
    pub(super) fn fields(&self, keys: &'static [&'static str]) -> Option<Fields<'a>> {
        let entries = self.entries(&format!("a mapping with {}", listed(keys)))?;
        let mut fields = self.no_fields(keys);
        let mut unknown = Vec::new();
        for (name, value) in entries {
            match keys.iter().find(|key| **key == name) {
                Some(key) => fields.found.push((key, value)),
                None => unknown.push((name, value)),
            }
        }
        for (name, value) in unknown {
            let problem = Problem::new("unknown key");
            let free = keys.iter().filter(|key| fields.optional(key).is_none());
            let Some(meant) = nearest(name, free.copied()) else {
                value.wrong_key(problem.expected(one_of(keys)));
                continue;
            };
            value.wrong_key(problem.suggest(Some(meant)));
            fields.found.push((meant, value));
        }
        Some(fields)
    }

    /// What a mapping has under a key that decides which others there may be, or under what was probably meant to be that
    /// key. Whoever reads the mapping's `fields` reports a slip.
    pub(super) fn deciding(&self, key: &str, expected: &str) -> Option<Value<'a>> {
        let entries = self.entries(&format!("a mapping with '{key}'"))?;
        let exact = entries.iter().find(|(name, _)| *name == key);
        let found = exact.or_else(|| entries.iter().find(|(name, _)| nearest(name, [key]).is_some()));
        if found.is_none() {
            self.wrong_key(Problem::new(format!("the key '{key}' is missing")).expected(expected));
        }
        found.map(|(_, value)| value.clone())
    }

    /// As a mapping with none of `keys` given.
    pub(super) fn no_fields(&self, keys: &'static [&'static str]) -> Fields<'a> {
        Fields { of: self.clone(), keys, found: Vec::new() }
    }
}

/// The values of a mapping with known keys.
pub(super) struct Fields<'a> {
    of: Value<'a>,
    keys: &'static [&'static str],
    found: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Fields<'a> {
    /// The value of a key, unless it is missing or empty.
    pub(super) fn optional(&self, key: &str) -> Option<Value<'a>> {
        debug_assert!(self.keys.contains(&key), "'{key}' is read but not declared");
        let (_, value) = self.found.iter().find(|(name, value)| *name == key && !value.node.is_null())?;
        Some(value.clone())
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str, expected: &str) -> Option<Value<'a>> {
        let value = self.optional(key);
        if value.is_none() {
            self.of.wrong_key(Problem::new(format!("the key '{key}' is missing")).expected(expected));
        }
        value
    }

    /// What `read` makes of a key, or the default where the key is missing. After a mistake it is the default too,
    /// which nobody gets to see.
    pub(super) fn or<T>(&self, key: &str, default: T, read: impl FnOnce(&Value<'a>) -> Option<T>) -> T {
        self.optional(key).and_then(|value| read(&value)).unwrap_or(default)
    }
}
