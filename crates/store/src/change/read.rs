//! Reads a change back as delta batches, from its own objects alone.

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::interleave;

use super::TableChange;
use super::join::{Cursor, Pair, gather, next_pairs};
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::schema::{ColumnView, Table};
use crate::segment::{
    BatchStream, SegmentKind, SegmentReader, SegmentRef, merge_sorted, segment_schema,
};
use crate::snapshot::with_origin;

fn stream(
    objects: &Objects,
    table: &'static Table,
    kind: SegmentKind,
    lines: &[SegmentRef],
) -> Result<BatchStream<'static>> {
    let streams = lines
        .iter()
        .map(|line| {
            let scan = SegmentReader::open(objects, table, kind, line)?.scan()?;
            let (segment, column) = (line.segment, table.columns.len());
            // A new row's origin is its own segment; that of an old value is stated.
            Ok(match kind {
                SegmentKind::Rows => {
                    Box::new(scan.map(move |batch| with_origin(&segment, column, batch?)))
                        as BatchStream<'static>
                }
                SegmentKind::Before => Box::new(scan),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    merge_sorted(streams, table.key_len)
}

/// Reads what a commit did to a table: old and new content of every row that it touched.
pub fn read_change(
    objects: &Objects,
    table: &'static Table,
    change: &TableChange,
) -> Result<DeltaStream<'static>> {
    let added = stream(objects, table, SegmentKind::Rows, &change.added)?;
    let before = stream(objects, table, SegmentKind::Before, &change.before)?;
    joined(table, before, added)
}

/// Joins old values with new rows, both sorted by key.
pub(crate) fn joined<'a>(
    table: &'static Table,
    before: BatchStream<'a>,
    added: BatchStream<'a>,
) -> Result<DeltaStream<'a>> {
    let mut old = Cursor::new(before, table.key_len)?;
    let mut new = Cursor::new(added, table.key_len)?;
    let mut next = move || {
        let pairs = next_pairs(&mut old, &mut new)?;
        if pairs.is_empty() {
            return Ok(None);
        }
        rebuilt(table, &old.kept, &new.kept, &pairs).map(Some)
    };
    Ok(Box::new(std::iter::from_fn(move || next().transpose())))
}

/// Lays the old values over the new rows.
fn rebuilt(
    table: &'static Table,
    before: &[RecordBatch],
    added: &[RecordBatch],
    pairs: &[Pair],
) -> Result<DeltaBatch> {
    let mut changes = Vec::with_capacity(pairs.len());
    let (mut new_picks, mut old_pairs) = (Vec::new(), Vec::new());
    for &(old, new) in pairs {
        changes.push(RowChange {
            old: old.map(|_| old_pairs.len() as u32),
            new: new.map(|_| new_picks.len() as u32),
        });
        new_picks.extend(new);
        old_pairs.extend(old.map(|old| (old, new)));
    }
    let old = if old_pairs.is_empty() {
        RecordBatch::new_empty(segment_schema(table, SegmentKind::Rows))
    } else {
        old_rows(table, before, added, &old_pairs)?
    };
    Ok(DeltaBatch { table, old, new: gather(table, added, &new_picks)?, changes })
}

type OldPair = ((usize, usize), Option<(usize, usize)>);

fn old_rows(
    table: &'static Table,
    before: &[RecordBatch],
    added: &[RecordBatch],
    pairs: &[OldPair],
) -> Result<RecordBatch> {
    let changed_at = table.columns.len() + 1;
    let changed: Vec<Option<ColumnView<'_>>> =
        before.iter().map(|batch| ColumnView::new(batch.column(changed_at))).collect();
    // Which old values stand in `before`: all of a removed row, else the columns named.
    let masks: Vec<u64> = pairs
        .iter()
        .map(|&((batch, row), _)| match changed[batch].and_then(|c| c.text(row)) {
            None => Ok(u64::MAX),
            Some(text) => mask(text)
                .ok_or_else(|| Error::damaged("change", format!("`{text}` is no list of columns"))),
        })
        .collect::<Result<_>>()?;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(changed_at);
    for column in 0..changed_at {
        let arrays: Vec<_> =
            before.iter().chain(added).map(|batch| batch.column(column).as_ref()).collect();
        let from_before = |mask: u64| {
            column < table.key_len || column + 1 == changed_at || mask >> column & 1 == 1
        };
        let picks: Vec<(usize, usize)> = pairs
            .iter()
            .zip(&masks)
            .map(|(&(old, new), &mask)| match new {
                Some((batch, row)) if !from_before(mask) => (before.len() + batch, row),
                _ => old,
            })
            .collect();
        columns.push(interleave(&arrays, &picks)?);
    }
    Ok(RecordBatch::try_new(segment_schema(table, SegmentKind::Rows), columns)?)
}

/// Parses `11,13` to a mask of column indices (number − 1).
fn mask(text: &str) -> Option<u64> {
    text.split(',').try_fold(0_u64, |mask, number| {
        let number: u32 = number.parse().ok()?;
        (1..=64).contains(&number).then(|| mask | 1 << (number - 1))
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
