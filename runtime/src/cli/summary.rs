use crate::host::Report;
use crate::stream::DropReason;
use std::time::Duration;

/// What a run has done, as a table.
pub(super) fn table(report: &Report) -> String {
    let mut rows =
        vec![["handler", "in", "out", "retried", "dead", "dropped", "rate", "p50", "p99"].map(str::to_owned).to_vec()];
    for h in &report.handlers {
        rows.push(vec![
            h.name.clone(),
            number(h.handled),
            number(h.outputs),
            number(h.retried),
            number(h.dead),
            number(h.dropped),
            format!("{}/s", number(rate(h.handled, report.elapsed))),
            time(h.p50),
            time(h.p99),
        ]);
    }
    let mut text = align(&rows);
    for (name, stats) in &report.streams {
        for reason in [DropReason::BufferFull, DropReason::Refused] {
            let dropped = stats.dropped_by(reason);
            if dropped > 0 {
                text.push_str(&format!("stream {name}: {} dropped, {}\n", number(dropped), reason.as_str()));
            }
        }
    }
    for (stream, why) in &report.failed {
        text.push_str(&format!("stream {stream}: {why}\n"));
    }
    text
}

/// The same in one line.
pub(super) fn line(report: &Report) -> String {
    let mut parts = Vec::new();
    for h in &report.handlers {
        let mut part =
            format!("{}: {} in, {} out, lag {}", h.name, number(h.handled), number(h.outputs), number(h.lag));
        for (count, what) in [(h.retried, "retried"), (h.dead, "dead"), (h.dropped, "dropped")] {
            if count > 0 {
                part.push_str(&format!(", {} {what}", number(count)));
            }
        }
        if h.generation > 1 {
            part.push_str(&format!(", generation {}", h.generation));
        }
        parts.push(part);
    }
    parts.join(" | ")
}

pub(super) fn rate(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-9)) as u64
}

/// With commas between the thousands.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(time: Option<Duration>) -> String {
    match time {
        None => "-".into(),
        Some(t) if t < Duration::from_micros(10) => format!("{} ns", t.as_nanos()),
        Some(t) if t < Duration::from_millis(10) => format!("{} µs", t.as_micros()),
        Some(t) => format!("{} ms", t.as_millis()),
    }
}

/// The first column to the left, the others to the right.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(c, (cell, w))| if c == 0 { format!("{cell:<w$}") } else { format!("{cell:>w$}") });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1234567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "10".into()], vec!["long".into(), "1".into()]];
        assert_eq!(align(&rows), "a     10\nlong   1\n");
    }
}
