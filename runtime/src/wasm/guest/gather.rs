use super::bindings::exports::pelton::plugin::batch_handler::Batch as GuestBatch;
use super::bindings::pelton::plugin::columns::{BlobsParam as Blobs, HeadersParam as Headers};
use crate::message::{Batch, Entry, Kind, Message, Shape};
use std::collections::HashMap;
use std::sync::Arc;

/// The columns that a handler reads; others are sent empty.
#[derive(Clone, Copy, Debug)]
pub(in crate::wasm) struct Wants {
    subjects: bool,
    ids: bool,
    headers: bool,
    bodies: bool,
    timestamps: bool,
    sequences: bool,
}

impl Wants {
    /// By the names in `lifecycle.plan.wants`; none at all means every column.
    pub(in crate::wasm) fn new(names: &[String]) -> Wants {
        let wants = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
        Wants {
            subjects: wants("subjects"),
            ids: wants("ids"),
            headers: wants("headers"),
            bodies: wants("bodies"),
            timestamps: wants("timestamps"),
            sequences: wants("sequences"),
        }
    }
}

/// Byte strings end to end.
#[derive(Default)]
struct BlobBuffer {
    data: Vec<u8>,
    ends: Vec<u32>,
}

impl BlobBuffer {
    fn clear(&mut self) {
        self.data.clear();
        // One large batch must not make an instance's buffers large for good.
        self.data.shrink_to(4 << 20);
        self.ends.clear();
    }

    fn push(&mut self, item: &[u8]) {
        self.data.extend_from_slice(item);
        self.ends.push(self.data.len() as u32);
    }

    fn blobs(&self) -> Blobs<'_> {
        Blobs { data: &self.data, ends: &self.ends }
    }

    /// All items default: an empty column.
    fn blobs_or_none(&self) -> Blobs<'_> {
        if self.data.is_empty() { Blobs { data: &[], ends: &[] } } else { self.blobs() }
    }
}

/// The columns of one batch; kept between batches for its memory.
#[derive(Default)]
pub(super) struct Gather {
    dictionary: HashMap<Arc<str>, u32>,
    strings: BlobBuffer,
    /// By the address of a shape that this batch keeps alive.
    shapes: HashMap<usize, usize>,
    known: Vec<Known>,
    /// The names and kinds of the headers of the known shapes, end to end.
    names: Vec<u32>,
    kinds: Vec<u8>,
    columns: Columns,
}

#[derive(Clone, Copy)]
struct Known {
    subject: u32,
    start: usize,
    end: usize,
}

#[derive(Default)]
struct Columns {
    partitions: Vec<u32>,
    sequences: Vec<u64>,
    attempts: Vec<u32>,
    timestamps: Vec<i64>,
    subjects: Vec<u32>,
    has_subject: bool,
    ids: BlobBuffer,
    header_ends: Vec<u32>,
    header_names: Vec<u32>,
    header_kinds: Vec<u8>,
    /// Whether any is not text.
    has_kind: bool,
    values: BlobBuffer,
    bodies: BlobBuffer,
}

/// Fills a column, or leaves it empty where every item is the default.
fn fill<T: PartialEq + Copy>(column: &mut Vec<T>, default: T, items: impl Iterator<Item = T> + Clone) {
    if items.clone().any(|item| item != default) {
        column.extend(items);
    }
}

