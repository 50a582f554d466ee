//! A merge that waits for decisions, beside the stage.
//!
//! `.gloss/stage/merge.json` says which commits are merged and what was decided of their conflicts.
//! It holds no rows: the merge is a function of these, and is made anew from them. So a process
//! that died at any moment leaves a merge that can be continued or aborted. The commits that it
//! names are roots for gc.
//!
//! Like a stage it has a random id, which the commit that is made of it records: one whose process
//! died before the file was removed is known to be done, and counts as none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::stage::Stage;
use crate::store::Store;

/// The path of the file inside the store.
pub(crate) const MERGE_FILE: &str = "stage/merge.json";

/// Which side a conflict is decided for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// The row as it is on the branch that is merged into.
    Ours,
    /// The row as it is on the branch that is merged.
    Theirs,
    /// Both rows, or the one that is left of two.
    Both,
    /// A box between both.
    MeanBox,
    /// A row of what each side changed of it.
    PerColumn,
}

impl Take {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Both => "both",
            Self::MeanBox => "mean-box",
            Self::PerColumn => "per-column",
        }
    }
}

/// What was decided of one conflict, how and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The table, or `policies`.
    pub table: String,
    /// The first part of the row's key, or the file's path.
    pub item: String,
    /// The second part, empty where the table has one.
    pub key: String,
    /// For which side.
    pub take: Take,
    /// The rule that decided, `newest`; none where it was decided one by one or by a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Who decided.
    pub by: String,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MergeKind {
    /// Two branches become one: the commit has two parents.
    Merge,
    /// The change of one commit is made again: the commit has one parent.
    CherryPick,
}

/// A merge in the making.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merging {
    /// 32 random hex digits; the commit that is made of it records them.
    pub id: String,
    /// What is being done.
    pub kind: MergeKind,
    /// The branch that is merged into.
    pub branch: String,
    /// What the user called the other side.
    pub name: String,
    /// The commit that both sides come from, none for an empty store.
    pub base: Option<CommitId>,
    /// The head of the branch when the merge began.
    pub ours: CommitId,
    /// The commit that is merged.
    pub theirs: CommitId,
    /// The message of the commit.
    pub message: String,
    /// Whether rows that both sides changed are conflicts even where they would fit together.
    pub strict: bool,
    /// What was decided so far, a row at most once.
    pub decisions: Vec<Decision>,
}

/// What a merge commit's `meta` object says of the merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeRecord {
    /// What was done.
    pub kind: MergeKind,
    /// The commit that both sides come from.
    pub base: Option<CommitId>,
    /// The first parent.
    pub ours: CommitId,
    /// The commit that was merged.
    pub theirs: CommitId,
    /// What was decided; the rows of all three sides are those of the three commits.
    pub decisions: Vec<Decision>,
}

impl Merging {
    /// What its commit says of it.
    pub fn record(&self) -> MergeRecord {
        let Self { kind, base, ours, theirs, decisions, .. } = self.clone();
        MergeRecord { kind, base, ours, theirs, decisions }
    }
}

impl Store {
    fn merge_path(&self) -> PathBuf {
        self.root().join(MERGE_FILE)
    }

    /// The merge that waits, if one does.
    pub fn merging(&self) -> Result<Option<Merging>> {
        let Some(merging) = self.merge_file()? else { return Ok(None) };
        let branch = self.history.ref_target(&format!("refs/heads/{}", merging.branch))?;
        let stage = Stage { id: merging.id.clone(), base: Some(merging.ours), layers: Vec::new() };
        let done = self.is_committed(&stage, branch.map(CommitId))?;
        Ok((!done).then_some(merging))
    }

    /// The file as it lies on the disk, done or not.
    pub(crate) fn merge_file(&self) -> Result<Option<Merging>> {
        let path = self.merge_path();
        let Some(bytes) = self.disk().read_optional(&path)? else { return Ok(None) };
        let merging: Merging =
            serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path.display(), e))?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if merging.id.len() != 32 || !merging.id.bytes().all(is_hex) {
            return Err(Error::damaged(path.display(), "its id is not 32 hex digits"));
        }
        Ok(Some(merging))
    }

    /// Keeps a merge until it is continued or aborted. Hold [`Store::lock_stage`].
    pub fn write_merging(&self, merging: &Merging) -> Result<()> {
        let path = self.merge_path();
        let bytes = serde_json::to_vec(merging).map_err(|e| Error::damaged(path.display(), e))?;
        self.before_merge_goes(&path)?;
        self.disk().write(&path, &bytes)
    }

    /// Forgets a merge, whatever it is. Hold [`Store::lock_stage`].
    pub fn clear_merging(&self) -> Result<()> {
        let path = self.merge_path();
        self.before_merge_goes(&path)?;
        self.disk().remove_file(&path)?;
        // Also where it is gone: whoever removed it may have died before that was to last.
        let what = || "no merge is under way".to_owned();
        self.disk().sync_dir(&self.root().join("stage")).map_err(|error| error.unsure(what()))
    }

    /// One that is committed may go only when its commit is there to stay: a process that died may
    /// have moved the ref and not made that last, which whoever takes the lock does.
    fn before_merge_goes(&self, path: &std::path::Path) -> Result<()> {
        match path.is_file() {
            true => self.history.lock(&self.lock_path()).map(drop),
            false => Ok(()),
        }
    }
}
