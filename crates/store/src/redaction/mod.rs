//! Redaction: rows leave every object that holds them, and commit ids stay what they are.
//!
//! An object with erased rows is replaced by another one, and a record says which by which.
//! Segments keep their length in rows: an erased row is empty where it stood, so that row numbers
//! hold. What is kept is proved against the root of the old segment, by a salt for each kept row
//! and a leaf for each erased one (`erase`). Records are notes of `refs/notes/gloss-redactions`,
//! and say nothing of what was erased but how much.
//!
//! # Guarantees
//! - Readers see a snapshot without the rows, or an error that names the object: never other rows.
//! - Nothing is removed before the record is durable. A redaction that died half-way is ended by
//!   gc.

mod erase;
mod plan;
mod run;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

pub(crate) use erase::{Proof, Proofs, check_replaced, without_rows};
pub use plan::{Erase, Plan};
pub use run::{Grounds, RedactionReport};

use crate::error::Result;
use crate::history::History;
use crate::id::{CommitId, Digest};
use crate::objects::Objects;
use crate::removal::{Removal, RemovalRef};

/// The ref of the records.
pub const REDACTIONS_REF: &str = "refs/notes/gloss-redactions";
/// What stands in counts in the place of a name that was erased.
pub const REDACTED: &str = "(redacted)";

/// What was meant, so that another copy knows what of its own goes too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Whole items.
    Items,
    /// All that annotators did.
    Annotators,
    /// Single rows.
    Rows,
}

/// What was erased, why, and which object stands for which: a line of a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedactionRecord {
    /// 32 random hex digits.
    pub id: String,
    /// When, in seconds since 1970 UTC.
    pub at: i64,
    /// What was meant.
    pub scope: Scope,
    /// The ground, as a word.
    pub ground: String,
    /// The ground in a sentence. It cannot be erased from copies: it must name nobody.
    pub reason: String,
    /// How many rows of snapshots and of old values were erased.
    pub rows: u64,
    /// Which rows those are that are empty now, by the objects that held them.
    pub erased: Option<RemovalRef>,
    /// Which object stands for which.
    pub objects: Vec<Replacement>,
}

/// An object that stands for another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The object that commits name.
    pub old: Digest,
    /// The object that was read to make this one: the old one, or what stood for it before.
    pub from: Digest,
    /// The object that stands for it.
    pub new: Digest,
    /// Its length.
    pub bytes: u64,
    /// Rows that are empty in it; none in an object that holds no rows.
    pub rows: u32,
    /// What proves the rows that were kept; segments have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Digest>,
}

/// Every replacement that holds, by the object that commits name.
#[derive(Debug, Default)]
pub(crate) struct Redactions {
    by_old: HashMap<Digest, Replacement>,
    /// All that ever stood for an object, in the order of the records.
    versions: HashMap<Digest, Vec<Replacement>>,
    /// Objects that nothing needs any more: what was replaced.
    void: HashSet<Digest>,
    /// Which rows are empty, in the order in which records were made.
    erased: Vec<(Scope, RemovalRef)>,
    rows: OnceLock<HashMap<Digest, Arc<Vec<u32>>>>,
}

impl Redactions {
    /// The records of a store, at what the ref is now.
    ///
    /// # Errors
    /// Where a note cannot be read.
    pub(crate) fn read(history: &History) -> Result<Self> {
        match history.ref_target(REDACTIONS_REF)? {
            None => Ok(Self::default()),
            Some(tip) => Self::at(history, CommitId(tip)),
        }
    }

    /// The records of a commit of notes.
    pub(crate) fn at(history: &History, tip: CommitId) -> Result<Self> {
        Ok(Self::new(records_at(history, tip)?))
    }

    /// These records as well.
    pub(crate) fn of_records(
        mut records: Vec<RedactionRecord>,
        more: Vec<RedactionRecord>,
    ) -> Self {
        records.extend(more);
        records.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        records.dedup_by(|a, b| a.id == b.id);
        Self::new(records)
    }