impl Gather {
    /// Lays a batch out in columns, borrowed from here.
    pub(super) fn batch<'a>(&'a mut self, batch: &'a Batch, wants: Wants) -> GuestBatch<'a> {
        self.clear();
        let entries = &batch.entries;
        let c = &mut self.columns;
        // Column by column: the entries of a batch fit the processor's nearest cache.
        fill(&mut c.partitions, 0, entries.iter().map(|e| e.at.partition));
        fill(&mut c.attempts, 1, entries.iter().map(|e| e.attempt));
        if wants.sequences {
            c.sequences.extend(entries.iter().map(|e| e.at.seq));
        }
        if wants.timestamps {
            fill(&mut c.timestamps, 0, entries.iter().map(|e| e.message.timestamp()));
        }
        if wants.ids && entries.iter().any(|e| !e.message.id().is_empty()) {
            entries.iter().for_each(|e| c.ids.push(e.message.id()));
        }
        if wants.bodies {
            entries.iter().for_each(|e| c.bodies.push(e.message.body()));
        }
        if wants.subjects || wants.headers {
            self.shapes_of(entries, wants);
        }
        let c = &self.columns;
        GuestBatch {
            count: super::count(batch),
            stream: &batch.stream,
            strings: self.strings.blobs(),
            partitions: &c.partitions,
            sequences: &c.sequences,
            attempts: &c.attempts,
            timestamps: &c.timestamps,
            subjects: if c.has_subject { &c.subjects } else { &[] },
            ids: c.ids.blobs(),
            headers: Headers {
                ends: if c.header_names.is_empty() { &[] } else { c.header_ends.as_slice() },
                names: &c.header_names,
                kinds: if c.has_kind { &c.header_kinds } else { &[] },
                values: c.values.blobs(),
            },
            bodies: c.bodies.blobs_or_none(),
            groups: &[],
            extra: &[],
        }
    }

    /// Subjects and headers: what messages of one make share, they share here too.
    fn shapes_of(&mut self, entries: &[Entry], wants: Wants) {
        let mut last: Option<(*const Shape, Known)> = None;
        for entry in entries {
            let message = &entry.message;
            let shape = Arc::as_ptr(message.shape());
            let known = match last {
                Some((s, known)) if s == shape => known,
                _ => self.known(message),
            };
            last = Some((shape, known));
            if wants.subjects {
                self.columns.has_subject |= known.subject != 0;
                self.columns.subjects.push(known.subject);
            }
            if wants.headers {
                let names = self.names.get(known.start..known.end).unwrap_or_default();
                let kinds = self.kinds.get(known.start..known.end).unwrap_or_default();
                self.columns.push_headers(message, names, kinds);
            }
        }
    }

    fn clear(&mut self) {
        self.dictionary.clear();
        self.strings.clear();
        self.strings.push(b"");
        self.shapes.clear();
        self.known.clear();
        self.names.clear();
        self.kinds.clear();
        self.columns.clear();
    }

    /// A shape's place in the dictionary. Rare: once for each shape of a batch, mostly.
    fn known(&mut self, message: &Message) -> Known {
        let shape = message.shape();
        let address = Arc::as_ptr(shape) as usize;
        if let Some(known) = self.shapes.get(&address).and_then(|at| self.known.get(*at)) {
            return *known;
        }
        let subject = self.string(shape.subject());
        let start = self.names.len();
        for field in shape.fields() {
            let name = self.string(&field.name);
            self.names.push(name);
            self.kinds.push(field.kind.0);
        }
        let known = Known { subject, start, end: self.names.len() };
        self.shapes.insert(address, self.known.len());
        self.known.push(known);
        known
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(at) = self.dictionary.get(text) {
            return *at;
        }
        let at = self.strings.ends.len() as u32;
        self.strings.push(text.as_bytes());
        self.dictionary.insert(Arc::from(text), at);
        at
    }
}

impl Columns {
    fn clear(&mut self) {
        self.partitions.clear();
        self.sequences.clear();
        self.attempts.clear();
        self.timestamps.clear();
        self.subjects.clear();
        self.ids.clear();
        self.header_ends.clear();
        self.header_names.clear();
        self.header_kinds.clear();
        self.values.clear();
        self.bodies.clear();
        self.has_subject = false;
        self.has_kind = false;
    }

    /// Values lie end to end in a message as they do in the column: one copy for all of them.
    fn push_headers(&mut self, message: &Message, names: &[u32], kinds: &[u8]) {
        let before = self.values.data.len() as u32;
        let ends = &mut self.values.ends;
        let bytes = message.values(|end| ends.push(before + end));
        self.values.data.extend_from_slice(bytes);
        self.header_names.extend_from_slice(names);
        self.has_kind |= kinds.iter().any(|k| *k != Kind::TEXT.0);
        self.header_kinds.extend_from_slice(kinds);
        self.header_ends.push(self.header_names.len() as u32);
    }
}
