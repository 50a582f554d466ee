//! Row changes as batches: the one currency of diff, import, commit, revert and merge.

use arrow::array::RecordBatch;

use crate::canonical::{Key, Rows};
use crate::error::Result;
use crate::schema::Table;

/// One row's change: indices into the old and the new batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowChange {
    /// The row before, none where it was added.
    pub old: Option<u32>,
    /// The row after, none where it was removed.
    pub new: Option<u32>,
}

/// Changes of rows of one table, sorted by key.
#[derive(Debug, Clone)]
pub struct DeltaBatch {
    /// The table.
    pub table: &'static Table,
    /// Old rows: the table's columns, then `_origin`.
    pub old: RecordBatch,
    /// New rows: the table's columns, perhaps more.
    pub new: RecordBatch,
    /// The changes in order of their keys.
    pub changes: Vec<RowChange>,
}

/// Counts of changed rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Rows whose key is new.
    pub added: u64,
    /// Rows whose key was there with another content.
    pub changed: u64,
    /// Rows whose key is gone.
    pub removed: u64,
}

impl Counts {
    /// Rows that were touched.
    pub fn total(&self) -> u64 {
        self.added.saturating_add(self.changed).saturating_add(self.removed)
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts one change.
    pub fn count(&mut self, old: bool, new: bool) {
        match (old, new) {
            (false, true) => self.added += 1,
            (true, true) => self.changed += 1,
            (true, false) => self.removed += 1,
            (false, false) => {}
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Counts are read from files, which may say anything.
        self.added = self.added.saturating_add(other.added);
        self.changed = self.changed.saturating_add(other.changed);
        self.removed = self.removed.saturating_add(other.removed);
    }
}

impl DeltaBatch {
    /// Rows that are all new.
    pub fn added(table: &'static Table, new: RecordBatch) -> Self {
        let rows = 0..new.num_rows() as u32;
        let schema = crate::segment::segment_schema(table, crate::segment::SegmentKind::Rows);
        Self {
            table,
            old: RecordBatch::new_empty(schema),
            new,
            changes: rows.map(|row| RowChange { old: None, new: Some(row) }).collect(),
        }
    }

    /// Typed columns of the old rows.
    pub fn old_rows(&self) -> Result<Rows<'_>> {
        Rows::new(self.table, &self.old)
    }

    /// Typed columns of the new rows.
    pub fn new_rows(&self) -> Result<Rows<'_>> {
        Rows::new(self.table, &self.new)
    }

    /// The key of a change.
    pub fn key<'a>(old: &Rows<'a>, new: &Rows<'a>, change: RowChange) -> Key<'a> {
        match (change.new, change.old) {
            (Some(row), _) => new.key(row as usize),
            (None, Some(row)) => old.key(row as usize),
            (None, None) => ("", ""),
        }
    }

    /// The same changes backwards: what was new is old.
    pub fn inverted(self) -> Result<Self> {
        let columns = self.table.columns.len();
        let projection: Vec<usize> = (0..columns).collect();
        let mut with_origin = self.new.columns().to_vec();
        with_origin.truncate(columns + 1);
        if with_origin.len() == columns {
            let dict = crate::schema::CellType::Dict.arrow();
            with_origin.push(arrow::array::new_null_array(&dict, self.new.num_rows()));
        }
        Ok(Self {
            table: self.table,
            new: self.old.project(&projection)?,
            old: RecordBatch::try_new(self.old.schema(), with_origin)?,
            changes: self
                .changes
                .into_iter()
                .map(|change| RowChange { old: change.new, new: change.old })
                .collect(),
        })
    }
}

/// Delta batches of one table in order of their keys.
pub type DeltaStream<'a> = Box<dyn Iterator<Item = Result<DeltaBatch>> + 'a>;
