//! What people read: numbers, rows, commits, differences.

pub(crate) mod commit;
pub(crate) mod compare;
pub(crate) mod conflict;
pub(crate) mod diff;
pub(crate) mod html;
pub(crate) mod life;
pub(crate) mod quality;
pub(crate) mod row;
pub(crate) mod stat;

use std::borrow::Cow;

use comfy_table::{ContentArrangement, Table};
use glossator_store::delta::Counts;

/// A number with thousands apart: `1,204`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `+1,204 added, ~3 changed, -2 removed`, without the zeros; `no change`.
pub(crate) fn counts(counts: &Counts) -> String {
    let parts: Vec<String> = [
        ("+", counts.added, "added"),
        ("~", counts.changed, "changed"),
        ("-", counts.removed, "removed"),
    ]
    .into_iter()
    .filter(|(_, count, _)| *count > 0)
    .map(|(sign, count, word)| format!("{sign}{} {word}", number(count)))
    .collect();
    if parts.is_empty() { "no change".to_owned() } else { parts.join(", ") }
}

/// A text from data with its control characters spelled out: what an id or a label holds must not
/// move the cursor, forge a line, or turn the direction of what follows.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let odd =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match odd(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A table without borders; the header underlined by space alone.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|h| h.to_uppercase()));
    table
}

/// A table's lines without trailing space.
pub(crate) fn lines(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> =
        text.lines().map(|line| line.trim_end().trim_start_matches(' ')).collect();
    lines.join("\n")
}

/// A text cut to a number of characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most && text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.to_owned();
    }
    let clean = plain(text);
    let mut chars = clean.chars();
    let mut cut: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        for (value, text) in [(0, "0"), (999, "999"), (1_204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn control_characters_are_spelled_out() {
        for (text, shown) in [
            ("a b/ü→", "a b/ü→"),
            ("a\nb\r\t", r"a\nb\r\t"),
            ("\u{1b}[31m\u{9b}2J\0", r"\u{1b}[31m\u{9b}2J\u{0}"),
            ("\u{202e}gpj", r"\u{202e}gpj"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(shortened("\u{7}ring", 60), r"\u{7}ring");
    }

    #[test]
    fn counts_leave_out_zeros() {
        let some = Counts { added: 1204, changed: 0, removed: 2 };
        assert_eq!(counts(&some), "+1,204 added, -2 removed");
        assert_eq!(counts(&Counts::default()), "no change");
    }

    #[test]
    fn a_text_is_cut_to_its_characters() {
        assert_eq!(shortened("Größe", 5), "Größe");
        assert_eq!(shortened("Größe\n", 5), "Größ…");
        assert_eq!(shortened("a\tb", 3), r"a\…");
        assert_eq!(shortened("abcd", 3), "ab…");
    }
}
