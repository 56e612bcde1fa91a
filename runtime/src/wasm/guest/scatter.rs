use super::bindings::exports::pelton::plugin::batch_handler::Handled as GuestHandled;
use super::{Budget, Given, Invalid, Targets, check_considered, inherit_from};
use crate::message::{Batch, Handled, Kind, MessageBuilder, Outcome, Output};
use crate::stream::now_ns;
use std::time::Duration;

/// Byte strings as a guest gave them; nothing in them is trusted.
struct Blobs<'a> {
    what: &'static str,
    data: &'a [u8],
    ends: &'a [u32],
}

impl<'a> Blobs<'a> {
    /// `count` items, or none at all.
    fn new(what: &'static str, data: &'a [u8], ends: &'a [u32], count: usize) -> Result<Blobs<'a>, Invalid> {
        check_length(what, ends.len(), count)?;
        Ok(Blobs { what, data, ends })
    }

    fn get(&self, i: usize) -> Result<&'a [u8], Invalid> {
        if self.ends.is_empty() {
            return Ok(&[]);
        }
        let start = if i == 0 { 0 } else { self.ends.get(i - 1).copied().unwrap_or(u32::MAX) };
        let end = self.ends.get(i).copied().unwrap_or(u32::MAX);
        let item = self.data.get(start as usize..end as usize);
        item.ok_or_else(|| Invalid(format!("{} whose item {i} is {start}..{end} of {}", self.what, self.data.len())))
    }
}

fn check_length(what: &str, length: usize, count: usize) -> Result<(), Invalid> {
    if length != 0 && length != count {
        return Err(Invalid(format!("a column of {length} {what} where there are {count} to be")));
    }
    Ok(())
}

/// An item of a column that may be empty.
fn item<T: Copy>(column: &[T], i: usize, default: T) -> T {
    column.get(i).copied().unwrap_or(default)
}

/// Checks every length, index and end of a guest's answer, and makes of it what the host works with.
pub(super) fn handled(
    guest: &GuestHandled,
    batch: &Batch,
    targets: &Targets,
    most: u64,
    builder: &mut MessageBuilder,
) -> Result<Handled, Invalid> {
    let considered = guest.considered as usize;
    let mut handled = check_considered(Handled { considered, ..Handled::default() }, batch)?;
    for failure in &guest.failures {
        let place = failure.message as usize;
        if place >= considered || handled.failures.last().is_some_and(|(last, _)| *last >= place) {
            return Err(Invalid(format!("a failure of message {place}, out of range or out of order")));
        }
        let reason = crate::wasm::host::shorten(failure.reason.clone());
        let outcome = match failure.action {
            1 => Outcome::Reject { reason },
            _ => {
                let after = (failure.delay_ms > 0).then(|| Duration::from_millis(failure.delay_ms));
                Outcome::Retry { after, reason }
            }
        };
        handled.failures.push((place, outcome));
    }
    if !guest.outputs.inputs.is_empty() {
        Outputs::new(guest, most)?.emit(batch, targets, builder, &mut handled)?;
    }
    Ok(handled)
}

struct Outputs<'a> {
    guest: &'a GuestHandled,
    most: u64,
    strings: Vec<&'a str>,
    values: Blobs<'a>,
    bodies: Blobs<'a>,
}

impl<'a> Outputs<'a> {
    fn new(guest: &'a GuestHandled, most: u64) -> Result<Outputs<'a>, Invalid> {
        let o = &guest.outputs;
        let count = o.inputs.len();
        check_length("targets", o.targets.len(), count)?;
        check_length("inherit flags", o.inherit.len(), count)?;
        check_length("subjects", o.subjects.len(), count)?;
        check_length("header ends", o.headers.ends.len(), count)?;
        let headers = o.headers.names.len();
        check_length("header kinds", o.headers.kinds.len(), headers)?;
        let strings = Blobs::new("strings", &o.strings.data, &o.strings.ends, o.strings.ends.len())?;
        let text =
            |i| std::str::from_utf8(strings.get(i)?).map_err(|_| Invalid(format!("string {i} that is not UTF-8")));
        Ok(Outputs {
            guest,
            most,
            strings: (0..o.strings.ends.len()).map(text).collect::<Result<_, _>>()?,
            values: Blobs::new("header values", &o.headers.values.data, &o.headers.values.ends, headers)?,
            bodies: Blobs::new("bodies", &o.bodies.data, &o.bodies.ends, count)?,
        })
    }

    fn string(&self, index: u32) -> Result<&'a str, Invalid> {
        match self.strings.get(index as usize) {
            Some(text) => Ok(text),
            None if index == 0 => Ok(""),
            None => Err(Invalid(format!("string index {index} of {}", self.strings.len()))),
        }
    }

    fn emit(
        &self,
        batch: &Batch,
        targets: &Targets,
        builder: &mut MessageBuilder,
        handled: &mut Handled,
    ) -> Result<(), Invalid> {
        let o = &self.guest.outputs;
        let now = now_ns();
        let mut failed = std::mem::take(&mut handled.failures).into_iter().peekable();
        let mut failures = Vec::new();
        let (mut last, mut header) = (0, 0);
        let mut budget = Budget::new(self.most, batch);
        for (i, input) in o.inputs.iter().enumerate() {
            let place = *input as usize;
            if place < last || place >= handled.considered {
                return Err(Invalid(format!("output {i} of message {place}, out of range or out of order")));
            }
            last = place;
            budget.take(Budget::EACH)?;
            let headers = header..item(&o.headers.ends, i, 0) as usize;
            if headers.end < headers.start || headers.end > o.headers.names.len() {
                return Err(Invalid(format!("output {i} with headers {headers:?} of {}", o.headers.names.len())));
            }
            header = headers.end;
            failures.extend(std::iter::from_fn(|| failed.next_if(|(f, _)| *f < place)));
            let void =
                failed.peek().is_some_and(|(f, _)| *f == place) || failures.last().is_some_and(|(f, _)| *f == place);
            if void {
                continue;
            }
            let target = match targets.find(self.string(item(&o.targets, i, 0))?) {
                Ok(target) => target,
                Err(why) => {
                    // Another try would end the same way.
                    while handled.outputs.last().is_some_and(|o| o.input == place) {
                        handled.outputs.pop();
                    }
                    failures.push((place, Outcome::Reject { reason: format!("the handler returned {why}") }));
                    continue;
                }
            };
            let given = Given {
                inherit: item(&o.inherit, i, 0),
                subject: self.string(item(&o.subjects, i, 0))?,
                headers: headers.len(),
                body: self.bodies.get(i)?,
                now,
            };
            for h in headers {
                let (kind, value) = (Kind(item(&o.headers.kinds, h, 1)), self.values.get(h)?);
                let name = self.string(item(&o.headers.names, h, 0))?;
                if !kind.fits(value) {
                    return Err(Invalid(format!("header '{name}' of kind {} with bytes that do not fit it", kind.0)));
                }
                budget.take(Budget::EACH + name.len() + value.len())?;
                builder.raw_header(name, kind, value);
            }
            let Some(entry) = batch.entries.get(place) else { continue };
            handled.outputs.push(Output {
                input: place,
                target,
                message: inherit_from(&entry.message, &given, builder, &mut budget)?,
            });
        }
        failures.extend(failed);
        handled.failures = failures;
        Ok(())
    }
}
