use super::{GROUP, KEY, Kind};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The name and kind of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// UTF-8; metadata begins with one colon.
    pub name: Arc<str>,
    /// How its bytes are read.
    pub kind: Kind,
}

/// What messages of one make have in common: the subject, and the names and kinds of their headers, in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    subject: Arc<str>,
    fields: Box<[Field]>,
    key: Option<usize>,
    grouped: bool,
    bytes: usize,
}

impl Shape {
    pub(crate) fn new(subject: Arc<str>, fields: Box<[Field]>) -> Shape {
        let key = fields.iter().position(|f| &*f.name == KEY);
        let grouped = fields.iter().any(|f| &*f.name == GROUP);
        let bytes = subject.len() + fields.iter().map(|f| f.name.len()).sum::<usize>();
        Shape { subject, fields, key, grouped, bytes }
    }

    /// The shape of a message with neither subject nor headers.
    pub(crate) fn plain() -> Arc<Shape> {
        static PLAIN: LazyLock<Arc<Shape>> = LazyLock::new(|| Arc::new(Shape::new(Arc::from(""), Box::default())));
        PLAIN.clone()
    }

    /// Empty where there is none.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// One per header, repeats included.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// How long the subject and the names are together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is a header that names a message group.
    pub(crate) fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// Which field is the key.
    pub(crate) fn key(&self) -> Option<usize> {
        self.key
    }
}

/// Remembers shapes, so that messages of one make share one. Bounded: a producer that never repeats itself makes each
/// message carry its own shape, no more.
#[derive(Debug, Default)]
pub struct Shapes {
    known: HashMap<Box<[u8]>, Arc<Shape>>,
    last: Option<(Box<[u8]>, Arc<Shape>)>,
}

impl Shapes {
    const MOST: usize = 1024;
    /// A signature longer than this is no common make.
    const LONGEST: usize = 4096;

    /// The shape with this signature, made by `make` where it is not known.
    pub(crate) fn find(&mut self, signature: &[u8], make: impl FnOnce() -> Shape) -> Arc<Shape> {
        if let Some((last, shape)) = &self.last
            && **last == *signature
        {
            return shape.clone();
        }
        if signature.len() > Shapes::LONGEST {
            return Arc::new(make());
        }
        let shape = match self.known.get(signature) {
            Some(shape) => shape.clone(),
            None => {
                if self.known.len() >= Shapes::MOST {
                    self.known.clear();
                }
                let shape = Arc::new(make());
                self.known.insert(signature.into(), shape.clone());
                shape
            }
        };
        self.last = Some((signature.into(), shape.clone()));
        shape
    }
}
