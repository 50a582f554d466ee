//! What goes between histories: the objects that another one lacks, and taking in those that came.

use std::collections::HashSet;
use std::path::Path;

use gix::ObjectId;
use gix::objs::Kind;

use super::delta::Packer;
use super::{History, NewObject, PublishLock};
use crate::error::{Error, Result};
use crate::id::CommitId;

/// Commits and git objects that another history lacks.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    pub(crate) commits: Vec<CommitId>,
    /// All git objects, those of a commit together.
    pub(crate) objects: Vec<ObjectId>,
    /// Commits that it has, and that the lacking ones follow.
    pub(crate) edge: Vec<CommitId>,
}

impl History {
    /// Whether an object is here.
    pub(crate) fn has(&self, id: &ObjectId) -> bool {
        self.repo.has_object(*id)
    }

    /// The commit that a commit or tag object leads to.
    pub(crate) fn peel(&self, id: ObjectId) -> Result<CommitId> {
        let read = |e: gix::Error| Error::git(format!("cannot read {id}"), e);
        let object = self.repo.find_object(id).map_err(read)?;
        let commit = object.peel_to_kind(Kind::Commit);
        commit.map(|o| CommitId(o.id)).map_err(|e| Error::git(format!("cannot read {id}"), e))
    }

    /// Branches and tags by full name, not peeled.
    pub(crate) fn own_refs(&self) -> Result<Vec<(String, ObjectId)>> {
        let mut bad = None;
        let roots = self.named_roots(&mut |name, what| bad = Some((name, what)))?;
        if let Some((name, what)) = bad {
            return Err(Error::damaged(name, what));
        }
        let own = |name: &str| name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
        Ok(roots.into_iter().filter(|r| own(&r.name)).map(|r| (r.name, r.id)).collect())
    }

    /// Branches of a remote as they were seen last.
    ///
    /// # Errors
    /// Where refs cannot be read.
    pub fn remote_branches(&self, remote: &str) -> Result<Vec<(String, CommitId)>> {
        let prefix = format!("refs/remotes/{remote}/");
        let mut found = Vec::new();
        for root in self.named_roots(&mut |_, _| ())? {
            if let Some(branch) = root.name.strip_prefix(&prefix) {
                found.push((branch.to_owned(), self.peel(root.id)?));
            }
        }
        Ok(found)
    }

    /// Full names of refs that begin so.
    pub(crate) fn refs_below(&self, prefix: &str) -> Result<Vec<String>> {
        let roots = self.named_roots(&mut |_, _| ())?;
        Ok(roots.into_iter().map(|root| root.name).filter(|n| n.starts_with(prefix)).collect())
    }

    /// Branches, tags and branches of remotes as they were seen last, with their commits, by full
    /// name.
    ///
    /// # Errors
    /// Where refs cannot be read.
    pub fn tips(&self) -> Result<Vec<(String, CommitId)>> {
        let mut tips = Vec::new();
        for root in self.named_roots(&mut |_, _| ())? {
            if root.name.starts_with("refs/") && !root.name.starts_with("refs/notes/") {
                tips.push((root.name, self.peel(root.id)?));
            }
        }
        Ok(tips)
    }

    /// All commits that refs reach.
    pub(crate) fn known_commits(&self) -> Result<HashSet<ObjectId>> {
        let tips: Vec<ObjectId> = self.tips()?.into_iter().map(|(_, tip)| tip.0).collect();
        self.between(&tips, &[])
    }

    /// Commits that branches of remotes reach, as they were fetched last, and tags.
    pub(crate) fn followed_commits(&self) -> Result<Vec<CommitId>> {
        let mut tips = Vec::new();
        for root in self.named_roots(&mut |_, _| ())? {
            if root.name.starts_with("refs/remotes/") || root.name.starts_with("refs/tags/") {
                tips.push(self.peel(root.id)?.0);
            }
        }
        Ok(self.between(&tips, &[])?.into_iter().map(CommitId).collect())
    }

    /// Commits that the first reach and the others do not.
    fn between(&self, tips: &[ObjectId], hidden: &[ObjectId]) -> Result<HashSet<ObjectId>> {
        let walked = |e: gix::Error| Error::git("cannot walk the history", e);
        let walk = self.repo.rev_walk(tips.iter().copied()).with_hidden(hidden.iter().copied());
        let mut found = HashSet::new();
        for info in walk.all().map_err(walked)? {
            let info = info.map_err(|e| Error::git("cannot walk the history", e.to_string()))?;
            found.insert(info.id);
        }
        Ok(found)
    }

    /// How many commits each of two has that the other has not.
    pub(crate) fn apart(&self, a: CommitId, b: CommitId) -> Result<(usize, usize)> {
        Ok((self.between(&[a.0], &[b.0])?.len(), self.between(&[b.0], &[a.0])?.len()))
    }

