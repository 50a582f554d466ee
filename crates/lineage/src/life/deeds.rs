//! What the changes of one commit amount to, in words.

use std::collections::HashMap;

use glossator_store::canonical::Rows;
use glossator_store::delta::DeltaBatch;
use glossator_store::merging::MergeRecord;
use glossator_store::schema::{ANNOTATIONS, REVIEWS, SUBMISSIONS, Table};
use glossator_store::{CommitId, Result};

use super::{Deed, Life, Place, Touched, words};
use crate::rows::{Operation, RowDiff, row_diffs};

/// The columns that say what was decided, as reviews see it.
const DECIDED: [&str; 11] = [
    "field", "target", "kind", "label", "negative", "geometry", "frame", "refs", "text", "number",
    "mask",
];
/// Columns that change with any other, and say nothing alone.
const BESIDE: [&str; 3] = ["updated_at", "seq", "lead_time"];

/// A life that is being told, commit by commit.
#[derive(Debug, Default)]
pub(super) struct Telling {
    pub(super) life: Life,
    /// The live annotations.
    live: HashMap<String, Place>,
    /// The annotations of each submission, as they were last.
    of_submission: HashMap<String, Vec<String>>,
    /// When each submission was made and last changed: rows of it may not say it again.
    times: HashMap<String, [Option<i64>; 2]>,
    /// What each submission began with.
    begun: HashMap<String, String>,
}

/// The cell of a table's row, as text.
fn text<'a>(table: &Table, rows: &Rows<'a>, row: usize, name: &str) -> Option<&'a str> {
    rows.column(table.column(name)?).text(row)
}

