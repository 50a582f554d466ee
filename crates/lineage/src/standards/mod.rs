//! The history of labels in the words of standards: W3C PROV and OpenLineage.
//!
//! # Guarantees
//! - Commits are read one at a time and written as they are read; what is held are names that
//!   stand once in the output.
//! - Names are percent-encoded where a standard has them as identifiers, and escaped where it has
//!   them as text: no item, label or file name ends what it stands in.

pub mod openlineage;
pub mod prov;
mod statements;

use std::collections::BTreeMap;

use glossator_store::change::SourceFile;
use glossator_store::delta::Counts;
use glossator_store::history::Commit;
use glossator_store::merging::MergeKind;
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{CommitId, Result, Store};

use crate::life::Life;
use crate::records::Noted;

/// Which part of a history is told.
#[derive(Debug)]
pub struct Told<'s> {
    /// The store.
    pub store: &'s Store,
    /// The commits, the oldest first.
    pub commits: Vec<CommitId>,
    /// What was made of them.
    pub records: Vec<Noted>,
    /// An item whose annotations are told version by version, in PROV.
    pub item: Option<(String, Life)>,
}

/// What one commit says of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub commit: Commit,
    pub counts: BTreeMap<String, Counts>,
    /// Live annotations after it.
    pub rows: u64,
    pub files: Vec<SourceFile>,
    pub annotators: Vec<String>,
    pub policies: Vec<String>,
    pub kind: Option<MergeKind>,
}

impl Facts {
    pub(crate) fn read(store: &Store, id: CommitId) -> Result<Self> {
        let record = store.change(id)?;
        // What was erased is not told; the commit itself is.
        let meta = store.meta(&record).unwrap_or_default();
        let counts: BTreeMap<String, Counts> =
            record.tables.iter().map(|(name, table)| (name.clone(), table.counts)).collect();
        Ok(Self {
            commit: store.history.commit(id)?,
            rows: store.table_state(id, &ANNOTATIONS)?.rows(),
            counts,
            files: meta.sources,
            annotators: meta.annotators.into_keys().collect(),
            policies: meta.policies.into_keys().filter(|name| name.contains('@')).collect(),
            kind: meta.merge.map(|merge| merge.kind),
        })
    }

    /// What was done, in a word.
    pub(crate) fn deed(&self) -> &'static str {
        match (self.kind, self.files.is_empty()) {
            (Some(MergeKind::CherryPick), _) => "cherry-pick",
            (Some(MergeKind::Merge), _) => "merge",
            (None, false) => "import",
            (None, true) if self.commit.parents.len() > 1 => "merge",
            (None, true) => "edit",
        }
    }

    /// When it was written, RFC 3339 in UTC.
    pub(crate) fn time(&self) -> String {
        utc(self.commit.author.seconds)
    }
}

/// Seconds since 1970 as RFC 3339 in UTC; what no date can be of is 1970.
fn utc(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// A name as a part of an identifier: everything but letters, digits, `-` and `_` of ASCII is
/// percent-encoded, which every one of the formats takes.
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_that_end_nothing() {
        for (name, encoded_name) in [
            ("img_01", "img_01"),
            ("a b/ü", "a%20b%2F%C3%BC"),
            ("x> . <y", "x%3E%20%2E%20%3Cy"),
            ("\u{0}%", "%00%25"),
        ] {
            assert_eq!(encoded(name), encoded_name);
        }
    }

    #[test]
    fn times_are_dates_of_utc() {
        // `date -u -d @1700000000`
        assert_eq!(utc(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(utc(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
