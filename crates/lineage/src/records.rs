//! What was made of a commit outside the store: pins, exports and runs, as lines of git notes.
//!
//! They are all lines of the notes of runs, which travel with push and fetch: a remote and an
//! earlier version of gloss that know of runs alone carry the others along.

use glossator_store::notes::Notes;
use glossator_store::{CommitId, Digest, Result, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What was made.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Made {
    /// A lock file.
    Pin,
    /// A file.
    Export,
    /// A training run, or whatever else used a pin.
    #[default]
    Run,
}

impl Made {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pin => "pin",
            Self::Export => "export",
        }
    }

    fn is_run(&self) -> bool {
        *self == Self::Run
    }
}

/// A line of a note. Filters of the view stay out: they may name items and people, and what is in
/// git cannot be erased.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What was made; a line that does not say is a run.
    #[serde(default, skip_serializing_if = "Made::is_run")]
    pub made: Made,
    /// Tells two records apart that say the same.
    pub id: String,
    /// What a run or an export is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// RFC 3339, UTC.
    pub at: String,
    /// What came of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Map<String, Value>>,
    /// The view's rows, `rows` or `labels`.
    pub view: String,
    /// The writer, `jsonl@1`.
    pub writer: String,
    /// Whether filters left rows out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub filtered: bool,
    /// The digest of the view's rows; an export states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Digest>,
    /// The digest of the bytes.
    pub output: Digest,
    /// The commit of the code around the store.
    pub code_commit: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A record with its commit, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Noted {
    /// The commit that was used.
    pub commit: CommitId,
    /// What was made of it.
    #[serde(flatten)]
    pub record: Record,
}

impl Noted {
    /// What people call it.
    pub fn title(&self) -> String {
        match &self.record.name {
            Some(name) => name.clone(),
            None => format!("{} {}", self.record.view, self.record.writer),
        }
    }
}

/// The records of a commit, or of all, the newest last; and how many lines of notes are none.
///
/// # Errors
/// Where notes cannot be read.
pub fn records(store: &Store, of: Option<CommitId>) -> Result<(Vec<Noted>, u64)> {
    let (mut found, mut others) = (Vec::new(), 0);
    for (commit, line) in store.notes(Notes::Runs, of)? {
        match serde_json::from_str::<Record>(&line) {
            // A run has a name; what has none and says nothing else is no record of ours.
            Ok(record) if record.made != Made::Run || record.name.is_some() => {
                found.push(Noted { commit, record });
            }
            _ => others += 1,
        }
    }
    // A log of what happened; equal times in one order everywhere.
    let order = |noted: &Noted| {
        let Record { at, made, id, .. } = &noted.record;
        (at.clone(), *made, id.clone())
    };
    found.sort_by_cached_key(order);
    found.dedup_by(|a, b| (&a.record.id, a.commit) == (&b.record.id, b.commit));
    Ok((found, others))
}
