//! Records of cells as whole batches, for as long as no record needs to be looked at.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use glossator_store::schema::{ANNOTATIONS, CellType, ColumnBuilder};

use super::cell::{Cell, Times};
use super::columnar;
use super::json;
use super::mapping::Use;
use super::output::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, append};
use super::rows::Plan;

/// Columns in the making, and the text of their records: should one of them turn out to need a
/// look of its own, all are read again one by one.
pub(super) struct Gather {
    /// By column of the plan; none for what goes to `extra`.
    columns: Vec<Option<(ColumnBuilder, CellType)>>,
    /// The names of members of `extra`, quoted and with their colon.
    members: Vec<String>,
    extra: StringBuilder,
    object: String,
    texts: String,
    /// Where each record's text ends, and the line that it began on.
    records: Vec<(usize, u64)>,
    spoiled: bool,
    /// Batches whose records had to be read again.
    missed: usize,
}

/// Where this many batches had to be read again, no more is gathered.
const MISSED_MAX: usize = 16;

impl Gather {
    /// Gathers for a plan, if its records may come as columns.
    pub(super) fn new(plan: &Plan) -> Option<Self> {
        Self::after(0, plan)
    }

    /// Gathers on after a batch had to be read again, which may have added columns.
    pub(super) fn again(&self, plan: &Plan) -> Option<Self> {
        Self::after(self.missed + 1, plan)
    }

    fn after(missed: usize, plan: &Plan) -> Option<Self> {
        (missed < MISSED_MAX && columnar::is_plain(plan)).then(|| Self {
            columns: plan.uses.iter().map(|used| cell_type(*used)).map(builder).collect(),
            members: plan.names.iter().map(|name| member(name)).collect(),
            extra: StringBuilder::new(),
            object: String::new(),
            texts: String::new(),
            records: Vec::new(),
            spoiled: false,
            missed,
        })
    }

    /// Whether nothing was gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the batch must be taken before more is pushed.
    pub(super) fn is_full(&self) -> bool {
        self.spoiled || self.records.len() >= BATCH_ROWS_MAX || self.texts.len() >= BATCH_BYTES_MAX
    }

    /// Adds a record: its text, the line that it begins on, and its cells.
    pub(super) fn push(
        &mut self,
        plan: &Plan,
        text: &str,
        line: u64,
        cells: &[Cell<'_>],
        times: &mut Times,
    ) {
        self.texts.push_str(text);
        self.records.push((self.texts.len(), line));
        let known = cells.len() <= self.columns.len();
        self.spoiled |= !known || self.cells(plan, cells, times).is_err();
    }

    fn cells(&mut self, plan: &Plan, cells: &[Cell<'_>], times: &mut Times) -> Result<(), String> {
        self.object.clear();
        for (at, column) in self.columns.iter_mut().enumerate() {
            let cell = cells.get(at).copied().unwrap_or_default();
            let Some((builder, to)) = column else {
                if cell.is_null() {
                    continue;
                }
                if plan.uses[at] == Use::ExtraPerson && cell.text()?.contains('@') {
                    return Err("a person".to_owned());
                }
                self.object.push(if self.object.is_empty() { '{' } else { ',' });
                self.object.push_str(&self.members[at]);
                cell.write_json(&mut self.object)?;
                continue;
            };
            append(builder, &cell.convert(*to, times)?, true);
        }
        if self.object.is_empty() {
            self.extra.append_null();
        } else {
            self.object.push('}');
            self.extra.append_value(&self.object);
        }
        Ok(())
    }

    /// The rows of what was gathered and their lines, or else the records to be read one by one.
    /// What was gathered is forgotten.
    pub(super) fn take(&mut self, plan: &Plan) -> Result<(RecordBatch, Vec<u64>), Records> {
        let columns: Vec<Option<ArrayRef>> = self
            .columns
            .iter_mut()
            .map(|column| column.as_mut().map(|(builder, _)| builder.finish()))
            .collect();
        let extra: ArrayRef = Arc::new(self.extra.finish());
        let records = Records {
            texts: std::mem::take(&mut self.texts),
            records: std::mem::take(&mut self.records),
        };
        let spoiled = std::mem::take(&mut self.spoiled);
        let rows = (!spoiled).then(|| columnar::rows(plan, &columns, Some(extra))).flatten();
        match rows {
            Some(rows) => Ok((rows, records.records.iter().map(|(_, line)| *line).collect())),
            None => Err(records),
        }
    }
}

/// The texts of records.
pub(super) struct Records {
    texts: String,
    records: Vec<(usize, u64)>,
}

impl Records {
    /// Each text, with the line that it begins on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        let starts = std::iter::once(0).chain(self.records.iter().map(|(end, _)| *end));
        starts.zip(&self.records).map(|(start, (end, line))| (*line, &self.texts[start..*end]))
    }
}

fn cell_type(used: Use) -> Option<CellType> {
    match used {
        Use::Own(own) => Some(ANNOTATIONS.columns[own].cell),
        Use::Label => Some(CellType::Dict),
        Use::Part(_) => Some(CellType::Float),
        _ => None,
    }
}

fn builder(cell: Option<CellType>) -> Option<(ColumnBuilder, CellType)> {
    cell.map(|cell| (ColumnBuilder::new(cell), cell))
}

fn member(name: &str) -> String {
    let mut quoted = String::new();
    json::quote(name, &mut quoted);
    quoted + ":"
}
