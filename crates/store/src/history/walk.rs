//! Commits: reading one, and walking from one to its ancestors.

use std::collections::HashSet;
use std::io::{self, Read};

use gix::bstr::ByteSlice;

use super::History;
use crate::error::{Error, IoContext, Result};
use crate::id::CommitId;
use crate::limits::GIT_OBJECT_BYTES_MAX;

/// Who, when: the author or committer of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// Seconds since 1970 UTC.
    pub seconds: i64,
    /// Offset from UTC in seconds.
    pub offset: i32,
}

impl Identity {
    pub(super) fn signature(&self) -> gix::actor::Signature {
        let clean = |text: &str| text.replace(['<', '>', '\n', '\0'], "");
        gix::actor::Signature {
            name: clean(&self.name).into(),
            email: clean(&self.email).into(),
            time: gix::date::Time { seconds: self.seconds, offset: self.offset },
        }
    }

    /// `Name <e-mail> seconds +hhmm`, as a reflog has it.
    pub(super) fn line(&self) -> String {
        let signature = self.signature();
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs() / 60;
        let zone = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
        format!("{} <{}> {} {zone}", signature.name, signature.email, self.seconds)
    }
}

/// Files of one commit's tree at most.
const TREE_PATHS_MAX: usize = 100_000;

/// A commit as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// Who made the change.
    pub author: Identity,
    /// Who recorded it.
    pub committer: Identity,
    /// The message with its trailers.
    pub message: String,
}

impl Commit {
    /// The first line of the message.
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The message without its trailers.
    pub fn body(&self) -> &str {
        let text = self.message.trim_end();
        match text.rsplit_once("\n\n") {
            Some((body, last)) if last.lines().all(is_trailer) => body,
            _ => text,
        }
    }

    /// The value of a trailer, `Code-Commit`.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        let (_, last) = self.message.trim_end().rsplit_once("\n\n")?;
        last.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn is_trailer(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(key, _)| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// What is called for every git object: its id, what names it, and whether it is whole.
pub(crate) type EachObject<'e> = &'e mut dyn FnMut(gix::ObjectId, &str, Result<(), GitFault>);

impl History {
    /// Whether an object of that id is here.
    pub(crate) fn contains(&self, id: CommitId) -> bool {
        self.repo.has_object(id.0)
    }

    /// Reads a commit.
    pub fn commit(&self, id: CommitId) -> Result<Commit> {
        let read = |e: gix::Error| Error::git(format!("cannot read commit {id}"), e);
        let commit = self.repo.find_commit(id.0).map_err(read)?;
        let identity = |signature: gix::actor::SignatureRef<'_>| {
            let time = signature.time().unwrap_or_default();
            Identity {
                name: signature.name.to_str_lossy().into_owned(),
                email: signature.email.to_str_lossy().into_owned(),
                seconds: time.seconds,
                offset: time.offset,
            }
        };
        Ok(Commit {
            id,
            parents: commit.parent_ids().map(|p| CommitId(p.detach())).collect(),
            author: identity(commit.author().map_err(read)?),
            committer: identity(commit.committer().map_err(read)?),
            message: commit.message_raw().map_err(read)?.to_str_lossy().into_owned(),
        })
    }

    /// The commit and its ancestors, newest first.
    pub fn walk(&self, tip: CommitId) -> Result<impl Iterator<Item = Result<CommitId>> + '_> {
        self.newest_first(vec![tip.0], Vec::new())
    }

    /// The first parent of a commit.
    pub fn first_parent(&self, id: CommitId) -> Result<Option<CommitId>> {
        Ok(self.commit(id)?.parents.first().copied())
    }

