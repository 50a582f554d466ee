//! What a commit did: three objects a table (added, before, removed) and the record of counts.
//!
//! # Guarantees
//! - Writing a change of `k` rows reads and writes in proportion to `k`.
//! - A change alone gives old and new content of every row that it touched.

mod fold;
mod join;
mod overlay;
mod read;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use fold::{Alike, Fold};
pub use join::compare;
pub(crate) use read::{joined, read_columns, without_empty};
pub use read::{only_old, read_change};
pub use write::ChangeWriter;
pub(crate) use write::Segments;

use crate::delta::Counts;
use crate::error::{Error, Result};
use crate::id::Digest;
use crate::limits::{META_BYTES_MAX, META_NAMES_MAX};
use crate::merging::MergeRecord;
use crate::removal::RemovalRef;
use crate::segment::SegmentRef;
use crate::signing::BatchSignature;

/// What one commit did to one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableChange {
    /// Segments of new rows and new content of changed rows, sorted by key and apart.
    pub added: Vec<SegmentRef>,
    /// Segments of old values of changed rows and of whole removed rows, likewise.
    pub before: Vec<SegmentRef>,
    /// The rows that are dead from here on.
    pub removed: Option<RemovalRef>,
    /// How many rows were added, changed and removed.
    pub counts: Counts,
    /// Live rows of the table after the commit.
    pub rows: u64,
}

/// `change.json`: what one commit did, against its first parent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRecord {
    /// By table; tables that did not change are absent.
    pub tables: BTreeMap<String, TableChange>,
    /// Annotations by policy; only names of policy form, and `unstated`.
    pub policies: BTreeMap<String, Counts>,
    /// The object with counts by person and label and the sources, which may be erased.
    pub meta: Option<Digest>,
    /// The id of the stage that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

impl ChangeRecord {
    /// Counts of a table.
    pub fn counts(&self, table: &str) -> Counts {
        self.tables.get(table).map(|t| t.counts).unwrap_or_default()
    }

    /// Whether no row changed.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(|t| t.counts.is_empty())
    }
}

/// A file that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its name without directories.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The format that it was read as.
    pub format: String,
    /// The namespace of foreign ids that it was given.
    pub source: String,
    /// How many records it held.
    pub records: u64,
    /// Who delivered it signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<BatchSignature>,
}

/// The `meta` object of a commit: what may name people, labels and files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The files that were imported.
    pub sources: Vec<SourceFile>,
    /// Annotations by annotator.
    pub annotators: BTreeMap<String, Counts>,
    /// Annotations by label; those without one are not counted.
    pub labels: BTreeMap<String, Counts>,
    /// Annotations by policy, `unstated` where there is none.
    pub policies: BTreeMap<String, Counts>,
    /// Of what sides a merge commit was made, and who decided its conflicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<MergeRecord>,
}

/// The name under which rows without a policy are counted.
pub const UNSTATED: &str = "unstated";
/// The name under which everything beyond [`META_NAMES_MAX`] names is counted.
pub const OTHER: &str = "(other)";

impl Meta {
    /// The bytes of the object: its JSON as a zstd frame.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|e| Error::damaged("meta", e))?;
        zstd::bulk::compress(&json, zstd::DEFAULT_COMPRESSION_LEVEL)
            .map_err(|e| Error::damaged("meta", e))
    }

    /// Reads the bytes of an object, or says what is wrong with them.
    pub fn decode(bytes: &[u8]) -> std::result::Result<Self, String> {
        let json = zstd::bulk::decompress(bytes, META_BYTES_MAX).map_err(|e| e.to_string())?;
        serde_json::from_slice(&json).map_err(|e| e.to_string())
    }

    pub(crate) fn count(map: &mut BTreeMap<String, Counts>, name: &str, counts: Counts) {
        if let Some(known) = map.get_mut(name) {
            *known += counts;
            return;
        }
        let name = if map.len() < META_NAMES_MAX { name } else { OTHER };
        *map.entry(name.to_owned()).or_default() += counts;
    }

    /// The counts by policy that may stand in git text.
    pub(crate) fn public_policies(&self) -> BTreeMap<String, Counts> {
        let safe = |name: &str| {
            !name.is_empty()
                && name.len() <= 64
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()
                    || b"._-@".contains(&b))
                // `vehicles@3` is a policy; `ann.mueller` and `ann@example.com` are not.
                && name.split_once('@').is_some_and(|(_, version)| {
                    version.starts_with(|first: char| first.is_ascii_digit())
                        && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                })
                || name == UNSTATED
        };
        self.policies
            .iter()
            .filter(|(name, _)| safe(name))
            .map(|(name, counts)| (name.clone(), *counts))
            .collect()
    }
}

/// What becomes of a row change on another base than it was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The row is as it was when the change was made: the change applies.
    Apply,
    /// The row is already as the change wants it: nothing is left to do.
    Drop,
    /// The row was changed in another way.
    Conflict,
}

/// The one rule of the commit race and of merge: disjoint re-applies, equal drops out, else
/// conflict. Rows are compared by digest; `None` is no row.
pub fn resolve<D: PartialEq>(base: Option<D>, ours: Option<D>, theirs: Option<D>) -> Resolution {
    if ours == theirs {
        Resolution::Drop
    } else if base == theirs {
        Resolution::Apply
    } else {
        Resolution::Conflict
    }
}
