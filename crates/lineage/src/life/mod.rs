//! The whole life of an item: what was done to it, by whom, in which commit, the oldest first.

mod deeds;

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use glossator_store::delta::DeltaBatch;
use glossator_store::merging::{MergeKind, MergeRecord};
use glossator_store::schema::{ANNOTATIONS, ColumnView, ITEMS, REVIEWS, SUBMISSIONS, Table};
use glossator_store::{CommitId, Result, Store};

use crate::history::came_along;

/// A row that stands in one of the batches of a life: the batch, and its place there.
type Place = (usize, usize);

/// What was done, in one word or two. These words are part of the JSON and do not change.
pub mod words {
    /// The item was first named.
    pub const LISTED: &str = "listed";
    /// Facts of the item changed.
    pub const ITEM_CHANGED: &str = "item changed";
    /// A model made it.
    pub const PREDICTED: &str = "predicted";
    /// A rule made it.
    pub const RULED: &str = "ruled";
    /// A person made it.
    pub const LABELLED: &str = "labelled";
    /// A person made it of another one, and said something else.
    pub const CORRECTED: &str = "corrected";
    /// A person made it of another one, and said the same.
    pub const CONFIRMED: &str = "confirmed";
    /// It was made of another one that is not known.
    pub const DERIVED: &str = "derived";
    /// Somebody else, or the same under another policy, decided anew.
    pub const RELABELLED: &str = "relabelled";
    /// Its region changed and its label did not.
    pub const MOVED: &str = "moved";
    /// What it says changed.
    pub const CHANGED: &str = "changed";
    /// Facts beside what it says changed.
    pub const EDITED: &str = "edited";
    /// The source said that its status is another one.
    pub const STATUS: &str = "status";
    /// It is gone.
    pub const REMOVED: &str = "removed";
    /// Handed in without an answer.
    pub const SKIPPED: &str = "skipped";
    /// It came with a merge.
    pub const MERGED: &str = "merged";
    /// It came with a cherry-pick.
    pub const PICKED: &str = "picked";
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Deed {
    /// What: one of [`words`], or the decision of a review.
    pub what: String,
    /// In which commit.
    pub commit: CommitId,
    /// To which annotation; none where it is about the item or a whole submission.
    pub annotation: Option<String>,
    /// To which submission.
    pub submission: Option<String>,
    /// By whom: an annotator or a reviewer.
    pub by: Option<String>,
    /// `human`, `model` or `rule`.
    pub origin: Option<String>,
    /// Under which version of a policy.
    pub policy: Option<String>,
    /// When, as the source says: microseconds since 1970 UTC.
    pub at: Option<i64>,
    /// What it was made of: an annotation, a submission, or the other side of a merge.
    pub from: Option<String>,
    /// The reason of a review, the old and the new status, who decided a conflict.
    pub detail: Option<String>,
    old: Option<Place>,
    new: Option<Place>,
}

/// Everything that was done to an item up to a commit, the oldest first.
///
/// A commit stands behind those that it comes from, whatever the clocks of their authors said.
#[derive(Debug, Default)]
pub struct Life {
    /// What was done.
    pub deeds: Vec<Deed>,
    /// The commits that touched the item, in their order.
    pub commits: Vec<CommitId>,
    /// Batches of the annotations that the deeds are of.
    batches: Vec<RecordBatch>,
    /// What each annotation was made of.
    parents: HashMap<String, Vec<String>>,
}

impl Life {
    /// The annotation before a deed: a batch, and the row in it.
    pub fn before(&self, deed: &Deed) -> Option<(&RecordBatch, usize)> {
        deed.old.map(|(batch, row)| (&self.batches[batch], row))
    }

    /// The annotation after it.
    pub fn after(&self, deed: &Deed) -> Option<(&RecordBatch, usize)> {
        deed.new.map(|(batch, row)| (&self.batches[batch], row))
    }

    /// The label after a deed, as it is stored.
    pub fn label(&self, deed: &Deed) -> Option<String> {
        let (batch, row) = self.after(deed)?;
        let column = batch.column(ANNOTATIONS.column("label")?);
        ColumnView::new(column)?.text(row).map(str::to_owned)
    }

