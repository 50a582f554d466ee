//! Checking a signature.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::program::{Ran, holding, run};
use super::sign::GIT_NAMESPACE;
use super::sshsig::SshSignature;
use super::{SignatureFormat, SigningConfig};
use crate::error::{Error, IoContext, Result};
use crate::fs::{Disk, scratch_dir};
use crate::history::Signed;

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Made by a known key, over these bytes.
    Good,
    /// Not made over these bytes, or by a key that was revoked or had expired.
    Bad,
    /// Made over these bytes, by a key of which nobody says whose it is.
    UnknownKey,
    /// There is none.
    Unsigned,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::UnknownKey => "unknown key",
            Self::Unsigned => "unsigned",
        }
    }
}

/// What was found of a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What it is worth.
    pub result: Verdict,
    /// Whose key it is, as the file of allowed signers or the key itself says; only of a good one.
    pub signer: Option<String>,
    /// The key: a fingerprint, or the id of an OpenPGP key; none where it cannot be told.
    pub key: Option<String>,
    /// Why it is not good, in words.
    pub detail: Option<String>,
}

/// The namespace of signatures over delivered files.
pub const BATCH_NAMESPACE: &str = "gloss-batch";

/// A signature over a delivered file, as it is kept: the file itself is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSignature {
    /// The signature in its armour.
    pub armour: String,
    /// The hash of the file that it is over, in hexadecimal digits.
    pub hash: String,
}

/// Who asks the programs what signatures are worth.
#[derive(Debug, Clone)]
pub struct Checker {
    config: SigningConfig,
    allowed: Option<PathBuf>,
}

impl Checked {
    fn new(result: Verdict, key: Option<String>, detail: impl Into<Option<String>>) -> Self {
        Self { result, signer: None, key, detail: detail.into() }
    }
}

impl Checker {
    /// Goes by git's configuration, or by another file of allowed signers than that names.
    ///
    /// # Errors
    /// [`Error::BadFile`] where there is no such file.
    pub fn new(config: &SigningConfig, allowed: Option<PathBuf>) -> Result<Self> {
        let allowed = allowed.or_else(|| config.allowed_signers.clone());
        if let Some(path) = allowed.as_ref().filter(|path| !path.exists() || path.is_dir()) {
            let what = "there is no such file of allowed signers".to_owned();
            return Err(Error::BadFile { path: path.clone(), what });
        }
        Ok(Self { config: config.clone(), allowed })
    }

    /// The file that says whose SSH keys are known.
    pub fn allowed_signers(&self) -> Option<&PathBuf> {
        self.allowed.as_ref()
    }

    /// Checks the signature of a commit or a tag.
    ///
    /// # Errors
    /// Where a program cannot be run; a signature that is not good is none.
    pub fn check(&self, signed: &Signed) -> Result<Checked> {
        let Some(signature) = &signed.signature else {
            return Ok(Checked::new(Verdict::Unsigned, None, None));
        };
        let begins = |armour: &str| signature.starts_with(armour.as_bytes());
        if begins("-----BEGIN SSH SIGNATURE-----") {
            let payload = || holding(&signed.payload);
            self.check_ssh(signature, GIT_NAMESPACE, signed.seconds, &payload)
        } else if begins("-----BEGIN PGP SIGNATURE-----") || begins("-----BEGIN PGP MESSAGE-----") {
            self.check_gpg(SignatureFormat::OpenPgp, signed, signature)
        } else if begins("-----BEGIN SIGNED MESSAGE-----") {
            self.check_gpg(SignatureFormat::X509, signed, signature)
        } else {
            let detail = "it is of no known kind".to_owned();
            Ok(Checked::new(Verdict::Bad, None, detail))
        }
    }

    /// Checks a signature over a delivered file, and gives what is kept of it where it is good.
    ///
    /// # Errors
    /// Where the file cannot be read or a program cannot be run.
    pub fn check_batch(
        &self,
        armour: &[u8],
        open: &dyn Fn() -> Result<File>,
        seconds: i64,
    ) -> Result<(Checked, Option<BatchSignature>)> {
        let checked = self.check_ssh(armour, BATCH_NAMESPACE, seconds, open)?;
        let Ok(signature) = SshSignature::parse(armour) else { return Ok((checked, None)) };
        if checked.result != Verdict::Good {
            return Ok((checked, None));
        }
        let hash = signature.hash_of(&mut open()?).at("read", "the signed file")?;
        let hash = hash.unwrap_or_default();
        // What cannot be checked again later is not taken.
        if let Err(why) = signature.holds(BATCH_NAMESPACE, &hash) {
            return Ok((Checked::new(Verdict::Bad, checked.key, why), None));
        }
        let armour = String::from_utf8_lossy(armour).into_owned();
        Ok((checked, Some(BatchSignature { armour, hash: hex(&hash) })))
    }

    /// Checks what was kept of a signature over a delivered file.
    ///
    /// # Errors
    /// Where a program cannot be run.
    pub fn check_kept(&self, kept: &BatchSignature, seconds: i64) -> Result<Checked> {
        let armour = kept.armour.as_bytes();
        let signature = match SshSignature::parse(armour) {
            Ok(signature) => signature,
            Err(why) => return Ok(Checked::new(Verdict::Bad, None, why)),
        };
        let key = Some(signature.fingerprint());
        let hash = unhex(&kept.hash).unwrap_or_default();
        if let Err(why) = signature.holds(BATCH_NAMESPACE, &hash) {
            return Ok(Checked::new(Verdict::Bad, key, why));
        }
        let dir = scratch_dir()?;
        let path = dir.path().join("signature");
        Disk::default().write_cache(&path, armour)?;
        Ok(match self.principals(&path, seconds)?.into_iter().next() {
            Some(signer) => {
                Checked { signer: Some(signer), ..Checked::new(Verdict::Good, key, None) }
            }
            None => Checked::new(Verdict::UnknownKey, key, self.nobody()),
        })
    }

