//! What must be refused, and with which words.

use std::fs;

use super::{environment, parse, root};
use crate::config::{Config, Place};

/// Every `config/bad/NAME.yaml` gives exactly what is in `NAME.txt` beside it.
#[test]
fn each_bad_configuration_gives_the_errors_beside_it() {
    let mut checked = 0;
    for entry in fs::read_dir(root().join("config/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let file = format!("config/bad/{}", path.file_name().unwrap().display());
        let text = fs::read_to_string(&path).unwrap();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_else(|_| panic!("{file} has no .txt"));
        let errors = Config::parse(&text, &file, &environment(&root())).expect_err(&file);
        assert_eq!(errors.to_string(), expected.trim_end(), "{file}");
        checked += 1;
    }
    assert!(checked >= 25, "only {checked} configurations were found");
}

#[test]
fn an_error_can_be_taken_apart() {
    let errors = parse("streams:\n  lines: { from: stdin, too: stdout }\n").unwrap_err().errors;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].place, Place::Text { file: "x.yaml".into(), line: 2, column: 25 });
    assert_eq!(errors[0].path, "streams.lines.too");
    assert_eq!(errors[0].problem, "unknown key");
    assert_eq!(errors[0].suggestion.as_deref(), Some("to"));
}

#[test]
fn a_file_that_is_no_text_is_refused_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let table: [(&str, &[u8], &str); 2] = [
        ("latin1.yaml", b"streams:\n  caf\xe9: {}\n", "line 2 is not valid UTF-8; expected a YAML file"),
        ("large.yaml", &[b'#'; (8 << 20) + 1], "is larger than 8MiB; expected a configuration file"),
    ];
    for (name, content, problem) in table {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        assert_eq!(Config::load(&path).unwrap_err().to_string(), format!("{}: {problem}", path.display()));
    }
    for path in [directory.path().to_owned(), directory.path().join("missing.yaml")] {
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}: cannot be read: ", path.display())), "{error}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_directory_that_takes_no_files_is_refused() {
    // Not even root can make a file there.
    let error = parse("streams: { lines: { from: stdin, to: { file: /proc/lines } } }").unwrap_err().to_string();
    assert!(error.starts_with("x.yaml:1:46: streams.lines.to.file: '/proc/lines' cannot be written: "), "{error}");
}

#[test]
fn values_reach_the_report_on_one_line_and_shortened() {
    let text = format!("streams: {{ lines: {{ from: \"a\\nb\\e[31m{}\", to: stdout }} }}", "x".repeat(10_000));
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.starts_with("x.yaml:1:27: streams.lines.from: 'a\\nb\\u{1b}[31mxxx"), "{error}");
    assert!(!error.contains(['\n', '\u{1b}']) && error.len() < 500, "{error}");
}

#[test]
fn nesting_is_bounded() {
    let text = format!("streams: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = parse(&text).unwrap_err().to_string();
    assert!(error.starts_with("x.yaml:1:42: streams: not valid YAML: "), "{error}");
}
