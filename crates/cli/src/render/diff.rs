//! Differences of rows, for people and for scripts.

use std::io::Write;

use arrow::array::RecordBatch;
use glossator_formats::JsonRows;
use glossator_lineage::{Operation, RowDiff, row_diffs};
use glossator_store::canonical::Rows;
use glossator_store::delta::DeltaBatch;
use glossator_store::schema::{ANNOTATIONS, Annotations};

use super::{plain, row};
use crate::error::Result;

/// One line of JSON a row.
pub(crate) fn write_json(out: &mut dyn Write, delta: &DeltaBatch) -> Result<()> {
    let (old_rows, new_rows) = (delta.old_rows()?, delta.new_rows()?);
    let old_json = JsonRows::new(delta.table, &delta.old)?;
    let new_json = JsonRows::new(delta.table, &delta.new)?;
    let mut line = Vec::new();
    // Words of ours need no escapes.
    let word = |line: &mut Vec<u8>, parts: [&str; 3]| {
        parts.iter().for_each(|part| line.extend_from_slice(part.as_bytes()));
    };
    for diff in row_diffs(delta)? {
        line.clear();
        let key = key_of(&diff, &old_rows, &new_rows);
        word(&mut line, ["{\"table\":\"", diff.table.name, "\",\"op\":\""]);
        word(&mut line, [diff.operation.word(), "\"", ""]);
        for (column, part) in diff.table.columns.iter().zip([key.0, key.1]).take(diff.table.key_len)
        {
            word(&mut line, [",\"", column.name, "\":"]);
            serde_json::to_writer(&mut line, part)?;
        }
        line.extend_from_slice(b",\"columns\":{");
        for (at, cell) in diff.columns.iter().enumerate() {
            let name = diff.table.columns[cell.column].name;
            word(&mut line, [if at > 0 { ",\"" } else { "\"" }, name, "\":{\"old\":"]);
            value(&mut line, &old_json, &old_rows, diff.old, cell.column)?;
            line.extend_from_slice(b",\"new\":");
            value(&mut line, &new_json, &new_rows, diff.new, cell.column)?;
            line.push(b'}');
        }
        line.push(b'}');
        if let Some(iou) = diff.iou {
            line.extend_from_slice(b",\"iou\":");
            serde_json::to_writer(&mut line, &iou)?;
        }
        line.extend_from_slice(b"}\n");
        out.write_all(&line)?;
    }
    Ok(())
}

fn key_of<'a>(diff: &RowDiff, old: &Rows<'a>, new: &Rows<'a>) -> (&'a str, &'a str) {
    match (diff.new, diff.old) {
        (Some(row), _) => new.key(row),
        (None, Some(row)) => old.key(row),
        (None, None) => ("", ""),
    }
}

fn value(
    line: &mut Vec<u8>,
    json: &JsonRows<'_>,
    rows: &Rows<'_>,
    row: Option<usize>,
    column: usize,
) -> Result<()> {
    match row.filter(|row| !rows.column(column).is_null(*row)) {
        Some(row) => json.write_value(row, column, line)?,
        None => line.extend_from_slice(b"null"),
    }
    Ok(())
}

/// What people read; keeps the item between batches.
#[derive(Debug, Default)]
pub(crate) struct DiffPrinter {
    item: Option<String>,
}

impl DiffPrinter {
    /// A line a row under a line an item; a set of labels in one line.
    pub(crate) fn write(&mut self, out: &mut dyn Write, delta: &DeltaBatch) -> Result<()> {
        let diffs = row_diffs(delta)?;
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        let sets = if delta.table == &ANNOTATIONS { sets(delta, &diffs)? } else { Vec::new() };
        for (at, diff) in diffs.iter().enumerate() {
            let (item, key) = key_of(diff, &old, &new);
            if self.item.as_deref() != Some(item) {
                let what = delta.table.columns[0].name.trim_end_matches("_id");
                writeln!(out, "{what} {}", plain(item))?;
                self.item = Some(item.to_owned());
            }
            match sets.get(at) {
                Some(Set::Shown(text)) => writeln!(out, "  ~ {}", plain(text))?,
                Some(Set::Within) => {}
                _ => line(out, delta, diff, (item, key), &old, &new)?,
            }
        }
        Ok(())
    }
}

/// How a row takes part in the difference of a set of labels.
enum Set {
    /// It does not.
    No,
    /// It is the first: the text tells the whole set's difference.
    Shown(String),
    /// An earlier row tells of it.
    Within,
}

