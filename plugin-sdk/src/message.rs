//! What comes in: one message, borrowed from the columns of its batch.

use std::fmt;
use std::slice;

use serde::Deserialize;

use crate::columns::{blob, item, range};
use crate::failure::Failure;
use crate::raw::Batch;
use crate::value::{Value, kind};

pub(crate) const KEY: &str = ":key";
pub(crate) const CONTENT_TYPE: &str = ":content-type";
pub(crate) const REPLY_TO: &str = ":reply-to";
pub(crate) const CORRELATION_ID: &str = ":correlation-id";

/// One message. Everything is borrowed from the batch that the host passed, nothing is copied or decoded before it is
/// asked for; the value itself is a few words and may be copied freely.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    batch: &'a Batch,
    /// The batch's dictionary, checked once to be text.
    strings: &'a str,
    index: usize,
}

impl<'a> Message<'a> {
    /// `strings` is the batch's dictionary, `index` the message's place in the batch.
    pub(crate) fn new(batch: &'a Batch, strings: &'a str, index: usize) -> Message<'a> {
        Message { batch, strings, index }
    }

    /// The name of the stream that it was read from, as in the configuration.
    pub fn stream(&self) -> &'a str {
        &self.batch.stream
    }

    /// The partition of the stream; 0 where a stream has but one.
    pub fn partition(&self) -> u32 {
        item(&self.batch.partitions, self.index, 0)
    }

    /// The place in the partition: rises with gaps. With stream and partition it identifies the message on this host.
    pub fn sequence(&self) -> u64 {
        item(&self.batch.sequences, self.index, 0)
    }

    /// How often the message has been given to this handler, this time included; from 1.
    pub fn attempt(&self) -> u32 {
        item(&self.batch.attempts, self.index, 1)
    }

    /// When the message was made, or came in where its maker did not say: nanoseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(&self) -> Option<i64> {
        match item(&self.batch.timestamps, self.index, 0) {
            0 => None,
            nanoseconds => Some(nanoseconds),
        }
    }

    /// Subject, topic, queue or routing key, as its broker calls it. Empty: none.
    pub fn subject(&self) -> &'a str {
        self.string(item(&self.batch.subjects, self.index, 0))
    }

    /// The identifier that the broker gave, where it gave one.
    pub fn id(&self) -> Option<&'a str> {
        match blob(&self.batch.ids, self.index) {
            [] => None,
            bytes => core::str::from_utf8(bytes).ok(),
        }
    }

    /// The partition or ordering key.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.header(KEY)?.as_bytes()
    }

    /// The headers in their order, repeats included, without the key. A name that begins with one `:` is metadata
    /// ([`content_type`](Message::content_type) and its kind); a broker's own name that begins so has the colon doubled.
    pub fn headers(&self) -> Headers<'a> {
        let headers = &self.batch.headers;
        let entries = range(&headers.ends, self.index);
        let start = range(&headers.values.ends, entries.start).start;
        Headers {
            message: *self,
            start,
            names: headers.names.get(entries.clone()).unwrap_or_default().iter(),
            kinds: headers.kinds.get(entries.clone()).unwrap_or_default().iter(),
            ends: headers.values.ends.get(entries).unwrap_or_default().iter(),
        }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<Value<'a>> {
        let mut entries = range(&self.batch.headers.ends, self.index);
        entries.find(|&entry| self.header_name(entry) == name).map(|entry| self.header_value(entry))
    }

    /// The media type of the body.
    pub fn content_type(&self) -> Option<&'a str> {
        self.header(CONTENT_TYPE)?.as_text()
    }

    /// The subject on which the sender awaits an answer.
    pub fn reply_to(&self) -> Option<&'a str> {
        self.header(REPLY_TO)?.as_text()
    }

    /// What pairs an answer with its question.
    pub fn correlation_id(&self) -> Option<&'a [u8]> {
        self.header(CORRELATION_ID)?.as_bytes()
    }

    /// The body as it came.
    pub fn body(&self) -> &'a [u8] {
        blob(&self.batch.bodies, self.index)
    }

    /// The body as text.
    ///
    /// # Errors
    /// A body that is not UTF-8 is rejected.
    pub fn text(&self) -> Result<&'a str, Failure> {
        core::str::from_utf8(self.body()).map_err(|error| Failure::reject(format_args!("body is not text: {error}")))
    }

    /// The body, parsed as JSON. `T` may borrow from it.
    ///
    /// # Errors
    /// A body that is not JSON, or not of this shape, is rejected with the parser's reason.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        serde_json::from_slice(self.body()).map_err(|error| {
            let what = if error.is_data() { "body is not as expected" } else { "body is not JSON" };
            Failure::reject(format_args!("{what}: {error}"))
        })
    }

    fn string(&self, index: u32) -> &'a str {
        self.strings.get(range(&self.batch.strings.ends, index as usize)).unwrap_or_default()
    }

    fn header_name(&self, entry: usize) -> &'a str {
        self.string(item(&self.batch.headers.names, entry, 0))
    }

    fn header_value(&self, entry: usize) -> Value<'a> {
        let headers = &self.batch.headers;
        Value::decode(item(&headers.kinds, entry, kind::TEXT), blob(&headers.values, entry))
    }
}

/// Names the message without showing its contents.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}/{}/{}", self.stream(), self.partition(), self.sequence())
    }
}

/// The headers of one message; made by [`Message::headers`]. It walks the columns side by side: each value begins where the
/// one before it ends.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    message: Message<'a>,
    start: usize,
    names: slice::Iter<'a, u32>,
    kinds: slice::Iter<'a, u8>,
    ends: slice::Iter<'a, u32>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let name = self.message.string(*self.names.next()?);
            let kind = self.kinds.next().copied().unwrap_or(kind::TEXT);
            let end = self.ends.next().map_or(self.start, |end| *end as usize);
            let bytes = self.message.batch.headers.values.data.get(self.start..end).unwrap_or_default();
            self.start = end;
            if name != KEY {
                return Some((name, Value::decode(kind, bytes)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
