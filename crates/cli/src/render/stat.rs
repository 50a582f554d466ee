//! `diff --stat`: counts in tables.

use std::io::Write;

use glossator_lineage::{Group, Stat};

use super::{counts, lines, number, plain, table};
use crate::error::Result;

/// Rows of one table at most.
const ROWS_MAX: usize = 40;

pub(crate) fn write(out: &mut dyn Write, stat: &Stat) -> Result<()> {
    for (name, change) in &stat.tables {
        let moved = if name == "annotations" && stat.moved > 0 {
            format!(" ({} of them moved)", number(stat.moved))
        } else {
            String::new()
        };
        writeln!(out, "{name}: {}{moved}", counts(change))?;
    }
    for (title, group) in [
        ("label", &stat.labels),
        ("annotator", &stat.annotators),
        ("policy", &stat.policies),
        ("status", &stat.statuses),
    ] {
        write_group(out, title, group)?;
    }
    if !stat.transitions.is_empty() {
        let mut all: Vec<(&str, &str, u64)> = stat
            .transitions
            .iter()
            .flat_map(|(from, row)| row.iter().map(move |(to, n)| (from.as_str(), to.as_str(), *n)))
            .collect();
        all.sort_by(|a, b| b.2.cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        let mut rows = table(&["transition", "annotations"]);
        for (from, to, count) in all.iter().take(ROWS_MAX) {
            rows.add_row([format!("{} → {}", plain(from), plain(to)), number(*count)]);
        }
        writeln!(out, "\n{}", lines(&rows))?;
        if all.len() > ROWS_MAX {
            writeln!(out, "and {} more", all.len() - ROWS_MAX)?;
        }
    }
    Ok(())
}

fn write_group(out: &mut dyn Write, title: &str, group: &Group) -> Result<()> {
    if group.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = group.iter().collect();
    sorted.sort_by(|a, b| b.1.total().cmp(&a.1.total()).then(a.0.cmp(b.0)));
    let mut rows = table(&[title, "added", "changed", "removed"]);
    for (name, counts) in sorted.iter().take(ROWS_MAX) {
        rows.add_row([
            plain(name).into_owned(),
            number(counts.added),
            number(counts.changed),
            number(counts.removed),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    if sorted.len() > ROWS_MAX {
        writeln!(out, "and {} more", sorted.len() - ROWS_MAX)?;
    }
    Ok(())
}
