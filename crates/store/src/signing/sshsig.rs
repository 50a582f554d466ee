//! SSH signatures as `PROTOCOL.sshsig` of OpenSSH describes them: reading one, and checking it
//! against the hash of a message that is not here any more.
//!
//! A delivered file is not kept, so `ssh-keygen` cannot be asked about it again. What an SSH
//! signature is over holds only a hash of the message, which is kept.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::digest::{self, Context};
use ring::signature as rings;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
/// Bytes of a signature at most: one of the largest RSA key takes 2,300.
const ARMOUR_BYTES_MAX: usize = 64 << 10;

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshSignature {
    public: Vec<u8>,
    pub(super) namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash: Vec<u8>,
    algorithm: Vec<u8>,
    blob: Vec<u8>,
    /// Of a security key: its flags and counter.
    tail: Vec<u8>,
}

impl SshSignature {
    /// Reads an armoured signature, or says what is wrong with it.
    pub(super) fn parse(armour: &[u8]) -> Result<Self, String> {
        if armour.len() > ARMOUR_BYTES_MAX {
            return Err("it is too long for a signature".to_owned());
        }
        let text = std::str::from_utf8(armour).map_err(|_| "it is no text".to_owned())?;
        let inner = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let inner: String = inner
            .ok_or_else(|| format!("it does not stand between `{BEGIN}` and `{END}`"))?
            .split_whitespace()
            .collect();
        let bytes = STANDARD.decode(inner).map_err(|e| format!("its base64 does not read: {e}"))?;
        Self::of_bytes(&bytes).ok_or_else(|| "it is cut, or is not of version 1".to_owned())
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = Fields(bytes.strip_prefix(MAGIC)?);
        if rest.number()? != 1 {
            return None;
        }
        let [public, namespace, reserved, hash, signature] =
            [rest.text()?, rest.text()?, rest.text()?, rest.text()?, rest.text()?];
        if !rest.0.is_empty() {
            return None;
        }
        let mut signature = Fields(signature);
        let (algorithm, blob) = (signature.text()?.to_vec(), signature.text()?.to_vec());
        Some(Self {
            public: public.to_vec(),
            namespace: namespace.to_vec(),
            reserved: reserved.to_vec(),
            hash: hash.to_vec(),
            algorithm,
            blob,
            tail: signature.0.to_vec(),
        })
    }

