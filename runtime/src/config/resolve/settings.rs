//! The settings of one handler that refer to nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::defaults;
use crate::config::error::Problem;
use crate::config::fields::Fields;
use crate::config::model::{BatchConfig, Deliver, Limits, Ordering, ReloadConfig, RetryConfig, Workers};
use crate::config::read::Value;

/// A typing mistake, rather than a machine of that size.
const MOST_WORKERS: usize = 1024;
/// A batch this large gains nothing over one of a thousand, and its columns still count in 32 bits with room to spare.
const MOST_IN_BATCH: usize = 65_536;
/// No real guest starts with less.
const LEAST_MEMORY: u64 = 1 << 20;
/// What 32-bit WebAssembly can address.
const MOST_MEMORY: u64 = 4 << 30;

/// `4`, or `{ min: 1, max: 4 }`.
pub(super) fn workers(value: &Value<'_>) -> Option<Workers> {
    if value.is_scalar() {
        let count = value.count(1..=MOST_WORKERS)?;
        return Some(Workers { min: count, max: count });
    }
    let fields = value.fields(&["min", "max"])?;
    let min = fields.or("min", defaults::WORKERS.min, |min| min.count(1..=MOST_WORKERS));
    let max = fields.or("max", defaults::WORKERS.max.max(min), |max| max.count(1..=MOST_WORKERS));
    if let (true, Some(given)) = (min > max, fields.optional("min")) {
        given.wrong(Problem::new(format!("'min' is {min} and 'max' is {max}")).expected("'min' to be at most 'max'"));
    }
    Some(Workers { min, max })
}

/// `deliver` and `group`. A group is whole in itself, so the only order is that of groups as they are complete.
pub(super) fn deliver(fields: &Fields<'_>, ordering: Ordering) -> Deliver {
    let deliver = fields.optional("deliver");
    let groups = deliver.as_ref().and_then(|value| value.choice(&[("messages", false), ("groups", true)]));
    let given = fields.optional("group");
    let default = (defaults::GROUP_TIMEOUT, defaults::GROUP_MESSAGES);
    let (timeout, most) = given.as_ref().and_then(group).unwrap_or(default);
    if groups != Some(true) {
        // Where 'deliver' is wrong, that is the mistake to report.
        let plain = groups.is_some() || deliver.is_none();
        if let (true, Some(given)) = (plain, given) {
            let problem = Problem::new("only a handler that gets groups has this");
            given.wrong_key(problem.expected("'deliver: groups' beside it, or no 'group'"));
        }
        return Deliver::Messages;
    }
    if let (Ordering::Key | Ordering::Total, Some(given)) = (ordering, fields.optional("ordering")) {
        let problem = Problem::new("groups are handled as they are complete, so no other order can be kept");
        given.wrong(problem.expected("'ordering: none' with 'deliver: groups'"));
    }
    Deliver::Groups { timeout, most }
}

fn group(value: &Value<'_>) -> Option<(Duration, usize)> {
    let fields = value.fields(&["timeout", "messages"])?;
    let timeout = fields.or("timeout", defaults::GROUP_TIMEOUT, Value::duration_above_zero);
    Some((timeout, fields.or("messages", defaults::GROUP_MESSAGES, |most| most.count(1..=MOST_IN_BATCH))))
}

pub(super) fn batch(value: &Value<'_>) -> Option<BatchConfig> {
    let fields = value.fields(&["max", "wait"])?;
    Some(BatchConfig {
        max: fields.or("max", defaults::BATCH.max, |max| max.count(1..=MOST_IN_BATCH)),
        wait: fields.or("wait", defaults::BATCH.wait, Value::duration),
    })
}

pub(super) fn retry(value: &Value<'_>) -> Option<RetryConfig> {
    let fields = value.fields(&["max_attempts", "initial_delay", "max_delay", "multiplier"])?;
    let default = defaults::RETRY;
    let initial_delay = fields.or("initial_delay", default.initial_delay, Value::duration);
    let max_delay = fields.or("max_delay", default.max_delay, Value::duration);
    if let (true, Some(given)) = (initial_delay > max_delay, fields.optional("initial_delay")) {
        let problem = format!("'initial_delay' is {initial_delay:?} and 'max_delay' is {max_delay:?}");
        given.wrong(Problem::new(problem).expected("'initial_delay' to be at most 'max_delay'"));
    }
    let max_attempts = fields.optional("max_attempts").and_then(|value| value.whole(1..=u32::MAX.into()));
    Some(RetryConfig {
        max_attempts: max_attempts.and_then(|attempts| attempts.try_into().ok()).unwrap_or(default.max_attempts),
        initial_delay,
        max_delay,
        multiplier: fields.or("multiplier", default.multiplier, |value| value.factor(1.0)),
    })
}

pub(super) fn limits(value: &Value<'_>) -> Option<Limits> {
    let fields = value.fields(&["memory", "deadline", "output"])?;
    Some(Limits {
        memory: fields.or("memory", defaults::LIMITS.memory, |memory| memory.size(LEAST_MEMORY..=MOST_MEMORY)),
        deadline: fields.or("deadline", defaults::LIMITS.deadline, Value::duration_above_zero),
        output: fields.or("output", defaults::LIMITS.output, |output| output.size(1..=u64::MAX)),
    })
}

pub(super) fn reload(value: &Value<'_>) -> Option<ReloadConfig> {
    let fields = value.fields(&["watch", "poll"])?;
    Some(ReloadConfig {
        watch: fields.or("watch", defaults::RELOAD.watch, Value::boolean),
        poll: fields.or("poll", defaults::RELOAD.poll, Value::duration_above_zero),
    })
}

pub(super) fn guest_config(value: &Value<'_>) -> Option<BTreeMap<String, String>> {
    let entries = value.entries("a mapping of keys to single values")?;
    let texts = entries.into_iter().filter_map(|(key, value)| {
        let text = value.text("a single value; \"\" for an empty text")?;
        Some((key.to_owned(), text.to_owned()))
    });
    Some(texts.collect())
}
