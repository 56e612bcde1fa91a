use std::fmt;

/// The type of a header value, as `columns.headers.kinds` of the plugin contract numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Bytes that are not text.
    pub const BYTES: Kind = Kind(0);
    /// UTF-8.
    pub const TEXT: Kind = Kind(1);
    /// One byte, 0 or 1.
    pub const BOOL: Kind = Kind(2);
    /// 8 bytes, signed, little-endian.
    pub const INTEGER: Kind = Kind(3);
    /// 8 bytes, IEEE 754, little-endian.
    pub const FLOAT: Kind = Kind(4);
    /// 8 bytes, signed, little-endian: ns since 1970.
    pub const TIMESTAMP: Kind = Kind(5);
    /// No bytes.
    pub const NULL: Kind = Kind(6);
    /// From here on: what only the broker that made it understands.
    pub const OPAQUE: u8 = 16;

    /// Whether bytes of this length and content can be a value of this kind.
    pub fn fits(self, bytes: &[u8]) -> bool {
        match self {
            Kind::BYTES => true,
            Kind::TEXT => std::str::from_utf8(bytes).is_ok(),
            Kind::BOOL => matches!(bytes, [0 | 1]),
            Kind::INTEGER | Kind::FLOAT | Kind::TIMESTAMP => bytes.len() == 8,
            Kind::NULL => bytes.is_empty(),
            Kind(k) => k >= Kind::OPAQUE,
        }
    }
}

/// A header value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Bytes that are not text.
    Bytes(&'a [u8]),
    /// Text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Integer(i64),
    /// A double.
    Float(f64),
    /// ns since 1970.
    Timestamp(i64),
    /// Null.
    Null,
    /// A kind of 16 or above, and bytes that mean something only to the broker they came from.
    Opaque(u8, &'a [u8]),
}

impl<'a> Value<'a> {
    /// Reads a value of a kind. Bytes that do not fit their kind are passed on as bytes.
    pub(crate) fn new(kind: Kind, bytes: &'a [u8]) -> Value<'a> {
        let eight = || <[u8; 8]>::try_from(bytes).ok();
        let value = match kind {
            Kind::BYTES => None,
            Kind::TEXT => std::str::from_utf8(bytes).ok().map(Value::Text),
            Kind::BOOL => bytes.first().map(|b| Value::Bool(*b != 0)),
            Kind::INTEGER => eight().map(|b| Value::Integer(i64::from_le_bytes(b))),
            Kind::FLOAT => eight().map(|b| Value::Float(f64::from_le_bytes(b))),
            Kind::TIMESTAMP => eight().map(|b| Value::Timestamp(i64::from_le_bytes(b))),
            Kind::NULL => Some(Value::Null),
            Kind(k) => Some(Value::Opaque(k, bytes)),
        };
        value.unwrap_or(Value::Bytes(bytes))
    }

    /// The kind, and the bytes in `scratch` or in the value itself.
    pub(crate) fn encode<'b>(&'b self, scratch: &'b mut [u8; 8]) -> (Kind, &'b [u8]) {
        match *self {
            Value::Bytes(b) => (Kind::BYTES, b),
            Value::Text(t) => (Kind::TEXT, t.as_bytes()),
            Value::Bool(b) => {
                scratch[0] = u8::from(b);
                (Kind::BOOL, scratch.get(..1).unwrap_or_default())
            }
            Value::Integer(i) => {
                *scratch = i.to_le_bytes();
                (Kind::INTEGER, scratch)
            }
            Value::Float(x) => {
                *scratch = x.to_le_bytes();
                (Kind::FLOAT, scratch)
            }
            Value::Timestamp(t) => {
                *scratch = t.to_le_bytes();
                (Kind::TIMESTAMP, scratch)
            }
            Value::Null => (Kind::NULL, &[]),
            Value::Opaque(k, b) => (Kind(k), b),
        }
    }

    /// The text, where it is text.
    pub fn as_text(&self) -> Option<&'a str> {
        match *self {
            Value::Text(t) => Some(t),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bytes(b) | Value::Opaque(_, b) => write!(f, "{}", b.escape_ascii()),
            Value::Text(t) => f.write_str(t),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Integer(i) | Value::Timestamp(i) => write!(f, "{i}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Null => f.write_str("null"),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Value<'a> {
        Value::Bytes(bytes)
    }
}

impl From<i64> for Value<'_> {
    fn from(i: i64) -> Self {
        Value::Integer(i)
    }
}
