//! Reading and building columns: the rules that hold for all of them, once.
//!
//! A column holds one item per message or output, or nothing at all while every item is the default. So a column is
//! begun by its first item that is not the default, and what nobody sets costs nothing.

use std::collections::BTreeMap;

use crate::raw::{Blobs, Headers};
use crate::value::{Value, kind};

/// Item `index` of a column whose default is `default`.
pub(crate) fn item<T: Copy>(column: &[T], index: usize, default: T) -> T {
    column.get(index).copied().unwrap_or(default)
}

/// The range of item `index` in what `ends` divide.
pub(crate) fn range(ends: &[u32], index: usize) -> core::ops::Range<usize> {
    let start = match index.checked_sub(1) {
        Some(before) => item(ends, before, 0),
        None => 0,
    };
    start as usize..item(ends, index, start) as usize
}

/// Item `index` of `blobs`; no bytes where the column does not hold it.
pub(crate) fn blob(blobs: &Blobs, index: usize) -> &[u8] {
    blobs.data.get(range(&blobs.ends, index)).unwrap_or_default()
}

/// Sets item `index`, one beyond the last that was put or skipped.
pub(crate) fn put<T: Copy + PartialEq>(column: &mut Vec<T>, index: usize, value: T, default: T) {
    if column.is_empty() && value == default {
        return;
    }
    column.resize(index, default);
    column.push(value);
}

/// Sets item `index` of `blobs` to `bytes`.
pub(crate) fn put_blob(blobs: &mut Blobs, index: usize, bytes: &[u8]) {
    let start = offset(blobs.data.len());
    blobs.data.extend_from_slice(bytes);
    put_end(&mut blobs.ends, index, start, offset(blobs.data.len()));
}

/// Sets the end of item `index`, where the item before it ends at `start`.
pub(crate) fn put_end(ends: &mut Vec<u32>, index: usize, start: u32, end: u32) {
    if ends.is_empty() && end == 0 {
        return;
    }
    ends.resize(index, start);
    ends.push(end);
}

/// A length as the contract counts it. Saturates: on wasm32 no vector is longer, and the host refuses what is.
pub(crate) fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The names that a batch's columns refer to by index, each once. Item 0 is the empty string.
#[derive(Default)]
pub(crate) struct Dictionary {
    // Ordered rather than hashed: it holds a handful, and a hasher would make the guest import random numbers.
    known: BTreeMap<Box<str>, u32>,
    pub(crate) strings: Blobs,
}

impl Dictionary {
    pub(crate) fn index(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(&index) = self.known.get(text) {
            return index;
        }
        if self.strings.ends.is_empty() {
            self.strings.ends.push(0);
        }
        let index = offset(self.strings.ends.len());
        self.strings.data.extend_from_slice(text.as_bytes());
        self.strings.ends.push(offset(self.strings.data.len()));
        self.known.insert(text.into(), index);
        index
    }
}

/// Appends one entry to `headers`; `name` is an index into the strings beside it.
pub(crate) fn put_header(headers: &mut Headers, name: u32, value: Value<'_>) {
    let entry = headers.names.len();
    let start = offset(headers.values.data.len());
    headers.names.push(name);
    let kind = value.encode(&mut headers.values.data);
    put(&mut headers.kinds, entry, kind, kind::TEXT);
    put_end(&mut headers.values.ends, entry, start, offset(headers.values.data.len()));
}

/// Ends the entries of message or output `index`, which had `before` entries before it.
pub(crate) fn end_headers(headers: &mut Headers, index: usize, before: usize) {
    put_end(&mut headers.ends, index, offset(before), offset(headers.names.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_defaults_stays_empty_and_a_late_value_fills_what_came_before() {
        let mut column = Vec::new();
        for index in 0..3 {
            put(&mut column, index, 1, 1);
        }
        assert!(column.is_empty());
        put(&mut column, 3, 6, 1);
        put(&mut column, 4, 1, 1);
        assert_eq!(column, [1, 1, 1, 6, 1]);
    }

    #[test]
    fn blobs_are_read_as_they_were_put() {
        let mut blobs = Blobs::default();
        let items: [&[u8]; 5] = [b"", b"", b"one", b"", b"three"];
        for (index, bytes) in items.iter().enumerate() {
            put_blob(&mut blobs, index, bytes);
        }
        assert_eq!(blobs.ends, [0, 0, 3, 3, 8]);
        for (index, bytes) in items.iter().enumerate() {
            assert_eq!(blob(&blobs, index), *bytes);
        }
        assert_eq!(blob(&blobs, 5), b"");
        assert_eq!(blob(&Blobs::default(), 0), b"");
    }

    #[test]
    fn ends_that_fall_or_lie_outside_give_no_bytes() {
        let blobs = Blobs { data: b"abc".to_vec(), ends: vec![3, 1, 9] };
        assert_eq!(blob(&blobs, 1), b"");
        assert_eq!(blob(&blobs, 2), b"");
    }

    #[test]
    fn the_dictionary_names_each_string_once() {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.index(""), 0);
        assert!(dictionary.strings.ends.is_empty());
        assert_eq!([dictionary.index("a"), dictionary.index("bc"), dictionary.index("a")], [1, 2, 1]);
        assert_eq!(dictionary.strings, Blobs { data: b"abc".to_vec(), ends: vec![0, 1, 3] });
    }
}
