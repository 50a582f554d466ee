//! Signatures of commits and tags: where they stand in a git object, and what they are over.

use gix::bstr::ByteSlice;
use gix::objs::Kind;

use super::History;
use crate::error::{Error, Result};
use crate::id::CommitId;

/// A commit or a tag without its signature, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The bytes that a signature is over.
    pub payload: Vec<u8>,
    /// The signature in its armour; none where it is not signed.
    pub signature: Option<Vec<u8>>,
    /// When the committer or the tagger says that it was: seconds since 1970.
    pub seconds: i64,
}

/// An annotated tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagObject {
    /// The name of its ref, without `refs/tags/`.
    pub name: String,
    /// The id of the tag object.
    pub id: String,
    /// The commit that it leads to.
    pub commit: CommitId,
    /// What is signed, and by what.
    pub signed: Signed,
}

/// What leads from a commit to a file: the bytes of each git object.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) commit: Vec<u8>,
    pub(crate) root: Vec<u8>,
    pub(crate) dir: Vec<u8>,
    pub(crate) file: Vec<u8>,
}

/// Beginnings of signatures at the end of a tag, as git knows them.
const ARMOURS: [&[u8]; 4] = [
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];

impl History {
    /// Reads a commit for its signature.
    ///
    /// # Errors
    /// Where the commit cannot be read.
    pub fn signed(&self, commit: CommitId) -> Result<Signed> {
        Ok(of_commit(&self.whole_object(commit.0)?.data))
    }

    /// The git objects that lead from a commit to a file in a directory of its tree.
    ///
    /// # Errors
    /// Where one cannot be read, or there is no such file.
    pub(crate) fn way_to(&self, commit: CommitId, path: &str) -> Result<Way> {
        let read = |e: gix::Error| Error::git(format!("cannot read `{path}` of {commit}"), e);
        let none = || Error::damaged(format!("{commit}:{path}"), "there is no such file");
        let object = self.repo.find_commit(commit.0).map_err(read)?;
        let root = object.tree().map_err(read)?;
        let (dir, _) = path.split_once('/').ok_or_else(none)?;
        let entry = root.lookup_entry_by_path(dir).map_err(read)?.ok_or_else(none)?;
        let file = self.file(commit, path)?.ok_or_else(none)?;
        let dir = self.whole_object(entry.object_id())?.data;
        let commit = self.whole_object(commit.0)?.data;
        Ok(Way { commit, root: root.data.clone(), dir, file })
    }

    /// Annotated tags, by name.
    ///
    /// # Errors
    /// Where a ref or a tag cannot be read.
    pub fn tag_objects(&self) -> Result<Vec<TagObject>> {
        let mut found = Vec::new();
        for (name, id) in self.own_refs()? {
            let Some(name) = name.strip_prefix("refs/tags/") else { continue };
            let object = self.whole_object(id)?;
            if object.kind == Kind::Tag {
                found.push(TagObject {
                    name: name.to_owned(),
                    id: id.to_string(),
                    commit: self.peel(id)?,
                    signed: of_tag(&object.data),
                });
            }
        }
        Ok(found)
    }

    /// All commits that branches, tags and branches of remotes reach, newest first.
    ///
    /// # Errors
    /// Where refs cannot be read; items are errors where the history cannot be walked.
    pub fn all_commits(&self) -> Result<impl Iterator<Item = Result<CommitId>> + '_> {
        let mut tips = Vec::new();
        for root in self.named_roots(&mut |_, _| ())? {
            let of_labels = ["refs/heads/", "refs/tags/", "refs/remotes/"];
            if of_labels.iter().any(|prefix| root.name.starts_with(prefix)) {
                tips.push(self.peel(root.id)?.0);
            }
        }
        self.newest_first(tips, Vec::new())
    }

    /// The commits that `new` has and `old` has not, newest first.
    ///
    /// # Errors
    /// As [`History::all_commits`].
    pub fn commits_since(
        &self,
        old: Option<CommitId>,
        new: CommitId,
    ) -> Result<impl Iterator<Item = Result<CommitId>> + '_> {
        self.newest_first(vec![new.0], old.map(|old| old.0).into_iter().collect())
    }

    /// Commits that the first reach and the others do not, newest first.
    pub(super) fn newest_first(
        &self,
        tips: Vec<gix::ObjectId>,
        hidden: Vec<gix::ObjectId>,
    ) -> Result<impl Iterator<Item = Result<CommitId>> + '_> {
        let order = gix::revision::walk::Sorting::ByCommitTime(
            gix::traverse::commit::simple::CommitTimeOrder::NewestFirst,
        );
        let walked = |e: gix::Error| Error::git("cannot walk the history", e);
        let walk = self.repo.rev_walk(tips).with_hidden(hidden).sorting(order);
        Ok(walk.all().map_err(walked)?.map(|info| match info {
            Ok(info) => Ok(CommitId(info.id)),
            Err(e) => Err(Error::git("cannot walk the history", e.to_string())),
        }))
    }
}

