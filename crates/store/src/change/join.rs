//! Joins two streams of rows by key into delta batches.

use std::cmp::Ordering;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;

use crate::canonical::{Key, Rows};
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS, row_bytes};
use crate::schema::Table;
use crate::segment::{BatchStream, SegmentKind, segment_schema};

/// A stream of batches with a current row.
pub(super) struct Cursor<'a> {
    batches: BatchStream<'a>,
    key_len: usize,
    row: usize,
    /// Batches that rows of the current output come from; the last one is current.
    pub(super) kept: Vec<RecordBatch>,
    done: bool,
    /// Bytes of a row of the current batch on average.
    row_bytes: usize,
    /// Bytes of the rows that were taken for the current output.
    taken: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(batches: BatchStream<'a>, key_len: usize) -> Result<Self> {
        let kept = Vec::new();
        let mut cursor =
            Self { batches, key_len, row: 0, kept, done: false, row_bytes: 0, taken: 0 };
        cursor.load()?;
        Ok(cursor)
    }

    fn load(&mut self) -> Result<()> {
        self.row = 0;
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.row_bytes = row_bytes(&batch);
                self.kept.push(batch);
                return Ok(());
            }
        }
        self.done = true;
        Ok(())
    }

    fn key(&self) -> Option<Key<'_>> {
        let batch = self.kept.last().filter(|_| !self.done)?;
        let part = |column: usize| batch.column(column).as_string::<i32>().value(self.row);
        Some((part(0), if self.key_len > 1 { part(1) } else { "" }))
    }

    /// The place of the current row in `kept`, and moves on.
    fn take(&mut self) -> Result<(usize, usize)> {
        let place = (self.kept.len() - 1, self.row);
        self.row += 1;
        self.taken += self.row_bytes;
        if self.kept.last().is_none_or(|batch| self.row >= batch.num_rows()) {
            self.load()?;
        }
        Ok(place)
    }

    /// Forgets batches that no coming row is in.
    fn forget(&mut self) {
        self.taken = 0;
        let keep = if self.done { 0 } else { 1 };
        self.kept.drain(..self.kept.len() - keep.min(self.kept.len()));
    }
}

/// The places of an old and a new row with one key.
pub(super) type Pair = (Option<(usize, usize)>, Option<(usize, usize)>);

/// Takes up to a batch of pairs in order of their keys, by rows and by bytes.
pub(super) fn next_pairs(old: &mut Cursor<'_>, new: &mut Cursor<'_>) -> Result<Vec<Pair>> {
    old.forget();
    new.forget();
    let mut pairs = Vec::new();
    while pairs.len() < BATCH_ROWS && old.taken + new.taken < BATCH_BYTES_MAX {
        let order = match (old.key(), new.key()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.cmp(&new),
        };
        pairs.push(match order {
            Ordering::Less => (Some(old.take()?), None),
            Ordering::Equal => (Some(old.take()?), Some(new.take()?)),
            Ordering::Greater => (None, Some(new.take()?)),
        });
    }
    Ok(pairs)
}

/// Gathers picked rows of kept batches; an empty pick gives an empty batch.
pub(super) fn gather(
    table: &'static Table,
    kept: &[RecordBatch],
    picks: &[(usize, usize)],
) -> Result<RecordBatch> {
    let Some(&(batch, first)) = picks.first() else {
        return Ok(RecordBatch::new_empty(segment_schema(table, SegmentKind::Rows)));
    };
    // Nearly always the rows of one batch as they stand: no copy.
    if picks.iter().zip(first..).all(|(pick, row)| *pick == (batch, row)) {
        return Ok(kept[batch].slice(first, picks.len()));
    }
    Ok(interleave_record_batch(&kept.iter().collect::<Vec<_>>(), picks)?)
}

/// The delta between two streams of whole rows sorted by key; rows with equal digests drop out.
pub fn compare<'a>(
    table: &'static Table,
    old: BatchStream<'a>,
    new: BatchStream<'a>,
) -> Result<DeltaStream<'a>> {
    let mut old = Cursor::new(old, table.key_len)?;
    let mut new = Cursor::new(new, table.key_len)?;
    let mut next = move || loop {
        let pairs = next_pairs(&mut old, &mut new)?;
        if pairs.is_empty() {
            return Ok(None);
        }
        let delta = compared(table, &old.kept, &new.kept, &pairs)?;
        if !delta.changes.is_empty() {
            return Ok(Some(delta));
        }
    };
    Ok(Box::new(std::iter::from_fn(move || next().transpose())))
}

fn compared(
    table: &'static Table,
    old_kept: &[RecordBatch],
    new_kept: &[RecordBatch],
    pairs: &[Pair],
) -> Result<DeltaBatch> {
    let old_rows: Vec<Rows<'_>> =
        old_kept.iter().map(|b| Rows::new(table, b)).collect::<Result<_>>()?;
    let new_rows: Vec<Rows<'_>> =
        new_kept.iter().map(|b| Rows::new(table, b)).collect::<Result<_>>()?;
    let (mut old_picks, mut new_picks, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for &(old, new) in pairs {
        if let (Some((ob, or)), Some((nb, nr))) = (old, new)
            && old_rows[ob].differing(or, &new_rows[nb], nr).is_empty()
        {
            continue;
        }
        changes.push(RowChange {
            old: old.map(|_| old_picks.len() as u32),
            new: new.map(|_| new_picks.len() as u32),
        });
        old_picks.extend(old);
        new_picks.extend(new);
    }
    Ok(DeltaBatch {
        table,
        old: gather(table, old_kept, &old_picks)?,
        new: gather(table, new_kept, &new_picks)?,
        changes,
    })
}
