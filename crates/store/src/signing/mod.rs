//! Signatures of commits, tags and delivered files: made and checked by the programs that git uses.
//!
//! # Guarantees
//! - No secret key is read or kept here: `ssh-keygen`, `gpg` or what git's configuration names in
//!   their place have the keys, and ask for their passphrases.
//! - Stock git agrees: the bytes that are signed, the place of the signature and the arguments of
//!   the programs are git's own (`gpg-interface.c`).
//!
//! # Limitations
//! - A signature counts as made when the committer says that the commit was: whether a key was
//!   valid is asked of that time, as git asks.

mod check;
mod program;
mod report;
mod sign;
mod sshsig;

use std::path::PathBuf;

pub use check::{BATCH_NAMESPACE, BatchSignature, Checked, Checker, Verdict};
pub use report::{SignatureLine, Subject};
pub use sign::Signer;

/// What signatures are made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureFormat {
    /// OpenPGP, by `gpg`: git's default.
    #[default]
    OpenPgp,
    /// X.509, by `gpgsm`.
    X509,
    /// SSH keys, by `ssh-keygen`.
    Ssh,
}

/// What git's configuration says of signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningConfig {
    /// `gpg.format`.
    pub format: SignatureFormat,
    /// `user.signingKey`: the id of a key, the path of one, or a public SSH key itself.
    pub key: Option<String>,
    /// `gpg.program` or `gpg.openpgp.program`.
    pub gpg: PathBuf,
    /// `gpg.x509.program`.
    pub gpgsm: PathBuf,
    /// `gpg.ssh.program`.
    pub ssh: PathBuf,
    /// `gpg.ssh.allowedSignersFile`.
    pub allowed_signers: Option<PathBuf>,
    /// `gpg.ssh.revocationFile`.
    pub revoked: Option<PathBuf>,
    /// `commit.gpgSign`: whether commits are signed without being asked for.
    pub commits: bool,
    /// `tag.gpgSign` or `tag.forceSignAnnotated`: whether annotated tags are.
    pub tags: bool,
}