    fn new(records: Vec<RedactionRecord>) -> Self {
        let mut found = Self::default();
        let mut all: BTreeMap<Digest, Vec<Replacement>> = BTreeMap::new();
        for record in records {
            found.erased.extend(record.erased.map(|erased| (record.scope, erased)));
            for replacement in record.objects {
                found.void.extend([replacement.old, replacement.from, replacement.new]);
                found.void.extend(replacement.proof);
                all.entry(replacement.old).or_default().push(replacement);
            }
        }
        for (old, mut of) in all {
            found.versions.insert(old, of.clone());
            let made_from: Vec<Digest> = of.iter().map(|r| r.from).collect();
            of.retain(|replacement| !made_from.contains(&replacement.new));
            // Two copies may have redacted one object apart: what erased most counts meanwhile.
            of.sort_by_key(|replacement| (replacement.rows, replacement.new));
            found.by_old.extend(of.pop().map(|replacement| (old, replacement)));
        }
        // What holds is needed, whatever else it was made into.
        let needed: Vec<Digest> = found.objects().collect();
        for object in &needed {
            found.void.remove(object);
        }
        found
    }

    /// What stands for an object.
    pub(crate) fn of(&self, object: &Digest) -> Option<&Replacement> {
        self.by_old.get(object)
    }

    /// What is stored for an object that commits name: itself, or what stands for it and its proof.
    pub(crate) fn needs(&self, object: &Digest) -> impl Iterator<Item = Digest> + use<> {
        let (stored, proof) = match self.of(object) {
            Some(replacement) => (replacement.new, replacement.proof),
            None => (*object, None),
        };
        std::iter::once(stored).chain(proof)
    }

    /// Whether two copies erased rows of one object apart, so that what stands for it has rows that
    /// a record says are gone.
    ///
    /// # Errors
    /// Where the objects that say which rows are gone cannot be read.
    pub(crate) fn is_torn(&self, objects: &Objects) -> Result<bool> {
        for stands in self.by_old.values().filter(|stands| stands.proof.is_some()) {
            if self.rows(objects, &stands.old)?.len() > stands.rows as usize {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every object that should be nowhere.
    pub(crate) fn void(&self) -> impl Iterator<Item = &Digest> {
        self.void.iter()
    }

    /// What an object was, and everything that stood for it: the digests and lengths of the files.
    pub(crate) fn versions(&self, old: &Digest) -> &[Replacement] {
        self.versions.get(old).map_or(&[], Vec::as_slice)
    }

    /// Whether an object was replaced, and should be nowhere.
    pub(crate) fn is_void(&self, object: &Digest) -> bool {
        self.void.contains(object)
    }

    /// Every object that records need.
    pub(crate) fn objects(&self) -> impl Iterator<Item = Digest> {
        let stored = self
            .by_old
            .values()
            .flat_map(|replaced| std::iter::once(replaced.new).chain(replaced.proof));
        stored.chain(self.beside())
    }

    /// Objects that were replaced.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = &Replacement> {
        self.by_old.values()
    }

    /// Objects beside segments that records name: which rows are empty.
    pub(crate) fn beside(&self) -> impl Iterator<Item = Digest> {
        self.erased.iter().map(|(_, line)| line.removed)
    }

    /// Which rows each record emptied, and what it meant.
    pub(crate) fn erasures(&self) -> &[(Scope, RemovalRef)] {
        &self.erased
    }

    /// The empty rows of a segment, rising.
    ///
    /// # Errors
    /// Where the object that says so is missing or damaged.
    pub(crate) fn rows(&self, objects: &Objects, segment: &Digest) -> Result<Arc<Vec<u32>>> {
        if !self.by_old.contains_key(segment) {
            return Ok(Arc::default());
        }
        if let Some(known) = self.rows.get() {
            return Ok(known.get(segment).cloned().unwrap_or_default());
        }
        let mut all = Removal::default();
        for (_, line) in &self.erased {
            all.extend(Removal::read(objects, line)?);
        }
        all.sort();
        let all = all.rows.into_iter().map(|(segment, rows)| (segment, Arc::new(rows))).collect();
        Ok(self.rows.get_or_init(|| all).get(segment).cloned().unwrap_or_default())
    }
}

/// The records that a commit of notes holds, in the order of their time.
pub(crate) fn records_at(history: &History, tip: CommitId) -> Result<Vec<RedactionRecord>> {
    let mut records: Vec<RedactionRecord> = Vec::new();
    for (_, path) in history.noted(tip)? {
        let text = history.file(tip, &path)?.unwrap_or_default();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record = serde_json::from_slice(line)
                .map_err(|e| crate::Error::damaged(format!("{REDACTIONS_REF}:{path}"), e))?;
            records.push(record);
        }
    }
    records.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    records.dedup_by(|a, b| a.id == b.id);
    Ok(records)
}
