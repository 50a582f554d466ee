//! Edits by key: annotations whose columns are set, or that are removed.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};

use super::settle::{Seen, Settle, repeated};
use super::spool::{Spool, sorted};
use super::{IntakeOptions, Intaken, check_rows};
use crate::change::only_old;
use crate::delta::{Counts, DeltaBatch, DeltaStream};
use crate::error::{Error, Result};
use crate::schema::{ANNOTATIONS, ColumnView};
use crate::segment::BatchStream;
use crate::snapshot::{Located, TableSnapshot};
use crate::store::Snapshot;
use crate::transaction::Transaction;
use crate::verify::copies_fault;

/// What is done to the rows with the given keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The columns that are given are set.
    Update,
    /// The rows are removed.
    Remove,
}

/// Keys that were not edited.
#[derive(Debug, Default)]
pub struct Refused {
    /// There is no such annotation: `item annotation`.
    pub missing: Vec<String>,
    /// The row changed since the base.
    pub changed_since: Vec<String>,
}

/// Takes edits of annotations by key.
#[derive(Debug)]
pub struct Edits<'s> {
    snapshot: &'s Snapshot<'s>,
    base: Option<&'s Snapshot<'s>>,
    edit: Edit,
    spools: BTreeMap<Vec<usize>, Spool>,
}

impl<'s> Edits<'s> {
    /// Starts with no edit. With a base, rows that differ between it and the snapshot are left
    /// alone.
    pub fn new(snapshot: &'s Snapshot<'s>, base: Option<&'s Snapshot<'s>>, edit: Edit) -> Self {
        Self { snapshot, base, edit, spools: BTreeMap::new() }
    }

    /// Takes rows of some columns of `annotations`; the first two are the key.
    pub fn push(&mut self, columns: &[usize], rows: RecordBatch) -> Result<()> {
        let spool = self.spools.entry(columns.to_vec());
        spool.or_insert_with(|| Spool::new(rows.schema())).push(rows)
    }

    /// Ends the edits: what they changed, and which could not be made. Where a key is missing,
    /// nothing should be staged.
    pub fn finish(mut self) -> Result<(Intaken, Refused)> {
        let mut made = Intaken::default();
        made.counts.insert(ANNOTATIONS.name, Counts::default());
        let mut refused = Refused::default();
        for (columns, mut spool) in std::mem::take(&mut self.spools) {
            let above = self.snapshot.above(&made.layers)?;
            let mut transaction = Transaction::new(&above);
            let limit = spool.sort_bytes();
            let rows = sorted(spool.read()?, ANNOTATIONS.key_len, limit)?.stream();
            let mut seen = Seen::new(false);
            let table = above.table(&ANNOTATIONS)?;
            let step = Step {
                settle: Settle::new(table, IntakeOptions::default(), &mut seen),
                then: match self.base {
                    Some(base) => {
                        Some((base.table(&ANNOTATIONS)?, self.snapshot.table(&ANNOTATIONS)?))
                    }
                    None => None,
                },
                edit: self.edit,
                columns,
                last: None,
                rest: None,
            };
            transaction.apply(&ANNOTATIONS, step.deltas(rows, &mut refused))?;
            made.layers.push(transaction.finish()?);
            // However large: edits come from people, not from an importer.
            let after = self.snapshot.above(&made.layers)?;
            if let Some(layer) = made.layers.last()
                && let Some(what) = copies_fault(&after, &layer.tables)?
            {
                return Err(Error::BadRows { table: ANNOTATIONS.name, what });
            }
        }
        made.join_layers(self.snapshot)?;
        Ok((made, refused))
    }
}

/// Edits of one set of columns.
struct Step<'a> {
    settle: Settle<'a>,
    /// The table at the base, and before any of these edits.
    then: Option<(&'a TableSnapshot, &'a TableSnapshot)>,
    edit: Edit,
    columns: Vec<usize>,
    last: Option<(String, String)>,
    /// Rows whose live rows had no room in the batch before.
    rest: Option<RecordBatch>,
}

