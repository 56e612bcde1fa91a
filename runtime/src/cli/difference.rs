/// The lines of two texts, with `-` before those of the first alone, `+` before those of the second alone, and two spaces
/// before what they share.
pub(super) fn difference(old: &[String], new: &[String]) -> Vec<String> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle_old = old_rest.get(..old_rest.len() - end).unwrap_or_default();
    let middle_new = new_rest.get(..new_rest.len() - end).unwrap_or_default();
    let same = |line: &String| format!("  {line}");
    let mut lines: Vec<String> = old.iter().take(start).map(same).collect();
    between(middle_old, middle_new, &mut lines);
    lines.extend(old.iter().skip(old.len() - end).map(same));
    lines
}

/// A table of more entries than this takes too long.
const LARGE: usize = 1 << 20;

/// By the longest common subsequence.
fn between(old: &[String], new: &[String], lines: &mut Vec<String>) {
    let width = new.len() + 1;
    // How much is common of what is behind each pair of places.
    let mut common = vec![0u32; if old.len() * new.len() <= LARGE { (old.len() + 1) * width } else { 0 }];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    if !common.is_empty() {
        for (i, a) in old.iter().enumerate().rev() {
            for (j, b) in new.iter().enumerate().rev() {
                let best = match a == b {
                    true => at(&common, i + 1, j + 1) + 1,
                    false => at(&common, i + 1, j).max(at(&common, i, j + 1)),
                };
                if let Some(entry) = common.get_mut(i * width + j) {
                    *entry = best;
                }
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b && !common.is_empty() => {
                lines.push(format!("  {a}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                lines.push(format!("- {a}"));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(format!("+ {b}"));
                j += 1;
            }
            (_, None) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_and_what_is_not() {
        let table = [
            ("", "", ""),
            ("a", "a", "  a"),
            ("a", "", "- a"),
            ("", "a", "+ a"),
            ("a b c", "a x c", "  a|- b|+ x|  c"),
            ("a b c d", "b d e", "- a|  b|- c|  d|+ e"),
            ("a a", "a a a", "  a|  a|+ a"),
        ];
        let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (old, new, expected) in table {
            assert_eq!(difference(&lines(old), &lines(new)).join("|"), expected, "{old} against {new}");
        }
    }

    #[test]
    fn what_is_too_large_to_be_compared_is_shown_whole() {
        let lines = |from: usize| (from..from + 1100).map(|i| (i % 1500).to_string()).collect::<Vec<_>>();
        let (old, new) = (lines(0), lines(5));
        let shown = difference(&old, &new);
        let with =
            |sign: &str| shown.iter().filter_map(|l| l.strip_prefix(sign)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((with("- "), with("+ "), shown.len()), (old, new, 2200));
    }
}
