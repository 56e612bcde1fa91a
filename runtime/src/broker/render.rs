use crate::config::Format;
use crate::message::{KEY, Message, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

/// Writes messages as text: the body and a newline, or one JSON object a line.
///
/// The object has `body`, and where there is one `subject`, `key`, `id`, `timestamp` (ns since 1970) and `headers`. What
/// is not UTF-8 stands as `{"base64": "…"}`; a header that comes several times is a list of its values.
pub(crate) struct Render {
    format: Format,
    buffer: Vec<u8>,
}

impl Render {
    pub(crate) fn new(format: Format) -> Render {
        Render { format, buffer: Vec::new() }
    }

    pub(crate) fn render(&mut self, messages: &[Message]) -> &[u8] {
        self.buffer.clear();
        self.buffer.shrink_to(1 << 20);
        for message in messages {
            match self.format {
                Format::Lines => self.buffer.extend_from_slice(message.body()),
                Format::Json => self.buffer.extend_from_slice(as_json(message).to_string().as_bytes()),
            }
            self.buffer.push(b'\n');
        }
        &self.buffer
    }
}

pub(crate) fn as_json(message: &Message) -> Json {
    let mut object = Map::new();
    if !message.subject().is_empty() {
        object.insert("subject".into(), message.subject().into());
    }
    if let Some(key) = message.key() {
        object.insert("key".into(), bytes(key));
    }
    if !message.id().is_empty() {
        object.insert("id".into(), bytes(message.id()));
    }
    if message.timestamp() != 0 {
        object.insert("timestamp".into(), message.timestamp().into());
    }
    let mut headers = Map::new();
    for (name, value) in message.headers().filter(|(name, _)| *name != KEY) {
        match headers.get_mut(name) {
            None => drop(headers.insert(name.into(), header(value))),
            Some(Json::Array(several)) => several.push(header(value)),
            Some(one) => *one = Json::Array(vec![one.take(), header(value)]),
        }
    }
    if !headers.is_empty() {
        object.insert("headers".into(), headers.into());
    }
    object.insert("body".into(), bytes(message.body()));
    object.into()
}

fn header(value: Value<'_>) -> Json {
    match value {
        Value::Bytes(b) => bytes(b),
        Value::Opaque(kind, b) => json!({ "kind": kind, "base64": STANDARD.encode(b) }),
        Value::Text(t) => t.into(),
        Value::Bool(b) => b.into(),
        Value::Integer(i) | Value::Timestamp(i) => i.into(),
        Value::Float(x) => x.into(),
        Value::Null => Json::Null,
    }
}

fn bytes(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn json_keeps_what_is_not_text() {
        let mut builder = Message::builder();
        builder.subject("s").key(b"k").header("n", 1).header("n", "two").header("raw", &b"\xff"[..]);
        let message = builder.build(b"\x00\xfe").unwrap();
        let line = Render::new(Format::Json).render(&[message]).to_vec();
        let back: Json = serde_json::from_slice(&line).unwrap();
        let expected = json!({
            "subject": "s", "key": "k", "body": { "base64": "AP4=" },
            "headers": { "n": [1, "two"], "raw": { "base64": "/w==" } },
        });
        assert_eq!(back, expected);
    }
}
