//! YAML text as a tree of nodes that know where they were written.
//!
//! Aliases and merge keys (`<<`) are resolved here, within a bound on what they may grow to. A node that came in
//! through an alias keeps the place of its definition, since that is where it must be corrected.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use super::error::{Errors, Place, Problem};
use super::read::join;

/// What a document may cost, in bytes of text plus [`NODE_COST`] a node, aliases included. It stops a few lines of
/// nested aliases from filling the memory; a configuration of a thousand handlers takes a tenth of it.
const COST_LIMIT: usize = 32 << 20;
/// About what a node takes beside its text.
const NODE_COST: usize = 128;
/// The format needs five levels; the bound keeps recursion over the tree shallow.
const NESTING_LIMIT: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// `plain`: without quotes or a tag, so that an empty text, `~` and `null` mean that nothing was given.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What stood here was reported: whoever reads it says nothing more.
    Wrong,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key was written.
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        let Content::Scalar { text, plain: true } = &self.content else {
            return false;
        };
        matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// What a text came from: decides which places its nodes report.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    File(Arc<str>),
    Variable(Arc<str>),
}

impl Origin {
    fn place(&self, at: Marker) -> Place {
        match self {
            // The parser counts columns from 0, and starts an empty document in line 0.
            Origin::File(file) => Place::Text { file: file.clone(), line: at.line().max(1), column: at.col() + 1 },
            Origin::Variable(name) => Place::Variable { name: name.clone() },
        }
    }
}

/// Reads one YAML document, which belongs at `path`; `None` after a syntax error, which is then reported. Duplicate keys and the like are
/// reported too, and reading goes on.
pub(super) fn parse(text: &str, origin: &Origin, path: &str, errors: &Errors) -> Option<Node> {
    let options = granit_parser::options! {
        // Another crate in the build may have switched the parser's comment events on.
        emit_comments: false,
        flow_nesting_limit: NESTING_LIMIT,
        block_nesting_limit: NESTING_LIMIT,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let path = path.to_owned();
    let mut builder = Builder { text, parser, origin, path, errors, anchors: HashMap::new(), left: COST_LIMIT };
    builder.document()
}

struct Builder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    origin: &'a Origin,
    /// The keys that lead to what is being read, joined by dots.
    path: String,
    errors: &'a Errors,
    /// Finished nodes by the number of their anchor, with what a copy costs.
    anchors: HashMap<usize, (Node, usize)>,
    /// What of [`COST_LIMIT`] is left.
    left: usize,
}

