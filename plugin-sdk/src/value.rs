//! The value of a header: its types, and their bytes in a column.

/// The value of a header, with the type that its broker gave it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Bytes without a meaning of their own.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A time in nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// No value: the name is all.
    Null,
    /// Something that only its broker understands (an AMQP table, say): its kind, 16 or above, and its bytes.
    Opaque(u8, &'a [u8]),
}

/// The type's number in the contract (`columns.headers.kinds`).
pub(crate) mod kind {
    pub(crate) const BYTES: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BOOL: u8 = 2;
    pub(crate) const INTEGER: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const TIMESTAMP: u8 = 5;
    pub(crate) const NULL: u8 = 6;
}

impl<'a> Value<'a> {
    /// The text, where this is text or bytes that are UTF-8.
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Bytes(bytes) => core::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The bytes, where this is bytes or text.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// Reads a value. Bytes that are not what their kind promises are handed on as [`Value::Bytes`] or
    /// [`Value::Opaque`] rather than lost.
    pub(crate) fn decode(kind: u8, bytes: &'a [u8]) -> Value<'a> {
        let eight = || <[u8; 8]>::try_from(bytes).ok();
        let value = match kind {
            kind::BYTES => Some(Value::Bytes(bytes)),
            kind::TEXT => Some(core::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)),
            kind::BOOL => match bytes {
                [0] => Some(Value::Bool(false)),
                [1] => Some(Value::Bool(true)),
                _ => None,
            },
            kind::INTEGER => eight().map(|le| Value::Integer(i64::from_le_bytes(le))),
            kind::FLOAT => eight().map(|le| Value::Float(f64::from_le_bytes(le))),
            kind::TIMESTAMP => eight().map(|le| Value::Timestamp(i64::from_le_bytes(le))),
            kind::NULL if bytes.is_empty() => Some(Value::Null),
            _ => None,
        };
        value.unwrap_or(Value::Opaque(kind, bytes))
    }

    /// Appends the value's bytes to `to` and returns its kind.
    pub(crate) fn encode(self, to: &mut Vec<u8>) -> u8 {
        match self {
            Value::Bytes(bytes) => {
                to.extend_from_slice(bytes);
                kind::BYTES
            }
            Value::Text(text) => {
                to.extend_from_slice(text.as_bytes());
                kind::TEXT
            }
            Value::Bool(truth) => {
                to.push(u8::from(truth));
                kind::BOOL
            }
            Value::Integer(number) => {
                to.extend_from_slice(&number.to_le_bytes());
                kind::INTEGER
            }
            Value::Float(number) => {
                to.extend_from_slice(&number.to_le_bytes());
                kind::FLOAT
            }
            Value::Timestamp(nanoseconds) => {
                to.extend_from_slice(&nanoseconds.to_le_bytes());
                kind::TIMESTAMP
            }
            Value::Null => kind::NULL,
            Value::Opaque(kind, bytes) => {
                to.extend_from_slice(bytes);
                kind
            }
        }
    }
}

macro_rules! from {
    ($($source:ty => $value:ident => $made:expr;)*) => {$(
        impl<'a> From<$source> for Value<'a> {
            fn from($value: $source) -> Self {
                $made
            }
        }
    )*};
}

from! {
    &'a str => text => Value::Text(text);
    &'a String => text => Value::Text(text);
    &'a [u8] => bytes => Value::Bytes(bytes);
    &'a Vec<u8> => bytes => Value::Bytes(bytes);
    bool => truth => Value::Bool(truth);
    i64 => number => Value::Integer(number);
    i32 => number => Value::Integer(number.into());
    u32 => number => Value::Integer(number.into());
    f64 => number => Value::Float(number);
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Value::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_as_it_went() {
        let values = [
            Value::Bytes(b"\xff\x00"),
            Value::Text("größe"),
            Value::Bool(true),
            Value::Bool(false),
            Value::Integer(-7),
            Value::Float(4.5),
            Value::Timestamp(1_517_363_399_650_000_000),
            Value::Null,
            Value::Opaque(16, b"table"),
        ];
        for value in values {
            let mut bytes = Vec::new();
            let kind = value.encode(&mut bytes);
            assert_eq!(Value::decode(kind, &bytes), value);
        }
    }

    #[test]
    fn bytes_that_are_not_what_the_kind_says_are_kept() {
        assert_eq!(Value::decode(kind::TEXT, b"\xff"), Value::Bytes(b"\xff"));
        assert_eq!(Value::decode(kind::BOOL, b"\x02"), Value::Opaque(kind::BOOL, b"\x02"));
        assert_eq!(Value::decode(kind::INTEGER, b"123"), Value::Opaque(kind::INTEGER, b"123"));
        assert_eq!(Value::decode(9, b"later"), Value::Opaque(9, b"later"));
    }
}
