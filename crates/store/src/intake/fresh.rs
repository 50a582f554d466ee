//! Annotations of an import into a store that has none: all are new, so ids are minted and rows
//! put in order at once.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::order::{Ordered, Pick};
use super::pair::{Group, Ids, group};
use super::settle::{Settle, no_rows, repeated};
use crate::delta::DeltaBatch;
use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, batch_rows, row_bytes};
use crate::schema::{ANNOTATIONS, Annotations};

/// So many groups of one item are looked at one by one; of more, each has its name in a table.
const GROUPS_FEW: usize = 16;

/// Delta batches of whole items.
pub(super) struct Fresh<'a> {
    settle: Settle<'a>,
    rows: Ordered,
    /// Rows of a batch, of whatever size they are.
    batch_rows: usize,
    at: usize,
    ids: Ids,
    unanswered: &'a Cell<u64>,
}

impl<'a> Fresh<'a> {
    /// Takes rows that are ordered by item.
    pub(super) fn new(settle: Settle<'a>, rows: Ordered, unanswered: &'a Cell<u64>) -> Self {
        let largest = rows.batches.iter().map(row_bytes).max().unwrap_or_default();
        let batch_rows = batch_rows(BATCH_BYTES_MAX, largest);
        Self { settle, rows, batch_rows, at: 0, ids: Ids::default(), unanswered }
    }

    fn next_delta(&mut self) -> Result<Option<DeltaBatch>> {
        if self.at == self.rows.picks.len() {
            return Ok(None);
        }
        let views: Vec<Annotations<'_>> = self.rows.batches.iter().map(Annotations::new).collect();
        let picks = &self.rows.picks[self.at..];
        let mut named = Vec::with_capacity(self.batch_rows);
        let same = |a: &Pick, b: &Pick| views[a.0].item_id(a.1) == views[b.0].item_id(b.1);
        for item in picks.chunk_by(same) {
            let answered = item.iter().any(|pick| !views[pick.0].gold(pick.1));
            self.unanswered.set(self.unanswered.get() + u64::from(!answered));
            name(&views, item, &mut self.ids, &mut named)?;
            if named.len() >= self.batch_rows {
                break;
            }
        }
        self.at += named.len();
        let picks: Vec<Pick> = named.iter().map(|(_, pick)| *pick).collect();
        let rows = self.rows.gather(&picks)?;
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns[1] = Arc::new(StringArray::from_iter_values(named.iter().map(|(id, _)| id)));
        let rows = RecordBatch::try_new(rows.schema(), columns)?;
        let (olds, equal) = (vec![None; picks.len()], vec![false; picks.len()]);
        self.settle.settle(rows, &no_rows(&ANNOTATIONS), &olds, &equal, &[]).map(Some)
    }
}

impl Iterator for Fresh<'_> {
    type Item = Result<DeltaBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_delta().transpose()
    }
}

/// Names the rows of one item, and appends them in the order of their ids.
fn name(
    views: &[Annotations<'_>],
    item: &[Pick],
    ids: &mut Ids,
    named: &mut Vec<(String, Pick)>,
) -> Result<()> {
    ids.clear();
    let start = named.len();
    let mut unnamed = Vec::with_capacity(item.len());
    for &(batch, row) in item {
        match views[batch].annotation_id(row) {
            "" => unnamed.push((batch, row)),
            id => {
                ids.take(id);
                named.push((id.to_owned(), (batch, row)));
            }
        }
    }
    in_groups(views, &mut unnamed);
    for (batch, row) in unnamed {
        named.push((ids.mint(&views[batch], row), (batch, row)));
    }
    named[start..].sort_unstable();
    for pair in named[start..].windows(2) {
        if pair[0].0 == pair[1].0 {
            let (batch, row) = pair[0].1;
            return Err(repeated(&ANNOTATIONS, views[batch].item_id(row), &pair[0].0));
        }
    }
    Ok(())
}

/// Puts the rows of one group together, groups in the order in which they begin.
fn in_groups(views: &[Annotations<'_>], rows: &mut Vec<Pick>) {
    let mut known: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<Group<'_>, usize> = HashMap::new();
    let mut of_rows = Vec::with_capacity(rows.len());
    for (batch, row) in rows.iter() {
        let group = group(&views[*batch], *row);
        if known.last() == Some(&group) {
            of_rows.push(known.len() - 1);
            continue;
        }
        if known.len() == GROUPS_FEW {
            places = known.iter().cloned().zip(0..).collect();
        }
        let at = match known.len() < GROUPS_FEW {
            true => known.iter().position(|other| *other == group),
            false => places.get(&group).copied(),
        };
        of_rows.push(at.unwrap_or(known.len()));
        if at.is_none() {
            if known.len() >= GROUPS_FEW {
                places.insert(group.clone(), known.len());
            }
            known.push(group);
        }
    }
    if !of_rows.is_sorted() {
        let mut placed: Vec<(usize, Pick)> = of_rows.into_iter().zip(rows.drain(..)).collect();
        placed.sort_by_key(|(group, _)| *group);
        rows.extend(placed.into_iter().map(|(_, pick)| pick));
    }
}
