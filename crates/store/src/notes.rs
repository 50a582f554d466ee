//! Lines that are noted on a commit: which runs used it, how good its labels were found to be.
//! Git's own notes, so stock git reads them.
//!
//! # Guarantees
//! - A line that was appended is there once, whoever appends at the same time; its commit is
//!   published as any other.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{Error, Result};
use crate::history::{Expected, Identity, NewCommit, PublishLock, RefMove};
use crate::id::CommitId;
use crate::limits::{NOTE_BYTES_MAX, REDACTION_BYTES_MAX};
use crate::redaction::REDACTIONS_REF;
use crate::store::Store;

/// The ref of the notes; `git notes --ref=gloss-runs` means it.
pub const RUNS_REF: &str = "refs/notes/gloss-runs";

/// Notes that travel with push and fetch.
pub(crate) const TRAVELLING: [&str; 2] = [RUNS_REF, REDACTIONS_REF];

/// Whether a ref is of notes that travel.
pub(crate) fn travels(name: &str) -> bool {
    TRAVELLING.contains(&name)
}

/// What lines are about: a history of notes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notes {
    /// Runs that used a commit; they travel with push and fetch.
    Runs,
    /// Reports on a commit's labels. They stay: who has the commit can compute them again.
    Quality,
}

impl Notes {
    /// The ref; `git notes --ref` takes what follows `refs/notes/`.
    fn name(self) -> &'static str {
        match self {
            Self::Runs => RUNS_REF,
            Self::Quality => "refs/notes/gloss-quality",
        }
    }

    fn title(self, commit: CommitId) -> String {
        match self {
            Self::Runs => format!("Run on {}\n", commit.short()),
            Self::Quality => format!("Quality of {}\n", commit.short()),
        }
    }

    fn why(self, commit: CommitId) -> String {
        match self {
            Self::Runs => format!("run: on {}", commit.short()),
            Self::Quality => format!("quality: of {}", commit.short()),
        }
    }
}

/// A line for the note of a commit.
pub(crate) struct NewLine<'a> {
    /// The ref of the notes.
    pub name: &'a str,
    pub on: CommitId,
    pub line: &'a str,
    /// Bytes of the note at most.
    pub limit: usize,
    /// Of the commit that adds it.
    pub title: String,
    /// For the reflog.
    pub why: &'a str,
    pub who: &'a Identity,
}

/// How often stock git may be faster: it does not take our lock.
const TRIES: u32 = 16;

