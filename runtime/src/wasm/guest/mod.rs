//! The worlds that a component may be of, one file for each: how a batch becomes a call, and its answer a
//! [`Handled`](crate::message::Handled).

pub(super) mod columns;
pub(super) mod gather;
pub(super) mod records;
mod scatter;

use crate::message::{Batch, Handled, Message, MessageBuilder};
use std::collections::{HashMap, HashSet};

/// The plugin contract, as wasmtime binds it.
pub(in crate::wasm) mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::indexing_slicing, clippy::unwrap_used)]
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        world: "pelton:plugin/batch-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
    });
}

/// The same for handlers by records.
pub(in crate::wasm) mod record_bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::indexing_slicing, clippy::unwrap_used)]
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        world: "pelton:plugin/plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
        with: {
            "pelton:plugin/progress": super::bindings::pelton::plugin::progress,
            "wasi:logging/logging": super::bindings::wasi::logging::logging,
        },
    });
}

/// How a component takes its messages: known by what it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// `pelton:plugin/batch-handler`.
    Columns,
    /// `pelton:plugin/message-handler`.
    Records,
}

impl World {
    /// The interface's name, without its version.
    pub fn interface(self) -> &'static str {
        match self {
            World::Columns => "pelton:plugin/batch-handler",
            World::Records => "pelton:plugin/message-handler",
        }
    }
}

/// A guest has returned what the contract forbids, or more than it may.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the handler returned {0}")]
pub(super) struct Invalid(pub(super) String);

/// The outputs that a handler may name: place 0 is the unnamed one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    places: HashMap<String, usize>,
    has_default: bool,
}

impl Targets {
    /// `names` in the order of their places, from 1.
    pub(crate) fn new(has_default: bool, names: impl IntoIterator<Item = String>) -> Targets {
        Targets { places: names.into_iter().zip(1..).collect(), has_default }
    }

    /// The place of a name, or why there is none.
    fn find(&self, name: &str) -> Result<usize, String> {
        match self.places.get(name) {
            Some(place) => Ok(*place),
            None if name.is_empty() && self.has_default => Ok(0),
            None if name.is_empty() => {
                Err("an output, but this handler has no `output`: name a stream there, or return no outputs".to_owned())
            }
            None => {
                let name = crate::wasm::host::shorten(name.to_owned());
                Err(format!("an output to '{name}', which is not among this handler's `outputs`"))
            }
        }
    }
}

/// What an output takes from its input, as `columns.outputs.inherit` numbers it.
mod inherit {
    pub(super) const BODY: u8 = 1;
    pub(super) const HEADERS: u8 = 2;
    pub(super) const SUBJECT: u8 = 4;
    pub(super) const KEY: u8 = 8;
    pub(super) const TIMESTAMP: u8 = 16;
    pub(super) const ALL: u8 = BODY | HEADERS | SUBJECT | KEY | TIMESTAMP;
}

/// What a guest gave of one output, before what it inherits is added.
struct Given<'a> {
    inherit: u8,
    subject: &'a str,
    headers: usize,
    body: &'a [u8],
    now: i64,
}

/// Finishes a message whose own headers are already in `builder`.
fn inherit_from(
    input: &Message,
    given: &Given<'_>,
    builder: &mut MessageBuilder,
    budget: &mut Budget,
) -> Result<Message, Invalid> {
    let has = |bit: u8| given.inherit & bit != 0;
    budget.take(given.subject.len() + given.body.len())?;
    if given.inherit & inherit::ALL == inherit::ALL && given.headers == 0 && given.body.is_empty() {
        budget.take(input.weight() as usize)?;
        return Ok(input.clone());
    }
    if has(inherit::BODY) {
        budget.take(input.body().len())?;
    }
    if has(inherit::HEADERS | inherit::KEY | inherit::SUBJECT) {
        budget.take(input.weight() as usize - input.body().len())?;
    }
    if has(inherit::HEADERS | inherit::KEY) {
        let own: HashSet<String> = if given.headers > 0 { builder.header_names() } else { HashSet::new() };
        builder.headers_of(input, |name| {
            let wanted = if name == crate::message::KEY { has(inherit::KEY) } else { has(inherit::HEADERS) };
            wanted && !own.contains(name)
        });
    }
    builder.subject(if has(inherit::SUBJECT) { input.subject() } else { given.subject });
    builder.timestamp(if has(inherit::TIMESTAMP) { input.timestamp() } else { given.now });
    let body = if has(inherit::BODY) { input.body() } else { given.body };
    builder.build(body).map_err(|e| Invalid(format!("an output that cannot be: {e}")))
}

/// What the outputs of a batch may still weigh. Taken before anything is copied: with a few bytes a guest can ask for the
/// same megabyte a million times.
struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    /// What an output or a header weighs, however little is in it.
    const EACH: usize = 16;

    /// What came in may go out once, however large it was.
    fn new(most: u64, batch: &Batch) -> Budget {
        let forwarded: u64 = batch.entries.iter().map(|e| e.message.weight()).sum();
        Budget { most, left: most.saturating_add(forwarded) }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Invalid> {
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or_else(|| Invalid(format!("more outputs than `limits.output`, {} bytes", self.most)))?;
        Ok(())
    }
}

/// The places that a batch has, as the contract counts them.
fn count(batch: &Batch) -> u32 {
    u32::try_from(batch.entries.len()).unwrap_or(u32::MAX)
}

/// Nothing was considered: a fault.
fn check_considered(handled: Handled, batch: &Batch) -> Result<Handled, Invalid> {
    if handled.considered == 0 || handled.considered > batch.entries.len() {
        return Err(Invalid(format!("{} verdicts for {} messages", handled.considered, batch.entries.len())));
    }
    Ok(handled)
}
