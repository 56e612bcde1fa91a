//! What variables do to a configuration.

use super::{parse, parse_with};
use crate::config::*;

/// Variables, a part of [`TEXT`], and what to write in its stead for the same effect.
type Case<'c> = (&'c [(&'c str, &'c str)], &'c str, &'c str);

const TEXT: &str = "
streams:
  quakes: { from: stdin }
  alerts: { to: stdout }
handlers:
  quake-alert: { module: config/bad/empty.wasm, stream: quakes, output: alerts, dead_letter: alerts, workers: 2 }
";

fn overridden(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    parse_with(TEXT, variables)
}

/// Each override does what the same value in the file does.
#[test]
fn overrides_set_what_the_file_could() {
    let table: &[Case<'_>] = &[
        (&[("PELTON__SHUTDOWN_TIMEOUT", "5s")], "\nhandlers:", "\nshutdown_timeout: 5s\nhandlers:"),
        (&[("PELTON__Handlers__QUAKE_alert__Workers", "4")], "workers: 2", "workers: 4"),
        (
            &[("PELTON__HANDLERS__QUAKE_ALERT__WORKERS", "{min: 1, max: 4}")],
            "workers: 2",
            "workers: { min: 1, max: 4 }",
        ),
        (&[("PELTON__HANDLERS__QUAKE_ALERT__WORKERS", "")], ", workers: 2", ""),
        (
            &[("PELTON__HANDLERS__QUAKE_ALERT__RETRY__MAX_ATTEMPTS", "9")],
            "workers: 2",
            "workers: 2, retry: { max_attempts: 9 }",
        ),
        (
            &[("PELTON__HANDLERS__QUAKE_ALERT__CONFIG__A_B", "$x${y}$$")],
            "workers: 2",
            "workers: 2, config: { a_b: '$x$${y}$$$$' }",
        ),
        (
            &[("PELTON__STREAMS__ALERTS__TO", "{stdout: {}}"), ("PELTON__STREAMS__ALERTS__TO__STDOUT__FORMAT", "json")],
            "to: stdout",
            "to: { stdout: { format: json } }",
        ),
        (&[("PELTON_LOG", "debug"), ("pelton__cache", "off")], "", ""),
    ];
    for (variables, old, new) in table {
        let mut config = overridden(variables).unwrap();
        let mut expected = parse(&TEXT.replace(old, new)).unwrap();
        assert!(old.is_empty() || expected != parse(TEXT).unwrap(), "'{old}' is not in the text");
        // Lines move; what they hold counts.
        config.warnings.clear();
        expected.warnings.clear();
        assert_eq!(config, expected, "{variables:?}");
    }
}

#[test]
fn a_variable_can_supply_a_whole_section() {
    let config = parse_with("", &[("PELTON__STREAMS", "{lines: {from: stdin, to: stdout}}")]).unwrap();
    assert_eq!(config.streams[0].name, "lines");
}

#[test]
fn mistakes_in_overrides_name_the_variable() {
    let table: &[(&str, &str, &str)] = &[
        (
            "PELTON__HANDLERS__QUAKE_ALERT__WORKERS",
            "many",
            "handlers.quake-alert.workers: 'many' is given; expected a whole number from 1 to 1024",
        ),
        (
            "PELTON__HANDLERS__QUAKE_ALERT__RETRY__MAX_ATEMPTS",
            "1",
            "handlers.quake-alert.retry.max_atempts: unknown key; did you mean 'max_attempts'?",
        ),
        (
            "PELTON__HANDLERS__QUAKE_ALERT__WORKERS__MAX",
            "4",
            "handlers.quake-alert.workers: the configuration has no keys there, so 'MAX' cannot be set; expected a variable that \
             sets the whole value",
        ),
        (
            "PELTON__HANDLERS__QUAKE_ALERT__WORKERS",
            "{min: 1",
            "handlers.quake-alert.workers: not valid YAML: unclosed bracket '{'",
        ),
        ("PELTON__STREAMS____TO", "stdout", "the name has an empty part; expected PELTON__SECTION__KEY"),
        ("PELTON__", "x", "the name has an empty part; expected PELTON__SECTION__KEY"),
        ("PELTON__CACHE", "${HOME}", "cache: '${HOME}' is given; expected 'off' or { path: DIRECTORY }"),
    ];
    for (name, value, expected) in table {
        let errors = overridden(&[(name, value)]).expect_err(name);
        assert_eq!(errors.to_string(), format!("{name}: {expected}"));
    }
}

#[test]
fn an_override_that_fits_two_keys_is_refused() {
    let text = "streams: { a-b: { from: generate, to: stdout }, a.b: { from: generate, to: stdout } }";
    let errors = parse_with(text, &[("PELTON__STREAMS__A_B__FROM", "stdin")]).unwrap_err();
    let expected = "PELTON__STREAMS__A_B__FROM: streams: 'A_B' fits several keys there; expected keys that differ in more than case, \
                    '-', '.' and '_'";
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn mistakes_of_the_file_come_before_those_of_variables() {
    let text = TEXT.replace("workers: 2", "workers: none, batch: { max: \"${SIZE}\" }");
    let variables = [("PELTON__SHUTDOWN_TIMEOUT", "1"), ("PELTON__CACHE", "on"), ("SIZE", "big")];
    let errors = parse_with(&text, &variables).unwrap_err().to_string();
    let starts: Vec<&str> = errors.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(starts, ["x.yaml:6:111", "x.yaml:6:131", "PELTON__CACHE", "PELTON__SHUTDOWN_TIMEOUT"]);
}

#[test]
fn an_override_spares_a_variable_that_is_not_set() {
    let text = TEXT.replace("workers: 2", "workers: \"${COUNT}\"");
    assert!(parse(&text).unwrap_err().to_string().contains("'COUNT' is not set"));
    let config = parse_with(&text, &[("PELTON__HANDLERS__QUAKE_ALERT__WORKERS", "4")]).unwrap();
    assert_eq!(config.handlers[0].workers, Workers { min: 4, max: 4 });
}
