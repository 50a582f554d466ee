//! Git history: the only module that knows gix.
//!
//! gix encodes, reads, walks and parses revisions; every byte that reaches the disk is written by
//! [`crate::fs`]: one pack a commit, refs, reflogs.

mod bundle;
mod delta;
mod exchange;
mod identity;
mod notes;
mod pack;
mod refs;
mod signed;
mod walk;

use std::path::{Path, PathBuf};

use gix::bstr::{BString, ByteSlice};
use gix::objs::tree::EntryKind;

pub use identity::{code_commit, identities, signing_config};
pub use refs::{Expected, Head, RefName};
pub(crate) use refs::{PublishLock, RefMove};
pub use signed::{Signed, TagObject};
pub use walk::{Commit, Identity};
pub(crate) use walk::{GitFault, Root};

use crate::error::{Error, Result};
use crate::fs::Disk;
use crate::id::CommitId;
use crate::limits::GIT_OBJECT_BYTES_MAX;
use crate::signing::Signer;

/// The bare repository `.gloss/git`.
pub struct History {
    repo: gix::Repository,
    dir: PathBuf,
    disk: Disk,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("dir", &self.dir).finish_non_exhaustive()
    }
}

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\
                      \tlogallrefupdates = true\n[gc]\n\tauto = 0\n";

/// Packs that an open repository has room for at least: many times what folding leaves.
const PACK_SLOTS_MIN: usize = 8 * crate::limits::PACKS_MAX;

/// A file of a tree, as git names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobId(gix::ObjectId);

/// A git object in memory, before it is packed.
pub(crate) struct NewObject {
    pub(crate) id: gix::ObjectId,
    pub(crate) kind: gix::objs::Kind,
    pub(crate) data: Vec<u8>,
}

/// What a new commit says.
#[derive(Debug)]
pub struct NewCommit<'a> {
    /// Its parents; the first is what its change is against.
    pub parents: &'a [CommitId],
    /// Files of the tree that differ from the first parent's; `None` removes one.
    pub files: Vec<(String, Option<Vec<u8>>)>,
    /// Who made the labels' change.
    pub author: Identity,
    /// Who recorded it.
    pub committer: Identity,
    /// The message, trailers included.
    pub message: String,
    /// Who signs it.
    pub signer: Option<&'a Signer>,
}

/// What an annotated tag says.
#[derive(Debug, Clone, Copy)]
pub struct Annotation<'a> {
    /// Why it was made.
    pub message: &'a str,
    /// Who signs it.
    pub signer: Option<&'a Signer>,
}

impl<'a> From<&'a str> for Annotation<'a> {
    fn from(message: &'a str) -> Self {
        Self { message, signer: None }
    }
}

impl History {
    /// Makes an empty repository whose `HEAD` is `branch`.
    pub fn init(disk: &Disk, dir: &Path, branch: &RefName) -> Result<()> {
        for sub in ["", "objects", "refs", "logs", "logs/refs", "info"] {
            disk.create_dir_durable(&dir.join(sub))?;
        }
        for sub in ["objects/pack", "objects/info", "refs/heads", "refs/tags", "logs/refs/heads"] {
            disk.create_dir_durable(&dir.join(sub))?;
        }
        disk.put(&dir.join("config"), CONFIG.as_bytes())?;
        disk.put(&dir.join("HEAD"), format!("ref: refs/heads/{branch}\n").as_bytes())
    }

    /// Opens the repository; neither user nor system configuration is read.
    pub fn open(disk: &Disk, dir: &Path) -> Result<Self> {
        let slots = gix::odb::store::init::Slots::AsNeededByDiskState {
            multiplier: 2.0,
            minimum: PACK_SLOTS_MIN,
        };
        let options =
            gix::open::Options::isolated().open_path_as_is(true).object_store_slots(slots);
        let mut repo = gix::open_opts(dir, options)
            .map_err(|e| Error::git(format!("cannot open `{}`", dir.display()), e))?;
        repo.object_cache_size_if_unset(4 << 20);
        Ok(Self { repo, dir: dir.to_owned(), disk: disk.clone() })
    }

