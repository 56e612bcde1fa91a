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
mod tests;
