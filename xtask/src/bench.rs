//! Runs one bench and checks that it wrote what every bench of this project writes:
//! `target/bench/NAME.json` with `{"rows": [{"key", "value", "unit", "aim", "met"}, …]}`.
//!
//! The bench itself knows its keys and fails where one is missing. An aim that is not met is news, not an error.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::guests;
use crate::process::{cargo, root, succeed};
use crate::toolchain::Choice;

/// Runs the bench `name` of the runtime.
///
/// # Errors
/// It failed, or its file is missing or not of that shape.
pub(crate) fn run(name: &str) -> Result<()> {
    guests::build(Choice::BestThereIs)?;
    let file = root().join(format!("target/bench/{name}.json"));
    // Gone before the bench runs, so that what is there afterwards is this run's.
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove the last run's {}", file.display()));
        }
        _ => {}
    }
    succeed(&mut cargo(["bench", "--package", "pelton", "--bench", name]))?;
    let text = fs::read_to_string(&file).with_context(|| format!("the bench `{name}` wrote no {}", file.display()))?;
    let outcome = check(&text).with_context(|| format!("{} is not as documented", file.display()))?;
    eprintln!(
        "bench: {} rows, {} of {} aims met, in target/bench/{name}.json",
        outcome.rows, outcome.met, outcome.aims
    );
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Outcome {
    rows: usize,
    aims: usize,
    met: usize,
}

/// Every row has a key of its own, a number, and a unit; where it has an aim, it says whether that is met.
fn check(text: &str) -> Result<Outcome> {
    let bench: Value = serde_json::from_str(text)?;
    let rows = bench.get("rows").and_then(Value::as_array).context("there is no list `rows`")?;
    ensure!(!rows.is_empty(), "the list `rows` is empty");
    let mut keys = BTreeSet::new();
    let mut outcome = Outcome { rows: rows.len(), aims: 0, met: 0 };
    for (place, row) in rows.iter().enumerate() {
        let key = row.get("key").and_then(Value::as_str).with_context(|| format!("row {place} has no `key`"))?;
        ensure!(keys.insert(key), "two rows have the key `{key}`");
        ensure!(row.get("value").is_some_and(Value::is_number), "row `{key}` has no number as its `value`");
        ensure!(row.get("unit").is_some_and(Value::is_string), "row `{key}` has no `unit`");
        match (row.get("aim"), row.get("met")) {
            (Some(Value::Null), Some(Value::Null)) => {}
            (Some(Value::Number(_) | Value::String(_)), Some(Value::Bool(met))) => {
                outcome.aims += 1;
                outcome.met += usize::from(*met);
            }
            _ => bail!("row `{key}` needs an `aim` with `met` as true or false, or null for both"),
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_as_documented_are_counted() {
        let text = r#"{"rows": [
            {"key": "a", "value": 1.5, "unit": "ns", "aim": 2, "met": true},
            {"key": "b", "value": 3, "unit": "ns", "aim": 2, "met": false},
            {"key": "c", "value": 3, "unit": "MB", "aim": null, "met": null}
        ]}"#;
        assert_eq!(check(text).ok(), Some(Outcome { rows: 3, aims: 2, met: 1 }));
    }

    #[test]
    fn what_is_missing_is_named() {
        let cases = [
            ("[]", "there is no list `rows`"),
            (r#"{"rows": []}"#, "the list `rows` is empty"),
            (r#"{"rows": [{}]}"#, "row 0 has no `key`"),
            (r#"{"rows": [{"key": "a", "value": null}]}"#, "row `a` has no number as its `value`"),
            (r#"{"rows": [{"key": "a", "value": 1}]}"#, "row `a` has no `unit`"),
            (
                r#"{"rows": [{"key": "a", "value": 1, "unit": "ns", "aim": 2, "met": null}]}"#,
                "row `a` needs an `aim` with `met` as true or false, or null for both",
            ),
            (
                r#"{"rows": [{"key": "a", "value": 1, "unit": "", "aim": null, "met": null}, {"key": "a"}]}"#,
                "two rows have the key `a`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text).err().map(|error| error.to_string()).as_deref(), Some(expected));
        }
    }
}
