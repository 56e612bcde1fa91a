use super::record_bindings::exports::pelton::plugin::message_handler as wit;
use super::{Budget, Given, Invalid, Targets, inherit_from};
use crate::message::{Batch, Entry, Handled, KEY, Kind, MessageBuilder, Outcome, Output, Value};
use crate::stream::now_ns;
use crate::wasm::host::{HostState, shorten};
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::Instance;

/// Calls a handler that takes its messages as records: one call a message.
pub(in crate::wasm) struct ByRecords {
    guest: wit::Guest,
    builder: MessageBuilder,
}

impl ByRecords {
    pub(in crate::wasm) fn new(
        store: &mut Store<HostState>,
        instance: &Instance,
        indices: &wit::GuestIndices,
    ) -> wasmtime::Result<ByRecords> {
        Ok(ByRecords { guest: indices.load(store, instance)?, builder: MessageBuilder::new() })
    }

    pub(in crate::wasm) async fn handle(
        &mut self,
        store: &mut Store<HostState>,
        batch: &Batch,
        targets: &Targets,
        most: u64,
    ) -> wasmtime::Result<Result<Handled, Invalid>> {
        let mut handled = Handled { considered: batch.entries.len(), ..Handled::default() };
        let mut budget = Budget::new(most, batch);
        for (place, entry) in batch.entries.iter().enumerate() {
            store.data_mut().current = Some(place as u32);
            let headers: Vec<wit::HeaderParam<'_>> =
                entry.message.headers().filter(|(name, _)| *name != KEY).map(header).collect();
            match self.guest.call_handle(&mut *store, record(&batch.stream, entry, &headers)).await? {
                Err(failure) => handled.failures.push((place, outcome(failure))),
                Ok(outputs) => match self.emit(&outputs, place, entry, targets, &mut budget) {
                    Ok(Ok(outputs)) => handled.outputs.extend(outputs),
                    Ok(Err(reason)) => handled.failures.push((place, Outcome::Reject { reason })),
                    Err(invalid) => return Ok(Err(invalid)),
                },
            }
        }
        Ok(Ok(handled))
    }

    fn emit(
        &mut self,
        outputs: &[wit::Output],
        place: usize,
        entry: &Entry,
        targets: &Targets,
        budget: &mut Budget,
    ) -> Result<Result<Vec<Output>, String>, Invalid> {
        let now = now_ns();
        let mut made = Vec::new();
        for output in outputs {
            budget.take(Budget::EACH + output.key.as_ref().map_or(0, Vec::len))?;
            let target = match targets.find(output.target.as_deref().unwrap_or_default()) {
                Ok(target) => target,
                Err(why) => return Ok(Err(format!("the handler returned {why}"))),
            };
            if let Some(key) = &output.key {
                self.builder.key(key);
            }
            for h in &output.headers {
                let value = value(&h.value)?;
                let mut scratch = [0; 8];
                let (kind, bytes) = value.encode(&mut scratch);
                budget.take(Budget::EACH + h.name.len() + bytes.len())?;
                self.builder.raw_header(&h.name, kind, bytes);
            }
            let given = Given {
                inherit: output.inherit,
                subject: output.subject.as_deref().unwrap_or_default(),
                headers: output.headers.len() + usize::from(output.key.is_some()),
                body: &output.body,
                now,
            };
            let message = inherit_from(&entry.message, &given, &mut self.builder, budget)?;
            made.push(Output { input: place, target, message });
        }
        Ok(Ok(made))
    }
}

fn record<'a>(stream: &'a str, entry: &'a Entry, headers: &'a [wit::HeaderParam<'a>]) -> wit::Message<'a> {
    let m = &entry.message;
    wit::Message {
        stream,
        partition: entry.at.partition,
        sequence: entry.at.seq,
        attempt: entry.attempt,
        timestamp: (m.timestamp() != 0).then_some(m.timestamp()),
        id: std::str::from_utf8(m.id()).ok().filter(|id| !id.is_empty()),
        subject: m.subject(),
        key: m.key(),
        headers,
        body: m.body(),
    }
}

fn header<'a>((name, value): (&'a str, Value<'a>)) -> wit::HeaderParam<'a> {
    let value = match value {
        Value::Bytes(b) => wit::ValueParam::Bytes(b),
        Value::Text(t) => wit::ValueParam::Text(t),
        Value::Bool(b) => wit::ValueParam::Boolean(b),
        Value::Integer(i) => wit::ValueParam::Integer(i),
        Value::Float(x) => wit::ValueParam::Float(x),
        Value::Timestamp(t) => wit::ValueParam::Timestamp(t),
        Value::Null => wit::ValueParam::Null,
        Value::Opaque(kind, b) => wit::ValueParam::Opaque((kind, b)),
    };
    wit::HeaderParam { name, value }
}

fn value(value: &wit::ValueResult) -> Result<Value<'_>, Invalid> {
    Ok(match value {
        wit::ValueResult::Bytes(b) => Value::Bytes(b),
        wit::ValueResult::Text(t) => Value::Text(t),
        wit::ValueResult::Boolean(b) => Value::Bool(*b),
        wit::ValueResult::Integer(i) => Value::Integer(*i),
        wit::ValueResult::Float(x) => Value::Float(*x),
        wit::ValueResult::Timestamp(t) => Value::Timestamp(*t),
        wit::ValueResult::Null => Value::Null,
        wit::ValueResult::Opaque((kind, b)) if *kind >= Kind::OPAQUE => Value::Opaque(*kind, b),
        wit::ValueResult::Opaque((kind, _)) => {
            return Err(Invalid(format!("an opaque header of kind {kind}, which is below 16")));
        }
    })
}

fn outcome(failure: wit::Failure) -> Outcome {
    match failure {
        wit::Failure::Retry((delay_ms, reason)) => {
            let after = delay_ms.filter(|ms| *ms > 0).map(Duration::from_millis);
            Outcome::Retry { after, reason: shorten(reason) }
        }
        wit::Failure::Reject(reason) => Outcome::Reject { reason: shorten(reason) },
    }
}
