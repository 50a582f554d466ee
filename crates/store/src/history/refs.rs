//! Refs: names, reading, and the publish step that moves one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use gix::refs::TargetRef;

use super::{History, Identity};
use crate::error::{Error, Result};
use crate::fs::Lock;
use crate::id::CommitId;
use crate::limits::{REF_LOCK_PAUSE, REF_LOCK_TRIES};

/// A branch or tag name: `[a-z0-9._-]`, so that names are unique under case folding on any disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);

impl RefName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RefName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let bad = |why| Err(Error::BadName { name: name.to_owned(), why });
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if name.is_empty() || name.len() > 100 {
            return bad("names have 1 to 100 characters");
        }
        if !name.bytes().all(allowed) {
            return bad("names consist of a-z, 0-9, `.`, `_` and `-`");
        }
        let edges = name.starts_with(['.', '-']) || name.ends_with('.');
        if edges || name.contains("..") || name.ends_with(".lock") || name == "head" {
            return bad("names do not begin with `.` or `-`, end with `.` or `.lock`, hold `..`, \
                        or are `head`");
        }
        Ok(Self(name.to_owned()))
    }
}

/// What `HEAD` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The branch, none where `HEAD` is a commit.
    pub branch: Option<RefName>,
    /// The commit, none where the branch has none yet.
    pub commit: Option<CommitId>,
}

/// What a ref must be for its move to happen: compare-and-swap as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The ref must not exist.
    Absent,
    /// The ref must be this git object.
    Is(gix::ObjectId),
}

impl Expected {
    /// The ref must be this commit, or must not exist.
    pub fn commit(commit: Option<CommitId>) -> Self {
        commit.map_or(Self::Absent, |commit| Self::Is(commit.0))
    }
}

/// A move of one ref.
pub(crate) struct RefMove<'a> {
    /// `refs/heads/main`.
    pub name: &'a str,
    pub expected: Expected,
    /// The new target; `None` deletes.
    pub new: Option<gix::ObjectId>,
    pub who: &'a Identity,
    /// The line of the reflog.
    pub why: &'a str,
}

/// Proof that this process holds the store's lock.
#[derive(Debug)]
#[must_use]
pub(crate) struct PublishLock {
    _lock: Lock,
    /// The lock file, which holds a note for whoever comes after a dead owner.
    path: PathBuf,
}

/// Git's lock file of `packed-refs`.
const PACKED_REFS_LOCK: &str = "packed-refs.lock";

impl History {
    /// Reads `HEAD`.
    pub fn head(&self) -> Result<Head> {
        let read = |e: gix::Error| Error::git("cannot read HEAD", e);
        let head = self.repo.head().map_err(read)?;
        let branch = match head.referent_name() {
            Some(name) => {
                let text = name.as_bstr().to_string();
                let short = text.strip_prefix("refs/heads/").unwrap_or(&text);
                Some(short.parse()?)
            }
            None => None,
        };
        Ok(Head { branch, commit: head.id().map(|id| CommitId(id.detach())) })
    }

    /// The commits of all branches or all tags, by name.
    pub fn refs(&self, tags: bool) -> Result<Vec<(String, CommitId)>> {
        let read = |e: gix::Error| Error::git("cannot list refs", e);
        self.reload_packed_refs()?;
        let platform = self.repo.references().map_err(read)?;
        let prefix = if tags { "refs/tags/" } else { "refs/heads/" };
        let iter = if tags { platform.tags() } else { platform.local_branches() };
        let mut refs = Vec::new();
        for reference in iter.map_err(read)? {
            let mut reference =
                reference.map_err(|e| Error::git("cannot list refs", e.to_string()))?;
            let name = reference.name().as_bstr().to_string();
            let name = name.strip_prefix(prefix).unwrap_or(&name).to_owned();
            let id = reference.peel_to_id().map_err(read)?.detach();
            refs.push((name, CommitId(id)));
        }
        refs.sort();
        Ok(refs)
    }

    /// Lets gix read `packed-refs` again: it would go by the date of the file.
    pub(super) fn reload_packed_refs(&self) -> Result<()> {
        match self.repo.refs.force_refresh_packed_buffer() {
            Err(e) if self.dir.join("packed-refs").exists() => {
                Err(Error::git("cannot read packed refs", e))
            }
            _ => Ok(()),
        }
    }

    /// What a ref is, not peeled.
    pub(crate) fn ref_target(&self, name: &str) -> Result<Option<gix::ObjectId>> {
        self.reload_packed_refs()?;
        let found = self
            .repo
            .try_find_reference(name)
            .map_err(|e| Error::git(format!("cannot read `{name}`"), e))?;
        Ok(found.and_then(|reference| match reference.target() {
            TargetRef::Object(id) => Some(id.to_owned()),
            TargetRef::Symbolic(_) => None,
        }))
    }

