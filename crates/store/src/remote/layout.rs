//! What stands where on a remote: keys, and the one object that changes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::limits::{PEOPLE_BYTES_MAX, RECENT_MAX, REFS_MAX, ROOT_BYTES_MAX};
use crate::history::RefName;
use crate::id::Digest;
use crate::notes::travels;

/// The version of the layout.
pub const REMOTE_FORMAT: u32 = 1;
/// The one object that changes.
pub const ROOT_KEY: &str = "root";

/// 32 random hex digits: who wrote a root, and below what one push uploads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Attempt(String);

impl Attempt {
    /// A new one.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn random() -> crate::Result<Self> {
        Ok(Self(Digest(crate::random_bytes()?).to_string()[..32].to_owned()))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Attempt {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if is_hex(&text, 32) { Ok(Self(text)) } else { Err("it is not 32 lower-case hex digits") }
    }
}

impl From<Attempt> for String {
    fn from(attempt: Attempt) -> Self {
        attempt.0
    }
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The key of an object that never changes: `e<epoch>/<attempt>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key {
    /// The epoch that it was made in.
    pub epoch: u64,
    /// The push that made it.
    pub attempt: Attempt,
    /// `log-<n>`, `rows-<n>`, or a digest.
    name: String,
}

impl Key {
    /// The n-th log of a push.
    pub fn log(epoch: u64, attempt: &Attempt, n: u32) -> Self {
        Self { epoch, attempt: attempt.clone(), name: format!("log-{n}") }
    }

    /// The n-th file of several small objects of a push.
    pub fn rows(epoch: u64, attempt: &Attempt, n: usize) -> Self {
        Self { epoch, attempt: attempt.clone(), name: format!("rows-{n}") }
    }

    /// An object of its own.
    pub fn object(epoch: u64, attempt: &Attempt, digest: &Digest) -> Self {
        Self { epoch, attempt: attempt.clone(), name: digest.to_string() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}/{}/{}", self.epoch, self.attempt, self.name)
    }
}

/// A text is no key of a remote.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("not a key of the form e<epoch>/<attempt>/<name>")]
pub struct NotAKey;

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.split('/');
        let (Some(epoch), Some(attempt), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAKey);
        };
        let epoch = epoch.strip_prefix('e').and_then(number).ok_or(NotAKey)?;
        let attempt = Attempt::try_from(attempt.to_owned()).map_err(|_| NotAKey)?;
        let numbered = ["log-", "rows-"].iter().find_map(|kind| name.strip_prefix(kind));
        if !is_hex(name, 64) && numbered.and_then(number).is_none() {
            return Err(NotAKey);
        }
        Ok(Self { epoch, attempt, name: name.to_owned() })
    }
}

/// A number as it is written: no sign, no zero before it.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

impl TryFrom<String> for Key {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.to_string()
    }
}

/// Where a ref is, and who moved it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteRef {
    /// The git id, not peeled.
    pub id: String,
    /// Who moved it there: a name, for people.
    pub by: String,
    /// When, in seconds since 1970 UTC: for people.
    pub at: i64,
}

/// A log: what some pushes in a row uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Where it is.
    pub key: Key,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// How many pushes it is of.
    pub pushes: u64,
}

/// The root: everything that a reader must know first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The version of the layout.
    pub format: u32,
    /// What a reader must understand beyond that.
    pub needs: Vec<String>,
    /// The store that it is a copy of.
    pub store_id: String,
    /// Counted up by whoever is about to remove keys.
    pub epoch: u64,
    /// Who wrote this root: no two have the same.
    pub attempt: Attempt,
    /// The attempts of the last pushes, the newest last: a push whose log was put together with
    /// others meanwhile still finds itself.
    pub recent: Vec<Attempt>,
    /// The branch that a clone starts on.
    pub head: String,
    /// Branches and tags by full name.
    pub refs: BTreeMap<String, RemoteRef>,
    /// Logs in order of their pushes.
    pub log: Vec<LogEntry>,
    /// Who the annotators are, where somebody pushed that as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<PeopleEntry>,
}

/// Where the people of a store are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleEntry {
    /// Where they are.
    pub key: Key,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Their length.
    pub bytes: u64,
}

impl Root {
    /// Reads and checks a root.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct First {
            format: u32,
            #[serde(default)]
            needs: Vec<String>,
        }
        let bad = |what: String| Error::damaged(ROOT_KEY, what);
        // The version first: what a newer one says may have any form.
        let first: First = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        if first.format != REMOTE_FORMAT {
            return Err(Error::Newer(format!("remote format {}", first.format)));
        }
        if let Some(feature) = first.needs.first() {
            return Err(Error::Newer(feature.clone()));
        }
        let root: Self = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
        root.check().map_err(bad)?;
        Ok(root)
    }

    fn check(&self) -> Result<(), String> {
        if !is_hex(&self.store_id, 32) {
            return Err("its store id is not 32 hex digits".to_owned());
        }
        if self.recent.len() > RECENT_MAX {
            return Err(format!("it names {} recent pushes", self.recent.len()));
        }
        if self.refs.len() > REFS_MAX {
            return Err(format!("it has {} refs", self.refs.len()));
        }
        for (name, found) in &self.refs {
            let short = ["refs/heads/", "refs/tags/"].iter().find_map(|p| name.strip_prefix(p));
            let bad = short.is_none_or(|short| short.parse::<RefName>().is_err());
            if bad && !travels(name) {
                return Err("it has a ref of a bad name".to_owned());
            }
            if !is_hex(&found.id, 40) {
                return Err(format!("`{name}` is no git id"));
            }
        }
        if self.head.parse::<RefName>().is_err() {
            return Err("its head is no name of a branch".to_owned());
        }
        let future = self.log.iter().find(|entry| entry.key.epoch > self.epoch);
        if let Some(entry) = future {
            return Err(format!("{} is of a later epoch than the root", entry.key));
        }
        match &self.people {
            Some(people) if people.key.epoch > self.epoch => {
                Err(format!("{} is of a later epoch than the root", people.key))
            }
            Some(people) if people.bytes > PEOPLE_BYTES_MAX => {
                Err(format!("its people are of {} bytes", people.bytes))
            }
            _ => Ok(()),
        }
    }

    /// How many pushes its logs are of.
    pub fn pushes(&self) -> u64 {
        self.log.iter().fold(0, |sum, entry| sum.saturating_add(entry.pushes))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| Error::damaged(ROOT_KEY, e))?;
        bytes.push(b'\n');
        if bytes.len() > ROOT_BYTES_MAX {
            return Err(Error::damaged(ROOT_KEY, "it would be too long: too many refs"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_nothing_else() {
        let attempt = "0123456789abcdef0123456789abcdef";
        let digest = "ab".repeat(32);
        for name in ["log-0", "rows-12", &digest] {
            let text = format!("e7/{attempt}/{name}");
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
        let upper = attempt.to_uppercase();
        for bad in [
            "root".to_owned(),
            format!("e7/{attempt}/../root"),
            format!("e7/{attempt}/.."),
            format!("/e7/{attempt}/log-0"),
            format!("e7/{upper}/log-0"),
            format!("e07/{attempt}/log-0"),
            format!("e+7/{attempt}/log-0"),
            format!("e7/{attempt}/log-"),
            format!("e7/{attempt}/log-00"),
            format!("e7/{attempt}/log-0/"),
            format!("e7/{attempt}/rows-1\0"),
            format!("e7/{attempt}/{}", &digest[1..]),
            format!("e99999999999999999999/{attempt}/log-0"),
            "https://elsewhere/e7/x/log-0".to_owned(),
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }
}
