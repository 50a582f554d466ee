//! Making a signature.

use std::path::PathBuf;
use std::process::Command;

use super::program::{holding, run};
use super::{SignatureFormat, SigningConfig};
use crate::error::{Error, IoContext, Result};
use crate::fs::{Disk, scratch_dir};
use crate::history::Identity;

/// The namespace of git's SSH signatures.
pub(super) const GIT_NAMESPACE: &str = "git";

/// Who signs: a program, and the name of a key that it has.
#[derive(Debug, Clone)]
pub struct Signer {
    program: PathBuf,
    key: Key,
}

#[derive(Debug, Clone)]
enum Key {
    /// A key of `gpg`, by its id or the name of its owner.
    OfGpg(String),
    /// The path of an SSH key.
    SshFile(PathBuf),
    /// A public SSH key, whose secret one an agent has.
    SshAgent(String),
}

impl Signer {
    /// Who signs by git's configuration, or with another key than that names.
    ///
    /// # Errors
    /// [`Error::Signing`] where no SSH key is named.
    pub fn new(config: &SigningConfig, key: Option<&str>, committer: &Identity) -> Result<Self> {
        let named = key.filter(|key| !key.is_empty()).or(config.key.as_deref());
        let of_gpg = || match named {
            Some(key) => Key::OfGpg(key.to_owned()),
            None => Key::OfGpg(format!("{} <{}>", committer.name, committer.email)),
        };
        Ok(match config.format {
            SignatureFormat::OpenPgp => Self { program: config.gpg.clone(), key: of_gpg() },
            SignatureFormat::X509 => Self { program: config.gpgsm.clone(), key: of_gpg() },
            SignatureFormat::Ssh => {
                let key = named.ok_or_else(|| {
                    Error::Signing("git's configuration names no key to sign with".to_owned())
                })?;
                let literal = key.strip_prefix("key::");
                let literal = literal.or_else(|| key.starts_with("ssh-").then_some(key));
                let key = match literal {
                    Some(public) => Key::SshAgent(public.to_owned()),
                    None => Key::SshFile(home_of(key)),
                };
                Self { program: config.ssh.clone(), key }
            }
        })
    }

    /// The signature of bytes, in its armour.
    ///
    /// # Errors
    /// [`Error::Signing`] where the program does not sign; [`Error::Io`] where it cannot be run.
    pub(crate) fn sign(&self, payload: &[u8]) -> Result<String> {
        match &self.key {
            Key::OfGpg(key) => {
                let mut gpg = Command::new(&self.program);
                gpg.args(["--status-fd=2", "-bsau", key]);
                let ran = run(&mut gpg, Some(holding(payload)?))?;
                let created = ran.err.lines().any(|l| l.starts_with("[GNUPG:] SIG_CREATED "));
                match ran.ok && created {
                    true => Ok(ran.out),
                    false => Err(Error::Signing(of_gpg(&ran.err))),
                }
            }
            Key::SshFile(path) => self.sign_ssh(payload, path.clone(), false),
            Key::SshAgent(public) => {
                let dir = scratch_dir()?;
                let path = dir.path().join("key.pub");
                Disk::default().write_cache(&path, format!("{public}\n").as_bytes())?;
                self.sign_ssh(payload, path, true)
            }
        }
    }

    fn sign_ssh(&self, payload: &[u8], key: PathBuf, agent: bool) -> Result<String> {
        let (disk, dir) = (Disk::default(), scratch_dir()?);
        let buffer = dir.path().join("payload");
        disk.write_cache(&buffer, payload)?;
        let mut ssh = Command::new(&self.program);
        ssh.args(["-Y", "sign", "-n", GIT_NAMESPACE, "-f"]).arg(key);
        ssh.args(agent.then_some("-U")).arg(&buffer);
        let ran = run(&mut ssh, None)?;
        if !ran.ok {
            return Err(Error::Signing(ran.complaint()));
        }
        let made = disk.read(&dir.path().join("payload.sig"))?;
        String::from_utf8(made)
            .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
            .at("read the signature of", &self.program)
    }
}

/// What `gpg` said, without its lines for programs.
fn of_gpg(said: &str) -> String {
    let mut words = said.lines().filter(|line| !line.starts_with("[GNUPG:]")).map(str::trim);
    words.rfind(|line| !line.is_empty()).unwrap_or("gpg did not sign").to_owned()
}

/// A path as git's configuration has it: `~/` is the home directory.
fn home_of(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}
