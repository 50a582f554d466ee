//! The stage: layers that wait for a commit.
//!
//! `.gloss/stage/shared.json` holds what `import` staged for `commit`. Direct commits never touch
//! it. The file names objects, so gc treats it as a root.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fs::Lock;
use crate::id::CommitId;
use crate::store::{Layer, Store};
use crate::transaction::CommitOptions;

/// Layers on a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The commit that the first layer was made on.
    pub base: Option<CommitId>,
    /// The layers, each made on the one before.
    pub layers: Vec<Layer>,
}

impl Stage {
    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}

impl Store {
    fn stage_path(&self) -> PathBuf {
        self.root().join("stage/shared.json")
    }

    /// Reads the stage; an empty one is on `HEAD`.
    pub fn stage(&self) -> Result<Stage> {
        let path = self.stage_path();
        match self.disk().read_optional(&path)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path.display(), e))
            }
            None => Ok(Stage { base: self.history.head()?.commit, layers: Vec::new() }),
        }
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
            return Ok(None);
        }
        let made = self.commit(stage.base, &stage.layers, options)?;
        // Layers that came to nothing have been dealt with as well.
        match (self.write_stage(&Stage::default()), made) {
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
            self.disk().remove_file(&path)?;
            let what = || "the stage is empty".to_owned();
            let dir = path.parent().unwrap_or(self.root());
            return self.disk().sync_dir(dir).map_err(|error| error.unsure(what()));
        }
        let bytes = serde_json::to_vec(stage).map_err(|e| Error::damaged(path.display(), e))?;
        self.disk().write(&path, &bytes)
    }
}
