//! Annotations that an import removes by key, in the same change as the rows that it brings.

use std::cell::RefCell;
use std::cmp::Ordering;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;

use super::settle::repeated;
use super::spool::{Spool, sorted};
use crate::canonical::Rows;
use crate::change::only_old;
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::{Error, Result};
use crate::schema::ANNOTATIONS;
use crate::segment::BatchStream;
use crate::snapshot::TableSnapshot;

/// The keys, kept aside until the import ends.
#[derive(Debug, Default)]
pub(super) struct Removals {
    keys: Option<Spool>,
}

impl Removals {
    pub(super) fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let keys = rows.project(&[0, 1])?;
        self.keys.get_or_insert_with(|| Spool::new(keys.schema())).push(keys)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_none()
    }

    /// The changes of the import with these removals among them; a row that both name goes. Keys
    /// of no annotation go to `missing`.
    pub(super) fn among<'a>(
        &mut self,
        deltas: DeltaStream<'a>,
        base: &'a TableSnapshot,
        missing: &'a RefCell<Vec<String>>,
    ) -> Result<DeltaStream<'a>> {
        let Some(spool) = &mut self.keys else { return Ok(deltas) };
        let limit = spool.sort_bytes();
        let keys = sorted(spool.read()?, ANNOTATIONS.key_len, limit)?.stream();
        let mut last = None;
        let gone = keys.map(move |keys| live(&keys?, base, &mut last, missing));
        Ok(Box::new(Among { deltas, gone: Box::new(gone), held: None }))
    }
}

/// The live rows with these keys, which are sorted and may not repeat.
fn live(
    keys: &RecordBatch,
    base: &TableSnapshot,
    last: &mut Option<(String, String)>,
    missing: &RefCell<Vec<String>>,
) -> Result<RecordBatch> {
    let (Some(items), Some(ids)) =
        (keys.column(0).as_string_opt::<i32>(), keys.column(1).as_string_opt::<i32>())
    else {
        let what = "its keys are no texts".to_owned();
        return Err(Error::BadRows { table: ANNOTATIONS.name, what });
    };
    let keys: Vec<(&str, &str)> =
        (0..keys.num_rows()).map(|row| (items.value(row), ids.value(row))).collect();
    for (item, id) in &keys {
        if last.as_ref().is_some_and(|(i, k)| i == item && k == id) {
            return Err(repeated(&ANNOTATIONS, item, id));
        }
        *last = Some(((*item).to_owned(), (*id).to_owned()));
    }
    let found = base.locate(keys.iter().copied())?;
    for ((item, id), _) in keys.iter().zip(&found).filter(|(_, at)| at.is_none()) {
        missing.borrow_mut().push(format!("`{item}` `{id}`"));
    }
    base.fetch(&found.into_iter().flatten().collect::<Vec<_>>())
}

/// Two streams of changes in order of keys, as one.
struct Among<'a> {
    deltas: DeltaStream<'a>,
    gone: BatchStream<'a>,
    /// The rows of `gone` that come next.
    held: Option<RecordBatch>,
}

impl Among<'_> {
    fn next_delta(&mut self) -> Result<Option<DeltaBatch>> {
        let Some(delta) = self.deltas.next().transpose()? else {
            let Some(rest) = self.next_gone()? else { return Ok(None) };
            let rest: BatchStream<'_> = Box::new(std::iter::once(Ok(rest)));
            return only_old(&ANNOTATIONS, rest).next().transpose();
        };
        let Some(last) = delta.changes.last() else { return Ok(Some(delta)) };
        let mut due = Vec::new();
        {
            let (old, new) = (delta.old_rows()?, delta.new_rows()?);
            let last = DeltaBatch::key(&old, &new, *last);
            while let Some(batch) = self.next_gone()? {
                let rows = Rows::new(&ANNOTATIONS, &batch)?;
                let later = (0..rows.len()).find(|row| rows.key(*row) > last);
                let end = later.unwrap_or(rows.len());
                due.push(batch.slice(0, end));
                if end < batch.num_rows() {
                    self.held = Some(batch.slice(end, batch.num_rows() - end));
                    break;
                }
            }
        }
        if due.iter().all(|rows| rows.num_rows() == 0) {
            return Ok(Some(delta));
        }
        joined(delta, &due).map(Some)
    }

    fn next_gone(&mut self) -> Result<Option<RecordBatch>> {
        match self.held.take() {
            Some(held) => Ok(Some(held)),
            None => self.gone.next().transpose(),
        }
    }
}

impl Iterator for Among<'_> {
    type Item = Result<DeltaBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_delta().transpose()
    }
}

/// A delta with the removal of further rows, in order of keys.
fn joined(mut delta: DeltaBatch, gone: &[RecordBatch]) -> Result<DeltaBatch> {
    let schema = delta.old.schema();
    let gone = concat_batches(&schema, gone)?;
    let mut changes = Vec::with_capacity(delta.changes.len() + gone.num_rows());
    {
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        let rows = Rows::new(&ANNOTATIONS, &gone)?;
        let first = delta.old.num_rows() as u32;
        let mut next = 0;
        let removal = |row: usize| RowChange { old: Some(first + row as u32), new: None };
        for change in &delta.changes {
            let key = DeltaBatch::key(&old, &new, *change);
            while next < rows.len() && rows.key(next) < key {
                changes.push(removal(next));
                next += 1;
            }
            let same = next < rows.len() && rows.key(next).cmp(&key) == Ordering::Equal;
            if same {
                changes.push(removal(next));
                next += 1;
            } else {
                changes.push(*change);
            }
        }
        changes.extend((next..rows.len()).map(removal));
    }
    delta.old = concat_batches(&schema, [&delta.old, &gone])?;
    delta.changes = changes;
    Ok(delta)
}
