//! Row changes as people and scripts read them: which columns, old and new, moved or not.

use glossator_store::Result;
use glossator_store::canonical::Rows;
use glossator_store::delta::DeltaBatch;
use glossator_store::geometry::Shape;
use glossator_store::schema::{ANNOTATIONS, Table};

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Its key is new.
    Added,
    /// Its content changed.
    Changed,
    /// Its region changed and its label did not.
    Moved,
    /// Its key is gone.
    Removed,
}

impl Operation {
    /// The word for it in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::Removed => "removed",
        }
    }
}

/// A column of a changed row: indices into the batches of the delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellChange {
    /// Index of the column in the table.
    pub column: usize,
}

/// One row's difference.
#[derive(Debug, Clone)]
pub struct RowDiff {
    /// The table.
    pub table: &'static Table,
    /// What happened.
    pub operation: Operation,
    /// The row in the old batch.
    pub old: Option<usize>,
    /// The row in the new batch.
    pub new: Option<usize>,
    /// Columns that differ; of an added or removed row, those that are not null.
    pub columns: Vec<CellChange>,
    /// Intersection over union of the old and the new region, where the region changed.
    pub iou: Option<f64>,
}

/// Tells each change of a delta batch apart.
pub fn row_diffs(delta: &DeltaBatch) -> Result<Vec<RowDiff>> {
    let (old, new) = (delta.old_rows()?, delta.new_rows()?);
    let table = delta.table;
    Ok(delta
        .changes
        .iter()
        .map(|change| {
            let (was, is) = (change.old.map(|r| r as usize), change.new.map(|r| r as usize));
            let columns: Vec<usize> = match (was, is) {
                (Some(was), Some(is)) => old.differing(was, &new, is),
                (Some(row), None) => filled(table, &old, row),
                (None, Some(row)) => filled(table, &new, row),
                (None, None) => Vec::new(),
            };
            let (operation, iou) = match (was, is) {
                (Some(was), Some(is)) if table == &ANNOTATIONS => {
                    moved(&old, was, &new, is, &columns)
                }
                (Some(_), Some(_)) => (Operation::Changed, None),
                (Some(_), None) => (Operation::Removed, None),
                _ => (Operation::Added, None),
            };
            let columns = columns.into_iter().map(|column| CellChange { column }).collect();
            RowDiff { table, operation, old: was, new: is, columns, iou }
        })
        .collect())
}

fn filled(table: &Table, rows: &Rows<'_>, row: usize) -> Vec<usize> {
    (table.key_len..table.columns.len()).filter(|&c| !rows.column(c).is_null(row)).collect()
}

fn moved(
    old: &Rows<'_>,
    was: usize,
    new: &Rows<'_>,
    is: usize,
    columns: &[usize],
) -> (Operation, Option<f64>) {
    let named = |name: &str| ANNOTATIONS.column(name).filter(|column| columns.contains(column));
    let Some(geometry) = named("geometry") else { return (Operation::Changed, None) };
    let shape = |rows: &Rows<'_>, row: usize| {
        let kind = rows.column(ANNOTATIONS.column("kind")?).text(row)?;
        Shape::decode(kind, rows.column(geometry).floats(row)?)
    };
    let same_unit = named("unit").is_none();
    let iou = match (shape(old, was), shape(new, is)) {
        (Some(a), Some(b)) if same_unit => a.iou(&b),
        _ => None,
    };
    let relabelled = named("label").is_some() || named("kind").is_some();
    (if relabelled { Operation::Changed } else { Operation::Moved }, iou)
}
