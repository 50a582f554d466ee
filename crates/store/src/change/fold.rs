//! Folds the changes of several commits into their net change.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
    /// Places in `nets` by key.
    rows: HashMap<(String, String), usize>,
    /// In the order of the changes, whose keys rise: a sort finds sorted runs.
    nets: Vec<Net>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy)]
struct Net {
    old: Option<Place>,
    new: Option<Place>,
    /// Whether more than one change touched it: only then may it have ended as it began.
    again: bool,
}

impl Fold {
    /// Starts with no change.
    pub fn new(table: &'static Table) -> Self {
        Self { table, olds: Vec::new(), news: Vec::new(), rows: HashMap::new(), nets: Vec::new() }
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
                match self.rows.entry((item.to_owned(), key.to_owned())) {
                    Entry::Occupied(known) => {
                        let net = &mut self.nets[*known.get()];
                        (net.new, net.again) = (is, true);
                    }
                    Entry::Vacant(free) => {
                        free.insert(self.nets.len());
                        self.nets.push(Net { old: was, new: is, again: false });
                    }
                }
            }
        }
        let columns: Vec<usize> = (0..self.table.columns.len()).collect();
        self.olds.push(delta.old);
        self.news.push(delta.new.project(&columns)?);
        Ok(())
    }

    /// The net change in order of keys. A row that ends as it began drops out.
    pub fn finish(self) -> Result<DeltaStream<'static>> {
        drop(self.rows);
        let (table, olds, news, mut nets) = (self.table, self.olds, self.news, self.nets);
        {
            let old_rows: Vec<Rows<'_>> =
                olds.iter().map(|b| Rows::new(table, b)).collect::<Result<_>>()?;
            let new_rows: Vec<Rows<'_>> =
                news.iter().map(|b| Rows::new(table, b)).collect::<Result<_>>()?;
            nets.retain(|net| match (net.old, net.new) {
                (None, None) => false,
                (Some((ob, or)), Some((nb, nr))) if net.again => {
                    !old_rows[ob].differing(or, &new_rows[nb], nr).is_empty()
                }
                _ => true,
            });
            let key = |net: &Net| match (net.new, net.old) {
                (Some((batch, row)), _) => new_rows[batch].key(row),
                (None, Some((batch, row))) => old_rows[batch].key(row),
                (None, None) => ("", ""),
            };
            nets.sort_by(|a, b| key(a).cmp(&key(b)));
        }
        let old_bytes: Vec<usize> = olds.iter().map(row_bytes).collect();
        let new_bytes: Vec<usize> = news.iter().map(row_bytes).collect();
        let mut at = 0;
        let mut next = move || {
            let chunk = first_chunk(&nets[at..], &old_bytes, &new_bytes);
            at += chunk.len();
            if chunk.is_empty() {
                return Ok(None);
            }
            let old_picks: Vec<Place> = chunk.iter().filter_map(|net| net.old).collect();
            let new_picks: Vec<Place> = chunk.iter().filter_map(|net| net.new).collect();
            let (mut old, mut new) = (0_u32.., 0_u32..);
            let changes = chunk
                .iter()
                .map(|net| RowChange {
                    old: net.old.and_then(|_| old.next()),
                    new: net.new.and_then(|_| new.next()),
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

/// The first changes that fit a batch, by rows and by bytes: at least one where there are any.
fn first_chunk<'n>(nets: &'n [Net], old_bytes: &[usize], new_bytes: &[usize]) -> &'n [Net] {
    let of = |bytes: &[usize], place: Option<Place>| place.map_or(0, |(batch, _)| bytes[batch]);
    let (mut rows, mut bytes) = (0, 0);
    while rows < nets.len().min(BATCH_ROWS) && bytes < BATCH_BYTES_MAX {
        bytes += of(old_bytes, nets[rows].old) + of(new_bytes, nets[rows].new);
        rows += 1;
    }
    &nets[..rows]
}
