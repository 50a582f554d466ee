//! Conflicts of a merge, for people and for scripts.

use std::io::Write;

use glossator_formats::JsonRows;
use glossator_lineage::merge::{Conflict, RowRef};
use glossator_store::schema::{ANNOTATIONS, Annotations};

use super::{plain, row};
use crate::error::Result;

/// A conflict in a line.
pub(crate) fn short(conflict: &Conflict<'_>) -> String {
    let side = |row: Option<RowRef<'_>>, of: usize| match row {
        None => "-".to_owned(),
        Some(row) if of > 1 => format!("{} (1 of {of} rows)", value(conflict, row)),
        Some(row) => value(conflict, row),
    };
    let [own, other] = conflict.rows;
    let (item, key) = conflict.key;
    let base = conflict.base.map(|row| format!("{} → ", value(conflict, row))).unwrap_or_default();
    let table = match conflict.table == &ANNOTATIONS {
        true => String::new(),
        false => format!("{} ", conflict.table.name),
    };
    let text = format!(
        "{}  {table}{item} {key}  {base}ours {} | theirs {}",
        conflict.kind.word(),
        side(conflict.ours, own),
        side(conflict.theirs, other)
    );
    plain(&text).into_owned()
}

/// What a row says in a few words.
fn value(conflict: &Conflict<'_>, row: RowRef<'_>) -> String {
    if conflict.table != &ANNOTATIONS {
        return "changed".to_owned();
    }
    let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let Ok(batch) = row.batch.slice(row.row, 1).project(&columns) else { return String::new() };
    let annotation = Annotations::new(&batch).row(0);
    let told = row::value(&annotation);
    // Said where it says something: most rows are just submitted.
    match annotation.status {
        "submitted" => told,
        status => format!("{told} ({status})"),
    }
}

/// A conflict as a line of JSON.
pub(crate) fn write_json(
    out: &mut dyn Write,
    conflict: &Conflict<'_>,
    decided: Option<&str>,
) -> Result<()> {
    let (item, key) = conflict.key;
    let text = |text: &str| serde_json::to_string(text);
    let key = if key.is_empty() { "null".to_owned() } else { text(key)? };
    write!(
        out,
        "{{\"kind\":\"{}\",\"table\":\"{}\",\"item_id\":{},\"annotation_id\":{key}",
        conflict.kind.word(),
        conflict.table.name,
        text(item)?
    )?;
    for (name, row) in
        [("base", conflict.base), ("ours", conflict.ours), ("theirs", conflict.theirs)]
    {
        write!(out, ",\"{name}\":")?;
        match row {
            Some(RowRef { batch, row }) => {
                let mut line = Vec::new();
                JsonRows::new(conflict.table, batch)?.write(row, &mut line)?;
                out.write_all(&line)?;
            }
            None => out.write_all(b"null")?,
        }
    }
    if let [ours, theirs] = conflict.rows
        && ours.max(theirs) > 1
    {
        write!(out, ",\"rows\":{{\"ours\":{ours},\"theirs\":{theirs}}}")?;
    }
    match decided {
        Some(take) => writeln!(out, ",\"decided\":\"{take}\"}}")?,
        None => out.write_all(b",\"decided\":null}\n")?,
    }
    Ok(())
}
