//! Who commits, and what the code around the store is at: taken as git takes it.

use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;

use super::Identity;
use crate::error::{Error, Result};
use crate::signing::{SignatureFormat, SigningConfig};

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

/// What git's configuration says of signatures: that of the repository around `dir`, of the user
/// and of the system. Programs and paths are taken only from files that belong to the user.
///
/// # Errors
/// Where the configuration cannot be read, or names a format that git does not have.
pub fn signing_config(dir: &Path, git_dir: &Path) -> Result<SigningConfig> {
    let around = gix::discover(dir).or_else(|_| gix::open(git_dir));
    let repo = around.map_err(|e| Error::git("cannot read git's configuration", e))?;
    let config = repo.config_snapshot();
    let bad = |name: &str, what: String| Error::Git {
        what: format!("`{name}` of git's configuration: {what}"),
        source: None,
    };
    let text = |name: &str| config.string(name).map(|text| text.to_str_lossy().into_owned());
    let path = |name: &'static str| -> Result<_> {
        config.trusted_path(name).map_err(|e| bad(name, e.to_string()))
    };
    let program = |names: &[&'static str], default: &str| -> Result<PathBuf> {
        for name in names {
            let found = config.trusted_program(name).map_err(|e| bad(name, e.to_string()))?;
            if let Some(program) = found {
                return Ok(program.into());
            }
        }
        Ok(default.into())
    };
    let format = match text("gpg.format").as_deref() {
        None | Some("openpgp") => SignatureFormat::OpenPgp,
        Some("x509") => SignatureFormat::X509,
        Some("ssh") => SignatureFormat::Ssh,
        Some(other) => return Err(bad("gpg.format", format!("there is no format `{other}`"))),
    };
    let is = |name: &str| config.boolean(name).unwrap_or_default();
    Ok(SigningConfig {
        format,
        key: text("user.signingKey"),
        gpg: program(&["gpg.openpgp.program", "gpg.program"], "gpg")?,
        gpgsm: program(&["gpg.x509.program"], "gpgsm")?,
        ssh: program(&["gpg.ssh.program"], "ssh-keygen")?,
        allowed_signers: path("gpg.ssh.allowedSignersFile")?,
        revoked: path("gpg.ssh.revocationFile")?,
        commits: is("commit.gpgSign"),
        tags: is("tag.gpgSign") || is("tag.forceSignAnnotated"),
    })
}

/// The commit that the code repository around `dir` is at.
pub fn code_commit(dir: &Path) -> Option<String> {
    let repo = gix::discover(dir).ok()?;
    Some(repo.head_id().ok()?.to_string())
}