    /// Encodes a commit, writes it durably as one pack, and moves no ref.
    pub fn write_commit(&self, new: &NewCommit<'_>) -> Result<CommitId> {
        let repo = self.repo.clone().with_object_memory();
        let encode = |e: gix::Error| Error::git("cannot encode a commit", e);
        let base = match new.parents.first() {
            Some(parent) => {
                repo.find_commit(parent.0).map_err(encode)?.tree_id().map_err(encode)?
            }
            None => repo.empty_tree().id(),
        };
        let mut editor = repo.edit_tree(base).map_err(encode)?;
        for (path, bytes) in &new.files {
            match bytes {
                Some(bytes) => {
                    let blob = repo.write_blob(bytes).map_err(encode)?;
                    editor.upsert(path.as_str(), EntryKind::Blob, blob).map_err(encode)?;
                }
                None => {
                    editor.remove(path.as_str()).map_err(encode)?;
                }
            }
        }
        let tree = editor.write().map_err(encode)?.detach();
        let mut commit = gix::objs::Commit {
            tree,
            parents: new.parents.iter().map(|p| p.0).collect(),
            author: new.author.signature(),
            committer: new.committer.signature(),
            encoding: None,
            message: BString::from(new.message.as_str()),
            extra_headers: Vec::new(),
        };
        if let Some(signer) = new.signer {
            let signature = signer.sign(&encoded(&commit)?)?;
            commit.extra_headers.push(("gpgsig".into(), signature.into()));
        }
        let id = repo.write_object(&commit).map_err(encode)?.detach();
        self.write_pack(drain(repo))?;
        Ok(CommitId(id))
    }

    /// Encodes an annotated tag of a commit, writes it durably, and moves no ref.
    pub fn write_tag(
        &self,
        name: &RefName,
        target: CommitId,
        tagger: &Identity,
        annotation: Annotation<'_>,
    ) -> Result<gix::ObjectId> {
        let tag = gix::objs::Tag {
            target: target.0,
            target_kind: gix::objs::Kind::Commit,
            name: name.as_str().into(),
            tagger: Some(tagger.signature()),
            message: format!("{}\n", annotation.message.trim_end()).into(),
            signature: None,
        };
        let mut data = encoded(&tag)?;
        if let Some(signer) = annotation.signer {
            data.extend_from_slice(signer.sign(&data)?.as_bytes());
        }
        let kind = gix::objs::Kind::Tag;
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &data)
            .map_err(|e| Error::git("cannot encode a tag", e.to_string()))?;
        self.write_pack(vec![NewObject { id, kind, data }])?;
        Ok(id)
    }

    /// Reads a file of a commit's tree; `None` where the tree has none at that path.
    pub fn file(&self, commit: CommitId, path: &str) -> Result<Option<Vec<u8>>> {
        self.entry(commit, path)?.map(|id| self.blob(id)).transpose()
    }

    /// The git object that a commit's tree has at a path.
    pub(crate) fn entry(&self, commit: CommitId, path: &str) -> Result<Option<BlobId>> {
        let read = |e: gix::Error| Error::git(format!("cannot read `{path}` of {commit}"), e);
        let tree = self.repo.find_commit(commit.0).map_err(read)?.tree().map_err(read)?;
        let entry = tree.lookup_entry_by_path(path).map_err(read)?;
        Ok(entry.map(|entry| BlobId(entry.object_id())))
    }

    /// Reads a file of a tree.
    pub(crate) fn blob(&self, BlobId(id): BlobId) -> Result<Vec<u8>> {
        let read = |e: gix::Error| Error::git(format!("cannot read object {id}"), e);
        let header = self.repo.find_header(id).map_err(read)?;
        if header.size() > GIT_OBJECT_BYTES_MAX {
            return Err(Error::damaged(id, "it is larger than a tree file may be"));
        }
        Ok(self.repo.find_object(id).map_err(read)?.detach().data)
    }

    /// Resolves a revision as git does: `main~3`, `v1^`, `@{1}`, short ids, `:/text`.
    pub fn resolve(&self, revision: &str) -> Result<CommitId> {
        let none = || Error::NoCommit(revision.to_owned());
        if revision.is_empty() || revision.contains("..") {
            return Err(none());
        }
        let id = match self.repo.rev_parse_single(revision.as_bytes().as_bstr()) {
            Ok(id) => id,
            Err(_) if self.is_ambiguous(revision) => {
                return Err(Error::AmbiguousRevision(revision.to_owned()));
            }
            Err(_) => return Err(none()),
        };
        let commit = id.object().and_then(|o| o.peel_to_kind(gix::objs::Kind::Commit));
        commit.map(|o| CommitId(o.id)).map_err(|_| none())
    }

    fn is_ambiguous(&self, revision: &str) -> bool {
        gix::hash::Prefix::from_hex(revision).is_ok_and(|prefix| {
            matches!(self.repo.objects.lookup_prefix(prefix, None), Ok(Some(Err(()))))
        })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The bytes of a git object.
fn encoded(object: &dyn gix::objs::WriteTo) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encode = |e: std::io::Error| Error::git("cannot encode an object", e);
    object.write_to(&mut bytes).map_err(encode)?;
    Ok(bytes)
}

/// Takes the objects out of a repository that writes to memory.
fn drain(mut repo: gix::Repository) -> Vec<NewObject> {
    let storage = repo.objects.take_object_memory().unwrap_or_default();
    let mut objects: Vec<NewObject> = storage
        .iter()
        .map(|(id, (kind, data))| NewObject { id: *id, kind: *kind, data: data.clone() })
        .collect();
    // The map has no order; equal commits shall make equal packs.
    objects.sort_by_key(|object| object.id);
    objects
}
