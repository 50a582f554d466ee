//! Facts of a submission that its annotations repeat are equal.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::{Tally, Verifier, rule};
use crate::change::{TableChange, read_columns};
use crate::error::Result;
use crate::item_rows::{ItemRows, item_slices};
use crate::schema::{ANNOTATIONS, Annotations, Columns, SUBMISSIONS, Submissions, Table};
use crate::store::Snapshot;

/// The columns of both tables that are looked at.
const COMPARED: [&str; 7] =
    ["item_id", "annotation_id", "submission_id", "annotator_id", "origin", "policy", "gold"];

impl Verifier<'_> {
    /// Checks the annotations and the submissions that a change touched, in the state after it.
    pub(super) fn check_copies(
        &mut self,
        name: &str,
        after: &Snapshot<'_>,
        tables: &BTreeMap<String, TableChange>,
    ) -> Result<()> {
        if self.is_bad(name) || !self.reads(after, &[&ANNOTATIONS, &SUBMISSIONS]) {
            return Ok(());
        }
        if let Some(detail) = copies_fault(after, tables)? {
            self.find(rule::COPIES, name, detail, Vec::new());
        }
        Ok(())
    }

    /// Whether no object of these tables has a finding.
    pub(super) fn reads(&self, snapshot: &Snapshot<'_>, tables: &[&'static Table]) -> bool {
        tables.iter().map(|table| snapshot.state(table)).all(|state| {
            !state.segments.iter().any(|line| self.is_bad(line.segment))
                && !state.removals.iter().any(|line| self.is_bad(line.removed))
        })
    }
}

/// Where annotations and submissions that a change touched disagree in the state after it.
///
/// What was touched is joined by item with the other table, in the memory of a batch.
pub(crate) fn copies_fault(
    after: &Snapshot<'_>,
    tables: &BTreeMap<String, TableChange>,
) -> Result<Option<String>> {
    let mut wrong = Tally::default();
    if after.state(&SUBMISSIONS).rows() == 0 {
        return Ok(None);
    }
    for (table, other) in [(&ANNOTATIONS, &SUBMISSIONS), (&SUBMISSIONS, &ANNOTATIONS)] {
        let Some(change) = tables.get(table.name) else { continue };
        // Where every annotation is new, each has been joined with its submission.
        let joined =
            tables.get(other.name).is_some_and(|change| change.counts.added == change.rows);
        if other == &ANNOTATIONS && joined {
            continue;
        }
        let columns = |table: &Table| Columns::named(table, &COMPARED);
        let (asked, read) = (change.counts.total(), columns(other));
        let mut others = ItemRows::reading(after.table(other)?, asked, read)?;
        for delta in read_columns(after.store().objects(), table, change, columns(table))? {
            for (items, rows) in item_slices(&delta?.new) {
                let found = others.of(&items)?;
                match table == &ANNOTATIONS {
                    true => compare_all(&rows, &found, &mut wrong),
                    false => compare_all(&found, &rows, &mut wrong),
                }
            }
        }
    }
    Ok(wrong.detail())
}

/// Annotations against the submissions that they name.
fn compare_all(annotations: &RecordBatch, submissions: &RecordBatch, wrong: &mut Tally) {
    let (rows, theirs) = (Annotations::new(annotations), Submissions::new(submissions));
    let key = |row: usize| ((theirs.item_id(row), theirs.submission_id(row)), row);
    let by_id: HashMap<(&str, &str), usize> = (0..theirs.len()).map(key).collect();
    for row in 0..rows.len() {
        let submission = rows.submission_id(row).map(|id| by_id.get(&(rows.item_id(row), id)));
        if let Some(Some(submission)) = submission {
            compare(&rows, row, &theirs, *submission, wrong);
        }
    }
}

fn compare(
    rows: &Annotations<'_>,
    row: usize,
    submissions: &Submissions<'_>,
    submission: usize,
    wrong: &mut Tally,
) {
    let own = (rows.annotator_id(row), rows.origin(row), rows.policy(row), rows.gold(row));
    let theirs = (
        submissions.annotator_id(submission),
        submissions.origin(submission),
        submissions.policy(submission),
        submissions.gold(submission),
    );
    if own != theirs {
        wrong.note(|| {
            let key = (rows.item_id(row), rows.annotation_id(row));
            let id = submissions.submission_id(submission);
            format!("{key:?} has {own:?} where its submission `{id}` has {theirs:?}")
        });
    }
}
