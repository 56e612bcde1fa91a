//! An echo by plain records, without the SDK: what a handler in any language looks like, and what records cost.

use bindings::exports::pelton::plugin::lifecycle::{Guest as Lifecycle, Plan};
use bindings::exports::pelton::plugin::message_handler::{Failure, Guest, Message, Output};
use std::sync::atomic::{AtomicBool, Ordering};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod bindings {
    wit_bindgen::generate!({
        world: "plugin-with-lifecycle",
        path: "../../wit/0.1.0",
        generate_all,
    });
}

static EMIT: AtomicBool = AtomicBool::new(true);

struct Records;

impl Lifecycle for Records {
    /// `emit: "false"` in the configuration makes it emit nothing.
    fn start(config: Vec<(String, String)>) -> Result<Plan, String> {
        EMIT.store(!config.iter().any(|(name, value)| name == "emit" && value == "false"), Ordering::Relaxed);
        Ok(Plan { wants: Vec::new(), max_messages: 0, max_bytes: 0, options: Vec::new() })
    }

    fn stop() {}
}

impl Guest for Records {
    /// Gives everything back by hand, rather than by `inherit`, so that every field makes the way in both directions.
    fn handle(message: Message) -> Result<Vec<Output>, Failure> {
        if !EMIT.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        Ok(vec![Output {
            target: None,
            subject: Some(message.subject).filter(|subject| !subject.is_empty()),
            key: message.key,
            inherit: 0,
            headers: message.headers,
            body: message.body,
        }])
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Records with_types_in bindings);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::pelton::plugin::message_handler::{Header, Value};

    #[test]
    #[allow(clippy::unwrap_used, clippy::panic)]
    fn every_field_comes_back() {
        let message = Message {
            stream: "s".into(),
            partition: 0,
            sequence: 1,
            attempt: 1,
            timestamp: None,
            id: None,
            subject: "subject".into(),
            key: Some(b"k".to_vec()),
            headers: vec![Header { name: "n".into(), value: Value::Integer(1) }],
            body: b"body".to_vec(),
        };
        let outputs = Records::handle(message).unwrap_or_else(|_| panic!("an echo never fails"));
        let [output] = outputs.as_slice() else { panic!("an echo has one output") };
        assert_eq!((output.subject.as_deref(), output.key.as_deref()), (Some("subject"), Some(b"k".as_slice())));
        assert_eq!((output.headers.len(), output.body.as_slice()), (1, b"body".as_slice()));
    }
}
