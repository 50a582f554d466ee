//! All signatures of a store, one after the other.

use serde::Serialize;

use super::check::{Checked, Checker, Verdict};
use crate::error::Result;
use crate::history::Signed;
use crate::id::CommitId;
use crate::store::Store;

/// What may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A commit.
    Commit,
    /// An annotated tag.
    Tag,
    /// A file that was delivered, and imported by a commit.
    Batch,
}

/// What was found of one signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignatureLine {
    /// What is signed.
    pub subject: Subject,
    /// The commit: that is signed, that a tag leads to, or that imported a file.
    pub commit: CommitId,
    /// The name of a tag or a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is worth.
    #[serde(flatten)]
    pub checked: Checked,
}

impl Store {
    /// Checks every commit, every annotated tag, and every delivered file whose signature is kept:
    /// of the commits that the second has and the first has not, or of all.
    ///
    /// # Errors
    /// Where the history cannot be read, a program cannot be run, or `each` fails.
    pub fn check_signatures<E: From<crate::Error>>(
        &self,
        checker: &Checker,
        range: Option<(Option<CommitId>, CommitId)>,
        each: &mut dyn FnMut(&SignatureLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let commits: Box<dyn Iterator<Item = Result<CommitId>>> = match range {
            Some((old, new)) => Box::new(self.history.commits_since(old, new)?),
            None => Box::new(self.history.all_commits()?),
        };
        for commit in commits {
            let commit = commit?;
            let signed = self.history.signed(commit)?;
            let checked = checker.check(&signed)?;
            each(&SignatureLine { subject: Subject::Commit, commit, name: None, checked })?;
            self.check_batches(checker, commit, &signed, each)?;
        }
        for tag in self.history.tag_objects()? {
            let (commit, name) = (tag.commit, Some(tag.name));
            if let Some((_, new)) = range
                && !self.history.is_ancestor(commit, new)?
            {
                continue;
            }
            let checked = checker.check(&tag.signed)?;
            each(&SignatureLine { subject: Subject::Tag, commit, name, checked })?;
        }
        Ok(())
    }

    fn check_batches<E: From<crate::Error>>(
        &self,
        checker: &Checker,
        commit: CommitId,
        signed: &Signed,
        each: &mut dyn FnMut(&SignatureLine) -> Result<(), E>,
    ) -> Result<(), E> {
        let record = self.change(commit)?;
        // One that was erased says nothing any more.
        if record.meta.is_none_or(|meta| !self.objects().contains(&meta)) {
            return Ok(());
        }
        for file in self.meta(&record)?.sources {
            let Some(kept) = &file.signature else { continue };
            let checked = checker.check_kept(kept, signed.seconds)?;
            let name = Some(file.name);
            each(&SignatureLine { subject: Subject::Batch, commit, name, checked })?;
        }
        Ok(())
    }

    /// Checks that a commit has a good signature; else says why it has not.
    ///
    /// # Errors
    /// Where the commit cannot be read or a program cannot be run.
    pub fn signature_fault(&self, checker: &Checker, commit: CommitId) -> Result<Option<String>> {
        let checked = checker.check(&self.history.signed(commit)?)?;
        let short = commit.short();
        Ok(match checked.result {
            Verdict::Good => None,
            Verdict::Unsigned => Some(format!("{short} is not signed")),
            Verdict::Bad | Verdict::UnknownKey => {
                let key = checked.key.unwrap_or_else(|| "an unknown key".to_owned());
                let why = checked.detail.unwrap_or_default();
                Some(format!("{short} is signed with {key}: {why}"))
            }
        })
    }
}
