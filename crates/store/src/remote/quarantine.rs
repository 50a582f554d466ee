//! Where what came from a remote is, until it is known to be whole.
//!
//! A directory in the cache with a git repository of its own, which sees the objects of the
//! store's. One process has it at a time; what a dead one left is removed by the next.

use std::collections::HashSet;
use std::path::PathBuf;

use gix::ObjectId;

use super::error::{Error, Result};
use crate::fs::Lock;
use crate::history::{History, NewObject, RefName};
use crate::id::{CommitId, Digest};
use crate::redaction::{REDACTIONS_REF, Redactions, records_at};
use crate::schema::TABLES;
use crate::store::Store;
use crate::verify::{Named, Verifier};

use super::limits::PACK_OBJECTS_BYTES;

/// Where the objects of the store's repository are, seen from those of the quarantine's.
const ALTERNATES: &[u8] = b"../../../../git/objects\n";

/// The quarantine of a store.
#[must_use]
pub(super) struct Quarantine<'s> {
    store: &'s Store,
    root: PathBuf,
    held: Vec<NewObject>,
    held_bytes: usize,
    seen: HashSet<ObjectId>,
    /// Whether it does without the store's objects.
    alone: bool,
    _lock: Lock,
}

impl<'s> Quarantine<'s> {
    /// Makes an empty one; waits for another process that has it.
    pub(super) fn new(store: &'s Store) -> Result<Self> {
        let mut made = Self::alone(store)?;
        let place = made.root.join("git/objects/info/alternates");
        store.disk().put(&place, ALTERNATES)?;
        made.alone = false;
        Ok(made)
    }

    /// Makes one that does not see the store's objects, to check a history by itself.
    pub(super) fn alone(store: &'s Store) -> Result<Self> {
        let disk = store.disk();
        let cache = store.root().join("cache");
        disk.create_dir_all(&cache)?;
        let lock = disk.lock(&cache.join("fetching"))?;
        let root = cache.join("incoming");
        disk.remove_dir_all(&root)?;
        let main: RefName = "main".parse()?;
        History::init(disk, &root.join("git"), &main)?;
        Ok(Self {
            store,
            root,
            held: Vec::new(),
            held_bytes: 0,
            seen: HashSet::new(),
            alone: true,
            _lock: lock,
        })
    }

    /// Takes in a git object, if the store has not got it.
    pub(super) fn take(&mut self, object: NewObject) -> Result<()> {
        let has = !self.alone && self.store.history.has(&object.id);
        if has || !self.seen.insert(object.id) {
            return Ok(());
        }
        self.held_bytes += object.data.len();
        self.held.push(object);
        if self.held_bytes > PACK_OBJECTS_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.held_bytes = 0;
        let objects = std::mem::take(&mut self.held);
        let history = History::open(self.store.disk(), &self.root.join("git"))?;
        Ok(history.write_alike(objects)?)
    }

    /// Checks everything that roots name and the store has not got: git objects, the files of
    /// trees. Gives what these name.
    pub(super) fn check(&mut self, roots: &[(String, ObjectId)]) -> Result<Named> {
        self.flush()?;
        let inside = self.store.beside(&self.root)?;
        let mut verifier = Verifier::new(&inside);
        let known = self.store.history.known_commits()?;
        let named = verifier.gather_from(roots, known)?;
        if let Some(finding) = verifier.findings().first() {
            return Err(Error::damaged(&finding.object, &finding.detail));
        }
        for (name, id) in roots {
            let commit = inside.history.peel(*id).map_err(|e| Error::damaged(name, e))?;
            let tag = name.starts_with("refs/tags/");
            if !tag && commit.0 != *id {
                return Err(Error::damaged(name, "it is no commit"));
            }
        }
        Ok(named)
    }

    /// Checks everything that roots name. Gives what it names, and what is wrong, object by object.
    pub(super) fn look(
        &mut self,
        roots: &[(String, ObjectId)],
    ) -> Result<(Named, Vec<(String, String)>)> {
        self.flush()?;
        let inside = self.store.beside(&self.root)?;
        let mut verifier = Verifier::new(&inside);
        let named = verifier.gather_from(roots, HashSet::new())?;
        let findings = verifier.findings().iter();
        let findings = findings.map(|found| (found.object.clone(), found.detail.clone())).collect();
        Ok((named, findings))
    }

    /// What was erased, as the store and these roots say together.
    pub(super) fn redactions(&mut self, roots: &[(String, ObjectId)]) -> Result<Redactions> {
        self.flush()?;
        let inside = self.store.beside(&self.root)?;
        let at = |history: &History, tip: Option<ObjectId>| match tip {
            Some(tip) => records_at(history, CommitId(tip)),
            None => Ok(Vec::new()),
        };
        let ours = match self.alone {
            true => Vec::new(),
            false => at(&self.store.history, self.store.history.ref_target(REDACTIONS_REF)?)?,
        };
        let theirs = roots.iter().find(|(name, _)| name == REDACTIONS_REF).map(|(_, id)| *id);
        Ok(Redactions::of_records(ours, at(&inside.history, theirs)?))
    }

    /// Whether a commit is among what was taken in, or in the store.
    pub(super) fn has(&mut self, commit: CommitId) -> Result<bool> {
        self.flush()?;
        Ok(self.store.beside(&self.root)?.history.has(&commit.0))
    }

    /// Every object that the snapshot of a commit needs.
    pub(super) fn snapshot_objects(
        &self,
        commit: CommitId,
        redactions: &Redactions,
    ) -> Result<Vec<Digest>> {
        let inside = self.store.beside(&self.root)?;
        let mut found = Vec::new();
        for table in TABLES {
            let state = inside.table_state(commit, table)?;
            found.extend(state.segments.iter().map(|line| line.segment));
            found.extend(state.removals.iter().map(|line| line.removed));
        }
        let needed = found.iter().flat_map(|object| redactions.needs(object));
        Ok(needed.chain(redactions.beside()).collect())
    }

    /// The git directory.
    pub(super) fn git_dir(&self) -> PathBuf {
        self.root.join("git")
    }
}

impl Drop for Quarantine<'_> {
    fn drop(&mut self) {
        // Best effort: the next one begins with this.
        let _ = self.store.disk().remove_dir_all(&self.root);
    }
}
