//! A handler's settings: named strings from the configuration become the author's type.
//!
//! The host passes every value as text, as the configuration has it; what the text means is decided by the type that
//! the author asks for.

mod text;

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use text::Text;

/// Makes settings of `config`.
///
/// Numbers, booleans and the names of enum cases are read from their text; lists, maps and structures as JSON; empty
/// text is `None` where an option is asked for. Without a type to go by (`serde_json::Value`, `#[serde(flatten)]`, untagged enums)
/// a value is its text.
///
/// # Errors
/// Names the setting, its text and what was expected.
pub(crate) fn settings<T: DeserializeOwned>(config: &[(String, String)]) -> Result<T, String> {
    T::deserialize(Settings { config }).map_err(|error| error.0)
}

/// Why settings were refused, for people.
#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error(message.to_string())
    }

    fn missing_field(field: &'static str) -> Error {
        Error(format!("setting `{field}` is missing"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Error {
        let known: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        Error(format!("setting `{field}` is not known; there are {}", known.join(", ")))
    }
}

/// All settings, as a map.
#[derive(Clone, Copy)]
struct Settings<'de> {
    config: &'de [(String, String)],
}

impl<'de> Deserializer<'de> for Settings<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Pairs { rest: self.config.iter(), value: None })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The pairs that are still to be read, and the one whose name has been read.
struct Pairs<'de> {
    rest: core::slice::Iter<'de, (String, String)>,
    value: Option<&'de (String, String)>,
}

impl<'de> MapAccess<'de> for Pairs<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.value = self.rest.next();
        match self.value {
            Some((name, _)) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, text)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its name"));
        };
        seed.deserialize(Text(text)).map_err(|error| Error(format!("setting `{name}` is {text:?}: {error}")))
    }
}

#[cfg(test)]
mod tests {
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
            (
                "tags",
                "[] 1",
                "setting `tags` is \"[] 1\": expected a list as JSON: trailing characters at line 1 column 4",
            ),
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
}
