//! Folds the changes of several commits into their net change.

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::join::gather;
use crate::canonical::Rows;
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS, row_bytes};
use crate::schema::Table;

type Place = (usize, usize);

/// Net changes by key; holds every row that it was given, so callers bound how many that are.
#[derive(Debug)]
pub struct Fold {
    table: &'static Table,
    olds: Vec<RecordBatch>,
    news: Vec<RecordBatch>,
    rows: HashMap<(String, String), (Option<Place>, Option<Place>)>,
}

impl Fold {
    /// Starts with no change.
    pub fn new(table: &'static Table) -> Self {
        Self { table, olds: Vec::new(), news: Vec::new(), rows: HashMap::new() }
    }

    /// Puts a later change on top.
    pub fn push(&mut self, delta: DeltaBatch) -> Result<()> {
        let (old_at, new_at) = (self.olds.len(), self.news.len());
        {
            let (old, new) = (delta.old_rows()?, delta.new_rows()?);
            for change in &delta.changes {
                let (item, key) = DeltaBatch::key(&old, &new, *change);
                let was = change.old.map(|row| (old_at, row as usize));
                let is = change.new.map(|row| (new_at, row as usize));
                self.rows
                    .entry((item.to_owned(), key.to_owned()))
                    .and_modify(|net| net.1 = is)
                    .or_insert((was, is));
            }
        }
        let columns: Vec<usize> = (0..self.table.columns.len()).collect();
        self.olds.push(delta.old);
        self.news.push(delta.new.project(&columns)?);
        Ok(())
    }

    /// The net change in order of keys. A row that ends as it began drops out.
    pub fn finish(self) -> Result<DeltaStream<'static>> {
        let mut order: Vec<_> = self.rows.into_iter().collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (table, olds, news) = (self.table, self.olds, self.news);
        let mut pairs = Vec::with_capacity(order.len());
        {
            let old_rows: Vec<Rows<'_>> =
                olds.iter().map(|b| Rows::new(table, b)).collect::<Result<_>>()?;
            let new_rows: Vec<Rows<'_>> =
                news.iter().map(|b| Rows::new(table, b)).collect::<Result<_>>()?;
            for (_, net) in order {
                let same = match net {
                    (None, None) => true,
                    (Some((ob, or)), Some((nb, nr))) => {
                        old_rows[ob].differing(or, &new_rows[nb], nr).is_empty()
                    }
                    _ => false,
                };
                if !same {
                    pairs.push(net);
                }
            }
        }
        let old_bytes: Vec<usize> = olds.iter().map(row_bytes).collect();
        let new_bytes: Vec<usize> = news.iter().map(row_bytes).collect();
        let mut at = 0;
        let mut next = move || {
            let chunk = first_chunk(&pairs[at..], &old_bytes, &new_bytes);
            at += chunk.len();
            if chunk.is_empty() {
                return Ok(None);
            }
            let old_picks: Vec<Place> = chunk.iter().filter_map(|net| net.0).collect();
            let new_picks: Vec<Place> = chunk.iter().filter_map(|net| net.1).collect();
            let (mut old, mut new) = (0_u32.., 0_u32..);
            let changes = chunk
                .iter()
                .map(|net| RowChange {
                    old: net.0.and_then(|_| old.next()),
                    new: net.1.and_then(|_| new.next()),
                })
                .collect();
            Ok(Some(DeltaBatch {
                table,
                old: gather(table, &olds, &old_picks)?,
                new: gather(table, &news, &new_picks)?,
                changes,
            }))
        };
        Ok(Box::new(std::iter::from_fn(move || next().transpose())))
    }
}

/// The first pairs that fit a batch, by rows and by bytes: at least one where there are any.
fn first_chunk<'p>(
    pairs: &'p [(Option<Place>, Option<Place>)],
    old_bytes: &[usize],
    new_bytes: &[usize],
) -> &'p [(Option<Place>, Option<Place>)] {
    let of = |bytes: &[usize], place: Option<Place>| place.map_or(0, |(batch, _)| bytes[batch]);
    let (mut rows, mut bytes) = (0, 0);
    while rows < pairs.len().min(BATCH_ROWS) && bytes < BATCH_BYTES_MAX {
        let (old, new) = pairs[rows];
        bytes += of(old_bytes, old) + of(new_bytes, new);
        rows += 1;
    }
    &pairs[..rows]
}