// Throughout, `None` means: reported, stop reading.
impl<'a> Builder<'a> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    self.report(&place, Problem::new("a second YAML document starts here").expected("one document"));
                    return None;
                }
                event if event.is_node() => root = Some(self.node(event, place)?),
                _ => {}
            }
        }
        let empty = || Node {
            place: self.origin.place(Marker::new(0, 1, 0)),
            content: Content::Scalar { text: String::new(), plain: true },
        };
        Some(root.unwrap_or_else(empty))
    }

    fn next(&mut self) -> Option<(Event<'a>, Place)> {
        let (at, problem) = match self.parser.next_event() {
            Some(Ok((event, span))) => return Some((event, self.origin.place(span.start))),
            Some(Err(error)) => (*error.marker(), error.kind().to_string()),
            None => (Marker::new(0, 1, 0), "it ends too early".to_owned()),
        };
        let mut problem = Problem::new(format!("not valid YAML: {problem}"));
        // In a flow mapping, YAML takes the brace of an unquoted `${NAME}` for its own.
        let line = self.text.lines().nth(at.line().saturating_sub(1));
        if line.is_some_and(|line| line.contains("${")) {
            problem = problem.expected("quotes around a \"${NAME}\" that stands within braces");
        }
        self.report(&self.origin.place(at), problem);
        None
    }

    fn node(&mut self, event: Event<'a>, place: Place) -> Option<Node> {
        if event.tag().is_some_and(granit_parser::Tag::is_custom) {
            self.report(
                &place,
                Problem::new("has a YAML tag, which means nothing here").expected("a value without '!'"),
            );
        }
        let before = self.left;
        let tagged = event.tag().is_some();
        let anchor = event.anchor_id();
        let content = match event {
            Event::Scalar(text, style, ..) => {
                self.charge(text.len(), &place)?;
                Content::Scalar { plain: style == ScalarStyle::Plain && !tagged, text: text.into_owned() }
            }
            Event::SequenceStart(..) => Content::List(self.list(&place)?),
            Event::MappingStart(..) => Content::Map(self.map(&place)?),
            Event::Alias(id) => return self.alias(id, &place),
            other => {
                self.report(&place, Problem::new(format!("not valid YAML: {other:?} has no place here")));
                return None;
            }
        };
        let node = Node { place, content };
        if let Some(id) = anchor {
            let cost = before - self.left;
            self.charge(cost, &node.place)?;
            self.anchors.insert(id, (node.clone(), cost));
        }
        Some(node)
    }

    fn alias(&mut self, id: usize, place: &Place) -> Option<Node> {
        let Some(&(_, cost)) = self.anchors.get(&id) else {
            self.report(place, Problem::new("an alias inside what it stands for would never end"));
            return None;
        };
        self.charge(cost, place)?;
        self.anchors.get(&id).map(|(node, _)| node.clone())
    }

    fn list(&mut self, place: &Place) -> Option<Vec<Node>> {
        self.charge(0, place)?;
        let mut items = Vec::new();
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::SequenceEnd => return Some(items),
                event => items.push(self.node(event, place)?),
            }
        }
    }

    fn map(&mut self, place: &Place) -> Option<Vec<Entry>> {
        self.charge(0, place)?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, place)?;
            let empty = key.is_null();
            let Content::Scalar { text, plain } = key.content else {
                self.report(
                    &key.place,
                    Problem::new("a list or mapping stands where a key belongs").expected("a name"),
                );
                self.value_of("")?;
                continue;
            };
            let value = self.value_of(&text)?;
            if empty {
                self.report(&key.place, Problem::new("a key is empty").expected("a name"));
            } else if plain && text == "<<" {
                merged.push(value);
            } else if keys.insert(text.clone()) {
                entries.push(Entry { key: text, place: key.place, value });
            } else {
                let path = join(&self.path, &text);
                let problem = Problem::new("the key is given twice").expected("each key once");
                self.errors.report(&key.place, &path, problem);
            }
        }
        for value in merged {
            self.merge(value, &mut entries, &mut keys);
        }
        Some(entries)
    }

    /// The value that follows a key.
    fn value_of(&mut self, key: &str) -> Option<Node> {
        let path = join(&self.path, key);
        let outer = std::mem::replace(&mut self.path, path);
        let (event, place) = self.next()?;
        let value = self.node(event, place)?;
        self.path = outer;
        Some(value)
    }

    /// Adds what `<<` names; keys that are there already win.
    fn merge(&self, value: Node, entries: &mut Vec<Entry>, keys: &mut HashSet<String>) {
        let sources = match value.content {
            Content::List(sources) => sources,
            content => vec![Node { place: value.place, content }],
        };
        for source in sources {
            let Content::Map(more) = source.content else {
                self.report(&source.place, Problem::new("'<<' cannot merge this").expected("mappings to merge"));
                continue;
            };
            entries.extend(more.into_iter().filter(|entry| keys.insert(entry.key.clone())));
        }
    }

    /// Takes the cost of a node with `bytes` of text off what is left.
    fn charge(&mut self, bytes: usize, place: &Place) -> Option<()> {
        let left = bytes.checked_add(NODE_COST).and_then(|cost| self.left.checked_sub(cost));
        let Some(left) = left else {
            let problem = format!("with its aliases the configuration grows beyond {} MiB", COST_LIMIT >> 20);
            self.report(place, Problem::new(problem).expected("fewer or smaller aliases"));
            return None;
        };
        self.left = left;
        Some(())
    }

    fn report(&self, place: &Place, problem: Problem) {
        self.errors.report(place, &self.path, problem);
    }
}
