use super::shape::{Field, Shape, Shapes};
use super::{Head, KEY, Kind, Message, Value};
use std::collections::HashSet;
use std::sync::Arc;
use triomphe::ThinArc;

/// A message's parts come to 4 GiB or more together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has 4 GiB or more; send the payload another way and a reference to it here")]
pub struct MessageTooLarge;

/// Puts messages together. One builder makes any number of them, each in one allocation, and remembers their shapes.
///
/// ```
/// # use pelton::message::Message;
/// let mut builder = Message::builder();
/// let message = builder.subject("orders.new").key(b"42").header("tenant", "acme").build(b"{}")?;
/// assert_eq!(message.header("tenant").and_then(|v| v.as_text()), Some("acme"));
/// # Ok::<(), pelton::message::MessageTooLarge>(())
/// ```
#[derive(Debug, Default)]
pub struct MessageBuilder {
    shapes: Shapes,
    subject: String,
    id: Vec<u8>,
    timestamp: i64,
    /// Kind, length of the name, name; for each header.
    names: Vec<u8>,
    ends: Vec<u32>,
    values: Vec<u8>,
    /// The whole frame, before it is copied into its allocation; and the shape's signature.
    scratch: Vec<u8>,
}

impl MessageBuilder {
    /// A builder with no parts.
    pub fn new() -> MessageBuilder {
        MessageBuilder::default()
    }

    /// Subject, topic, queue or routing key.
    pub fn subject(&mut self, subject: &str) -> &mut Self {
        self.subject.clear();
        self.subject.push_str(subject);
        self
    }

    /// The broker's identifier. Leave it out where the broker gave none.
    pub fn id(&mut self, id: &[u8]) -> &mut Self {
        self.id.clear();
        self.id.extend_from_slice(id);
        self
    }

    /// ns since 1970; 0 unknown.
    pub fn timestamp(&mut self, nanoseconds: i64) -> &mut Self {
        self.timestamp = nanoseconds;
        self
    }

    /// The partition or ordering key.
    pub fn key(&mut self, key: &[u8]) -> &mut Self {
        self.raw_header(KEY, Kind::BYTES, key)
    }

    /// One more header; a name may come several times.
    pub fn header<'v>(&mut self, name: &str, value: impl Into<Value<'v>>) -> &mut Self {
        let value = value.into();
        let mut scratch = [0; 8];
        let (kind, bytes) = value.encode(&mut scratch);
        self.raw_header(name, kind, bytes)
    }

    /// One more header whose value is already in the contract's form.
    pub(crate) fn raw_header(&mut self, name: &str, kind: Kind, bytes: &[u8]) -> &mut Self {
        self.names.push(kind.0);
        self.names.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.names.extend_from_slice(name.as_bytes());
        self.values.extend_from_slice(bytes);
        self.ends.push(self.values.len().min(u32::MAX as usize) as u32);
        self
    }

    /// Takes over another message's headers, but those that `keep` refuses.
    pub fn headers_of(&mut self, message: &Message, mut keep: impl FnMut(&str) -> bool) -> &mut Self {
        for (i, field) in message.shape().fields().iter().enumerate() {
            if keep(&field.name) {
                self.raw_header(&field.name, field.kind, message.value_bytes(i));
            }
        }
        self
    }

    /// The names of the headers given so far.
    pub(crate) fn header_names(&self) -> HashSet<String> {
        names(&self.names).map(|(_, name)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// The message. The builder is empty again afterwards.
    ///
    /// # Errors
    /// Where all parts together reach 4 GiB.
    pub fn build(&mut self, body: &[u8]) -> Result<Message, MessageTooLarge> {
        let table = 4 * (self.ends.len() + 1);
        let total = table + self.id.len() + self.values.len() + body.len();
        if total >= u32::MAX as usize {
            self.clear();
            return Err(MessageTooLarge);
        }
        let shape = self.shape();
        self.scratch.clear();
        self.scratch.reserve(total);
        let id = self.id.len() as u32;
        self.scratch.extend_from_slice(&id.to_le_bytes());
        for end in &self.ends {
            self.scratch.extend_from_slice(&(id + end).to_le_bytes());
        }
        self.scratch.extend_from_slice(&self.id);
        self.scratch.extend_from_slice(&self.values);
        self.scratch.extend_from_slice(body);
        let head = Head { shape, timestamp: self.timestamp };
        let message = Message(ThinArc::from_header_and_slice(head, &self.scratch));
        self.clear();
        Ok(message)
    }

    fn shape(&mut self) -> Arc<Shape> {
        if self.subject.is_empty() && self.names.is_empty() {
            return Shape::plain();
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.names);
        self.scratch.extend_from_slice(self.subject.as_bytes());
        self.scratch.extend_from_slice(&(self.subject.len() as u32).to_le_bytes());
        let (subject, fields) = (&self.subject, &self.names);
        self.shapes.find(&self.scratch, || {
            let field = |(kind, name)| Field { name: Arc::from(String::from_utf8_lossy(name)), kind: Kind(kind) };
            Shape::new(Arc::from(subject.as_str()), names(fields).map(field).collect())
        })
    }

    fn clear(&mut self) {
        // One large message must not make the builder large for good.
        const KEEP: usize = 1 << 20;
        for buffer in [&mut self.scratch, &mut self.values, &mut self.id] {
            buffer.clear();
            buffer.shrink_to(KEEP);
        }
        self.subject.clear();
        self.names.clear();
        self.ends.clear();
        self.timestamp = 0;
    }
}

/// The kinds and names in a signature's first part.
fn names(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, tail) = rest.split_first()?;
        let (length, tail) = tail.split_first_chunk::<4>()?;
        let (name, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = tail;
        Some((*kind, name))
    })
}