    /// Waits for the store's lock, and breaks git's lock files that a dead owner left.
    pub(crate) fn lock(&self, path: &Path) -> Result<PublishLock> {
        let lock = PublishLock { _lock: self.disk.lock(path)?, path: path.to_owned() };
        let note = self.disk.read(path)?;
        // The last owner wrote which lock files it was to make, and what was to stand in them, and
        // died before it cleared this. Any other content is another program's. It may also have
        // died between the move of a ref and the sync that makes it last.
        for line in String::from_utf8_lossy(&note).lines() {
            let Some((name, content)) = line.split_once(' ') else { continue };
            let ours = name.starts_with("refs/") && name.ends_with(".lock");
            if (ours && !name.contains("..")) || name == PACKED_REFS_LOCK {
                self.break_lock(&self.dir.join(name), content)?;
            }
        }
        if !note.is_empty() {
            self.disk.clear_note(path)?;
        }
        Ok(lock)
    }

    /// Removes a lock file that holds what its owner was to write, or the start of it, and makes
    /// the names beside it last.
    fn break_lock(&self, path: &Path, content: &str) -> Result<()> {
        if let Some(mut found) = self.disk.read_optional(path)? {
            // After a loss of power there may be zeros where the bytes should be.
            found.truncate(found.iter().rposition(|b| *b > b' ').map_or(0, |last| last + 1));
            if content.as_bytes().starts_with(&found) {
                self.disk.remove_file(path)?;
            }
        }
        self.disk.sync_dir(path.parent().unwrap_or(&self.dir))
    }

    /// Removes a lock file for good: the note that names it may go then.
    fn unlock(&self, path: &Path) -> Result<()> {
        self.disk.remove_file(path)?;
        self.disk.sync_dir(path.parent().unwrap_or(&self.dir))
    }

    /// Moves one ref: the publish step.
    ///
    /// Under the store's lock: make `<ref>.lock` exclusively, compare, write, sync, rename, sync
    /// the directory, append to the reflogs. After an error before the rename the ref is what it
    /// was; the rename is the moment at which it is the new value. After it the only error is
    /// [`Error::Unsure`].
    pub(crate) fn move_ref(&self, lock: &mut PublishLock, change: &RefMove<'_>) -> Result<()> {
        let lock_name = format!("{}.lock", change.name);
        let lock_path = self.dir.join(&lock_name);
        if let Some(parent) = lock_path.parent() {
            self.disk.create_dir_all(parent)?;
        }
        let target = change.new.unwrap_or(gix::ObjectId::null(gix::hash::Kind::Sha1));
        let content = format!("{target}\n");
        let mut note = format!("{lock_name} {content}");
        if change.new.is_none() {
            // At once: a note that is replaced is lost if its owner dies then.
            note.push_str(&format!("{PACKED_REFS_LOCK} \n"));
        }
        self.disk.write_note(&lock.path, &note)?;
        let (mut renamed, mut left) = (false, false);
        let moved = match self.create_lock(&lock_path, content.as_bytes()) {
            Ok(true) => self.move_locked(change, &lock_path, &mut renamed, &mut left),
            Ok(false) => {
                // The note must not make the next owner break a lock that is not ours.
                self.disk.clear_note(&lock.path)?;
                return Err(Error::RefLocked(lock_path));
            }
            Err(error) => Err(error),
        };
        // After the rename a file of that name would be somebody else's.
        let unlocked = if renamed { Ok(()) } else { self.unlock(&lock_path) };
        // Where something is left the note stays, and the next owner clears it. Nothing of this
        // undoes what happened to the ref.
        let is_refusal = |e: &Error| matches!(e, Error::RefMoved { .. } | Error::RefLocked(_));
        let nothing_left = moved.as_ref().err().is_none_or(is_refusal);
        if nothing_left && !left && unlocked.is_ok() {
            let _ = self.disk.clear_note(&lock.path);
        }
        moved
    }

    /// Makes a lock file of git's; waits a second for another program that holds it.
    fn create_lock(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        for _ in 1..REF_LOCK_TRIES {
            if self.disk.create_exclusive(path, bytes)? {
                return Ok(true);
            }
            std::thread::sleep(REF_LOCK_PAUSE);
        }
        self.disk.create_exclusive(path, bytes)
    }

