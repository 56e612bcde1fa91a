//! What the environment adds to a configuration: `${NAME}` in its values, and overrides of its keys.

use std::sync::Arc;

use super::Environment;
use super::error::{Errors, Place, Problem, nearest};
use super::node::{Content, Entry, Node, Origin, parse};
use super::read::join;

const PREFIX: &str = "PELTON__";

/// Sets the keys that `PELTON__SECTION__KEY=value` names, with or without their sections in the file.
///
/// Names match without regard to case, and `_` stands for `-` and `.` too, which shells do not allow in names. A value
/// that starts with `{` or `[` is YAML; any other is text as it stands, without substitution.
pub(super) fn apply_overrides(root: &mut Node, environment: &Environment, errors: &Errors) {
    // Sorted by name: a section that is given as a whole comes before its keys.
    for (name, value) in &environment.variables {
        let Some(keys) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let origin: Arc<str> = name.as_str().into();
        let place = Place::Variable { name: origin.clone() };
        let keys: Vec<&str> = keys.split("__").collect();
        if keys.iter().any(|key| key.is_empty()) {
            let problem = Problem::new("the name has an empty part").expected("PELTON__SECTION__KEY");
            errors.report(&place, "", problem);
            continue;
        }
        let Some((target, path)) = find(root, &keys, &place, errors) else {
            continue;
        };
        if value.starts_with(['{', '[']) {
            let wrong = Node { place, content: Content::Wrong };
            *target = parse(value, &Origin::Variable(origin), &path, errors).unwrap_or(wrong);
        } else {
            let plain = value.is_empty();
            *target = Node { place, content: Content::Scalar { text: value.clone(), plain } };
        }
    }
}

/// The node that `keys` lead to, with its path; made where it is missing. `None` is reported.
fn find<'n>(root: &'n mut Node, keys: &[&str], place: &Place, errors: &Errors) -> Option<(&'n mut Node, String)> {
    let mut node = root;
    let mut path = String::new();
    for key in keys {
        if node.is_null() {
            *node = Node { place: place.clone(), content: Content::Map(Vec::new()) };
        }
        let Content::Map(entries) = &mut node.content else {
            let problem = Problem::new(format!("the configuration has no keys there, so '{key}' cannot be set"));
            errors.report(place, &path, problem.expected("a variable that sets the whole value"));
            return None;
        };
        let same = |entry: &Entry| folded(&entry.key) == folded(key);
        let matching: Vec<usize> = (0..).zip(entries.iter()).filter(|(_, entry)| same(entry)).map(|(i, _)| i).collect();
        let at = match matching.as_slice() {
            [] => {
                let value =
                    Node { place: place.clone(), content: Content::Scalar { text: String::new(), plain: true } };
                entries.push(Entry { key: key.to_lowercase(), place: place.clone(), value });
                entries.len() - 1
            }
            [one] => *one,
            _ => {
                let problem = Problem::new(format!("'{key}' fits several keys there"));
                errors.report(place, &path, problem.expected("keys that differ in more than case, '-', '.' and '_'"));
                return None;
            }
        };
        let entry = entries.get_mut(at)?;
        path = join(&path, &entry.key);
        node = &mut entry.value;
    }
    Some((node, path))
}

fn folded(key: &str) -> String {
    key.to_lowercase().replace(['-', '.'], "_")
}

/// Replaces `${NAME}` and `${NAME:-default}` in every value that was written in the file.
pub(super) fn substitute(node: &mut Node, path: &str, environment: &Environment, errors: &Errors) {
    // What came from a variable is meant as it stands.
    let written = matches!(node.place, Place::Text { .. });
    match &mut node.content {
        Content::Scalar { text, .. } if written && text.contains('$') => match expand(text, environment) {
            Ok(expanded) => *text = expanded,
            Err(problem) => {
                errors.report(&node.place, path, problem);
                node.content = Content::Wrong;
            }
        },
        Content::Scalar { .. } | Content::Wrong => {}
        Content::List(items) => items.iter_mut().for_each(|item| substitute(item, path, environment, errors)),
        Content::Map(entries) => {
            for entry in entries {
                substitute(&mut entry.value, &join(path, &entry.key), environment, errors);
            }
        }
    }
}

/// `$$` is a dollar sign, and so is one before anything but `{`. A default ends at the first `}`.
fn expand(text: &str, environment: &Environment) -> Result<String, Problem> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(inside) = after.strip_prefix('{') {
            let unclosed =
                || Problem::new("'${' has no '}' after it").expected("${NAME}, or $${ for the characters themselves");
            let (inside, after) = inside.split_once('}').ok_or_else(unclosed)?;
            expanded.push_str(variable(inside, environment)?);
            rest = after;
        } else {
            expanded.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The value for `NAME` or `NAME:-default`; as in a shell, the default also stands in for an empty value.
fn variable<'v>(inside: &'v str, environment: &'v Environment) -> Result<&'v str, Problem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(part) {
        let problem = Problem::new(format!("'${{{inside}}}' names no variable"));
        return Err(problem.expected("${NAME} or ${NAME:-default}, with letters, digits and '_'"));
    }
    let set = environment.variables.get(name).map(String::as_str);
    let found = match default {
        Some(default) => set.filter(|value| !value.is_empty()).or(Some(default)),
        None => set,
    };
    found.ok_or_else(|| {
        let near = nearest(name, environment.variables.keys().map(String::as_str));
        let problem = Problem::new(format!("the environment variable '{name}' is not set"));
        problem.expected(format!("it to be set, or ${{{name}:-default}}")).suggest(near)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Environment { variables: owned.collect(), directory: "".into() }
    }

    #[test]
    fn variables_are_put_in() {
        let environment = environment(&[("A", "one"), ("B_2", "two"), ("EMPTY", ""), ("RAW", "${A}$$")]);
        let table = [
            ("no variable", "no variable"),
            ("${A}", "one"),
            ("<${A}-${B_2}>", "<one-two>"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${A:-x}", "one"),
            ("$${A}", "${A}"),
            ("$$$$", "$$"),
            ("$5 $A $", "$5 $A $"),
            ("${RAW}", "${A}$$"),
        ];
        for (text, expected) in table {
            assert_eq!(expand(text, &environment).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_variable_is_an_error() {
        let environment = environment(&[("PASSWORD", "secret")]);
        for text in ["${}", "${ A}", "${1A}", "${A-B}", "${:-x}", "${", "a ${A", "${NOWHERE}", "${PASWORD}"] {
            assert!(expand(text, &environment).is_err(), "{text}");
        }
        let near = Problem::new("the environment variable 'PASWORD' is not set");
        let near = near.expected("it to be set, or ${PASWORD:-default}").suggest(Some("PASSWORD"));
        assert_eq!(expand("${PASWORD}", &environment).unwrap_err(), near);
    }
}
