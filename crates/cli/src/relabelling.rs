//! A relabelling: a branch on which answers of an earlier version of a policy are given again.
//!
//! What it is about stands in `relabel.toml` of the branch's tree. Which items it asks for is
//! computed anew from the commit that the branch began at, so nothing else has to be remembered.

pub(crate) mod answers;
pub(crate) mod assign;
pub(crate) mod list;
pub(crate) mod progress;
pub(crate) mod superseded;

use std::collections::BTreeMap;
use std::ops::Range;

use glossator_lineage::policy::{Mapping, Plan, Policy, RELABEL_FILE, Relabel, Said, Version};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, SUBMISSIONS, SUPERSEDED, SubmissionRow, Submissions,
};
use glossator_store::{CommitId, Snapshot, Store};

use crate::context::resolve;
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::{self, known, said};

/// What is asked, of the rows of one commit.
pub(crate) struct Work {
    /// What of which items.
    pub plan: Plan,
    /// How the rows' policies are known.
    pub mapping: Mapping,
}

/// Whether somebody stands by a row.
pub(crate) fn stands(row: &AnnotationRow<'_>) -> bool {
    row.origin == "human" && !["draft", "skipped", SUPERSEDED].contains(&row.status)
}

/// Whether somebody stands by a submission.
pub(crate) fn was_handed_in(row: &SubmissionRow<'_>) -> bool {
    row.origin == "human" && !["draft", "skipped", SUPERSEDED].contains(&row.state)
}

/// What changes of policies have to know of a submission.
pub(crate) fn said_of<'r>(row: &SubmissionRow<'r>) -> Said<'r> {
    Said {
        item: row.item_id,
        policy: row.policy,
        source: row.source,
        annotator: row.annotator_id,
        origin: row.origin,
        ..Said::default()
    }
}

/// Whose answer a row is part of, to which field and target.
pub(crate) type Answer<'r> = (By<'r>, &'r str, Option<&'r str>);

/// A submission, or an annotator whose tool knows none, under one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By<'r> {
    Submission(&'r str),
    Annotator(&'r str, Option<&'r str>),
}

/// Whose a row is.
pub(crate) fn by<'r>(row: &AnnotationRow<'r>) -> By<'r> {
    row.submission_id.map_or(By::Annotator(row.annotator_id, row.policy), By::Submission)
}

impl Work {
    /// What a version of a policy asks of the rows of a snapshot.
    pub(crate) fn new(snapshot: &Snapshot<'_>, policy: &Policy, to: &Version) -> Result<Self> {
        let mut plan = Plan::new(policy, to);
        let mapping = Mapping::new(vec![policy.clone()], None);
        let filters = Filters::default();
        if plan.has_whole_items() {
            for batch in filters.rows(snapshot, &SUBMISSIONS)? {
                let batch = batch?;
                for row in Submissions::new(&batch).iter().filter(was_handed_in) {
                    plan.looked(&mapping, said_of(&row), row.fields_asked.as_deref());
                }
            }
            for batch in filters.rows(snapshot, &ANNOTATIONS)? {
                let batch = batch?;
                for row in Annotations::new(&batch).iter().filter(stands) {
                    plan.looked(&mapping, said(&row), Some(&[row.field]));
                }
            }
        }
        for batch in filters.rows(snapshot, &ANNOTATIONS)? {
            let batch = batch?;
            let rows = Annotations::new(&batch);
            rows.iter().filter(stands).for_each(|row| plan.row(&mapping, said(&row)));
        }
        for batch in filters.rows(snapshot, &SUBMISSIONS)? {
            let batch = batch?;
            let rows = Submissions::new(&batch);
            let handed = rows.iter().filter(was_handed_in);
            handed.for_each(|row| plan.submission(&mapping, said_of(&row)));
        }
        Ok(Self { plan, mapping })
    }

    /// The answers of an item that say nothing any more once it is labelled again: all rows of an
    /// answer go, where one does. Numbered from 1 by whose they are.
    pub(crate) fn void<'r>(
        &self,
        rows: &Annotations<'r>,
        item: Range<usize>,
    ) -> BTreeMap<Answer<'r>, usize> {
        let mut people: Vec<By<'_>> = Vec::new();
        let mut void = BTreeMap::new();
        for row in item.map(|row| rows.row(row)).filter(stands) {
            if self.plan.is_void(&self.mapping, said(&row)) {
                let by = by(&row);
                let at = people.iter().position(|known| *known == by).unwrap_or_else(|| {
                    people.push(by);
                    people.len() - 1
                });
                void.insert((by, row.field, row.target), at + 1);
            }
        }
        void
    }
}

/// The rows of each item of a sorted batch.
pub(crate) fn items<'r>(rows: &Annotations<'r>) -> Vec<(&'r str, Range<usize>)> {
    let mut found: Vec<(&str, Range<usize>)> = Vec::new();
    for row in 0..rows.len() {
        match found.last_mut() {
            Some((item, range)) if *item == rows.item_id(row) => range.end = row + 1,
            _ => found.push((rows.item_id(row), row..row + 1)),
        }
    }
    found
}

/// What the branch of a commit relabels, where it does.
pub(crate) fn record(store: &Store, commit: CommitId) -> Result<Option<Relabel>> {
    let Some(bytes) = store.history.file(commit, RELABEL_FILE)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    match Relabel::parse(&text) {
        Ok(record) => Ok(Some(record)),
        Err(error) => Err(policies::of_file(&format!("{commit}:{RELABEL_FILE}"), &error)),
    }
}

/// A relabelling that is under way, at one of its commits.
pub(crate) struct Relabelling<'s> {
    /// What it is about.
    pub record: Relabel,
    /// The commit that it is looked at.
    pub head: CommitId,
    /// The policy, as it was when the relabelling began.
    pub policy: Policy,
    /// Where it began.
    pub base: Snapshot<'s>,
    /// What is asked.
    pub work: Work,
}

impl<'s> Relabelling<'s> {
    /// The relabelling of a revision's branch, or of the one that `HEAD` is on.
    pub(crate) fn of(store: &'s Store, revision: Option<&str>) -> Result<Self> {
        let head = resolve(store, revision)?;
        let Some(record) = record(store, head)? else {
            let what = revision.unwrap_or("this branch");
            return Err(CliError::input(format!("{what} relabels nothing"))
                .hint("begin with `gloss relabel start --to NAME@VERSION -o tasks.json`")
                .hint("or go to the branch of a relabelling: `gloss switch BRANCH`"));
        };
        let base = store.history.resolve(&record.base)?;
        let policy = known(&policies::all(store, base)?, &record.policy, Some(&record.to))?.clone();
        let base = store.snapshot(Some(base), &[])?;
        let work = Work::new(&base, &policy, &record.to)?;
        Ok(Self { record, head, policy, base, work })
    }
}