    fn move_locked(
        &self,
        change: &RefMove<'_>,
        lock_path: &Path,
        renamed: &mut bool,
        left: &mut bool,
    ) -> Result<()> {
        let path = self.dir.join(change.name);
        let dir = path.parent().unwrap_or(&self.dir);
        let found = self.ref_target(change.name)?;
        let expected = match change.expected {
            Expected::Absent => None,
            Expected::Is(id) => Some(id),
        };
        if found != expected {
            let show = |id: Option<gix::ObjectId>| {
                id.map_or_else(|| "nothing".to_owned(), |id| id.to_hex_with_len(10).to_string())
            };
            return Err(Error::RefMoved {
                name: change.name.to_owned(),
                expected: show(expected),
                found: show(found),
            });
        }
        match change.new {
            Some(new) => {
                self.disk.rename_unsynced(lock_path, &path)?;
                *renamed = true;
                let what = || format!("`{}` is {new} now", change.name);
                self.disk.sync_dir(dir).map_err(|error| error.unsure(what()))?;
                // The ref has moved: a reflog that cannot be written does not undo that.
                let _ = self.log(change, found);
            }
            None => {
                // Stock git may have packed it; first there, or the old value would come back.
                self.unpack_ref(change.name, left)?;
                match self.disk.remove_file(&path) {
                    Err(error) if path.exists() => return Err(error),
                    _ => {}
                }
                let what = || format!("`{}` is gone", change.name);
                self.disk.sync_dir(dir).map_err(|error| error.unsure(what()))?;
                let _ = self.disk.remove_file(&self.dir.join("logs").join(change.name));
            }
        }
        Ok(())
    }

    /// Takes a ref out of `packed-refs`, where it is in it.
    fn unpack_ref(&self, name: &str, left: &mut bool) -> Result<()> {
        let path = self.dir.join("packed-refs");
        let Some(bytes) = self.disk.read_optional(&path)? else { return Ok(()) };
        let text = String::from_utf8_lossy(&bytes);
        let is_it = |line: &str| line.split_once(' ').is_some_and(|(_, found)| found == name);
        if !text.lines().any(is_it) {
            return Ok(());
        }
        let lock = self.dir.join(PACKED_REFS_LOCK);
        if !self.create_lock(&lock, b"")? {
            return Err(Error::RefLocked(lock));
        }
        let mut kept = String::with_capacity(text.len());
        let mut dropped = false;
        for line in text.lines() {
            // A line with `^` belongs to the ref above it: what a tag peels to.
            dropped = is_it(line) || (dropped && line.starts_with('^'));
            if !dropped {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        let written = self.disk.write(&path, kept.as_bytes());
        // Where the lock file cannot go the ref is gone all the same: the note has to stay.
        if self.unlock(&lock).is_err() {
            *left = true;
        }
        written
    }

    /// Appends to the ref's reflog, and to HEAD's where HEAD is this ref.
    fn log(&self, change: &RefMove<'_>, old: Option<gix::ObjectId>) -> Result<()> {
        let null = gix::ObjectId::null(gix::hash::Kind::Sha1);
        let line = format!(
            "{} {} {}\t{}\n",
            old.unwrap_or(null),
            change.new.unwrap_or(null),
            change.who.line(),
            change.why.replace('\n', " "),
        );
        let logs = self.dir.join("logs");
        self.append_line(&logs.join(change.name), &line)?;
        let head = self.disk.read(&self.dir.join("HEAD"))?;
        if head.strip_prefix(b"ref: ").map(<[u8]>::trim_ascii) == Some(change.name.as_bytes()) {
            self.append_line(&logs.join("HEAD"), &line)?;
        }
        Ok(())
    }

    /// Appends a line, after taking away what a crash left of one.
    fn append_line(&self, path: &Path, line: &str) -> Result<()> {
        if let Some(bytes) = self.disk.read_tail(path)?
            && !bytes.ends_with(b"\n")
            && !bytes.is_empty()
        {
            let all = self.disk.read(path)?;
            let whole = all.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            self.disk.write(path, &all[..whole])?;
        }
        self.disk.append(path, line.as_bytes())
    }

    /// Points `HEAD` at a branch, and says so in its reflog.
    pub(crate) fn switch(
        &self,
        _lock: &mut PublishLock,
        branch: &RefName,
        who: &Identity,
    ) -> Result<()> {
        let head = self.head()?;
        self.disk
            .write(&self.dir.join("HEAD"), format!("ref: refs/heads/{branch}\n").as_bytes())?;
        let null = gix::ObjectId::null(gix::hash::Kind::Sha1);
        let new = self.ref_target(&format!("refs/heads/{branch}"))?.unwrap_or(null);
        let old = head.commit.map_or(null, |commit| commit.0);
        let from = head.branch.map_or_else(|| old.to_string(), |name| name.to_string());
        let line =
            format!("{old} {new} {}\tcheckout: moving from {from} to {branch}\n", who.line());
        // HEAD has moved: a reflog that cannot be written does not undo that.
        let _ = self.append_line(&self.dir.join("logs/HEAD"), &line);
        Ok(())
    }
}
