//! What holds labels: branches, tags, pins, exports and runs, each with the commit that it means.

use std::collections::BTreeSet;

use glossator_lineage::recall::{Suspect, Touch, live, touches};
use glossator_lineage::records::{Noted, records};
use glossator_store::origins::Origins;
use glossator_store::{CommitId, Store};
use serde::Serialize;

use crate::error::Result;

/// A branch, a tag, a pin, an export or a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Use {
    /// `branch`, `tag`, `remote branch`, `pin`, `export` or `run`.
    pub what: &'static str,
    pub name: String,
    pub commit: CommitId,
    /// Rows of what is recalled that it holds live; of a pin or an export with filters, or of
    /// final answers, at most.
    pub rows: u64,
    /// Whether a commit that touched what is recalled is in its history.
    pub reaches: bool,
    /// When it was noted.
    pub at: Option<String>,
    /// Which rows were written, and as what.
    pub view: Option<String>,
    /// Whether it may hold fewer: filters, or final answers.
    pub at_most: bool,
}

/// Everything that could hold labels, with the history that it comes from.
pub(crate) struct Holders<'s> {
    store: &'s Store,
    uses: Vec<Use>,
    pub origins: Origins,
    /// The commits of the uses.
    pub tips: Vec<CommitId>,
}

impl<'s> Holders<'s> {
    pub(crate) fn new(store: &'s Store) -> Result<Self> {
        let mut uses = Vec::new();
        for (name, commit) in store.history.tips()? {
            let kinds = [
                ("refs/heads/", "branch"),
                ("refs/tags/", "tag"),
                ("refs/remotes/", "remote branch"),
            ];
            let named =
                kinds.iter().find_map(|(start, what)| Some((*what, name.strip_prefix(start)?)));
            if let Some((what, name)) = named {
                uses.push(Use::new(what, name, commit));
            }
        }
        uses.extend(records(store, None)?.0.iter().map(Use::of_record));
        // The branch that one is on first: commits are told in its order, the same each time.
        let head = store.history.head()?.commit;
        let mut seen = BTreeSet::new();
        let mut tips: Vec<CommitId> =
            head.into_iter().chain(uses.iter().map(|one| one.commit)).collect();
        tips.retain(|tip| seen.insert(*tip));
        // No tips would mean all.
        let origins = if tips.is_empty() { Origins::default() } else { store.origins(&tips)? };
        Ok(Self { store, uses, origins, tips })
    }

    /// The commits that touched a suspect.
    pub(crate) fn touches(&self, suspect: Suspect<'_>) -> Result<Vec<Touch>> {
        Ok(touches(self.store, &self.origins, &self.tips, suspect)?)
    }

    /// Those that hold rows of a suspect, or come from a commit that touched it.
    pub(crate) fn of(&self, suspect: Suspect<'_>, touched: &[Touch]) -> Result<Vec<Use>> {
        let commits: BTreeSet<CommitId> = self.tips.iter().copied().collect();
        let live = live(self.store, touched, suspect, &commits)?;
        let reach = self.origins.descendants(touched.iter().map(|touch| touch.commit));
        let mut found = self.uses.clone();
        for one in &mut found {
            one.rows = live.get(&one.commit).copied().unwrap_or_default();
            one.reaches = reach.contains(&one.commit);
        }
        found.retain(|one| one.rows > 0 || one.reaches);
        Ok(found)
    }
}

impl Use {
    fn new(what: &'static str, name: &str, commit: CommitId) -> Self {
        let name = name.to_owned();
        Self { what, name, commit, rows: 0, reaches: false, at: None, view: None, at_most: false }
    }

    fn of_record(noted: &Noted) -> Self {
        let record = &noted.record;
        Self {
            at: Some(record.at.clone()),
            view: Some(format!("{} {}", record.view, record.writer)),
            at_most: record.filtered || record.view == "labels",
            ..Self::new(record.made.word(), &noted.title(), noted.commit)
        }
    }
}