fn int(table: &Table, rows: &Rows<'_>, row: usize, name: &str) -> Option<i64> {
    rows.column(table.column(name)?).int(row)
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

impl Telling {
    pub(super) fn finish(self) -> Life {
        self.life
    }

    /// Tells what a commit did.
    pub(super) fn commit(&mut self, commit: CommitId, touched: Touched) -> Result<()> {
        let from = self.life.deeds.len();
        for delta in &touched.items {
            self.items(commit, delta)?;
        }
        for delta in &touched.submissions {
            self.submissions(commit, delta)?;
        }
        let mut reviewed = Vec::new();
        let mut reviews = Vec::new();
        for delta in &touched.reviews {
            self.reviews(commit, delta, &mut reviews)?;
        }
        reviewed.extend(reviews.iter().map(|deed| (&deed.annotation, &deed.submission)));
        let of_review = |annotation: &str, submission: Option<&str>| {
            reviewed.iter().any(|(a, s)| match a {
                Some(a) => a == annotation,
                None => s.is_some() && s.as_deref() == submission,
            })
        };
        for delta in &touched.annotations {
            self.annotations(commit, delta, &of_review)?;
        }
        // What a model said comes before what somebody made of it, also where one file has both.
        let rank = |deed: &Deed| match deed.what.as_str() {
            words::LISTED | words::ITEM_CHANGED => 0,
            words::PREDICTED | words::RULED => 1,
            _ => 2,
        };
        self.life.deeds[from..].sort_by_key(|deed| (rank(deed), deed.at));
        reviews.sort_by_key(|deed| deed.at);
        self.life.deeds.extend(reviews);
        Ok(())
    }

    /// Tells that a merge or a cherry-pick brought something.
    pub(super) fn brought(
        &mut self,
        commit: CommitId,
        what: &'static str,
        from: CommitId,
        item: &str,
        merge: Option<&MergeRecord>,
    ) {
        let mut deed = Deed::new(what, commit);
        deed.from = Some(from.to_string());
        let decided = merge.map(|merge| merge.decisions.as_slice()).unwrap_or_default();
        let decided = decided.iter().filter(|decision| decision.item == item);
        let told: Vec<String> = decided
            .map(|one| {
                let rule = one.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
                format!("{}: {}{rule}, decided by {}", one.key, one.take.word(), one.by)
            })
            .collect();
        deed.detail = (!told.is_empty()).then(|| told.join("; "));
        self.life.deeds.push(deed);
    }

    fn items(&mut self, commit: CommitId, delta: &DeltaBatch) -> Result<()> {
        for diff in row_diffs(delta)? {
            let what = match diff.operation {
                Operation::Added => words::LISTED,
                Operation::Removed => words::REMOVED,
                _ => words::ITEM_CHANGED,
            };
            self.life.deeds.push(Deed::new(what, commit));
        }
        Ok(())
    }

    fn submissions(&mut self, commit: CommitId, delta: &DeltaBatch) -> Result<()> {
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        for diff in row_diffs(delta)? {
            let Some(row) = diff.new else { continue };
            let cell = |name| text(&SUBMISSIONS, &new, row, name);
            let Some(submission) = cell("submission_id") else { continue };
            let time = |name| int(&SUBMISSIONS, &new, row, name);
            let times = [time("created_at"), time("updated_at")];
            self.times.insert(submission.to_owned(), times);
            if let Some(parent) = cell("parent_id") {
                self.begun.insert(submission.to_owned(), parent.to_owned());
            }
            let was = diff.old.and_then(|row| text(&SUBMISSIONS, &old, row, "state"));
            if cell("state") == Some("skipped") && was != Some("skipped") {
                self.life.deeds.push(Deed {
                    submission: Some(submission.to_owned()),
                    by: owned(cell("annotator_id")),
                    origin: owned(cell("origin")),
                    policy: owned(cell("policy")),
                    at: int(&SUBMISSIONS, &new, row, "created_at"),
                    detail: owned(cell("skip_reason")),
                    ..Deed::new(words::SKIPPED, commit)
                });
            }
        }
        Ok(())
    }

    fn reviews(&self, commit: CommitId, delta: &DeltaBatch, out: &mut Vec<Deed>) -> Result<()> {
        let new = delta.new_rows()?;
        for diff in row_diffs(delta)? {
            // Reviews are added and never changed.
            let (None, Some(row)) = (diff.old, diff.new) else { continue };
            let cell = |name| text(&REVIEWS, &new, row, name);
            out.push(Deed {
                annotation: owned(cell("annotation_id")),
                submission: owned(cell("submission_id")),
                by: owned(cell("reviewer_id")),
                at: int(&REVIEWS, &new, row, "at"),
                detail: owned(cell("reason")),
                ..Deed::new(cell("decision").unwrap_or_default(), commit)
            });
        }
        Ok(())
    }

    fn annotations(
        &mut self,
        commit: CommitId,
        delta: &DeltaBatch,
        of_review: &dyn Fn(&str, Option<&str>) -> bool,
    ) -> Result<()> {
        let places = (self.life.hold(&delta.old)?, self.life.hold(&delta.new)?);
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        let diffs = row_diffs(delta)?;
        // First all that are there now: one may be made of another of the same commit.
        for diff in &diffs {
            match (diff.old, diff.new) {
                (_, Some(row)) => {
                    let id = new.key(row).1.to_owned();
                    if let (None, Some(submission)) =
                        (diff.old, text(&ANNOTATIONS, &new, row, "submission_id"))
                    {
                        let of = self.of_submission.entry(submission.to_owned()).or_default();
                        of.push(id.clone());
                    }
                    self.live.insert(id, (places.1, row));
                }
                (Some(row), None) => {
                    self.live.remove(old.key(row).1);
                }
                (None, None) => {}
            }
        }
        for diff in &diffs {
            let (rows, row) = match (diff.new, diff.old) {
                (Some(row), _) => (&new, row),
                (None, Some(row)) => (&old, row),
                (None, None) => continue,
            };
            let cell = |name| text(&ANNOTATIONS, rows, row, name);
            let id = rows.key(row).1;
            let mut deed = Deed {
                annotation: Some(id.to_owned()),
                submission: owned(cell("submission_id")),
                by: owned(cell("annotator_id")),
                origin: owned(cell("origin")),
                policy: owned(cell("policy")),
                at: self.time(rows, row, diff.old.is_some()),
                old: diff.old.map(|row| (places.0, row)),
                new: diff.new.map(|row| (places.1, row)),
                ..Deed::new("", commit)
            };
            match diff.operation {
                Operation::Added => self.added(&mut deed, rows, row)?,
                Operation::Removed => {
                    deed.what = words::REMOVED.to_owned();
                    // Who made it is not who removed it.
                    (deed.by, deed.policy, deed.at) = (None, None, None);
                }
                _ => changed(&mut deed, diff, &old, &new),
            }
            let status = deed.what == words::STATUS;
            if !(status && of_review(id, deed.submission.as_deref())) {
                self.life.deeds.push(deed);
            }
        }
        Ok(())
    }

    /// Tells what a new row is: a prediction, an answer, or what somebody made of another one.
    fn added(&mut self, deed: &mut Deed, rows: &Rows<'_>, row: usize) -> Result<()> {
        let cell = |name| text(&ANNOTATIONS, rows, row, name);
        let submission = cell("submission_id").and_then(|id| self.begun.get(id));
        let parents: Vec<String> = match (cell("parent_id"), submission) {
            (Some(parent), _) => vec![parent.to_owned()],
            (None, Some(submission)) => {
                let all = self.of_submission.get(submission).cloned().unwrap_or_default();
                let field = cell("field");
                let alike = |id: &String| {
                    self.live.get(id).is_some_and(|place| self.field(*place) == field)
                };
                all.into_iter().filter(alike).collect()
            }
            (None, None) => Vec::new(),
        };
        let begun = cell("parent_id").or(submission.map(String::as_str)).map(str::to_owned);
        let known: Vec<Place> =
            parents.iter().filter_map(|id| self.live.get(id).copied()).collect();
        let mut same = false;
        for (batch, at) in &known {
            let theirs = Rows::new(&ANNOTATIONS, &self.life.batches[*batch])?;
            same |= decided(&rows.differing(row, &theirs, *at)).is_empty();
        }
        deed.what = match (cell("origin"), &begun, known.is_empty()) {
            (Some("model"), ..) => words::PREDICTED,
            (Some("rule"), ..) => words::RULED,
            (_, None, _) => words::LABELLED,
            // A person began with a prediction that said nothing here, or that is not known.
            (_, Some(_), true) => {
                match self.of_submission.contains_key(begun.as_deref().unwrap_or("")) {
                    true => words::CORRECTED,
                    false => words::DERIVED,
                }
            }
            (_, Some(_), false) if same => words::CONFIRMED,
            (_, Some(_), false) => words::CORRECTED,
        }
        .to_owned();
        deed.from = begun;
        if let (Some(id), false) = (&deed.annotation, parents.is_empty()) {
            self.life.parents.insert(id.clone(), parents);
        }
        Ok(())
    }

    /// When a row was made, or last changed, as it or its submission says.
    fn time(&self, rows: &Rows<'_>, row: usize, changed: bool) -> Option<i64> {
        let own = |name| int(&ANNOTATIONS, rows, row, name);
        let submission = text(&ANNOTATIONS, rows, row, "submission_id");
        let of = submission.and_then(|id| self.times.get(id)).copied().unwrap_or_default();
        let [created, updated] = [own("created_at").or(of[0]), own("updated_at").or(of[1])];
        if changed { updated.or(created) } else { created.or(updated) }
    }

    fn field(&self, (batch, row): Place) -> Option<&str> {
        let column = ANNOTATIONS.column("field")?;
        let batch = &self.life.batches[batch];
        glossator_store::schema::ColumnView::new(batch.column(column))?.text(row)
    }
}

/// Those of some columns that say what was decided.
fn decided(columns: &[usize]) -> Vec<&'static str> {
    let names = columns.iter().filter_map(|&column| ANNOTATIONS.columns.get(column));
    names.map(|column| column.name).filter(|name| DECIDED.contains(name)).collect()
}