    /// Every place that names an object, unpeeled: refs, `HEAD` and the lines of reflogs, by name.
    /// What does not read goes to `bad` with its path.
    pub(crate) fn named_roots(&self, bad: &mut dyn FnMut(String, String)) -> Result<Vec<Root>> {
        let list = |e: gix::Error| Error::git("cannot list refs", e);
        let mut roots = Vec::new();
        self.reload_packed_refs()?;
        let platform = self.repo.references().map_err(list)?;
        for reference in platform.all().map_err(list)? {
            match reference {
                Ok(reference) => {
                    if let gix::refs::TargetRef::Object(id) = reference.target() {
                        let name = reference.name().as_bstr().to_string();
                        roots.push(Root { name, id: id.to_owned() });
                    }
                }
                Err(e) => bad("refs".to_owned(), e.to_string()),
            }
        }
        let branches = roots.iter().any(|root| root.name.starts_with("refs/heads/"));
        match self.head() {
            Err(e) => bad("HEAD".to_owned(), e.to_string()),
            Ok(head) => match head.commit {
                Some(commit) => roots.push(Root { name: "HEAD".to_owned(), id: commit.0 }),
                None if branches => bad("HEAD".to_owned(), "its branch does not exist".to_owned()),
                None => {}
            },
        }
        self.logged_roots("logs", &mut roots, bad)?;
        roots.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(roots)
    }

