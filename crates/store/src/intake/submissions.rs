//! Submissions of a file: ids that two sources share, and submissions that lost their last row.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};

use crate::change::only_old;
use crate::error::Result;
use crate::key_index::KeyHasher;
use crate::schema::{ANNOTATIONS, Annotations, SUBMISSIONS, Submissions, Table};
use crate::segment::{BatchStream, sort_by_key};
use crate::snapshot::Located;
use crate::store::{Layer, Snapshot};
use crate::transaction::Transaction;

/// Ids of submissions that another source has given on the same item before.
#[derive(Debug, Default)]
pub(super) struct SharedIds {
    /// Item, source and id to the id that is stored: `<source>:<id>`.
    renamed: HashMap<(String, String, String), String>,
}

impl SharedIds {
    /// Looks the file's submissions up.
    pub(super) fn decide(snapshot: &Snapshot<'_>, rows: BatchStream<'_>) -> Result<Self> {
        let stored = snapshot.table(&SUBMISSIONS)?;
        let mut shared = Self::default();
        if stored.state.segments.is_empty() {
            return Ok(shared);
        }
        for batch in rows {
            let batch = batch?;
            let rows = Submissions::new(&batch);
            let keys = (0..rows.len()).map(|row| (rows.item_id(row), rows.submission_id(row)));
            let located = stored.locate(keys)?;
            let found: Vec<Located> = located.iter().flatten().copied().collect();
            let fetched = stored.fetch(&found)?;
            let fetched = fetched.project(&(0..SUBMISSIONS.columns.len()).collect::<Vec<_>>())?;
            let known = Submissions::new(&fetched);
            let hits = (0..rows.len()).filter(|row| located[*row].is_some());
            for (row, hit) in hits.zip(0..known.len()) {
                let (item, source) = (rows.item_id(row), rows.source(row));
                if known.source(hit) != source {
                    let id = rows.submission_id(row);
                    let key = (item.to_owned(), source.to_owned(), id.to_owned());
                    shared.renamed.insert(key, format!("{source}:{id}"));
                }
            }
        }
        Ok(shared)
    }

    /// Puts the stored ids in place.
    pub(super) fn rename<'a>(
        &'a self,
        table: &'static Table,
        batches: BatchStream<'a>,
    ) -> BatchStream<'a> {
        let columns = (table.column("submission_id"), table.column("source"));
        let (Some(id), Some(source)) = columns else { return batches };
        if self.renamed.is_empty() {
            return batches;
        }
        Box::new(batches.map(move |batch| {
            let batch = batch?;
            let items = batch.column(0).as_string::<i32>();
            let ids = batch.column(id).as_string::<i32>();
            let sources = crate::schema::ColumnView::new(batch.column(source));
            let named: StringArray = (0..ids.len())
                .map(|row| {
                    let own = ids.is_valid(row).then(|| ids.value(row))?;
                    let source = sources.and_then(|s| s.text(row)).unwrap_or_default();
                    let key = (items.value(row).to_owned(), source.to_owned(), own.to_owned());
                    Some(self.renamed.get(&key).map_or(own, String::as_str).to_owned())
                })
                .collect();
            let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
            columns[id] = Arc::new(named);
            Ok(RecordBatch::try_new(batch.schema(), columns)?)
        }))
    }
}

/// The submissions that a file's annotations name, by hash.
pub(super) fn with_rows(rows: BatchStream<'_>) -> Result<HashSet<(u64, [u8; 12])>> {
    let mut hasher = KeyHasher::default();
    let mut named = HashSet::new();
    for batch in rows {
        let batch = batch?;
        let rows = Annotations::new(&batch);
        for row in 0..rows.len() {
            if let Some(submission) = rows.submission_id(row) {
                named.insert(hasher.hash(rows.item_id(row), submission));
            }
        }
    }
    Ok(named)
}

/// Removes the live rows of submissions that the file has without any.
pub(super) fn empty(
    snapshot: &Snapshot<'_>,
    layers: &[Layer],
    submissions: BatchStream<'_>,
    with_rows: &HashSet<(u64, [u8; 12])>,
) -> Result<Layer> {
    let live = snapshot.table(&ANNOTATIONS)?;
    let mut hasher = KeyHasher::default();
    let mut gone: Vec<Located> = Vec::new();
    if !live.state.segments.is_empty() {
        for batch in submissions {
            let batch = batch?;
            for row in Submissions::new(&batch).iter() {
                let stub = row.extra.is_some_and(super::settle::is_stub);
                if stub || with_rows.contains(&hasher.hash(row.item_id, row.submission_id)) {
                    continue;
                }
                let located = live.locate_item(row.item_id)?;
                let rows = live.fetch(&located)?;
                let rows = rows.project(&(0..ANNOTATIONS.columns.len()).collect::<Vec<_>>())?;
                let rows = Annotations::new(&rows);
                let of_it = |at: &usize| {
                    rows.submission_id(*at) == Some(row.submission_id)
                        && rows.source(*at) == row.source
                };
                gone.extend((0..rows.len()).filter(of_it).map(|at| located[at]));
            }
        }
    }
    let above = snapshot.above(layers)?;
    let mut transaction = Transaction::new(&above);
    if !gone.is_empty() {
        let rows = sort_by_key(&live.fetch(&gone)?, ANNOTATIONS.key_len)?;
        let rows: BatchStream<'_> = Box::new(std::iter::once(Ok(rows)));
        transaction.apply(&ANNOTATIONS, only_old(&ANNOTATIONS, rows))?;
    }
    transaction.finish()
}