    /// The key's fingerprint, as `ssh-keygen -l` prints it.
    pub(super) fn fingerprint(&self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.public);
        format!("SHA256:{}", STANDARD_NO_PAD.encode(hash.as_ref()))
    }

    /// The hash of a message that this signature is over; `None` for another hash than SHA-2.
    pub(super) fn hash_of(&self, message: &mut dyn Read) -> std::io::Result<Option<Vec<u8>>> {
        let Some(algorithm) = hash_named(&self.hash) else { return Ok(None) };
        let (mut context, mut buffer) = (Context::new(algorithm), vec![0; 64 << 10]);
        loop {
            match message.read(&mut buffer)? {
                0 => return Ok(Some(context.finish().as_ref().to_vec())),
                len => context.update(&buffer[..len]),
            }
        }
    }

    /// Checks that the key signed a message with this hash, or says why not.
    pub(super) fn holds(&self, namespace: &str, hash: &[u8]) -> Result<(), String> {
        if self.namespace != namespace.as_bytes() {
            let found = String::from_utf8_lossy(&self.namespace).into_owned();
            return Err(format!("it was made for `{found}`, not for `{namespace}`"));
        }
        let algorithm = hash_named(&self.hash).ok_or("its hash is neither sha256 nor sha512")?;
        if hash.len() != algorithm.output_len() {
            return Err("the hash of the message has another length".to_owned());
        }
        let mut message = MAGIC.to_vec();
        for part in [&self.namespace, &self.reserved, &self.hash, hash] {
            message.extend_from_slice(&(part.len() as u32).to_be_bytes());
            message.extend_from_slice(part);
        }
        match self.verify(&message) {
            Some(true) => Ok(()),
            Some(false) => Err("the signature is not of this key and these bytes".to_owned()),
            None => Err("its kind of key is not known here".to_owned()),
        }
    }

    /// Whether the key signed the message; `None` where the key or the algorithm is not known.
    fn verify(&self, message: &[u8]) -> Option<bool> {
        let mut key = Fields(&self.public);
        let kind = key.text()?;
        let made = |algorithm: &'static dyn rings::VerificationAlgorithm, key, message: &[u8]| {
            let key = rings::UnparsedPublicKey::new(algorithm, key);
            let fixed = |blob: &[u8], part: usize| {
                let mut numbers = Fields(blob);
                let r = padded(numbers.text()?, part)?;
                Some([r, padded(numbers.text()?, part)?].concat())
            };
            let blob = match self.algorithm.strip_suffix(b"-nistp384") {
                Some(_) => fixed(&self.blob, 48)?,
                None if self.algorithm.starts_with(b"ecdsa-")
                    || self.algorithm.starts_with(b"sk-ecdsa-") =>
                {
                    fixed(&self.blob, 32)?
                }
                None => self.blob.clone(),
            };
            Some(key.verify(message, &blob).is_ok())
        };
        match kind {
            b"ssh-ed25519" if self.algorithm == kind => made(&rings::ED25519, key.text()?, message),
            b"sk-ssh-ed25519@openssh.com" if self.algorithm == kind => {
                let public = key.text()?;
                made(&rings::ED25519, public, &self.touched(key.text()?, message)?)
            }
            b"ecdsa-sha2-nistp256" if self.algorithm == kind => {
                key.text()?;
                made(&rings::ECDSA_P256_SHA256_FIXED, key.text()?, message)
            }
            b"ecdsa-sha2-nistp384" if self.algorithm == kind => {
                key.text()?;
                made(&rings::ECDSA_P384_SHA384_FIXED, key.text()?, message)
            }
            b"sk-ecdsa-sha2-nistp256@openssh.com" if self.algorithm == kind => {
                key.text()?;
                let public = key.text()?;
                let message = self.touched(key.text()?, message)?;
                made(&rings::ECDSA_P256_SHA256_FIXED, public, &message)
            }
            b"ssh-rsa" => {
                let (e, n) = (bare(key.text()?), bare(key.text()?));
                let algorithm = match &self.algorithm[..] {
                    b"rsa-sha2-256" => &rings::RSA_PKCS1_2048_8192_SHA256,
                    b"rsa-sha2-512" => &rings::RSA_PKCS1_2048_8192_SHA512,
                    _ => return None,
                };
                let key = rings::RsaPublicKeyComponents { n, e };
                Some(key.verify(algorithm, message, &self.blob).is_ok())
            }
            _ => None,
        }
    }

    /// What a security key signs, by `PROTOCOL.u2f`.
    fn touched(&self, application: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let tail = self.tail.get(..5).filter(|tail| tail.len() == self.tail.len())?;
        let hash = |bytes| digest::digest(&digest::SHA256, bytes);
        Some([hash(application).as_ref(), tail, hash(message).as_ref()].concat())
    }
}

fn hash_named(name: &[u8]) -> Option<&'static digest::Algorithm> {
    match name {
        b"sha256" => Some(&digest::SHA256),
        b"sha512" => Some(&digest::SHA512),
        _ => None,
    }
}