/// Tells what a changed row is.
fn changed(deed: &mut Deed, diff: &RowDiff, old: &Rows<'_>, new: &Rows<'_>) {
    let columns: Vec<usize> = diff.columns.iter().map(|cell| cell.column).collect();
    let names: Vec<&str> = columns.iter().map(|&c| ANNOTATIONS.columns[c].name).collect();
    let differs = |name: &str| names.contains(&name);
    let decided = decided(&columns);
    let only = |name: &str| names.iter().all(|one| *one == name || BESIDE.contains(one));
    let what = match (diff.operation, decided.is_empty()) {
        _ if differs("annotator_id") || differs("policy") => words::RELABELLED,
        (Operation::Moved, _) => words::MOVED,
        (_, false) => words::CHANGED,
        (_, true) if differs("status") && only("status") => words::STATUS,
        (_, true) => words::EDITED,
    };
    deed.what = what.to_owned();
    let (Some(was), Some(is)) = (diff.old, diff.new) else { return };
    if what == words::STATUS {
        let status = |rows: &Rows<'_>, row| owned(text(&ANNOTATIONS, rows, row, "status"));
        let (was, is) = (status(old, was).unwrap_or_default(), status(new, is).unwrap_or_default());
        deed.detail = Some(format!("{was} → {is}"));
        // The source said so, not the annotator.
        deed.by = None;
    } else if what == words::EDITED {
        deed.detail = Some(names.join(", "));
    }
}

impl Deed {
    fn new(what: &str, commit: CommitId) -> Self {
        Self {
            what: what.to_owned(),
            commit,
            annotation: None,
            submission: None,
            by: None,
            origin: None,
            policy: None,
            at: None,
            from: None,
            detail: None,
            old: None,
            new: None,
        }
    }
}
