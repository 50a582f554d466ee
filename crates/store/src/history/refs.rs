//! Refs: names, reading, and the publish step that moves one.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use gix::refs::TargetRef;

use super::{History, Identity};
use crate::error::{Error, IoContext, Result};
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
    lock: Lock,
}

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

    /// What a ref is, not peeled.
    pub(crate) fn ref_target(&self, name: &str) -> Result<Option<gix::ObjectId>> {
        let found = self
            .repo
            .try_find_reference(name)
            .map_err(|e| Error::git(format!("cannot read `{name}`"), e))?;
        Ok(found.and_then(|reference| match reference.target() {
            TargetRef::Object(id) => Some(id.to_owned()),
            TargetRef::Symbolic(_) => None,
        }))
    }

    /// Waits for the store's lock, and breaks git's lock file of a ref that a dead owner left.
    pub(crate) fn lock(&self, path: &Path) -> Result<PublishLock> {
        use std::io::{Read, Seek};
        let mut lock = self.disk.lock(path)?;
        let mut left = String::new();
        lock.file.rewind().at("read", path)?;
        (&mut lock.file).take(4096).read_to_string(&mut left).at("read", path)?;
        // The last owner wrote which lock file it was to make, and what was to stand in it, and
        // died before it cleared this. Any other content is another program's.
        if let Some((name, content)) = left.trim_end().split_once(' ') {
            let ours = name.starts_with("refs/") && name.ends_with(".lock");
            let path = self.dir.join(name);
            if ours && !name.contains("..") {
                let found = self.disk.read_optional(&path)?;
                // Empty: it died between making the file and writing it.
                let whole = |found: &[u8]| found == content.as_bytes() || found.is_empty();
                if found.is_some_and(|found| whole(found.trim_ascii_end())) {
                    self.disk.remove_file(&path)?;
                }
            }
        }
        lock.write_note("").at("write", path)?;
        Ok(PublishLock { lock })
    }

    /// Moves one ref: the publish step.
    ///
    /// Under the store's lock: make `<ref>.lock` exclusively, compare, write, sync, rename, sync
    /// the directory, append to the reflogs. After an error before the rename the ref is what it
    /// was; the rename is the moment at which it is the new value.
    pub(crate) fn move_ref(&self, lock: &mut PublishLock, change: &RefMove<'_>) -> Result<()> {
        let path = self.dir.join(change.name);
        let lock_name = format!("{}.lock", change.name);
        let lock_path = self.dir.join(&lock_name);
        if let Some(parent) = path.parent() {
            self.disk.create_dir_all(parent)?;
        }
        let target = change.new.unwrap_or(gix::ObjectId::null(gix::hash::Kind::Sha1));
        let content = format!("{target}\n");
        lock.lock.write_note(&format!("{lock_name} {target}")).at("write", &lock_path)?;
        if !self.create_lock(&lock_path, content.as_bytes())? {
            lock.lock.write_note("").at("write", &lock_path)?;
            return Err(Error::RefLocked(lock_path));
        }
        let mut renamed = false;
        let moved = self.move_locked(change, &path, &lock_path, &mut renamed);
        if moved.is_err() && !renamed {
            // After the rename a file of that name would be somebody else's.
            self.disk.remove_file(&lock_path)?;
        }
        lock.lock.write_note("").at("write", &lock_path)?;
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
        path: &Path,
        lock_path: &Path,
        renamed: &mut bool,
    ) -> Result<()> {
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
            Some(_) => {
                self.disk.rename_unsynced(lock_path, path)?;
                *renamed = true;
                self.disk.sync_dir(path.parent().unwrap_or(&self.dir))?;
            }
            None => {
                // Stock git may have packed it; first there, or the old value would come back.
                self.unpack_ref(change.name)?;
                self.disk.remove_file(path)?;
                self.disk.remove_file(lock_path)?;
                if let Some(parent) = path.parent() {
                    self.disk.sync_dir(parent)?;
                }
                return self.disk.remove_file(&self.dir.join("logs").join(change.name));
            }
        }
        // The ref has moved: a reflog that cannot be written does not undo that.
        let _ = self.log(change, found);
        Ok(())
    }

    /// Takes a ref out of `packed-refs`, where it is in it.
    fn unpack_ref(&self, name: &str) -> Result<()> {
        let path = self.dir.join("packed-refs");
        let Some(bytes) = self.disk.read_optional(&path)? else { return Ok(()) };
        let text = String::from_utf8_lossy(&bytes);
        let is_it = |line: &str| line.split_once(' ').is_some_and(|(_, found)| found == name);
        if !text.lines().any(is_it) {
            return Ok(());
        }
        let lock = self.dir.join("packed-refs.lock");
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
        self.disk.remove_file(&lock)?;
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
        self.append_line(&self.dir.join("logs/HEAD"), &line)
    }
}

impl Lock {
    /// Replaces the text inside the lock file: what a successor must clear if the owner dies.
    fn write_note(&mut self, text: &str) -> std::io::Result<()> {
        use std::io::{Seek, Write};
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}
