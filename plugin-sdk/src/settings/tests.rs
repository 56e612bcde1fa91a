use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

fn read<T: DeserializeOwned>(pairs: &[(&str, &str)]) -> Result<T, String> {
    let config: Vec<_> = pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    settings(&config)
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct All {
    count: u32,
    offset: i8,
    least: f64,
    on: bool,
    name: String,
    letter: char,
    level: Level,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    weights: BTreeMap<String, f64>,
    #[serde(default)]
    shape: Option<Shape>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Level {
    Low,
    High,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Shape {
    Circle { radius: f64 },
}

const LEAST: [(&str, &str); 7] = [
    ("count", "12"),
    ("offset", " -3 "),
    ("least", "4.5"),
    ("on", "true"),
    ("name", "12"),
    ("letter", "x"),
    ("level", "high"),
];

fn with<'a>(name: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    LEAST.iter().copied().filter(|pair| pair.0 != name).chain([(name, text)]).collect()
}

#[test]
fn text_becomes_what_the_type_asks_for() {
    let all: All = read(&LEAST).unwrap();
    assert_eq!((all.count, all.offset, all.least, all.on), (12, -3, 4.5, true));
    assert_eq!((all.name.as_str(), all.letter, all.level), ("12", 'x', Level::High));
    assert_eq!((all.limit, all.tags.len()), (None, 0));

    assert_eq!(read::<All>(&with("limit", "9")).unwrap().limit, Some(9));
    assert_eq!(read::<All>(&with("limit", "")).unwrap().limit, None);
    assert_eq!(read::<All>(&with("tags", r#"["a","b"]"#)).unwrap().tags, ["a", "b"]);
    assert_eq!(read::<All>(&with("weights", r#"{"a":1}"#)).unwrap().weights["a"], 1.0);
    let round = read::<All>(&with("shape", r#"{"Circle":{"radius":2}}"#)).unwrap().shape;
    assert_eq!(round, Some(Shape::Circle { radius: 2.0 }));
}

#[test]
fn other_forms_of_settings() {
    read::<()>(&LEAST).unwrap();
    assert_eq!(read::<BTreeMap<String, String>>(&[("a", "1")]).unwrap()["a"], "1");
    assert!(read::<Option<All>>(&LEAST).unwrap().is_some());
}

#[test]
fn a_mistake_names_the_setting_its_text_and_what_was_expected() {
    let cases = [
        ("count", "many", "setting `count` is \"many\": expected a whole number from 0 to 4294967295"),
        ("count", "-1", "setting `count` is \"-1\": expected a whole number from 0 to 4294967295"),
        ("offset", "200", "setting `offset` is \"200\": expected a whole number from -128 to 127"),
        ("least", "big", "setting `least` is \"big\": expected a number"),
        ("on", "yes", "setting `on` is \"yes\": expected `true` or `false`"),
        ("letter", "xy", "setting `letter` is \"xy\": invalid value: string \"xy\", expected a character"),
        ("level", "mid", "setting `level` is \"mid\": unknown variant `mid`, expected `low` or `high`"),
        ("limit", "x", "setting `limit` is \"x\": expected a whole number from 0 to 18446744073709551615"),
        ("tags", "a,b", "setting `tags` is \"a,b\": expected a list as JSON: expected value at line 1 column 1"),
        ("tags", "[] 1", "setting `tags` is \"[] 1\": expected a list as JSON: trailing characters at line 1 column 4"),
        (
            "weights",
            "[1]",
            "setting `weights` is \"[1]\": expected a map as JSON: invalid type: sequence, expected a map at line 1 column 0",
        ),
        (
            "nam",
            "x",
            "setting `nam` is not known; there are `count`, `offset`, `least`, `on`, `name`, `letter`, `level`, `limit`, `tags`, `weights`, `shape`",
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(read::<All>(&with(name, text)).unwrap_err(), expected);
    }
    let without_name: Vec<_> = LEAST.iter().copied().filter(|pair| pair.0 != "name").collect();
    assert_eq!(read::<All>(&without_name).unwrap_err(), "setting `name` is missing");
}