    /// The best common ancestors of two commits: none of unrelated histories, several where each
    /// of the two was merged into the other.
    ///
    /// # Errors
    /// Where commits cannot be read.
    pub fn merge_bases(&self, a: CommitId, b: CommitId) -> Result<Vec<CommitId>> {
        let read = |e: gix::Error| Error::git("cannot find where two commits parted", e);
        let found = self.repo.merge_bases_many(a.0, &[b.0]).map_err(read)?;
        let mut found: Vec<CommitId> = found.into_iter().map(|id| CommitId(id.detach())).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Whether a commit is another one, or before it.
    ///
    /// # Errors
    /// Where commits cannot be read.
    pub fn is_ancestor(&self, old: CommitId, new: CommitId) -> Result<bool> {
        Ok(self.between(&[old.0], &[new.0])?.is_empty())
    }

    /// What a history lacks to have `tips` (commits or tags), where it has all of `have`.
    pub(crate) fn lacking(&self, tips: &[ObjectId], have: &[ObjectId]) -> Result<Lacking> {
        let read = |e: gix::Error| Error::git("cannot read the history", e);
        let peeled = |ids: &[ObjectId]| -> Result<Vec<ObjectId>> {
            ids.iter().map(|id| Ok(self.peel(*id)?.0)).collect()
        };
        let commits = self.between(&peeled(tips)?, &peeled(have)?)?;
        let mut edge = HashSet::new();
        let mut ids = HashSet::new();
        let mut shared = HashSet::new();
        for id in &commits {
            let commit = self.repo.find_commit(*id).map_err(read)?;
            edge.extend(commit.parent_ids().map(gix::Id::detach).filter(|p| !commits.contains(p)));
            ids.insert(*id);
            self.tree_objects(commit.tree_id().map_err(read)?.detach(), &mut ids)?;
        }
        for id in &edge {
            let tree = self.repo.find_commit(*id).map_err(read)?.tree_id().map_err(read)?;
            self.tree_objects(tree.detach(), &mut shared)?;
        }
        // Tag objects: each may tag another.
        for tip in tips.iter().filter(|tip| !have.contains(tip)) {
            let mut at = *tip;
            while let Kind::Tag = self.repo.find_header(at).map_err(read)?.kind() {
                ids.insert(at);
                let tag = self.repo.find_tag(at).map_err(read)?;
                at = tag.target_id().map_err(read)?.detach();
            }
        }
        let objects = self.by_commit(ids.difference(&shared).copied())?;
        let ids = |set: HashSet<ObjectId>| {
            let mut all: Vec<CommitId> = set.into_iter().map(CommitId).collect();
            all.sort_unstable();
            all
        };
        Ok(Lacking { commits: ids(commits), objects, edge: ids(edge) })
    }

    /// A tree and everything in it that is not there yet.
    fn tree_objects(&self, tree: ObjectId, into: &mut HashSet<ObjectId>) -> Result<()> {
        let mut stack = vec![tree];
        while let Some(id) = stack.pop() {
            if !into.insert(id) {
                continue;
            }
            let tree = self
                .repo
                .find_tree(id)
                .map_err(|e| Error::git(format!("cannot read tree {id}"), e))?;
            for entry in tree.iter() {
                let entry = entry.map_err(|e| Error::git("cannot read a tree", e.to_string()))?;
                if entry.mode().is_tree() {
                    stack.push(entry.oid().to_owned());
                } else {
                    into.insert(entry.oid().to_owned());
                }
            }
        }
        Ok(())
    }

    /// Reads an object for another history, checked against its name.
    pub(crate) fn object(&self, id: ObjectId) -> Result<NewObject> {
        self.whole_object(id)
    }

    /// Writes objects that are alike as one pack.
    pub(crate) fn write_alike(&self, objects: Vec<NewObject>) -> Result<()> {
        let mut packer = Packer::default();
        let entries = objects.into_iter().map(|object| packer.entry(object));
        let entries = entries.collect::<Result<Vec<_>>>()?;
        self.write_encoded(entries).map(drop)
    }

    /// Moves the packs of another object directory here. They are durable already.
    pub(crate) fn adopt_packs(&self, _lock: &PublishLock, from: &Path) -> Result<()> {
        let (from, to) = (from.join("objects/pack"), self.dir.join("objects/pack"));
        let files = self.disk.list(&from)?;
        // Git finds a pack by its index: that comes last.
        for extension in [".pack", ".idx"] {
            for file in files.iter().filter(|file| file.name.ends_with(extension)) {
                self.disk.rename_unsynced(&from.join(&file.name), &to.join(&file.name))?;
            }
            self.disk.sync_dir(&to)?;
        }
        Ok(())
    }
}
