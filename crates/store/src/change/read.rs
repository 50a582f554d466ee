//! Reads a change back as delta batches, from its own objects alone.

use arrow::array::{BooleanArray, RecordBatch, new_null_array};
use arrow::compute::filter_record_batch;

use super::TableChange;
use super::join::{Cursor, Pair, next_pairs};
use super::overlay::{Change, Changes, Row, assemble};
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::Result;
use crate::objects::Objects;
use crate::schema::{ColumnView, Columns, Table};
use crate::segment::{
    BatchStream, SegmentKind, SegmentReader, SegmentRef, merge_sorted, segment_schema,
};
use crate::snapshot::with_origin;

fn stream(
    objects: &Objects,
    table: &'static Table,
    kind: SegmentKind,
    lines: &[SegmentRef],
    read: Columns,
) -> Result<BatchStream<'static>> {
    let streams = lines
        .iter()
        .map(|line| {
            let scan = SegmentReader::open(objects, table, kind, line)?.scan_columns(read)?;
            let (segment, column) = (line.segment, table.columns.len());
            let scan = match objects.redacted(&segment) {
                Some(_) => {
                    Box::new(scan.map(|batch| without_empty(&batch?))) as BatchStream<'static>
                }
                None => Box::new(scan),
            };
            // A new row's origin is its own segment; that of an old value is stated.
            Ok(match kind {
                SegmentKind::Rows => {
                    Box::new(scan.map(move |batch| with_origin(&segment, column, batch?)))
                        as BatchStream<'static>
                }
                SegmentKind::Before => scan,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    merge_sorted(streams, table.key_len)
}

/// The rows of a batch that have a key: those that were erased have none.
pub(crate) fn without_empty(batch: &RecordBatch) -> Result<RecordBatch> {
    let Some(first) = batch.columns().first().and_then(|c| ColumnView::new(c)) else {
        return Ok(batch.clone());
    };
    let filled = (0..batch.num_rows()).map(|row| first.text(row).map(|text| !text.is_empty()));
    let filled: BooleanArray = filled.collect();
    Ok(filter_record_batch(batch, &filled)?)
}

/// Reads what a commit did to a table: old and new content of every row that it touched.
pub fn read_change(
    objects: &Objects,
    table: &'static Table,
    change: &TableChange,
) -> Result<DeltaStream<'static>> {
    let mut change = Joined::open(objects, table, change, Columns::ALL)?;
    Ok(Box::new(std::iter::from_fn(move || change.next(rebuilt).transpose())))
}

/// The same, of some columns; the others are null.
pub(crate) fn read_columns(
    objects: &Objects,
    table: &'static Table,
    change: &TableChange,
    read: Columns,
) -> Result<DeltaStream<'static>> {
    let mut change = Joined::open(objects, table, change, read)?;
    let put = move |table: &'static Table, before: &[_], added: &[_], pairs: &[_]| {
        let mut changes = Changes::default();
        changes.push(table, before, added, pairs)?;
        delta(table, &changes.batches, &changes.rows, read)
    };
    Ok(Box::new(std::iter::from_fn(move || change.next(put).transpose())))
}

/// Joins old values with new rows, both sorted by key.
pub(crate) fn joined<'a>(
    table: &'static Table,
    before: BatchStream<'a>,
    added: BatchStream<'a>,
) -> Result<DeltaStream<'a>> {
    let mut change = Joined::new(table, before, added)?;
    Ok(Box::new(std::iter::from_fn(move || change.next(rebuilt).transpose())))
}

/// Old values and new rows of a change, side by side.
pub(super) struct Joined<'a> {
    table: &'static Table,
    old: Cursor<'a>,
    new: Cursor<'a>,
}

impl Joined<'static> {
    pub(super) fn open(
        objects: &Objects,
        table: &'static Table,
        change: &TableChange,
        read: Columns,
    ) -> Result<Self> {
        let added = stream(objects, table, SegmentKind::Rows, &change.added, read)?;
        let before = stream(objects, table, SegmentKind::Before, &change.before, read)?;
        Self::new(table, before, added)
    }
}

impl<'a> Joined<'a> {
    fn new(table: &'static Table, before: BatchStream<'a>, added: BatchStream<'a>) -> Result<Self> {
        let old = Cursor::new(before, table.key_len)?;
        Ok(Self { table, old, new: Cursor::new(added, table.key_len)? })
    }

    /// Gives the next batch of pairs to `read`, with the batches of both sides that they are in.
    pub(super) fn next<T>(
        &mut self,
        read: impl FnOnce(&'static Table, &[RecordBatch], &[RecordBatch], &[Pair]) -> Result<T>,
    ) -> Result<Option<T>> {
        let pairs = next_pairs(&mut self.old, &mut self.new)?;
        if pairs.is_empty() {
            return Ok(None);
        }
        read(self.table, &self.old.kept, &self.new.kept, &pairs).map(Some)
    }
}

/// Lays the old values over the new rows.
fn rebuilt(
    table: &'static Table,
    before: &[RecordBatch],
    added: &[RecordBatch],
    pairs: &[Pair],
) -> Result<DeltaBatch> {
    let mut changes = Changes::default();
    changes.push(table, before, added, pairs)?;
    delta(table, &changes.batches, &changes.rows, Columns::ALL)
}

/// Puts changes together; rows of both sides have `_origin`.
pub(super) fn delta(
    table: &'static Table,
    batches: &[RecordBatch],
    changes: &[Change],
    read: Columns,
) -> Result<DeltaBatch> {
    let olds: Vec<Row> = changes.iter().filter_map(|change| change.0).collect();
    let news: Vec<Row> = changes.iter().filter_map(|change| change.1).collect();
    let (mut old, mut new) = (0_u32.., 0_u32..);
    let changes = changes.iter().map(|change| RowChange {
        old: change.0.and_then(|_| old.next()),
        new: change.1.and_then(|_| new.next()),
    });
    Ok(DeltaBatch {
        table,
        changes: changes.collect(),
        old: assemble(table, batches, &olds, read)?,
        new: assemble(table, batches, &news, read)?,
    })
}

/// A delta that removes rows: batches of whole rows, with `_origin` where they have it.
pub fn only_old<'a>(table: &'static Table, rows: BatchStream<'a>) -> DeltaStream<'a> {
    let schema = segment_schema(table, SegmentKind::Rows);
    Box::new(rows.map(move |batch| {
        let batch = batch?;
        let count = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        if columns.len() == table.columns.len() {
            columns.push(new_null_array(schema.fields()[columns.len()].data_type(), count));
        }
        Ok(DeltaBatch {
            table,
            old: RecordBatch::try_new(schema.clone(), columns)?,
            new: RecordBatch::new_empty(schema.clone()),
            changes: (0..count as u32).map(|row| RowChange { old: Some(row), new: None }).collect(),
        })
    }))
}
