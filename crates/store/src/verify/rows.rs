//! What a row must be whatever its table holds.

use arrow::array::RecordBatch;

use super::Tally;
use crate::canonical::Rows;
use crate::id::Digest;
use crate::intake::check_rows;
use crate::schema::{CellType, ColumnView, Table};
use crate::segment::SegmentKind;

/// Checks rows of one segment.
pub(super) struct RowCheck {
    table: &'static Table,
    kind: SegmentKind,
    /// Broken rules of the table's own columns.
    pub(super) rows: Tally,
    /// Broken rules of `_origin` and `_changed`.
    pub(super) system: Tally,
}

impl RowCheck {
    pub(super) fn new(table: &'static Table, kind: SegmentKind) -> Self {
        Self { table, kind, rows: Tally::default(), system: Tally::default() }
    }

    /// Checks a batch whose first row has the number `start`.
    pub(super) fn push(&mut self, batch: &RecordBatch, rows: &Rows<'_>, start: usize) {
        if let Err(error) = check_rows(self.table, batch) {
            self.rows.note(|| format!("from row {start}: {error}"));
        }
        for (index, column) in self.table.columns.iter().enumerate() {
            let view = rows.column(index);
            for row in 0..rows.len() {
                let number = start + row;
                let text = view.text(row);
                if index < self.table.key_len && text.unwrap_or_default().is_empty() {
                    self.rows.note(|| format!("row {number}: {} is empty", column.name));
                }
                let json = text.filter(|_| column.cell == CellType::Json);
                if json.is_some_and(|text| !is_json(text, column.name == "extra")) {
                    self.rows.note(|| format!("row {number}: {} is no such JSON", column.name));
                }
            }
        }
        let origin = self.table.columns.len();
        self.system_column(batch, origin, start, is_digest);
        if self.kind == SegmentKind::Before {
            let table = self.table;
            self.system_column(batch, origin + 1, start, |text| is_column_list(table, text));
        }
    }

    fn system_column(
        &mut self,
        batch: &RecordBatch,
        index: usize,
        start: usize,
        allowed: impl Fn(&str) -> bool,
    ) {
        let Some(view) = batch.columns().get(index).and_then(|c| ColumnView::new(c)) else {
            return self.system.note(|| "a system column is missing".to_owned());
        };
        for row in 0..batch.num_rows() {
            if let Some(text) = view.text(row).filter(|text| !allowed(text)) {
                let name = batch.schema_ref().field(index).name().clone();
                self.system.note(|| format!("row {}: {name} is `{text}`", start + row));
            }
        }
    }
}

fn is_json(text: &str, object: bool) -> bool {
    // Read without being built: any depth is fine, and so is any size.
    (!object || text.trim_start().starts_with('{'))
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn is_digest(text: &str) -> bool {
    text.parse::<Digest>().is_ok()
}

/// Whether a text lists rising numbers of columns that are not of the key.
fn is_column_list(table: &Table, text: &str) -> bool {
    let mut last = table.key_len as u16;
    text.split(',').all(|number| {
        let number = number.parse::<u16>().unwrap_or_default();
        let rises = number > last && usize::from(number) <= table.columns.len();
        last = number;
        rises
    })
}
