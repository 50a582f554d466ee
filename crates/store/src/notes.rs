//! Lines that are noted on a commit: which runs used it. Git's own notes, so stock git reads them.
//!
//! # Guarantees
//! - A line that was appended is there once, whoever appends at the same time; its commit is
//!   published as any other.

use crate::error::{Error, Result};
use crate::history::{Expected, Identity, NewCommit, RefMove};
use crate::id::CommitId;
use crate::limits::NOTE_BYTES_MAX;
use crate::store::Store;

/// The ref of the notes; `git notes --ref=gloss-runs` means it.
pub const RUNS_REF: &str = "refs/notes/gloss-runs";
/// How often stock git may be faster: it does not take our lock.
const TRIES: u32 = 16;

impl Store {
    /// Appends a line to the note of a commit.
    ///
    /// # Errors
    /// [`Error::NoCommit`] where the commit is not here; [`Error::NoteFull`] where the note has no
    /// room. Nothing is appended then.
    pub fn append_note(&self, commit: CommitId, line: &str, who: &Identity) -> Result<()> {
        self.facts().check_write()?;
        let _writing = self.writing()?;
        if !self.history.contains(commit) {
            return Err(Error::NoCommit(commit.to_string()));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_append(commit, line, who) {
                Err(Error::RefMoved { .. }) if tries < TRIES => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.fold_packs();
        Ok(())
    }

    fn try_append(&self, commit: CommitId, line: &str, who: &Identity) -> Result<()> {
        let mut lock = self.history.lock(&self.lock_path())?;
        let tip = self.history.ref_target(RUNS_REF)?.map(CommitId);
        let (mut path, mut text) = (commit.to_string(), Vec::new());
        if let Some(tip) = tip {
            let noted = self.history.noted(tip)?;
            if let Some((_, found)) = noted.into_iter().find(|(id, _)| *id == commit) {
                text = self.history.file(tip, &found)?.unwrap_or_default();
                path = found;
            }
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        if text.len() > NOTE_BYTES_MAX {
            return Err(Error::NoteFull(commit));
        }
        let parents: Vec<CommitId> = tip.into_iter().collect();
        let new = self.history.write_commit(&NewCommit {
            parents: &parents,
            files: vec![(path, Some(text))],
            author: who.clone(),
            committer: who.clone(),
            message: format!("Run on {}\n", commit.short()),
        })?;
        let why = format!("run: on {}", commit.short());
        let change = RefMove {
            name: RUNS_REF,
            expected: Expected::commit(tip),
            new: Some(new.0),
            who,
            why: &why,
        };
        self.history.move_ref(&mut lock, &change)
    }

    /// The lines that are noted on a commit, or on all, with the commits.
    ///
    /// # Errors
    /// Where notes cannot be read.
    pub fn notes(&self, of: Option<CommitId>) -> Result<Vec<(CommitId, String)>> {
        let mut lines = Vec::new();
        let Some(tip) = self.history.ref_target(RUNS_REF)?.map(CommitId) else {
            return Ok(lines);
        };
        for (commit, path) in self.history.noted(tip)? {
            if of.is_some_and(|of| of != commit) {
                continue;
            }
            let text = self.history.file(tip, &path)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let filled = text.lines().filter(|line| !line.trim().is_empty());
            lines.extend(filled.map(|line| (commit, line.to_owned())));
        }
        Ok(lines)
    }
}
