/// Rows as lines, every column but the last as wide as its widest cell.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text in one line, control characters escaped, cut where it is longer than so many characters.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == most {
            line.push('…');
            break;
        }
        match c.is_control() {
            true => line.extend(c.escape_debug()),
            false => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_stay_lines() {
        let rows = [vec!["a".to_owned(), "10".into(), "x".into()], vec!["löng".into(), "1".into(), String::new()]];
        assert_eq!(table(&rows), "a     10  x\nlöng  1\n");
        assert_eq!((one_line("a\nb\u{1b}", 9), one_line("äöü", 2)), ("a\\nb\\u{1b}".into(), "äö…".into()));
        assert_eq!(one_line("äö", 2), "äö");
    }
}
