//! The intake: turns the rows of a file into the change that they mean.
//!
//! Rows are kept aside until the file ends; then items get their ids, rows are sorted, paired with
//! the live rows that they are new versions of, and what differs becomes a layer.
//!
//! # Guarantees
//! - An annotation id is minted once and never comes from the label or the value.
//! - Importing a file again changes nothing.
//! - Memory is bounded but for the names of the file's items.
//!
//! # Limitations
//! - The rows of one item are held in memory together.

mod direct;
mod edits;
mod fresh;
mod names;
mod order;
mod pair;
mod removals;
mod settle;
mod spool;
mod submissions;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use arrow::array::{RecordBatch, StringArray};

use crate::change::SourceFile;
use crate::delta::{Counts, DeltaStream};
use crate::error::{Error, Result};
use crate::limits::{ID_BYTES_MAX, SORT_BYTES_MAX};
use crate::reviews;
use crate::schema::{
    ANNOTATIONS, CellType, ColumnView, ITEMS, REVIEWS, SUBMISSIONS, TABLES, Table,
};
use crate::segment::BatchStream;
use crate::store::{Layer, Snapshot};
use crate::transaction::Transaction;
use direct::Direct;
pub use edits::{Edit, Edits, Refused};
use fresh::Fresh;
use names::Names;
use pair::Pairing;
use removals::Removals;
pub use settle::is_stub;
use settle::{Seen, Settle};
use spool::{Sorted, Spool};
use submissions::SharedIds;

/// How rows are taken.
#[derive(Debug, Clone, Copy)]
pub struct IntakeOptions {
    /// Answers of sources without submissions are further answers, never new versions.
    pub append: bool,
    /// Live rows of the same sources that the file does not have are removed.
    pub prune: bool,
    /// Annotations are taken as they come, without being kept aside, as long as they come in key
    /// order with their ids stated. From the first that does not on, [`Intake::rows`] says
    /// [`Error::OutOfOrder`], and the import has to begin again without this.
    pub in_order: bool,
    /// What files do not know stays: that something took the place of an answer (`superseded`), and
    /// the policy of rows for which they name none.
    pub keep_ours: bool,
    /// Members of a table's `extra` that the tool changes by itself.
    pub volatile: fn(&Table) -> &'static [&'static str],
    /// The member of a table's `extra` that no two rows of the world share.
    pub unique: fn(&Table) -> Option<&'static str>,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        let (append, prune, in_order, keep_ours) = Default::default();
        Self { append, prune, in_order, keep_ours, volatile: |_| &[], unique: |_| None }
    }
}

/// What an intake made.
#[derive(Debug, Default)]
pub struct Intaken {
    /// The layer on the snapshot; none where nothing changed.
    pub layers: Vec<Layer>,
    /// Rows read, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Rows added, changed and removed, by table.
    pub counts: BTreeMap<&'static str, Counts>,
    /// Items with a reference answer that nobody else answered.
    pub gold_without_answers: u64,
    /// Keys that were to be removed and are those of no annotation; then nothing should be staged.
    pub missing: Vec<String>,
}

/// Takes the rows of files against a snapshot.
#[derive(Debug)]
pub struct Intake<'s> {
    snapshot: &'s Snapshot<'s>,
    options: IntakeOptions,
    spools: BTreeMap<&'static str, Spool>,
    removals: Removals,
    sources: Vec<SourceFile>,
    other_sources: Vec<String>,
    seen: Seen,
    transaction: Transaction<'s>,
    /// Annotations that need not be kept aside.
    direct: Option<Direct<'s>>,
    complete: Vec<String>,
}

impl<'s> Intake<'s> {
    /// Starts with no rows.
    pub fn new(snapshot: &'s Snapshot<'s>, options: IntakeOptions) -> Self {
        Self {
            snapshot,
            options,
            spools: BTreeMap::new(),
            removals: Removals::default(),
            sources: Vec::new(),
            other_sources: Vec::new(),
            seen: Seen::new(options.prune),
            transaction: Transaction::new(snapshot),
            direct: None,
            complete: Vec::new(),
        }
    }

    /// Refuses a file most of whose items stand under one of these sources already: it is more
    /// likely a new version of that source's file than another source.
    pub fn refuse_items_of(&mut self, sources: Vec<String>) {
        self.other_sources = sources;
    }

