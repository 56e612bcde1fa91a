//! Reading an output back, for tests.

use serde::Deserialize;

use super::{Output, inherit};
use crate::message::{CONTENT_TYPE, KEY};
use crate::value::Value;

/// What was given to an output. What it inherits is not in it: the host adds that.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a>(&'a Output);

impl<'a> Given<'a> {
    pub(super) fn of(output: &'a Output) -> Given<'a> {
        Given(output)
    }

    /// The body; empty where none was given.
    pub fn body(&self) -> &'a [u8] {
        &self.0.body
    }

    /// The body as text.
    ///
    /// # Errors
    /// The body is not UTF-8.
    pub fn text(&self) -> Result<&'a str, core::str::Utf8Error> {
        core::str::from_utf8(&self.0.body)
    }

    /// The body, parsed as JSON.
    ///
    /// # Errors
    /// The body is not JSON of this shape.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0.body)
    }

    /// The output's name in the configuration; none: the handler's `output`.
    pub fn target(&self) -> Option<&'a str> {
        Some(self.0.target.as_str()).filter(|target| !target.is_empty())
    }

    /// The subject; none: the target's own, or the input's.
    pub fn subject(&self) -> Option<&'a str> {
        Some(self.0.subject.as_str()).filter(|subject| !subject.is_empty())
    }

    /// The key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.header(KEY)?.as_bytes()
    }

    /// The headers in their order, without the key.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        self.0.entries().filter(|(name, _)| *name != KEY)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<Value<'a>> {
        self.0.entries().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The media type of the body.
    pub fn content_type(&self) -> Option<&'a str> {
        self.header(CONTENT_TYPE)?.as_text()
    }

    /// Whether the output is its input unchanged but for target and added headers, as [`Output::forward`] begins.
    pub fn is_forward(&self) -> bool {
        self.0.inherit == inherit::ALL
    }

    /// Whether the body is the input's.
    pub fn inherits_body(&self) -> bool {
        self.0.inherit & inherit::BODY != 0
    }

    /// Whether the input's headers are taken over.
    pub fn inherits_headers(&self) -> bool {
        self.0.inherit & inherit::HEADERS != 0
    }

    /// Whether the subject is the input's.
    pub fn inherits_subject(&self) -> bool {
        self.0.inherit & inherit::SUBJECT != 0
    }

    /// Whether the key is the input's.
    pub fn inherits_key(&self) -> bool {
        self.0.inherit & inherit::KEY != 0
    }

    /// Whether the timestamp is the input's.
    pub fn inherits_timestamp(&self) -> bool {
        self.0.inherit & inherit::TIMESTAMP != 0
    }
}
