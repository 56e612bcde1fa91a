//! What every bench of this project shares: rows with documented keys, as a table for people and as JSON.

use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// What a row's value should be.
#[derive(Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

/// What one bench measured.
pub(crate) struct Rows {
    name: &'static str,
    keys: &'static [(&'static str, &'static str)],
    rows: Vec<(&'static str, f64, &'static str, Option<Aim>)>,
}

impl Rows {
    /// `keys`: every row that must be there, and what it says.
    pub(crate) fn new(name: &'static str, keys: &'static [(&'static str, &'static str)]) -> Rows {
        Rows { name, keys, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, key: &'static str, value: f64, unit: &'static str, aim: Option<Aim>) {
        self.rows.push((key, value, unit, aim));
    }

    /// Prints the table, writes `target/bench/NAME.json`, and fails where a documented row is missing.
    pub(crate) fn finish(self) -> ExitCode {
        let describe = |key| self.keys.iter().find(|(k, _)| *k == key).map_or("", |(_, text)| text);
        println!("\n{:<26} {:>14} {:<5} {:>13}  met", self.name, "value", "unit", "aim");
        let mut rows = Vec::new();
        for (key, value, unit, aim) in &self.rows {
            let (text, number, met) = match aim {
                None => (String::new(), None, None),
                Some(Aim::AtLeast(a)) => (format!("≥ {a}"), Some(*a), Some(value >= a)),
                Some(Aim::AtMost(a)) => (format!("≤ {a}"), Some(*a), Some(value <= a)),
            };
            let verdict = met.map_or("", |met| if met { "yes" } else { "NO" });
            println!("{key:<26} {value:>14.2} {unit:<5} {text:>13}  {verdict:<3}  {}", describe(*key));
            rows.push(json!({ "key": key, "value": value, "unit": unit, "aim": number, "met": met }));
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = root.join(format!("target/bench/{}.json", self.name));
        let text = json!({ "rows": rows }).to_string();
        let written = std::fs::create_dir_all(root.join("target/bench")).and_then(|()| std::fs::write(&file, text));
        if let Err(error) = written {
            eprintln!("cannot write {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        let missing: Vec<&str> =
            self.keys.iter().map(|(k, _)| *k).filter(|k| !self.rows.iter().any(|(r, ..)| r == k)).collect();
        if !missing.is_empty() {
            eprintln!("rows are missing: {}", missing.join(", "));
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
