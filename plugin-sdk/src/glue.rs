//! Between the contract's columns and the author's function.

use crate::encode::Encoder;
use crate::failure::Failure;
use crate::message::Message;
use crate::output::IntoOutputs;
use crate::raw::{Batch, Handled, Plan};
use crate::report::PROGRESS;

/// The messages of a batch, in order. Where the batch's strings are not text, which the contract forbids, subjects and
/// header names read as empty.
pub fn messages(batch: &Batch) -> impl Iterator<Item = Message<'_>> {
    // Checked once for the batch rather than at every name.
    let strings = core::str::from_utf8(&batch.strings.data).unwrap_or_default();
    (0..batch.count as usize).map(move |index| Message::new(batch, strings, index))
}

/// Calls `handle` for each message of `batch`, in order, and makes columns of what became of them: the bridge from a
/// hand-written [`BatchHandler`](crate::raw::BatchHandler) back to the simple form.
///
/// ```
/// use pelton_sdk::{Failure, Message, Output, raw};
///
/// fn handle(_message: Message<'_>) -> Result<Output, Failure> {
///     Ok(Output::forward())
/// }
///
/// fn handle_batch(batch: raw::Batch) -> raw::Handled {
///     raw::run(&batch, handle)
/// }
/// # let _ = handle_batch;
/// ```
pub fn run<T: IntoOutputs>(batch: &Batch, mut handle: impl FnMut(Message<'_>) -> Result<T, Failure>) -> Handled {
    let mut encoder = Encoder::default();
    let mut failures = Vec::new();
    PROGRESS.enter();
    for (index, message) in (0..).zip(messages(batch)) {
        PROGRESS.turn_to(index);
        match handle(message) {
            Ok(outputs) => outputs.emit(&mut |output| encoder.add(index, output)),
            Err(failure) => failures.push(failure.into_raw(index)),
        }
    }
    PROGRESS.leave();
    Handled { considered: batch.count, failures, outputs: encoder.finish(), extra: Vec::new() }
}

/// For messages that arrive before `start` succeeded: the contract forbids it, so nothing can be said about them.
pub fn not_started(batch: &Batch) -> Handled {
    run::<()>(batch, |_| Err(Failure::retry("the host called handle before start")))
}

/// The plan of a handler that reads `wants` (empty: everything).
pub fn plan(wants: &[&str], max_messages: u32, max_bytes: u32) -> Plan {
    let columns = wants.iter().map(|&name| name.to_owned()).collect();
    Plan { wants: columns, max_messages, max_bytes, options: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use crate::testing::{batch as fixture_batch, message};

    #[test]
    fn each_message_gets_its_own_verdict() {
        let bodies = ["drop", "once", "bad", "twice", "busy"];
        let batch = fixture_batch(&bodies.map(|body| message().body(body)));
        let handled = run(&batch, |message| match message.text()? {
            "once" => Ok(vec![Output::forward()]),
            "twice" => Ok(vec![Output::new("a"), Output::new("b")]),
            "bad" => Err(Failure::reject("bad")),
            "busy" => Err(Failure::retry("busy")),
            _ => Ok(vec![]),
        });
        assert_eq!(handled.considered, 5);
        assert_eq!(handled.outputs.inputs, [1, 3, 3]);
        let verdicts: Vec<_> = handled.failures.iter().map(|failure| (failure.message, failure.action)).collect();
        assert_eq!(verdicts, [(2, 1), (4, 0)]);
    }

    #[test]
    fn strings_that_are_not_text_read_as_none() {
        let mut batch = fixture_batch(&[message().subject("s").body("b"), message()]);
        batch.strings.data = vec![0xff];
        let read: Vec<_> = messages(&batch).map(|message| (message.subject(), message.body())).collect();
        assert_eq!(read, [("", b"b".as_slice()), ("", b"")]);
    }

    #[test]
    fn before_start_every_message_comes_again() {
        let handled = not_started(&fixture_batch(&[message(), message()]));
        let verdicts: Vec<_> = handled.failures.iter().map(|failure| (failure.message, failure.action)).collect();
        assert_eq!((handled.considered, verdicts.as_slice()), (2, [(0, 0), (1, 0)].as_slice()));
    }

    #[test]
    fn the_plan_names_the_columns() {
        assert_eq!(plan(&["bodies", "headers"], 0, 0).wants, ["bodies", "headers"]);
        assert!(plan(&[], 16, 0).wants.is_empty());
    }
}
