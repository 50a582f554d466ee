//! Where a change of rows goes: onto the shared stage, or with a message straight into a commit.

use glossator_store::fs::Lock;
use glossator_store::history::RefName;
use glossator_store::{CommitId, Layer, Snapshot, Stage, Store};

use crate::context::Context;
use crate::error::Result;

/// A change in the making: holds off gc, and others from the stage where it uses that.
#[must_use]
pub(crate) struct Staging<'s> {
    store: &'s Store,
    branch: RefName,
    stage: Stage,
    message: Option<&'s str>,
    _locks: (Lock, Option<Lock>),
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It changed nothing.
    Nothing,
    /// It waits on the stage.
    Staged,
    /// It is committed.
    Committed(CommitId),
}

impl Outcome {
    /// The commit, where there is one.
    pub(crate) fn commit(self) -> Option<CommitId> {
        match self {
            Self::Committed(commit) => Some(commit),
            _ => None,
        }
    }
}

impl<'s> Staging<'s> {
    /// Begins on the stage, or with a message on `HEAD` alone.
    pub(crate) fn begin(store: &'s Store, message: Option<&'s str>) -> Result<Self> {
        // The branch that it is on now, wherever somebody switches to meanwhile.
        let branch = store.branch()?;
        let lock = if message.is_none() { Some(store.lock_stage()?) } else { None };
        let writing = store.writing()?;
        let stage = match message {
            Some(_) => Stage::new(store.history.head()?.commit, Vec::new())?,
            None => store.stage()?,
        };
        Ok(Self { store, branch, stage, message, _locks: (writing, lock) })
    }

    /// The branch that a commit goes to.
    pub(crate) fn branch(&self) -> &RefName {
        &self.branch
    }

    /// The rows that the change is made on.
    pub(crate) fn snapshot(&self) -> Result<Snapshot<'s>> {
        Ok(self.store.snapshot(self.stage.base, &self.stage.layers)?)
    }

    /// Stages or commits the layers.
    pub(crate) fn finish(
        mut self,
        context: &Context,
        layers: Vec<Layer>,
        action: &str,
    ) -> Result<Outcome> {
        if layers.iter().all(Layer::is_empty) {
            return Ok(Outcome::Nothing);
        }
        self.stage.layers.extend(layers);
        match self.message {
            Some(message) => {
                let made = context.commit(self.store, self.branch, &self.stage, message, action)?;
                Ok(made.map_or(Outcome::Nothing, Outcome::Committed))
            }
            None => {
                self.store.write_stage(&self.stage)?;
                Ok(Outcome::Staged)
            }
        }
    }
}