    fn logged_roots(
        &self,
        at: &str,
        roots: &mut Vec<Root>,
        bad: &mut dyn FnMut(String, String),
    ) -> Result<()> {
        for entry in self.disk.list(&self.dir.join(at))? {
            let name = format!("{at}/{}", entry.name);
            if entry.is_dir {
                self.logged_roots(&name, roots, bad)?;
                continue;
            }
            let bytes = self.disk.read(&self.dir.join(&name))?;
            // What follows the last newline was being written when its owner died.
            for line in bytes.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n")) {
                match line.get(41..81).map(gix::ObjectId::from_hex) {
                    Some(Ok(id)) if id.is_null() => {}
                    Some(Ok(id)) => roots.push(Root { name: name.clone(), id }),
                    _ => bad(name.clone(), "a line is none of a reflog".to_owned()),
                }
            }
        }
        Ok(())
    }

    /// Checks that each pack and each pack index hashes to its trailer. Returns their number.
    pub(crate) fn check_packs(&self, bad: &mut dyn FnMut(String, String)) -> Result<u64> {
        let dir = self.dir.join("objects/pack");
        let mut checked = HashSet::new();
        loop {
            let mut entries = self.disk.list(&dir)?;
            entries.retain(|entry| entry.name.ends_with(".pack") || entry.name.ends_with(".idx"));
            entries.retain(|entry| !checked.contains(&entry.name));
            if entries.is_empty() {
                return Ok(checked.len() as u64);
            }
            for entry in entries {
                let name = format!("objects/pack/{}", entry.name);
                match self.hashes_to_trailer(&name, entry.len) {
                    Ok(true) => {}
                    Ok(false) => bad(name, "its bytes do not hash to its trailer".to_owned()),
                    // It was folded meanwhile, into one that is listed next.
                    Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                checked.insert(entry.name);
            }
        }
    }

    fn hashes_to_trailer(&self, name: &str, len: u64) -> Result<bool> {
        let path = self.dir.join(name);
        let trailer = gix::hash::Kind::Sha1.len_in_bytes();
        let Some(mut left) = len.checked_sub(trailer as u64) else { return Ok(false) };
        let mut file = self.disk.open(&path)?;
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let part = &mut buffer[..left.min(64 << 10) as usize];
            file.read_exact(part).at("read", &path)?;
            hasher.update(part);
            left -= part.len() as u64;
        }
        let stated = &mut buffer[..trailer];
        file.read_exact(stated).at("read", &path)?;
        Ok(hasher.try_finalize().is_ok_and(|found| found.as_bytes() == stated))
    }

    /// Checks the whole graph below roots: every commit, tree, file and tag reads and hashes to its
    /// name. Calls `each` for every object that is not in `seen`, with the first that names it.
    /// Returns the commits that read.
    pub(crate) fn check(
        &self,
        seen: &mut HashSet<gix::ObjectId>,
        roots: impl IntoIterator<Item = Root>,
        each: EachObject<'_>,
    ) -> Vec<CommitId> {
        let mut commits = Vec::new();
        let mut stack: Vec<Root> = roots.into_iter().collect();
        while let Some(Root { name, id }) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            let checked = self.check_object(id, &name, &mut stack);
            if let Ok(gix::objs::Kind::Commit) = checked {
                commits.push(CommitId(id));
            }
            each(id, &name, checked.map(drop));
        }
        commits
    }

    /// Checks one object and puts what it names on the stack.
    fn check_object(
        &self,
        id: gix::ObjectId,
        name: &str,
        below: &mut Vec<Root>,
    ) -> Result<gix::objs::Kind, GitFault> {
        let damaged = |what: &dyn std::fmt::Display| GitFault::Damaged(what.to_string());
        // The length first: a damaged one may ask for any amount of memory.
        let header = self.repo.try_find_header(id).map_err(|e| damaged(&e))?;
        let header = header.ok_or(GitFault::Missing)?;
        if header.size() > GIT_OBJECT_BYTES_MAX {
            return Err(damaged(&format!("it has {} bytes", header.size())));
        }
        let object = self.repo.find_object(id).map_err(|e| damaged(&e))?;
        let hash = id.kind();
        if !gix::objs::compute_hash(hash, object.kind, &object.data).is_ok_and(|h| h == id) {
            return Err(damaged(&"its bytes do not hash to its name"));
        }
        let mut put = |id: gix::ObjectId, name: String| below.push(Root { name, id });
        match object.kind {
            gix::objs::Kind::Commit => {
                let commit = gix::objs::CommitRef::from_bytes(&object.data, hash);
                let commit = commit.map_err(|e| damaged(&e))?;
                commit.parents().for_each(|parent| put(parent, id.to_string()));
                put(commit.tree(), format!("{id}:"));
            }
            gix::objs::Kind::Tree => {
                let tree = gix::objs::TreeRef::from_bytes(&object.data, hash);
                let slash = if name.ends_with(':') { "" } else { "/" };
                for entry in tree.map_err(|e| damaged(&e))?.entries {
                    put(entry.oid.to_owned(), format!("{name}{slash}{}", entry.filename));
                }
            }
            gix::objs::Kind::Tag => {
                let tag = gix::objs::TagRef::from_bytes(&object.data, hash);
                put(tag.map_err(|e| damaged(&e))?.target(), id.to_string());
            }
            gix::objs::Kind::Blob => {}
        }
        Ok(object.kind)
    }

    /// The files of a commit's tree with whether each is a plain one, by path. A directory that is
    /// deeper than any of a label tree stands as a file that is none.
    pub(crate) fn paths(&self, commit: CommitId) -> Result<Vec<(String, bool)>> {
        let read = |e: gix::Error| Error::git(format!("cannot read the tree of {commit}"), e);
        let tree = self.repo.find_commit(commit.0).map_err(read)?.tree_id().map_err(read)?;
        let mut paths = Vec::new();
        let mut stack = vec![(String::new(), tree.detach())];
        while let Some((dir, id)) = stack.pop() {
            let tree = self.repo.find_tree(id).map_err(read)?;
            for entry in tree.iter() {
                let entry = entry.map_err(|e| Error::git("cannot read a tree", e.to_string()))?;
                let path = format!("{dir}{}", entry.filename());
                if paths.len() + stack.len() >= TREE_PATHS_MAX {
                    return Err(Error::damaged(commit, "its tree has too many files"));
                }
                if entry.mode().is_tree() && dir.matches('/').count() < 2 {
                    stack.push((format!("{path}/"), entry.oid().to_owned()));
                } else {
                    let plain = entry.mode().kind() == gix::objs::tree::EntryKind::Blob;
                    paths.push((path, plain));
                }
            }
        }
        paths.sort_unstable();
        Ok(paths)
    }
}

/// A place that names a git object.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// `refs/heads/main`, `logs/HEAD`.
    pub(crate) name: String,
    pub(crate) id: gix::ObjectId,
}

/// What is wrong with a git object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GitFault {
    /// It is nowhere.
    Missing,
    /// It does not read, or is not what its name says.
    Damaged(String),
}