/// A number without the zeros before it.
fn bare(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

/// A number in so many bytes.
fn padded(number: &[u8], len: usize) -> Option<Vec<u8>> {
    let number = bare(number);
    let mut out = vec![0; len.checked_sub(number.len())?];
    out.extend_from_slice(number);
    Some(out)
}

/// Fields of a message as SSH encodes them (RFC 4251, section 5).
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"item,annotator,label\nx,v1,cat\n";
    /// By `sha512sum`.
    const HASH: &str = "de94de7a68a0e087c64f714d98f91f6822c38eed0121fbcaaed1e9cba48833cc\
        a2f0e82948aa7130e3bf3113c2d87f01f4db121e0a5e165dcec99036444423a4";
    /// Made by OpenSSH 9.2, `ssh-keygen -Y sign -n gloss-batch`; the fingerprint by `-l`.
    const ED25519: (&str, &str) = (
        "-----BEGIN SSH SIGNATURE-----\n\
        U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg0poUQ7gHZ2Ur3xtmueLBA2wrMf\n\
        I7YGsgO5ur1YZkOHEAAAALZ2xvc3MtYmF0Y2gAAAAAAAAABnNoYTUxMgAAAFMAAAALc3No\n\
        LWVkMjU1MTkAAABAhniIJUDgyVKLUbL3Sm3J+3DJ/IWuESG2gf792riyXZfkS7pjM7eUMj\n\
        n97BnmIv3gy+bMLPQ6f2VVpNFA+OEZAQ==\n\
        -----END SSH SIGNATURE-----\n",
        "SHA256:pBwfCBIMnPUQSDLx/CG8jb5P1qFPBDb5L25+F/RFx9o",
    );
    /// Of a security key, put together by `PROTOCOL.u2f` with OpenSSL; `ssh-keygen -Y
    /// check-novalidate` says that it is good.
    const SK_ED25519: (&str, &str) = (
        "-----BEGIN SSH SIGNATURE-----\n\
        U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAg3Z6v/m\n\
        kubSimh/+5wmzxuIQhTVBCp+fHRj7oEO3B0EIAAAAEc3NoOgAAAAtnbG9zcy1iYXRjaAAA\n\
        AAAAAAAGc2hhNTEyAAAAZwAAABpzay1zc2gtZWQyNTUxOUBvcGVuc3NoLmNvbQAAAEDWcb\n\
        QAlXTrWKfV+miWos5b6PcXw+qp8739ePwB5mOB23QnU2fjGCaXmVk84fu0TkkBZVc8S4PB\n\
        WQHKxaeo/G0DAQAAAAU=\n\
        -----END SSH SIGNATURE-----\n",
        "SHA256:fdVPpBTK0JEJzOaK4jLBxGCeThI4Gd2ck7Gj2GcnflU",
    );

    fn hash() -> Vec<u8> {
        (0..64).map(|i| u8::from_str_radix(&HASH[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn signatures_of_ssh_keygen_hold_for_the_hash_of_their_file() {
        for (armour, fingerprint) in [ED25519, SK_ED25519] {
            let signature = SshSignature::parse(armour.as_bytes()).unwrap();
            assert_eq!(signature.fingerprint(), fingerprint);
            assert_eq!(signature.hash_of(&mut &FILE[..]).unwrap(), Some(hash()));
            assert_eq!(signature.holds("gloss-batch", &hash()), Ok(()));
            assert!(signature.holds("git", &hash()).unwrap_err().contains("`gloss-batch`"));
            assert!(signature.holds("gloss-batch", &hash()[..32]).is_err());
            let mut other = hash();
            other[63] ^= 1;
            assert!(signature.holds("gloss-batch", &other).is_err());
        }
    }

    #[test]
    fn a_signature_with_another_byte_or_cut_short_does_not_hold() {
        for (armour, fingerprint) in [ED25519, SK_ED25519] {
            let inner = armour.trim().strip_prefix(BEGIN).unwrap().strip_suffix(END).unwrap();
            let inner: String = inner.split_whitespace().collect();
            let bytes = STANDARD.decode(inner).unwrap();
            for at in 0..bytes.len() {
                assert_eq!(SshSignature::of_bytes(&bytes[..at]), None, "cut at {at}");
                let mut other = bytes.clone();
                other[at] ^= 1;
                let holds = SshSignature::of_bytes(&other)
                    .is_some_and(|other| other.holds("gloss-batch", &hash()).is_ok());
                assert!(!holds, "byte {at} of that of {fingerprint}");
            }
        }
        for bad in ["", BEGIN, "-----BEGIN SSH SIGNATURE-----\n%\n-----END SSH SIGNATURE-----"] {
            assert!(SshSignature::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(SshSignature::parse(&vec![b'A'; ARMOUR_BYTES_MAX + 1]).is_err());
        assert!(SshSignature::parse(&[0xff; 16]).is_err());
    }
}