    fn check_ssh(
        &self,
        armour: &[u8],
        namespace: &str,
        seconds: i64,
        message: &dyn Fn() -> Result<File>,
    ) -> Result<Checked> {
        let signature = match SshSignature::parse(armour) {
            Ok(signature) => signature,
            Err(why) => return Ok(Checked::new(Verdict::Bad, None, why)),
        };
        let key = Some(signature.fingerprint());
        let dir = scratch_dir()?;
        let path = dir.path().join("signature");
        Disk::default().write_cache(&path, armour)?;
        let (mut refused, principals) = (None, self.principals(&path, seconds)?);
        for principal in &principals {
            let mut verify = self.ssh("verify", seconds);
            verify.args(["-n", namespace, "-I", principal, "-s"]).arg(&path);
            verify.arg("-f").args(&self.allowed);
            if let Some(revoked) = &self.config.revoked {
                verify.arg("-r").arg(revoked);
            }
            let ran = run(&mut verify, Some(message()?))?;
            if ran.ok && ran.out.starts_with("Good ") {
                let signer = Some(principal.clone());
                return Ok(Checked { signer, ..Checked::new(Verdict::Good, key, None) });
            }
            refused = Some(ran.complaint());
        }
        let mut bare = self.ssh("check-novalidate", seconds);
        bare.args(["-n", namespace, "-s"]).arg(&path);
        let ran = run(&mut bare, Some(message()?))?;
        if !ran.ok {
            return Ok(Checked::new(Verdict::Bad, key, ran.complaint()));
        }
        Ok(match refused {
            // The bytes are signed, and still the key was refused: it is revoked, or not meant for
            // this.
            Some(why) => Checked::new(Verdict::Bad, key, why),
            None => Checked::new(Verdict::UnknownKey, key, self.nobody()),
        })
    }

    /// Why nobody is known by a key.
    fn nobody(&self) -> String {
        match &self.allowed {
            Some(path) => format!("`{}` does not allow it at that time", path.display()),
            None => "no file of allowed signers is named".to_owned(),
        }
    }

    /// Who the file of allowed signers says that a signature's key belongs to.
    fn principals(&self, signature: &std::path::Path, seconds: i64) -> Result<Vec<String>> {
        let Some(allowed) = &self.allowed else { return Ok(Vec::new()) };
        let mut find = self.ssh("find-principals", seconds);
        find.arg("-f").arg(allowed).arg("-s").arg(signature);
        let ran = run(&mut find, None)?;
        let lines = ran.out.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(if ran.ok { lines.map(str::to_owned).collect() } else { Vec::new() })
    }

    fn ssh(&self, what: &str, seconds: i64) -> Command {
        let mut ssh = Command::new(&self.config.ssh);
        ssh.args(["-Y", what]);
        if let Ok(time) = jiff::Timestamp::from_second(seconds) {
            ssh.arg(format!("-Overify-time={}", time.strftime("%Y%m%d%H%M%S")));
        }
        ssh
    }

    fn check_gpg(
        &self,
        format: SignatureFormat,
        signed: &Signed,
        signature: &[u8],
    ) -> Result<Checked> {
        let dir = scratch_dir()?;
        let path = dir.path().join("signature");
        Disk::default().write_cache(&path, signature)?;
        let x509 = format == SignatureFormat::X509;
        let mut gpg = Command::new(if x509 { &self.config.gpgsm } else { &self.config.gpg });
        gpg.args((!x509).then_some("--keyid-format=long"));
        gpg.args(["--status-fd=1", "--verify"]).arg(&path).arg("-");
        Ok(of_status(&run(&mut gpg, Some(holding(&signed.payload)?))?))
    }
}

/// Reads the lines that `gpg` prints for programs (its `doc/DETAILS`).
fn of_status(ran: &Ran) -> Checked {
    let mut found = Checked::new(Verdict::Bad, None, ran.complaint());
    let mut verdicts = 0;
    for line in ran.out.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let mut words = line.splitn(3, ' ');
        let (word, key) = (words.next().unwrap_or_default(), words.next());
        let (result, detail) = match word {
            "GOODSIG" => (Verdict::Good, None),
            "BADSIG" => (Verdict::Bad, Some("the signature is not of these bytes")),
            "EXPSIG" => (Verdict::Bad, Some("the signature has expired")),
            "EXPKEYSIG" => (Verdict::Bad, Some("the key has expired")),
            "REVKEYSIG" => (Verdict::Bad, Some("the key was revoked")),
            "ERRSIG" => (Verdict::UnknownKey, Some("the key is not in the keyring")),
            _ => continue,
        };
        verdicts += 1;
        found = Checked::new(result, key.map(str::to_owned), detail.map(str::to_owned));
        if result == Verdict::Good {
            found.signer = words.next().map(str::to_owned);
        }
    }
    // Several would be a forgery: which of them is of these bytes cannot be told.
    if verdicts > 1 || (found.result == Verdict::Good && !ran.ok) {
        return Checked::new(Verdict::Bad, found.key, ran.complaint());
    }
    found
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(|pair| if pair.len() == 2 { byte(pair) } else { None }).collect()
}
