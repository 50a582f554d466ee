//! The stage: layers that wait for a commit.
//!
//! `.gloss/stage/shared.json` holds what `import` staged for `commit`. Direct commits never touch
//! it. The file names objects, so gc treats it as a root.
//!
//! A stage has a random id, which the commit that is made of it records. So one whose process died
//! after the commit and before the stage was cleared is known to be committed, and counts as empty.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fs::Lock;
use crate::id::{CommitId, Digest};
use crate::limits::STAGE_COMMITS_MAX;
use crate::store::{Layer, Store};
use crate::transaction::CommitOptions;

/// Layers on a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// 32 random hex digits; the commit that is made of it records them.
    pub id: String,
    /// The commit that the first layer was made on.
    pub base: Option<CommitId>,
    /// The layers, each made on the one before.
    pub layers: Vec<Layer>,
}

impl Stage {
    /// Layers on a commit, under an id of their own.
    pub fn new(base: Option<CommitId>, layers: Vec<Layer>) -> Result<Self> {
        let id = Digest(crate::random_bytes()?).to_string()[..32].to_owned();
        Ok(Self { id, base, layers })
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

impl Store {
    fn stage_path(&self) -> PathBuf {
        self.root().join("stage/shared.json")
    }

    /// Reads the stage; an empty one, or one that is committed, is a new one on `HEAD`.
    pub fn stage(&self) -> Result<Stage> {
        let head = self.history.head()?.commit;
        match self.stage_file()? {
            Some(stage) if !self.is_committed(&stage, head)? => Ok(stage),
            _ => Stage::new(head, Vec::new()),
        }
    }

    /// Reads the stage as it lies on the disk, committed or not.
    pub(crate) fn stage_file(&self) -> Result<Option<Stage>> {
        let path = self.stage_path();
        let Some(bytes) = self.disk().read_optional(&path)? else { return Ok(None) };
        let stage: Stage =
            serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path.display(), e))?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if stage.id.len() != 32 || !stage.id.bytes().all(is_hex) {
            return Err(Error::damaged(path.display(), "its id is not 32 hex digits"));
        }
        Ok(Some(stage))
    }

    /// Whether one of the commits since a stage's base was made of it.
    pub(crate) fn is_committed(&self, stage: &Stage, head: Option<CommitId>) -> Result<bool> {
        let mut at = head;
        for _ in 0..STAGE_COMMITS_MAX {
            let Some(commit) = at.filter(|commit| stage.base != Some(*commit)) else { break };
            if self.change(commit)?.stage.as_ref() == Some(&stage.id) {
                return Ok(true);
            }
            at = self.history.first_parent(commit)?;
        }
        Ok(false)
    }

    /// Removes the file of a stage that is committed. Hold [`Store::lock_stage`].
    pub fn clear_committed_stage(&self) -> Result<()> {
        if self.stage_file()?.is_some() && self.stage()?.is_empty() {
            return self.clear_stage();
        }
        Ok(())
    }

    /// Forgets what is staged, whatever it is. Hold [`Store::lock_stage`].
    pub fn clear_stage(&self) -> Result<()> {
        let path = self.stage_path();
        self.before_stage_goes()?;
        self.disk().remove_file(&path)?;
        // A removal that is not durable would bring back what the user was told is gone.
        let what = || "the stage is empty".to_owned();
        self.disk().sync_dir(&self.root().join("stage")).map_err(|error| error.unsure(what()))
    }

    /// Holds the stage for one process at a time.
    pub fn lock_stage(&self) -> Result<Lock> {
        self.disk().lock(&self.root().join("stage/lock"))
    }

    /// Commits what is staged, and empties the stage. `None` where it changes nothing (any more).
    ///
    /// # Errors
    /// As [`Store::commit`], and [`Error::StageKept`] where there is a commit and the stage still
    /// holds what is in it.
    pub fn commit_stage(&self, options: &CommitOptions<'_>) -> Result<Option<CommitId>> {
        let _stage_lock = self.lock_stage()?;
        let _writing = self.writing()?;
        let stage = self.stage()?;
        if stage.is_empty() {
            return self.clear_committed_stage().map(|()| None);
        }
        let options = CommitOptions { stage: Some(&stage.id), ..options.clone() };
        let made = self.commit(stage.base, &stage.layers, &options)?;
        // Layers that came to nothing have been dealt with as well.
        match (self.clear_stage(), made) {
            (Err(source), Some(commit)) => {
                Err(Error::StageKept { commit, source: Box::new(source) })
            }
            (emptied, made) => emptied.map(|()| made),
        }
    }

    /// Replaces the stage; an empty one leaves no file. Hold [`Store::lock_stage`].
    pub fn write_stage(&self, stage: &Stage) -> Result<()> {
        let path = self.stage_path();
        if stage.is_empty() {
            return self.clear_stage();
        }
        let bytes = serde_json::to_vec(stage).map_err(|e| Error::damaged(path.display(), e))?;
        self.before_stage_goes()?;
        self.disk().write(&path, &bytes)
    }

    /// A stage that is committed may go only when the commit is there to stay: a process that died
    /// may have moved the ref and not made that last, which whoever takes the lock does.
    fn before_stage_goes(&self) -> Result<()> {
        match self.stage_path().is_file() {
            true => self.history.lock(&self.lock_path()).map(drop),
            false => Ok(()),
        }
    }
}
