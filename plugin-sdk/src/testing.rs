//! Messages and settings for native tests: a handler is tested as the plain function that it is.
//!
//! ```
//! use pelton_sdk::{Failure, Message, Output, testing};
//!
//! fn handle(message: Message<'_>) -> Result<Output, Failure> {
//!     Ok(Output::json(&message.text()?.len())?.subject(message.subject()))
//! }
//!
//! let message = testing::message().subject("lengths").attempt(2).body("four");
//! let output = handle(message.message()).unwrap();
//! assert_eq!(output.given().text(), Ok("4"));
//! assert_eq!(output.given().subject(), Some("lengths"));
//!
//! let message = testing::message().body(b"\xff");
//! assert!(handle(message.message()).unwrap_err().is_reject());
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::columns::{Dictionary, end_headers, put, put_blob, put_header};
use crate::message::{CONTENT_TYPE, CORRELATION_ID, KEY, Message, REPLY_TO};
use crate::raw::Batch;
use crate::value::Value;

/// A message to set up: stream `test`, sequence 1, first attempt, and nothing else.
pub fn message() -> Fixture {
    let mut fixture = Fixture { batch: Batch::default(), dictionary: Dictionary::default() };
    fixture.batch.count = 1;
    fixture.stream("test").sequence(1)
}

/// Settings as `start` would make them from the handler's `config:`.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     least: f64,
/// }
///
/// let settings: Settings = pelton_sdk::testing::settings(&[("least", "4.5")]).unwrap();
/// assert_eq!(settings.least, 4.5);
/// ```
///
/// # Errors
/// The text with which the module would be refused.
pub fn settings<T: DeserializeOwned>(config: &[(&str, &str)]) -> Result<T, String> {
    let config: Vec<_> = config.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
    crate::settings::settings(&config)
}

/// Owns what a [`Message`] borrows.
pub struct Fixture {
    batch: Batch,
    dictionary: Dictionary,
}

impl Fixture {
    /// The message.
    pub fn message(&self) -> Message<'_> {
        Message::new(&self.batch, core::str::from_utf8(&self.batch.strings.data).unwrap_or_default(), 0)
    }

    /// The same message as a batch of one in columns, for a handler by columns.
    pub fn batch(&self) -> Batch {
        self.batch.clone()
    }

    /// Sets the stream's name.
    pub fn stream(mut self, name: &str) -> Fixture {
        self.batch.stream = name.to_owned();
        self
    }

    /// Sets the partition.
    pub fn partition(mut self, partition: u32) -> Fixture {
        self.batch.partitions = vec![partition];
        self
    }

    /// Sets the place in the partition.
    pub fn sequence(mut self, sequence: u64) -> Fixture {
        self.batch.sequences = vec![sequence];
        self
    }

    /// Sets how often the message has been given to the handler, from 1.
    pub fn attempt(mut self, attempt: u32) -> Fixture {
        self.batch.attempts = vec![attempt];
        self
    }

    /// Sets the time, in nanoseconds since 1970-01-01T00:00:00Z.
    pub fn timestamp(mut self, nanoseconds: i64) -> Fixture {
        self.batch.timestamps = vec![nanoseconds];
        self
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: &str) -> Fixture {
        self.batch.subjects = vec![self.name(subject)];
        self
    }

    /// Sets the broker's identifier.
    pub fn id(mut self, id: &str) -> Fixture {
        self.batch.ids = Default::default();
        put_blob(&mut self.batch.ids, 0, id.as_bytes());
        self
    }

    /// Sets the key.
    pub fn key(self, key: impl AsRef<[u8]>) -> Fixture {
        self.header(KEY, key.as_ref())
    }

    /// Adds a header.
    pub fn header<'v>(mut self, name: &str, value: impl Into<Value<'v>>) -> Fixture {
        let name = self.name(name);
        put_header(&mut self.batch.headers, name, value.into());
        self.batch.headers.ends.clear();
        end_headers(&mut self.batch.headers, 0, 0);
        self
    }

    /// Adds the body's media type.
    pub fn content_type(self, media_type: &str) -> Fixture {
        self.header(CONTENT_TYPE, media_type)
    }

    /// Adds the subject on which an answer is awaited.
    pub fn reply_to(self, subject: &str) -> Fixture {
        self.header(REPLY_TO, subject)
    }

    /// Adds what pairs an answer with this message.
    pub fn correlation_id<'v>(self, id: impl Into<Value<'v>>) -> Fixture {
        self.header(CORRELATION_ID, id)
    }

    /// Sets the body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Fixture {
        self.batch.bodies = Default::default();
        put_blob(&mut self.batch.bodies, 0, body.as_ref());
        self
    }

    /// Sets the body to `value` as JSON.
    ///
    /// # Panics
    /// Where JSON cannot express the value; a test's own mistake.
    #[allow(clippy::panic)]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Fixture {
        match serde_json::to_vec(value) {
            Ok(body) => self.body(body),
            Err(error) => panic!("the fixture's body does not become JSON: {error}"),
        }
    }

    fn name(&mut self, text: &str) -> u32 {
        let index = self.dictionary.index(text);
        self.batch.strings.clone_from(&self.dictionary.strings);
        index
    }
}

/// Several messages as one batch in columns, in this order, for a handler by columns. The stream is the first one's.
pub fn batch(fixtures: &[Fixture]) -> Batch {
    let mut dictionary = Dictionary::default();
    let mut batch = Batch { count: crate::columns::offset(fixtures.len()), ..Batch::default() };
    for (index, fixture) in fixtures.iter().enumerate() {
        let message = fixture.message();
        if index == 0 {
            batch.stream = message.stream().to_owned();
        }
        put(&mut batch.partitions, index, message.partition(), 0);
        put(&mut batch.sequences, index, message.sequence(), 0);
        put(&mut batch.attempts, index, message.attempt(), 1);
        put(&mut batch.timestamps, index, message.timestamp().unwrap_or(0), 0);
        put(&mut batch.subjects, index, dictionary.index(message.subject()), 0);
        put_blob(&mut batch.ids, index, message.id().unwrap_or_default().as_bytes());
        put_blob(&mut batch.bodies, index, message.body());
        let before = batch.headers.names.len();
        let key = message.header(KEY).map(|key| (KEY, key));
        for (name, value) in key.into_iter().chain(message.headers()) {
            put_header(&mut batch.headers, dictionary.index(name), value);
        }
        end_headers(&mut batch.headers, index, before);
    }
    batch.strings = dictionary.strings;
    batch
}
