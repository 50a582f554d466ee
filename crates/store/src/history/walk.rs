//! Commits: reading one, and walking from one to its ancestors.

use gix::bstr::ByteSlice;

use super::History;
use crate::error::{Error, Result};
use crate::id::CommitId;

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

impl History {
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
        let read = move |e: gix::Error| Error::git(format!("cannot walk from {tip}"), e);
        let order = gix::revision::walk::Sorting::ByCommitTime(
            gix::traverse::commit::simple::CommitTimeOrder::NewestFirst,
        );
        let walk = self.repo.rev_walk([tip.0]).sorting(order).all().map_err(read)?;
        Ok(walk.map(move |info| match info {
            Ok(info) => Ok(CommitId(info.id)),
            Err(e) => Err(Error::git(format!("cannot walk from {tip}"), e.to_string())),
        }))
    }

    /// The first parent of a commit.
    pub fn first_parent(&self, id: CommitId) -> Result<Option<CommitId>> {
        Ok(self.commit(id)?.parents.first().copied())
    }

    /// Checks the whole graph below a commit: every commit, tree and file reads and hashes to its
    /// name. Calls `each` for every object.
    pub(crate) fn check(
        &self,
        seen: &mut std::collections::HashSet<gix::ObjectId>,
        tip: CommitId,
        each: &mut dyn FnMut(gix::ObjectId, std::result::Result<(), String>),
    ) {
        let mut stack = vec![tip.0];
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            let object = match self.repo.find_object(id) {
                Ok(object) => object,
                Err(e) => {
                    each(id, Err(e.to_string()));
                    continue;
                }
            };
            match gix::objs::compute_hash(id.kind(), object.kind, &object.data) {
                Ok(found) if found == id => each(id, Ok(())),
                _ => each(id, Err("its bytes do not hash to its name".to_owned())),
            }
            match object.kind {
                gix::objs::Kind::Commit => {
                    if let Ok(commit) = gix::objs::CommitRef::from_bytes(&object.data, id.kind()) {
                        stack.push(commit.tree());
                        stack.extend(commit.parents());
                    }
                }
                gix::objs::Kind::Tree => {
                    if let Ok(tree) = gix::objs::TreeRef::from_bytes(&object.data, id.kind()) {
                        stack.extend(tree.entries.iter().map(|e| e.oid.to_owned()));
                    }
                }
                _ => {}
            }
        }
    }
}