/// Labels of one answer that came and went are told as one difference of a set.
fn sets(delta: &DeltaBatch, diffs: &[RowDiff]) -> Result<Vec<Set>> {
    let (old, new) = (own_columns(&delta.old)?, own_columns(&delta.new)?);
    let (old, new) = (Annotations::new(&old), Annotations::new(&new));
    let label = ANNOTATIONS.column("label");
    let answer = |diff: &RowDiff| -> Option<(String, String, String, String, String)> {
        let (rows, row) = match (diff.new, diff.old) {
            (Some(row), _) => (&new, row),
            (None, Some(row)) => (&old, row),
            (None, None) => return None,
        };
        let submission = rows.submission_id(row)?;
        // Only where nothing but labels came and went, and the whole item was asked about.
        let labels_alone = diff.old.is_none()
            || diff.new.is_none()
            || diff.columns.iter().all(|cell| Some(cell.column) == label);
        let plain = rows.kind(row) == "choice" && rows.frame(row).is_none() && labels_alone;
        plain.then(|| {
            (
                rows.item_id(row).to_owned(),
                submission.to_owned(),
                format!("{:?} {:?}", rows.region_id(row), rows.target(row)),
                rows.field(row).to_owned(),
                rows.annotator_id(row).to_owned(),
            )
        })
    };
    let mut groups: std::collections::HashMap<_, Vec<usize>> = Default::default();
    for (at, diff) in diffs.iter().enumerate() {
        if let Some(answer) = answer(diff) {
            groups.entry(answer).or_default().push(at);
        }
    }
    let mut sets: Vec<Set> = diffs.iter().map(|_| Set::No).collect();
    for (answer, members) in groups {
        if members.len() < 2 {
            continue;
        }
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for &at in &members {
            gone.extend(diffs[at].old.and_then(|row| old.label(row)));
            come.extend(diffs[at].new.and_then(|row| new.label(row)));
        }
        let told: Vec<String> = gone
            .iter()
            .filter(|label| !come.contains(label))
            .map(|label| format!("-{label}"))
            .chain(
                come.iter().filter(|label| !gone.contains(label)).map(|label| format!("+{label}")),
            )
            .collect();
        if told.is_empty() {
            continue;
        }
        let text = format!("{} {} {{{}}}  by {}", answer.1, answer.3, told.join(", "), answer.4);
        for &at in &members {
            sets[at] = Set::Within;
        }
        sets[members[0]] = Set::Shown(text);
    }
    Ok(sets)
}

fn own_columns(batch: &RecordBatch) -> Result<RecordBatch> {
    Ok(batch.project(&(0..ANNOTATIONS.columns.len()).collect::<Vec<_>>())?)
}

fn line(
    out: &mut dyn Write,
    delta: &DeltaBatch,
    diff: &RowDiff,
    key: (&str, &str),
    old: &Rows<'_>,
    new: &Rows<'_>,
) -> Result<()> {
    let name = if delta.table.key_len > 1 { key.1 } else { key.0 };
    let sign = match diff.operation {
        Operation::Added => '+',
        Operation::Changed | Operation::Moved => '~',
        Operation::Removed => '-',
    };
    let told = match (diff.old, diff.new) {
        (Some(was), Some(is)) => {
            let cells: Vec<String> = diff
                .columns
                .iter()
                .map(|cell| {
                    let column = delta.table.columns[cell.column].name;
                    let from = row::cell(old.column(cell.column), was);
                    let to = row::cell(new.column(cell.column), is);
                    format!("{column} {from} → {to}")
                })
                .collect();
            let word = if diff.operation == Operation::Moved { "moved" } else { "changed" };
            let iou = diff.iou.map(|iou| format!(" (IoU {iou:.2})")).unwrap_or_default();
            format!("{word}{iou}: {}", cells.join("; "))
        }
        (was, is) => {
            let (batch, row) = match (is, was) {
                (Some(row), _) => (&delta.new, row),
                (None, Some(row)) => (&delta.old, row),
                (None, None) => return Ok(()),
            };
            if delta.table == &ANNOTATIONS {
                let batch = own_columns(batch)?;
                let annotation = Annotations::new(&batch).row(row);
                let told = row::value(&annotation);
                format!(
                    "{} {} {told}  by {}",
                    annotation.kind, annotation.field, annotation.annotator_id
                )
            } else {
                String::new()
            }
        }
    };
    writeln!(out, "  {sign} {}", plain(format!("{name}  {told}").trim_end()))?;
    Ok(())
}
