//! Does what the message's body says, however harmful: what the host's tests throw at its walls.
//!
//! | body | what it does |
//! |---|---|
//! | `loop` | never comes back |
//! | `allocate` | takes memory until there is none |
//! | `trap` | executes `unreachable` |
//! | `panic` | panics with the text `on command` |
//! | `recurse` | calls itself without end |
//! | `exit` | leaves through `wasi:cli/exit` |
//! | `output` | one output as large as memory allows, at most 1 GiB |
//! | `output N` | one output of N bytes |
//! | `copies N TEXT` | N outputs, each with the whole body, which the host is to copy |
//! | `fewer` | stops before this message; as the first of its batch it says that it considered none |
//! | `columns LIE` | breaks the contract in its answer: see `lies.rs` |
//! | `sleep MS` | sleeps on the clock, then forwards |
//! | `retry`, `retry-after MS`, `reject` | fails so, with the reason `on command` |
//! | `fail-until N` | asks for a retry until attempt N, then forwards |
//! | `log TEXT` | logs TEXT at level info, then forwards |
//! | anything else | forwards |

mod harm;
mod lies;

use core::time::Duration;

use pelton_sdk::{Failure, Message, Output, raw};

/// Obeys the commands that concern one message alone.
pub fn obey(message: Message<'_>) -> Result<Vec<Output>, Failure> {
    let (command, argument) = split(&message);
    match command {
        "loop" => harm::spin(),
        "allocate" => harm::allocate(),
        "trap" => harm::trap(),
        "panic" => harm::panic(),
        "exit" => std::process::exit(1),
        "recurse" => return Ok(vec![Output::new(harm::recurse(0).to_string())]),
        "output" => return Ok(vec![Output::new(harm::gigantic(argument.parse().ok()))]),
        "copies" => return Ok(harm::copies(number(argument.split(' ').next().unwrap_or_default())?)),
        "sleep" => std::thread::sleep(Duration::from_millis(number(argument)?)),
        "retry" => return Err(Failure::retry("on command")),
        "retry-after" => {
            return Err(Failure::retry_after(Duration::from_millis(number(argument)?), "on command"));
        }
        "reject" => return Err(Failure::reject("on command")),
        "fail-until" if u64::from(message.attempt()) < number(argument)? => {
            return Err(Failure::retry("not yet"));
        }
        "log" => log::info!("{argument}"),
        _ => {}
    }
    Ok(vec![Output::forward()])
}

/// The command and its argument, `""` where there is none.
fn split<'a>(message: &Message<'a>) -> (&'a str, &'a str) {
    let text = message.text().unwrap_or_default().trim_end();
    text.split_once(' ').unwrap_or((text, ""))
}

fn number(argument: &str) -> Result<u64, Failure> {
    argument.parse().map_err(|_| Failure::reject(format_args!("`{argument}` is no number")))
}

pub struct Misbehave;

impl raw::Lifecycle for Misbehave {
    fn start(_config: Vec<(String, String)>) -> Result<raw::Plan, String> {
        raw::report_to_host();
        Ok(raw::Plan::default())
    }

    fn stop() {}
}

impl raw::BatchHandler for Misbehave {
    fn handle(mut batch: raw::Batch) -> raw::Handled {
        let commands: Vec<(String, String)> = raw::messages(&batch)
            .map(|message| split(&message))
            .map(|(command, argument)| (command.to_owned(), argument.to_owned()))
            .collect();
        let fewer = commands.iter().position(|(command, _)| command == "fewer");
        if let Some(before) = fewer.and_then(|before| u32::try_from(before).ok()) {
            batch.count = before;
        }
        let mut handled = raw::run(&batch, obey);
        let considered = commands.iter().take(batch.count as usize);
        for (_, lie) in considered.filter(|(command, _)| command == "columns") {
            lies::tell(lie, &mut handled, batch.count);
        }
        handled
    }
}

#[cfg(target_family = "wasm")]
raw::export!(Misbehave with_types_in raw::bindings);

#[cfg(test)]
mod tests;