    /// Says that the files have all rows of a source, were it none: pruning removes the others.
    pub fn complete(&mut self, source: String) {
        self.complete.push(source);
    }

    /// Takes rows of one table, in any order.
    ///
    /// # Errors
    /// Where an id is empty or too long, a number is not finite, or the rows are
    /// [out of order](IntakeOptions::in_order).
    pub fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()> {
        check_rows(table, &rows)?;
        if table == &ANNOTATIONS && self.options.in_order && self.spools.is_empty() {
            return self.directly(rows);
        }
        if self.direct.is_some() && Direct::depends_on(table) {
            return Err(Error::OutOfOrder);
        }
        let spool = self.spools.entry(table.name).or_insert_with(|| Spool::new(table.arrow()));
        spool.push(rows)
    }

    /// Takes annotations without keeping them aside; the first batch shows whether that may be.
    fn directly(&mut self, rows: RecordBatch) -> Result<()> {
        let direct = match &mut self.direct {
            Some(direct) => direct,
            none => none.insert(Direct::new(self.snapshot.table(&ANNOTATIONS)?, &self.transaction)),
        };
        let settle = Settle::new(direct.base, self.options, &mut self.seen);
        direct.push(rows, settle, &mut self.transaction)
    }

    /// Removes live annotations: rows of `annotations` whose first two columns are the key. Not
    /// together with [`IntakeOptions::prune`].
    ///
    /// # Errors
    /// Where annotations were taken [as they came](IntakeOptions::in_order).
    pub fn remove(&mut self, rows: &RecordBatch) -> Result<()> {
        if self.direct.is_some() {
            return Err(Error::OutOfOrder);
        }
        self.removals.push(rows)
    }

    /// Records a file that was read.
    pub fn source_file(&mut self, file: SourceFile) {
        self.sources.push(file);
    }

    /// Ends the file: names items, pairs rows, and stores what changed.
    pub fn finish(mut self) -> Result<Intaken> {
        let names =
            Names::decide(self.snapshot, self.spools.get_mut(ITEMS.name), &self.other_sources)?;
        let submissions = named(&names, &mut self.spools, &SUBMISSIONS)?;
        let shared = SharedIds::decide(self.snapshot, submissions)?;
        let mut made = Intaken::default();
        let (mut seen, mut transaction) = (self.seen, self.transaction);
        seen.complete(self.complete);
        let unanswered = Cell::new(0);
        if let Some(direct) = self.direct {
            made.rows.insert(ANNOTATIONS.name, direct.rows);
            made.counts.insert(ANNOTATIONS.name, direct.finish(&mut transaction)?);
        }
        let missing = RefCell::default();
        for table in TABLES {
            match self.spools.get(table.name) {
                Some(spool) => {
                    made.rows.insert(table.name, spool.rows);
                    made.counts.insert(table.name, Counts::default());
                }
                None if table == &ANNOTATIONS && !self.removals.is_empty() => {}
                None => continue,
            }
            if table == &REVIEWS {
                continue;
            }
            let limit = self.spools.get(table.name).map_or(SORT_BYTES_MAX, Spool::sort_bytes);
            let rows = shared.rename(table, named(&names, &mut self.spools, table)?);
            let settle = Settle::new(self.snapshot.table(table)?, self.options, &mut seen);
            let deltas: DeltaStream<'_> = if table == &ANNOTATIONS {
                let none_live = self.snapshot.table(table)?.state.segments.is_empty();
                let paired: DeltaStream<'_> = match spool::sorted(rows, 1, limit)? {
                    Sorted::Held(rows) if none_live => {
                        Box::new(Fresh::new(settle, rows, &unanswered))
                    }
                    rows => Box::new(Pairing::new(settle, rows.stream(), &unanswered)),
                };
                self.removals.among(paired, self.snapshot.table(table)?, &missing)?
            } else {
                settle.upserts(spool::sorted(rows, table.key_len, limit)?.stream())
            };
            transaction.apply(table, deltas)?;
        }
        made.gold_without_answers = unanswered.get();
        made.missing = missing.into_inner();
        made.layers.push(transaction.finish()?);
        let some_live = !self.snapshot.table(&ANNOTATIONS)?.state.segments.is_empty();
        if some_live && self.spools.contains_key(SUBMISSIONS.name) {
            let answered = named(&names, &mut self.spools, &ANNOTATIONS)?;
            let answered = submissions::with_rows(shared.rename(&ANNOTATIONS, answered))?;
            let given = shared.rename(&SUBMISSIONS, named(&names, &mut self.spools, &SUBMISSIONS)?);
            made.layers.push(submissions::empty(self.snapshot, &made.layers, given, &answered)?);
        }
        if let Some(&rows) = made.rows.get(REVIEWS.name) {
            // Last: a review is of what the import made of the rows.
            let above = self.snapshot.above(&made.layers)?;
            let reviews = shared.rename(&REVIEWS, named(&names, &mut self.spools, &REVIEWS)?);
            let reviews = spool::sorted(reviews, REVIEWS.key_len, SORT_BYTES_MAX)?.stream();
            let reviews = reviews::with_digests(above.table(&ANNOTATIONS)?, rows, reviews)?;
            let settle = Settle::new(above.table(&REVIEWS)?, self.options, &mut seen);
            let mut transaction = Transaction::new(&above);
            transaction.apply(&REVIEWS, settle.upserts(reviews))?;
            made.layers.push(transaction.finish()?);
        }
        if self.options.prune {
            let pruned = seen.prune(self.snapshot, &made.layers)?;
            made.layers.push(pruned);
        }
        made.join_layers(self.snapshot)?;
        if let Some(first) = made.layers.first_mut() {
            first.meta.sources = self.sources;
        }
        Ok(made)
    }
}

