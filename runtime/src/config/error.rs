//! What is wrong with a configuration: where, what was expected, and what was probably meant.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Every mistake of one configuration, in the order of the file; mistakes in environment variables follow it.
///
/// Displays as one line for each mistake, without a line break at the end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", one_line_each(.errors))]
pub struct ConfigErrors {
    /// The mistakes; at least one.
    pub errors: Vec<ConfigError>,
}

/// One mistake: `config/x.yaml:12:5: handlers.a.retry.max_atempts: unknown key; did you mean 'max_attempts'?`
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct ConfigError {
    /// Where the value at fault was written.
    pub place: Place,
    /// The keys that lead to the value, joined by dots, as the user spelt them; empty where it is about the whole file.
    pub path: String,
    /// What is wrong, naming the thing.
    pub problem: String,
    /// What would have been right, where the problem does not say so already.
    pub expected: Option<String>,
    /// The nearest right name or value, where there is one.
    pub suggestion: Option<String>,
}

/// Where something in a configuration was written. The order is the order of reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File {
        /// The file's name as it was given.
        file: Arc<str>,
    },
    /// A place in the file.
    Text {
        /// The file's name as it was given.
        file: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// An environment variable that overrides a key.
    Variable {
        /// The variable's whole name.
        name: Arc<str>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file } => write!(f, "{file}"),
            Place::Text { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Place::Variable { name } => write!(f, "{name}"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.problem)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean '{suggestion}'?")?;
        }
        Ok(())
    }
}

fn one_line_each(errors: &[ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Values come from outside: their line breaks and control characters must not reach a terminal or a log, nor their
/// whole length.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut line = String::new();
    for (count, c) in text.chars().enumerate() {
        match c {
            _ if count == LONGEST => return line + "…",
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// A mistake whose place is still to be added: what a parser of values returns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    problem: String,
    expected: Option<String>,
    suggestion: Option<String>,
}

impl Problem {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Problem { problem: problem.into(), expected: None, suggestion: None }
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

/// Collects mistakes while reading goes on. Shared by everything that reads one configuration, hence the cell.
#[derive(Debug, Default)]
pub(super) struct Errors(RefCell<Vec<ConfigError>>);

impl Errors {
    pub(super) fn report(&self, place: &Place, path: &str, problem: Problem) {
        self.0.borrow_mut().push(ConfigError {
            place: place.clone(),
            path: one_line(path),
            problem: one_line(&problem.problem),
            expected: problem.expected.as_deref().map(one_line),
            suggestion: problem.suggestion.as_deref().map(one_line),
        });
    }

    /// The result of reading: what was read, unless something was reported.
    pub(super) fn finish<T>(self, read: Option<T>, whole: Place) -> Result<T, ConfigErrors> {
        let mut errors = self.0.into_inner();
        errors.sort_by(|a, b| a.place.cmp(&b.place));
        match read {
            Some(read) if errors.is_empty() => Ok(read),
            _ if errors.is_empty() => Err(ConfigErrors::one(whole, Problem::new("cannot be read"))),
            _ => Err(ConfigErrors { errors }),
        }
    }
}

impl ConfigErrors {
    /// A single mistake that is about no key.
    pub(super) fn one(place: Place, problem: Problem) -> Self {
        let errors = Errors::default();
        errors.report(&place, "", problem);
        ConfigErrors { errors: errors.0.into_inner() }
    }
}

/// The candidate that `wrong` was probably meant to be: the same but for case, `-` and `_`, or a few slips away.
pub(super) fn nearest<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let wrong = plain(wrong);
    let slips = |candidate: &str| {
        let candidate = plain(candidate);
        // A slip in every three letters; more, and `min` would be taken for `max`.
        let allowed = wrong.chars().count().max(candidate.chars().count()).div_ceil(3);
        let distance = strsim::damerau_levenshtein(&wrong, &candidate);
        (distance <= allowed && distance < candidate.chars().count()).then_some(distance)
    };
    let near = candidates.into_iter().filter_map(|candidate| Some((slips(candidate)?, candidate)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn nearest_finds_slips_and_nothing_far_fetched() {
        let table: &[(&str, &[&str], Option<&str>)] = &[
            ("max_atempts", &["initial_delay", "max_attempts"], Some("max_attempts")),
            ("deadLetter", &["deadline", "dead_letter"], Some("dead_letter")),
            ("dead-letter", &["dead_letter"], Some("dead_letter")),
            ("min", &["max"], None),
            ("x", &["y"], None),
            ("", &["to"], None),
            ("storage", &["from", "to", "buffer"], None),
            ("frmo", &["to", "from"], Some("from")),
        ];
        for (wrong, candidates, expected) in table {
            assert_eq!(nearest(wrong, candidates.iter().copied()), *expected, "{wrong}");
        }
    }
}