    /// Leaves what is about an annotation, about what it was made of, and about the item.
    ///
    /// Parents may form a circle, or a chain of any length: each is followed once.
    pub fn keep(&mut self, annotation: &str) {
        let mut kept: HashSet<&str> = HashSet::new();
        let mut open = vec![annotation];
        while let Some(one) = open.pop() {
            if kept.insert(one) {
                let parents = self.parents.get(one).map(Vec::as_slice).unwrap_or_default();
                open.extend(parents.iter().map(String::as_str));
            }
        }
        let mut submissions: HashSet<String> = HashSet::new();
        for deed in &self.deeds {
            if deed.annotation.as_deref().is_some_and(|id| kept.contains(id)) {
                submissions.extend(deed.submission.clone());
            }
        }
        self.deeds.retain(|deed| match (&deed.annotation, &deed.submission) {
            (Some(annotation), _) => kept.contains(annotation.as_str()),
            (None, Some(submission)) => submissions.contains(submission),
            (None, None) => true,
        });
    }

    fn hold(&mut self, batch: &RecordBatch) -> Result<usize> {
        let own: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
        self.batches.push(batch.project(&own)?);
        Ok(self.batches.len() - 1)
    }
}

/// What one commit did to an item, table by table.
#[derive(Debug, Default)]
struct Touched {
    items: Vec<DeltaBatch>,
    submissions: Vec<DeltaBatch>,
    annotations: Vec<DeltaBatch>,
    reviews: Vec<DeltaBatch>,
}

impl Touched {
    fn is_empty(&self) -> bool {
        let all = [&self.items, &self.submissions, &self.annotations, &self.reviews];
        all.iter().all(|deltas| deltas.iter().all(|delta| delta.changes.is_empty()))
    }
}

/// Tells the life of an item up to a commit.
///
/// Each commit is asked by its key indices; only rows of the item are read.
///
/// # Errors
/// Where a commit or a change cannot be read.
pub fn life(store: &Store, tip: CommitId, item: &str) -> Result<Life> {
    let mut telling = deeds::Telling::default();
    for commit in store.origins(&[tip])?.order(&[tip]) {
        let record = store.change(commit)?;
        let of = |table: &'static Table| match record.tables.get(table.name) {
            Some(change) => store.change_of_item(table, change, item, None),
            None => Ok(Vec::new()),
        };
        let mut touched = Touched {
            items: of(&ITEMS)?,
            submissions: of(&SUBMISSIONS)?,
            annotations: of(&ANNOTATIONS)?,
            reviews: of(&REVIEWS)?,
        };
        if touched.is_empty() {
            continue;
        }
        telling.life.commits.push(commit);
        let parents = store.history.commit(commit)?.parents;
        // Who decided may have been erased; that it was merged stands in the commit.
        let merge = store.meta(&record).ok().and_then(|meta| meta.merge);
        let brought = brought(&parents, merge.as_ref());
        for parent in parents.into_iter().skip(1) {
            let decided =
                || merge.as_ref().map(|merge| merge.decisions.clone()).unwrap_or_default();
            came_along(store, parent, decided(), &mut touched.annotations)?;
            came_along(store, parent, decided(), &mut touched.reviews)?;
            came_along(store, parent, decided(), &mut touched.submissions)?;
            came_along(store, parent, decided(), &mut touched.items)?;
        }
        telling.commit(commit, touched)?;
        if let Some((what, from)) = brought {
            telling.brought(commit, what, from, item, merge.as_ref());
        }
    }
    Ok(telling.finish())
}

/// Whether a commit brought what another branch did, and that branch's commit.
fn brought(parents: &[CommitId], merge: Option<&MergeRecord>) -> Option<(&'static str, CommitId)> {
    match (merge, parents) {
        (Some(merge), _) if merge.kind == MergeKind::CherryPick => {
            Some((words::PICKED, merge.theirs))
        }
        (_, [_, theirs, ..]) => Some((words::MERGED, *theirs)),
        _ => None,
    }
}
