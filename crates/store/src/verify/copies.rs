//! Facts of a submission that its annotations repeat are equal.

use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::{Tally, Verifier, rule};
use crate::change::{TableChange, read_change};
use crate::error::Result;
use crate::schema::{ANNOTATIONS, Annotations, SUBMISSIONS, Submissions, Table};
use crate::segment::BatchStream;
use crate::store::Snapshot;

impl Verifier<'_> {
    /// Checks the annotations and the submissions that a change touched, in the state after it.
    pub(super) fn check_copies(
        &mut self,
        name: &str,
        after: &Snapshot<'_>,
        tables: &BTreeMap<String, TableChange>,
    ) -> Result<()> {
        let states = [&ANNOTATIONS, &SUBMISSIONS].map(|table| after.state(table));
        let unread = states.iter().any(|state| {
            state.segments.iter().any(|line| self.is_bad(line.segment))
                || state.removals.iter().any(|line| self.is_bad(line.removed))
        });
        if unread || self.is_bad(name) {
            return Ok(());
        }
        if let Some(detail) = copies_fault(after, tables)? {
            self.find(rule::COPIES, name, detail, Vec::new());
        }
        Ok(())
    }
}

/// Where annotations and submissions that a change touched disagree in the state after it.
pub(crate) fn copies_fault(
    after: &Snapshot<'_>,
    tables: &BTreeMap<String, TableChange>,
) -> Result<Option<String>> {
    if after.state(&SUBMISSIONS).segments.is_empty() {
        return Ok(None);
    }
    let mut wrong = Tally::default();
    for rows in new_rows(after, &ANNOTATIONS, tables)? {
        annotations_fit(after, &rows?, &mut wrong)?;
    }
    for rows in new_rows(after, &SUBMISSIONS, tables)? {
        submissions_fit(after, &rows?, &mut wrong)?;
    }
    Ok(wrong.detail())
}

/// The new rows of a change of one table; none where it did not change.
fn new_rows(
    after: &Snapshot<'_>,
    table: &'static Table,
    tables: &BTreeMap<String, TableChange>,
) -> Result<BatchStream<'static>> {
    let Some(change) = tables.get(table.name) else { return Ok(Box::new(std::iter::empty())) };
    let deltas = read_change(after.store().objects(), table, change)?;
    Ok(Box::new(deltas.map(move |delta| own_columns(table, &delta?.new))))
}

fn own_columns(table: &Table, batch: &RecordBatch) -> Result<RecordBatch> {
    Ok(batch.project(&(0..table.columns.len()).collect::<Vec<_>>())?)
}

/// New annotations against their submissions.
fn annotations_fit(after: &Snapshot<'_>, rows: &RecordBatch, wrong: &mut Tally) -> Result<()> {
    let rows = Annotations::new(rows);
    let with: Vec<(usize, &str)> =
        (0..rows.len()).filter_map(|row| Some((row, rows.submission_id(row)?))).collect();
    let submissions = after.table(&SUBMISSIONS)?;
    let keys = with.iter().map(|(row, submission)| (rows.item_id(*row), *submission));
    let located = submissions.locate(keys)?;
    let wanted: Vec<_> = located.iter().flatten().copied().collect();
    let fetched = own_columns(&SUBMISSIONS, &submissions.fetch(&wanted)?)?;
    let fetched = Submissions::new(&fetched);
    let found = with.iter().zip(&located).filter(|(_, at)| at.is_some());
    for (((row, _), _), submission) in found.zip(0..fetched.len()) {
        compare(&rows, *row, &fetched, submission, wrong);
    }
    Ok(())
}

/// New content of submissions against the annotations that name them.
fn submissions_fit(after: &Snapshot<'_>, rows: &RecordBatch, wrong: &mut Tally) -> Result<()> {
    let rows = Submissions::new(rows);
    let annotations = after.table(&ANNOTATIONS)?;
    let mut start = 0;
    while start < rows.len() {
        let item = rows.item_id(start);
        let end = (start..rows.len()).find(|&row| rows.item_id(row) != item).unwrap_or(rows.len());
        let by_id: HashMap<&str, usize> =
            (start..end).map(|row| (rows.submission_id(row), row)).collect();
        let fetched = annotations.fetch(&annotations.locate_item(item)?)?;
        let fetched = own_columns(&ANNOTATIONS, &fetched)?;
        let live = Annotations::new(&fetched);
        for row in 0..live.len() {
            let submission = live.submission_id(row).and_then(|id| by_id.get(id));
            if let Some(submission) = submission {
                compare(&live, row, &rows, *submission, wrong);
            }
        }
        start = end;
    }
    Ok(())
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
