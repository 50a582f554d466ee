//! Branches that move only where labels pass gates: `.gloss/protect.toml`, of this copy alone.
//!
//! What a gate is, the command line knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::Store;

/// Gates by branch, `alpha=0.8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    /// Branches that take only signed commits.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub signed: BTreeSet<String>,
    /// By the branch's name.
    #[serde(default)]
    pub branches: BTreeMap<String, Vec<String>>,
}

impl Store {
    fn protect_path(&self) -> PathBuf {
        self.root().join("protect.toml")
    }

    /// The branches that are protected.
    ///
    /// # Errors
    /// [`Error::BadFile`] where the file does not read.
    pub fn protected(&self) -> Result<Protected> {
        let path = self.protect_path();
        let Some(bytes) = self.disk().read_optional(&path)? else {
            return Ok(Protected::default());
        };
        let bad = |what: String| Error::BadFile { path: path.clone(), what };
        let text = String::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned()))?;
        toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))
    }

    /// Protects branches.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn protect(&self, protected: &Protected) -> Result<()> {
        let path = self.protect_path();
        let text = toml::to_string(protected).map_err(|e| Error::damaged(path.display(), e))?;
        self.disk().write(&path, text.as_bytes())
    }
}