impl Intaken {
    /// Makes the layers one, and counts what it does: a row may be touched by several.
    fn join_layers(&mut self, snapshot: &Snapshot<'_>) -> Result<()> {
        self.layers.retain(|layer| !layer.is_empty());
        if self.layers.len() > 1 {
            self.layers = vec![snapshot.one_layer(&self.layers)?];
            self.layers.retain(|layer| !layer.is_empty());
        }
        for (table, change) in self.layers.iter().flat_map(|layer| &layer.tables) {
            if let Some(table) = Table::by_name(table) {
                self.counts.insert(table.name, change.counts);
            }
        }
        Ok(())
    }
}

/// The rows of a table with the final ids of their items; none where the file had none.
fn named<'a>(
    names: &'a Names,
    spools: &mut BTreeMap<&'static str, Spool>,
    table: &'static Table,
) -> Result<BatchStream<'a>> {
    Ok(match spools.get_mut(table.name) {
        Some(spool) => names.rename(table, spool.read()?),
        None => Box::new(std::iter::empty()),
    })
}

/// Refuses rows that may never be stored.
pub fn check_rows(table: &'static Table, rows: &RecordBatch) -> Result<()> {
    let bad = |what: String| Err(Error::BadRows { table: table.name, what });
    for (index, column) in table.columns.iter().enumerate() {
        let Some(view) = rows.columns().get(index).and_then(|c| ColumnView::new(c)) else {
            return bad("a batch of another schema".to_owned());
        };
        let is_id = index < table.key_len || column.name.ends_with("_id");
        let finite = matches!(column.cell, CellType::Float | CellType::Floats);
        if !is_id && !finite {
            continue;
        }
        if finite && !view.is_finite() {
            return bad(format!("{} is not finite", column.name));
        }
        if !is_id || matches!(view, ColumnView::Dict(_, values) if fits(values)) {
            continue;
        }
        for row in 0..rows.num_rows() {
            let id = view.text(row).unwrap_or_default();
            if id.len() > ID_BYTES_MAX {
                return bad(format!(
                    "{} of {} bytes is longer than {ID_BYTES_MAX}: `{}…`",
                    column.name,
                    id.len(),
                    id.chars().take(40).collect::<String>()
                ));
            }
            // An annotation without an id gets one.
            if id.is_empty() && index < table.key_len && column.name != "annotation_id" {
                return bad(format!("{} is empty in row {row}", column.name));
            }
        }
    }
    Ok(())
}

/// Whether all of these are short enough for ids, and none is empty.
fn fits(ids: &StringArray) -> bool {
    ids.iter().flatten().all(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX)
}
