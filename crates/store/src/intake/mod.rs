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

mod edits;
mod names;
mod pair;
mod settle;
mod spool;
mod submissions;

use std::cell::Cell;
use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use crate::change::SourceFile;
use crate::delta::{Counts, DeltaStream};
use crate::error::{Error, Result};
use crate::limits::ID_BYTES_MAX;
use crate::reviews;
use crate::schema::{
    ANNOTATIONS, CellType, ColumnView, ITEMS, REVIEWS, SUBMISSIONS, TABLES, Table,
};
use crate::segment::BatchStream;
use crate::store::{Layer, Snapshot};
use crate::transaction::Transaction;
pub use edits::{Edit, Edits, Refused};
use names::Names;
use pair::Pairing;
use settle::Settle;
use spool::Spool;
use submissions::SharedIds;

/// How rows are taken.
#[derive(Debug, Clone, Copy)]
pub struct IntakeOptions {
    /// Answers of sources without submissions are further answers, never new versions.
    pub append: bool,
    /// Live rows of the same sources that the file does not have are removed.
    pub prune: bool,
    /// Members of a table's `extra` that the tool changes by itself.
    pub volatile: fn(&Table) -> &'static [&'static str],
    /// The member of a table's `extra` that no two rows of the world share.
    pub unique: fn(&Table) -> Option<&'static str>,
}

impl Default for IntakeOptions {
    fn default() -> Self {
        Self { append: false, prune: false, volatile: |_| &[], unique: |_| None }
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
}

/// Takes the rows of files against a snapshot.
#[derive(Debug)]
pub struct Intake<'s> {
    snapshot: &'s Snapshot<'s>,
    options: IntakeOptions,
    spools: BTreeMap<&'static str, Spool>,
    sources: Vec<SourceFile>,
    other_sources: Vec<String>,
}

impl<'s> Intake<'s> {
    /// Starts with no rows.
    pub fn new(snapshot: &'s Snapshot<'s>, options: IntakeOptions) -> Self {
        Self {
            snapshot,
            options,
            spools: BTreeMap::new(),
            sources: Vec::new(),
            other_sources: Vec::new(),
        }
    }

    /// Refuses a file most of whose items stand under one of these sources already: it is more
    /// likely a new version of that source's file than another source.
    pub fn refuse_items_of(&mut self, sources: Vec<String>) {
        self.other_sources = sources;
    }

    /// Takes rows of one table, in any order.
    ///
    /// # Errors
    /// Where an id is empty or too long, or a number is not finite.
    pub fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()> {
        check_rows(table, &rows)?;
        let spool = self.spools.entry(table.name).or_insert_with(|| Spool::new(table.arrow()));
        spool.push(rows)
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
        let mut seen = settle::Seen::new(self.options.prune);
        let unanswered = Cell::new(0);
        let mut transaction = Transaction::new(self.snapshot);
        for table in TABLES {
            let Some(spool) = self.spools.get(table.name) else { continue };
            made.rows.insert(table.name, spool.rows);
            made.counts.insert(table.name, Counts::default());
            if table == &REVIEWS {
                continue;
            }
            let rows = shared.rename(table, named(&names, &mut self.spools, table)?);
            let settle = Settle::new(self.snapshot.table(table)?, self.options, &mut seen);
            let deltas: DeltaStream<'_> = if table == &ANNOTATIONS {
                let sorted = spool::sorted(rows, table.arrow(), 1)?;
                Box::new(Pairing::new(settle, sorted, &unanswered))
            } else {
                let sorted = spool::sorted(rows, table.arrow(), table.key_len)?;
                settle.upserts(sorted)
            };
            transaction.apply(table, deltas)?;
        }
        made.gold_without_answers = unanswered.get();
        made.layers.push(transaction.finish()?);
        let answered = shared.rename(&ANNOTATIONS, named(&names, &mut self.spools, &ANNOTATIONS)?);
        let answered = submissions::with_rows(answered)?;
        let given = shared.rename(&SUBMISSIONS, named(&names, &mut self.spools, &SUBMISSIONS)?);
        let emptied = submissions::empty(self.snapshot, &made.layers, given, &answered)?;
        made.layers.push(emptied);
        if let Some(&rows) = made.rows.get(REVIEWS.name) {
            // Last: a review is of what the import made of the rows.
            let above = self.snapshot.above(&made.layers)?;
            let reviews = shared.rename(&REVIEWS, named(&names, &mut self.spools, &REVIEWS)?);
            let reviews = spool::sorted(reviews, REVIEWS.arrow(), REVIEWS.key_len)?;
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
        for row in 0..rows.num_rows() {
            if is_id {
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
            let broken = view.float(row).is_some_and(|v| !v.is_finite())
                || view.floats(row).is_some_and(|all| all.iter().any(|v| !v.is_finite()));
            if finite && broken {
                return bad(format!("{} is not finite in row {row}", column.name));
            }
        }
    }
    Ok(())
}