impl<'a> Step<'a> {
    fn deltas(mut self, mut rows: BatchStream<'a>, refused: &'a mut Refused) -> DeltaStream<'a> {
        Box::new(std::iter::from_fn(move || {
            let batch = self.rest.take().map(Ok).or_else(|| rows.next())?;
            Some(batch.and_then(|batch| self.edit(batch, refused)))
        }))
    }

    fn edit(&mut self, mut rows: RecordBatch, refused: &mut Refused) -> Result<DeltaBatch> {
        let all = rows.clone();
        let mut keys = self.keys(&all)?;
        let mut found = self.settle.base.locate(keys.iter().copied())?;
        let live: Vec<Located> = found.iter().flatten().copied().collect();
        let room = self.settle.base.fetch_max(&live)?;
        if let Some((cut, _)) = found.iter().enumerate().filter(|(_, at)| at.is_some()).nth(room) {
            self.rest = Some(rows.slice(cut, rows.num_rows() - cut));
            self.last = None;
            rows = rows.slice(0, cut);
            keys.truncate(cut);
            found.truncate(cut);
        }
        let key = |row: usize| keys[row];
        let mut since = vec![false; rows.num_rows()];
        if let Some((base, before)) = self.then {
            let was = base.locate((0..rows.num_rows()).map(key))?;
            let is = before.locate((0..rows.num_rows()).map(key))?;
            for (row, since) in since.iter_mut().enumerate() {
                *since = was[row].map(|at| at.digest) != is[row].map(|at| at.digest);
            }
        }
        let (mut edited, mut located): (Vec<u32>, Vec<Located>) = Default::default();
        for (row, at) in found.iter().enumerate() {
            let name = || format!("`{}` `{}`", key(row).0, key(row).1);
            if since[row] {
                refused.changed_since.push(name());
                continue;
            }
            let Some(at) = at else {
                refused.missing.push(name());
                continue;
            };
            edited.push(row as u32);
            located.push(*at);
        }
        let old = self.settle.base.fetch(&located)?;
        if self.edit == Edit::Remove {
            let one: BatchStream<'_> = Box::new(std::iter::once(Ok(old)));
            let mut removed = only_old(&ANNOTATIONS, one);
            return removed.next().unwrap_or_else(|| Ok(no_change()));
        }
        let rows = arrow::compute::take_record_batch(&rows, &UInt32Array::from(edited))?;
        let mut columns: Vec<ArrayRef> = old.columns()[..ANNOTATIONS.columns.len()].to_vec();
        for (given, &index) in rows.columns().iter().zip(&self.columns) {
            columns[index] = given.clone();
        }
        let new = RecordBatch::try_new(ANNOTATIONS.arrow(), columns)?;
        check_rows(&ANNOTATIONS, &new)?;
        let olds: Vec<Option<u32>> = (0..new.num_rows() as u32).map(Some).collect();
        let equal = vec![false; new.num_rows()];
        self.settle.settle(new, &old, &olds, &equal, &[])
    }

    /// The keys, which may not repeat.
    fn keys<'b>(&mut self, rows: &'b RecordBatch) -> Result<Vec<(&'b str, &'b str)>> {
        let part = |column: usize| ColumnView::new(rows.column(column));
        let (items, ids) = (part(0), part(1));
        let text = |view: &Option<ColumnView<'b>>, row| {
            view.as_ref().and_then(|view| view.text(row)).unwrap_or_default()
        };
        let keys: Vec<(&str, &str)> =
            (0..rows.num_rows()).map(|row| (text(&items, row), text(&ids, row))).collect();
        for (item, id) in &keys {
            if self.last.as_ref().is_some_and(|(i, k)| i == item && k == id) {
                return Err(repeated(&ANNOTATIONS, item, id));
            }
            self.last = Some(((*item).to_owned(), (*id).to_owned()));
        }
        Ok(keys)
    }
}

fn no_change() -> DeltaBatch {
    DeltaBatch::added(&ANNOTATIONS, RecordBatch::new_empty(ANNOTATIONS.arrow()))
}