impl Store {
    /// Appends a line to the note of a commit.
    ///
    /// # Errors
    /// [`Error::NoCommit`] where the commit is not here; [`Error::NoteFull`] where the note has no
    /// room. Nothing is appended then.
    pub fn append_note(
        &self,
        notes: Notes,
        commit: CommitId,
        line: &str,
        who: &Identity,
    ) -> Result<()> {
        self.facts().check_write()?;
        let _writing = self.writing()?;
        if !self.history.contains(commit) {
            return Err(Error::NoCommit(commit.to_string()));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_append(notes, commit, line, who) {
                Err(Error::RefMoved { .. }) if tries < TRIES => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.fold_packs();
        Ok(())
    }

    fn try_append(&self, notes: Notes, commit: CommitId, line: &str, who: &Identity) -> Result<()> {
        let mut lock = self.history.lock(&self.lock_path())?;
        let (title, why) = (notes.title(commit), notes.why(commit));
        let limit = NOTE_BYTES_MAX;
        let line = NewLine { name: notes.name(), on: commit, line, limit, title, why: &why, who };
        self.note_line(&mut lock, line)
    }

    /// Appends a line to a note, once, while the lock is held.
    pub(crate) fn note_line(&self, lock: &mut PublishLock, line: NewLine<'_>) -> Result<()> {
        let NewLine { name, on, line, limit, title, why, who } = line;
        let tip = self.history.ref_target(name)?.map(CommitId);
        let (mut path, mut text) = (on.to_string(), Vec::new());
        if let Some(tip) = tip {
            let noted = self.history.noted(tip)?;
            if let Some((_, found)) = noted.into_iter().find(|(id, _)| *id == on) {
                text = self.history.file(tip, &found)?.unwrap_or_default();
                path = found;
            }
        }
        push_line(&mut text, line.as_bytes());
        if text.len() > limit {
            return Err(Error::NoteFull(on));
        }
        let parents: Vec<CommitId> = tip.into_iter().collect();
        let new = self.history.write_commit(&NewCommit {
            parents: &parents,
            files: vec![(path, Some(text))],
            author: who.clone(),
            committer: who.clone(),
            message: title,
            signer: None,
        })?;
        let change = RefMove { name, expected: Expected::commit(tip), new: Some(new.0), who, why };
        self.history.move_ref(lock, &change)
    }

    /// Whether what is noted here includes these notes.
    pub(crate) fn has_notes(&self, name: &str, theirs: CommitId) -> bool {
        let ours = self.history.ref_target(name).ok().flatten().map(CommitId);
        let has = |ours| self.history.is_ancestor(theirs, ours).unwrap_or(false);
        self.history.contains(theirs) && ours.is_some_and(has)
    }

    /// Puts notes together with those here: line by line, none twice. Gives what the ref was and is
    /// where it moved.
    pub(crate) fn merge_notes(
        &self,
        lock: &mut PublishLock,
        name: &'static str,
        theirs: CommitId,
        who: &Identity,
    ) -> Result<Option<(Option<CommitId>, CommitId)>> {
        let tip = self.history.ref_target(name)?.map(CommitId);
        let new = match tip {
            None => theirs,
            Some(ours) if self.history.is_ancestor(theirs, ours)? => return Ok(None),
            Some(ours) if self.history.is_ancestor(ours, theirs)? => theirs,
            Some(ours) => self.union(name, ours, theirs, who)?,
        };
        let expected = Expected::commit(tip);
        let change = RefMove { name, expected, new: Some(new.0), who, why: "fetch: notes" };
        self.history.move_ref(lock, &change)?;
        Ok(Some((tip, new)))
    }

    /// The notes of both sides in one commit.
    fn union(
        &self,
        name: &str,
        ours: CommitId,
        theirs: CommitId,
        who: &Identity,
    ) -> Result<CommitId> {
        let limit = match name {
            REDACTIONS_REF => REDACTION_BYTES_MAX,
            _ => NOTE_BYTES_MAX,
        };
        let own: HashMap<CommitId, String> = self.history.noted(ours)?.into_iter().collect();
        let mut made: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (commit, path) in self.history.noted(theirs)? {
            let place = own.get(&commit).cloned().unwrap_or_else(|| commit.to_string());
            if self.history.entry(ours, &place)? == self.history.entry(theirs, &path)? {
                continue;
            }
            let mut text = match made.remove(&place) {
                Some(text) => text,
                None => self.history.file(ours, &place)?.unwrap_or_default(),
            };
            let other = self.history.file(theirs, &path)?.unwrap_or_default();
            let known: HashSet<Vec<u8>> = lines(&text).map(<[u8]>::to_vec).collect();
            for line in lines(&other).filter(|line| !known.contains(*line)) {
                // Beyond the limit ours stay: a remote must not make a note that none can read.
                if text.len() + line.len() + 2 > limit {
                    // What says what was erased must not be lost.
                    if name == REDACTIONS_REF {
                        return Err(Error::NoteFull(commit));
                    }
                    break;
                }
                push_line(&mut text, line);
            }
            made.insert(place, text);
        }
        self.history.write_commit(&NewCommit {
            parents: &[ours, theirs],
            files: made.into_iter().map(|(place, text)| (place, Some(text))).collect(),
            author: who.clone(),
            committer: who.clone(),
            message: "Notes of both sides\n".to_owned(),
            signer: None,
        })
    }

    /// The lines that are noted on a commit, or on all, with the commits.
    ///
    /// # Errors
    /// Where notes cannot be read.
    pub fn notes(&self, notes: Notes, of: Option<CommitId>) -> Result<Vec<(CommitId, String)>> {
        let mut lines = Vec::new();
        let Some(tip) = self.history.ref_target(notes.name())?.map(CommitId) else {
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

/// The lines of a note that say something.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// A line of its own, also after a text that somebody left without an end of line.
fn push_line(text: &mut Vec<u8>, line: &[u8]) {
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend_from_slice(line);
    text.push(b'\n');
}
