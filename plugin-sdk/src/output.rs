//! What goes out: the messages that a message gives rise to.

mod given;

use core::ops::Range;

use serde::Serialize;

use crate::failure::Failure;
use crate::message::{CONTENT_TYPE, CORRELATION_ID, KEY, REPLY_TO};
use crate::value::Value;

pub use given::Given;

/// What an output takes from its input, as the contract numbers it (`columns.outputs.inherit`).
pub(crate) mod inherit {
    pub(crate) const BODY: u8 = 1;
    pub(crate) const HEADERS: u8 = 2;
    pub(crate) const SUBJECT: u8 = 4;
    pub(crate) const KEY: u8 = 8;
    pub(crate) const TIMESTAMP: u8 = 16;
    pub(crate) const ALL: u8 = BODY | HEADERS | SUBJECT | KEY | TIMESTAMP;
}

/// A message to be sent on.
///
/// What it takes over from its input unchanged is said by `inherit_…`: the host copies it, and no byte of it crosses
/// into the handler and back. Where a part is both given and inherited, what was said last holds.
///
/// ```
/// use pelton_sdk::Output;
///
/// let answer = Output::new("42").subject("answers").inherit_headers().header("unit", "none");
/// let passed_on = Output::forward().to("audit");
/// # let _ = (answer, passed_on);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    pub(crate) inherit: u8,
    pub(crate) target: String,
    pub(crate) subject: String,
    pub(crate) body: Vec<u8>,
    /// The headers, the key among them as in the contract. Names and values lie end to end in two allocations.
    entries: Vec<Entry>,
    names: String,
    values: Vec<u8>,
}

/// Where one header's name and value lie.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: Range<usize>,
    kind: u8,
    value: Range<usize>,
}

impl Output {
    /// An output with this body, and the target's own subject.
    pub fn new(body: impl Into<Vec<u8>>) -> Output {
        Output { body: body.into(), ..Output::default() }
    }

    /// An output without a body.
    pub fn empty() -> Output {
        Output::default()
    }

    /// An output with `value` as JSON for its body, and a content type that says so.
    ///
    /// # Errors
    /// A value that JSON cannot express (a map whose keys are not strings) rejects the message.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Output, Failure> {
        let body = serde_json::to_vec(value)
            .map_err(|error| Failure::reject(format_args!("output does not become JSON: {error}")))?;
        Ok(Output::new(body).content_type("application/json"))
    }

    /// The message as it came: body, headers, subject, key and timestamp are all inherited.
    pub fn forward() -> Output {
        Output { inherit: inherit::ALL, ..Output::default() }
    }

    /// Sends it to the output of this name in the configuration, instead of the handler's `output`.
    pub fn to(mut self, target: impl Into<String>) -> Output {
        self.target = target.into();
        self
    }

    /// Sets subject, topic, queue or routing key, as the target's broker calls it.
    pub fn subject(mut self, subject: impl Into<String>) -> Output {
        self.inherit &= !inherit::SUBJECT;
        self.subject = subject.into();
        self
    }

    /// Sets the partition or ordering key.
    pub fn key(self, key: impl AsRef<[u8]>) -> Output {
        self.without(KEY).header(KEY, key.as_ref())
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Output {
        self.inherit &= !inherit::BODY;
        self.body = body.into();
        self
    }

    /// Adds a header, after those of the same name that were added before. Inherited headers of this name give way.
    pub fn header<'v>(mut self, name: &str, value: impl Into<Value<'v>>) -> Output {
        if name == KEY {
            self.inherit &= !inherit::KEY;
        }
        let (name_start, value_start) = (self.names.len(), self.values.len());
        self.names.push_str(name);
        let kind = value.into().encode(&mut self.values);
        self.entries.push(Entry { name: name_start..self.names.len(), kind, value: value_start..self.values.len() });
        self
    }

    /// Says of what media type the body is.
    pub fn content_type(self, media_type: &str) -> Output {
        self.without(CONTENT_TYPE).header(CONTENT_TYPE, media_type)
    }

    /// Names the subject on which an answer is awaited.
    pub fn reply_to(self, subject: &str) -> Output {
        self.without(REPLY_TO).header(REPLY_TO, subject)
    }

    /// Pairs this answer with its question.
    pub fn correlation_id<'v>(self, id: impl Into<Value<'v>>) -> Output {
        self.without(CORRELATION_ID).header(CORRELATION_ID, id)
    }

    /// Takes the body from the input.
    pub fn inherit_body(mut self) -> Output {
        self.body = Vec::new();
        self.inherit |= inherit::BODY;
        self
    }

    /// Takes the headers from the input, all but the key; those that are given here win over those of the same name.
    pub fn inherit_headers(mut self) -> Output {
        self.inherit |= inherit::HEADERS;
        self
    }

    /// Takes the subject from the input.
    pub fn inherit_subject(mut self) -> Output {
        self.subject = String::new();
        self.inherit |= inherit::SUBJECT;
        self
    }

    /// Takes the key from the input.
    pub fn inherit_key(self) -> Output {
        let mut output = self.without(KEY);
        output.inherit |= inherit::KEY;
        output
    }

    /// Takes the timestamp from the input.
    pub fn inherit_timestamp(mut self) -> Output {
        self.inherit |= inherit::TIMESTAMP;
        self
    }

    /// What was given to this output, for a test to check.
    pub fn given(&self) -> Given<'_> {
        Given::of(self)
    }

    /// The headers that were given, the key among them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.entries.iter().map(|entry| {
            let name = self.names.get(entry.name.clone()).unwrap_or_default();
            let value = self.values.get(entry.value.clone()).unwrap_or_default();
            (name, Value::decode(entry.kind, value))
        })
    }

    /// Takes back the headers of this name; their bytes stay, unused, for the short life of the output.
    fn without(mut self, name: &str) -> Output {
        self.entries.retain(|entry| self.names.get(entry.name.clone()) != Some(name));
        self
    }
}

/// What a handler may return for a message that is done: no output, one, one or none, or many.
pub trait IntoOutputs {
    /// Passes every output on, in order.
    fn emit(self, emit: &mut impl FnMut(Output));
}

impl IntoOutputs for () {
    fn emit(self, _emit: &mut impl FnMut(Output)) {}
}

impl IntoOutputs for Output {
    fn emit(self, emit: &mut impl FnMut(Output)) {
        emit(self);
    }
}

impl IntoOutputs for Option<Output> {
    fn emit(self, emit: &mut impl FnMut(Output)) {
        if let Some(output) = self {
            emit(output);
        }
    }
}

impl IntoOutputs for Vec<Output> {
    fn emit(self, emit: &mut impl FnMut(Output)) {
        self.into_iter().for_each(emit);
    }
}

impl<const N: usize> IntoOutputs for [Output; N] {
    fn emit(self, emit: &mut impl FnMut(Output)) {
        self.into_iter().for_each(emit);
    }
}

#[cfg(test)]
mod tests;