/// Takes the signature out of the header: git signs the commit without it.
fn of_commit(data: &[u8]) -> Signed {
    let (mut payload, mut signature) = (Vec::with_capacity(data.len()), None::<Vec<u8>>);
    let (mut in_header, mut in_signature) = (true, Which::None);
    for line in data.lines_with_terminator() {
        if !in_header {
            payload.extend_from_slice(line);
            continue;
        }
        if let (Some(more), true) = (line.strip_prefix(b" "), in_signature != Which::None) {
            if let (Some(signature), Which::Ours) = (&mut signature, in_signature) {
                signature.extend_from_slice(more);
            }
            continue;
        }
        in_signature = Which::None;
        if let Some(first) = line.strip_prefix(b"gpgsig ") {
            in_signature = Which::Ours;
            signature = Some(first.to_vec());
        } else if line.starts_with(b"gpgsig-sha256 ") {
            in_signature = Which::OfSha256;
        } else {
            in_header = line != b"\n";
            payload.extend_from_slice(line);
        }
    }
    Signed { seconds: seconds_of(&payload, b"committer "), payload, signature }
}

/// Which signature a line of the header belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    None,
    Ours,
    /// That of the same commit in a repository of the other hash, which git leaves out as well.
    OfSha256,
}

/// Takes the signature off the end: what comes before its last beginning is signed.
fn of_tag(data: &[u8]) -> Signed {
    let (mut at, mut begins) = (0, None);
    for line in data.lines_with_terminator() {
        if ARMOURS.iter().any(|armour| line.starts_with(armour)) {
            begins = Some(at);
        }
        at += line.len();
    }
    let (payload, signature) = match begins {
        Some(at) => (data[..at].to_vec(), Some(data[at..].to_vec())),
        None => (data.to_vec(), None),
    };
    Signed { seconds: seconds_of(&payload, b"tagger "), payload, signature }
}

/// The seconds of the first line that begins so: `committer Name <e-mail> seconds zone`.
fn seconds_of(payload: &[u8], begin: &[u8]) -> i64 {
    let header = payload.lines().take_while(|line| !line.is_empty());
    let line = header.filter_map(|line| line.strip_prefix(begin)).next().unwrap_or_default();
    let mut words = line.rsplit(|byte| *byte == b' ');
    let seconds = words.nth(1).and_then(|word| std::str::from_utf8(word).ok());
    seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_stands_in_its_header_lines() {
        let commit = b"tree 1\nauthor A <a> 1 +0000\ncommitter B <b> 1700000000 +0100\n\
            gpgsig-sha256 x\n y\ngpgsig -----BEGIN\n \n line\n -----END\n\n\
            message\ngpgsig of the message\n";
        let signed = of_commit(commit);
        let payload = "tree 1\nauthor A <a> 1 +0000\ncommitter B <b> 1700000000 +0100\n\n\
            message\ngpgsig of the message\n";
        assert_eq!(signed.payload, payload.as_bytes());
        assert_eq!(signed.signature.unwrap(), b"-----BEGIN\n\nline\n-----END\n");
        assert_eq!(signed.seconds, 1_700_000_000);
        assert_eq!(of_commit(payload.as_bytes()).signature, None);
        assert_eq!(of_commit(payload.as_bytes()).payload, payload.as_bytes());
    }

    #[test]
    fn a_tag_is_signed_up_to_the_last_beginning_of_a_signature() {
        let text = b"object 1\ntagger A <a> 12 +0000\n\nit holds\n-----BEGIN SSH SIGNATURE-----\n\
            -----BEGIN PGP SIGNATURE-----\nx\n";
        let signed = of_tag(text);
        assert_eq!(signed.signature.unwrap(), b"-----BEGIN PGP SIGNATURE-----\nx\n");
        assert!(signed.payload.ends_with(b"-----BEGIN SSH SIGNATURE-----\n"));
        assert_eq!(signed.seconds, 12);
        assert_eq!(of_tag(b"object 1\n\nno\n").signature, None);
    }
}
