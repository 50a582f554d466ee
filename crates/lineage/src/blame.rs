//! Which commit made each row what it is.

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;
use glossator_store::canonical::Rows;
use glossator_store::error::Error;
use glossator_store::origins::Origins;
use glossator_store::schema::{ColumnView, Table};
use glossator_store::{CommitId, Digest, Result, Store};

use crate::history::history;

/// Where a row's content comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blame {
    /// The commit in the history of the tip that brought the row as it is.
    pub commit: CommitId,
    /// The commit that first made it so, where that one is not in this history: it was picked.
    pub made_in: Option<CommitId>,
}

/// Where a segment was first held.
#[derive(Debug, Clone, Copy)]
enum Held {
    /// By a commit of this history.
    Here(CommitId),
    /// By a commit of another branch, if by any that is left.
    Elsewhere(Option<CommitId>),
}

/// Tells the commits of rows at one commit.
///
/// The `_origin` of a row names the segment that first held it, through compaction, merge and
/// cherry-pick; which commit added that segment is looked up, and asked of that commit. Only for
/// rows that were picked from elsewhere, the changes of their item are walked through.
#[derive(Debug)]
pub struct Blamer<'s> {
    store: &'s Store,
    tip: CommitId,
    origins: Origins,
    reached: HashSet<CommitId>,
    /// Whether commits of other branches were looked at, too.
    everywhere: bool,
    known: HashMap<Digest, Held>,
}

impl<'s> Blamer<'s> {
    /// For rows as they are at a commit.
    ///
    /// # Errors
    /// Where a commit before it cannot be read.
    pub fn new(store: &'s Store, tip: CommitId) -> Result<Self> {
        let origins = store.origins(&[tip])?;
        let reached = origins.reached(tip);
        Ok(Self { store, tip, origins, reached, everywhere: false, known: HashMap::new() })
    }

    /// The commits of rows: the columns of an item's table, then `_origin`, filled in.
    ///
    /// # Errors
    /// Where a commit cannot be read, or the history does not tell of a row.
    pub fn rows(&mut self, table: &'static Table, batch: &RecordBatch) -> Result<Vec<Blame>> {
        let rows = Rows::new(table, batch)?;
        let origins = batch.columns().get(table.columns.len()).and_then(|c| ColumnView::new(c));
        (0..batch.num_rows())
            .map(|row| {
                let origin = origins.as_ref().and_then(|view| view.text(row)).unwrap_or_default();
                let origin = origin.parse().map_err(|_| Error::Damaged {
                    object: "a row".to_owned(),
                    what: "its origin is no digest".to_owned(),
                })?;
                self.row(table, rows.key(row), origin)
            })
            .collect()
    }

    fn row(&mut self, table: &'static Table, key: (&str, &str), origin: Digest) -> Result<Blame> {
        match self.held(origin)? {
            Held::Here(commit) => Ok(Blame { commit, made_in: None }),
            Held::Elsewhere(made_in) => {
                // What the newest change of the row made of it is what it is.
                let mut events = history(self.store, self.tip, table, key.0, Some(key.1))?;
                let Some(event) = events.next().transpose()? else {
                    let what = format!("no commit tells of `{}` `{}`", key.0, key.1);
                    return Err(Error::Damaged { object: self.tip.to_string(), what });
                };
                Ok(Blame { commit: event.commit, made_in })
            }
        }
    }

    fn held(&mut self, origin: Digest) -> Result<Held> {
        if let Some(known) = self.known.get(&origin) {
            return Ok(*known);
        }
        let held = match self.here(&origin)? {
            Some(commit) => Held::Here(commit),
            None => Held::Elsewhere(self.elsewhere(&origin)?),
        };
        self.known.insert(origin, held);
        Ok(held)
    }

    /// The commit of this history that added a segment, which says so itself.
    fn here(&mut self, origin: &Digest) -> Result<Option<CommitId>> {
        let of = |this: &Self| {
            let mut commits = this.origins.of(origin).to_vec();
            commits.retain(|commit| this.reached.contains(commit));
            commits
        };
        let named = of(self);
        for commit in &named {
            if self.store.has_added(*commit, origin)? {
                return Ok(Some(*commit));
            }
        }
        if named.is_empty() {
            return Ok(None);
        }
        // The file names a commit that says otherwise: walk, as if there were none.
        // One that cannot be removed is walked past each time.
        let _ = self.store.drop_origins();
        self.origins = Origins::default();
        self.everywhere = false;
        self.store.walk_origins(&mut self.origins, &[self.tip])?;
        self.reached = self.origins.reached(self.tip);
        Ok(of(self).pop())
    }

    fn elsewhere(&mut self, origin: &Digest) -> Result<Option<CommitId>> {
        if !self.everywhere {
            self.store.walk_origins(&mut self.origins, &[])?;
            self.everywhere = true;
        }
        for commit in self.origins.of(origin) {
            if self.store.has_added(*commit, origin)? {
                return Ok(Some(*commit));
            }
        }
        Ok(None)
    }
}
