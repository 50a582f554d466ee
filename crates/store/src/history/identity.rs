//! Who commits, and what the code around the store is at: taken as git takes it.

use std::path::Path;

use gix::bstr::ByteSlice;

use super::Identity;
use crate::error::{Error, Result};

/// The author and the committer: `GIT_AUTHOR_*` and `GIT_COMMITTER_*`, then the configuration of
/// the repository around `dir`, of the user and of the system.
///
/// # Errors
/// [`Error::NoIdentity`] where none of them says who it is.
pub fn identities(dir: &Path, git_dir: &Path) -> Result<(Identity, Identity)> {
    // Outside of a code repository the store's own one gives access to the user's configuration.
    let around = gix::discover(dir).or_else(|_| gix::open(git_dir));
    let repo = around.map_err(|e| Error::git("cannot read git's configuration", e))?;
    let read = |found: Option<Result<gix::actor::SignatureRef<'_>, gix::Error>>| -> Result<_> {
        let signature = found
            .ok_or(Error::NoIdentity)?
            .map_err(|e| Error::git("cannot read the date of a commit", e))?;
        let time = signature
            .time()
            .map_err(|e| Error::git("cannot read the date of a commit", e.to_string()))?;
        Ok(Identity {
            name: signature.name.to_str_lossy().into_owned(),
            email: signature.email.to_str_lossy().into_owned(),
            seconds: time.seconds,
            offset: time.offset,
        })
    };
    Ok((read(repo.author())?, read(repo.committer())?))
}

/// The commit that the code repository around `dir` is at.
pub fn code_commit(dir: &Path) -> Option<String> {
    let repo = gix::discover(dir).ok()?;
    Some(repo.head_id().ok()?.to_string())
}
