//! Checks a whole store: every object, and every invariant of `schemas/format-v1.md`.
//!
//! Four passes: the git graph with the files of every tree; every object's bytes; what segments and
//! removals hold; every commit and staged layer against the state that it was made on. That no key
//! is live twice follows by induction: a commit's change is looked up in its parent, whose rows
//! were checked in the same way.
//!
//! # Guarantees
//! - One run finds all damage. What only depends on an object that has a finding of its own is not
//!   reported again.
//! - Memory: a batch of rows, the index entries of one segment, the dead rows of one table, and a
//!   name an object. Rows are looked up in the key indices, which are checked first.
//!
//! # Limitations
//! - Where the store can only be read, and has no lock file yet, a gc that runs at the same time
//!   elsewhere shows as missing objects.

mod changes;
mod checkpoint;
mod copies;
mod named;
mod rows;
mod segments;
mod statuses;

use std::collections::{BTreeMap, HashMap, HashSet};

pub(crate) use copies::copies_fault;
pub(crate) use named::{Named, SegmentUse};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::fs::is_read_only;
use crate::history::Root;
use crate::id::Digest;
use crate::merging::MERGE_FILE;
use crate::store::Store;

/// What is wrong with an object, as a word for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// It is named and is not there.
    Missing,
    /// Its bytes are not what its name says, or cannot be read.
    Damaged,
    /// Its bytes are whole but not of the form that the format gives them.
    Malformed,
    /// It and another object must agree and do not.
    Inconsistent,
    /// A row that may not be stored.
    Row,
    /// Git text holds what may not stand there.
    Private,
    /// A cache was bad and has been built again: no damage.
    Cache,
}

/// An invariant of the format: its number there, and the kind of finding where it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule(&'static str, FindingKind);

/// The invariants, named and numbered as in `schemas/format-v1.md`.
pub(crate) mod rule {
    use super::FindingKind as Kind;
    use super::Rule;

    pub(crate) const OBJECT_BYTES: Rule = Rule("F1", Kind::Damaged);
    pub(crate) const OBJECT_EXISTS: Rule = Rule("F2", Kind::Missing);
    pub(crate) const GIT_EXISTS: Rule = Rule("F3", Kind::Missing);
    pub(crate) const GIT_BYTES: Rule = Rule("F4", Kind::Damaged);
    pub(crate) const REFS: Rule = Rule("F5", Kind::Malformed);
    pub(crate) const FACTS: Rule = Rule("F6", Kind::Malformed);
    pub(crate) const TREE_FILES: Rule = Rule("F7", Kind::Private);
    pub(crate) const TABLE_FILE: Rule = Rule("F8", Kind::Malformed);
    pub(crate) const SEGMENT: Rule = Rule("F9", Kind::Malformed);
    pub(crate) const SORTED: Rule = Rule("F10", Kind::Malformed);
    pub(crate) const ROOT: Rule = Rule("F11", Kind::Inconsistent);
    pub(crate) const ROWS: Rule = Rule("F12", Kind::Row);
    pub(crate) const SYSTEM_COLUMNS: Rule = Rule("F13", Kind::Row);
    pub(crate) const REMOVAL: Rule = Rule("F14", Kind::Malformed);
    pub(crate) const DEAD_ROWS: Rule = Rule("F15", Kind::Inconsistent);
    pub(crate) const CHANGE_FILE: Rule = Rule("F16", Kind::Malformed);
    pub(crate) const TREE: Rule = Rule("F17", Kind::Inconsistent);
    pub(crate) const KEYS: Rule = Rule("F18", Kind::Inconsistent);
    pub(crate) const BEFORE: Rule = Rule("F19", Kind::Inconsistent);
    pub(crate) const COUNTS: Rule = Rule("F20", Kind::Inconsistent);
    pub(crate) const META: Rule = Rule("F21", Kind::Inconsistent);
    pub(crate) const TRAILERS: Rule = Rule("F22", Kind::Inconsistent);
    pub(crate) const POLICY_NAMES: Rule = Rule("F23", Kind::Private);
    pub(crate) const COPIES: Rule = Rule("F24", Kind::Row);
    pub(crate) const STAGE: Rule = Rule("F25", Kind::Malformed);
    pub(crate) const PEOPLE: Rule = Rule("F26", Kind::Malformed);
    pub(crate) const CACHE: Rule = Rule("F27", Kind::Cache);
    pub(crate) const CHECKPOINT: Rule = Rule("F28", Kind::Inconsistent);
    pub(crate) const STATUSES: Rule = Rule("F29", Kind::Row);
    pub(crate) const REDACTED: Rule = Rule("F30", Kind::Private);
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object: a digest, a git id, `<commit>:<path>`, or a path inside the store.
    pub object: String,
    /// What is wrong with it.
    pub kind: FindingKind,
    /// The number of the invariant in `schemas/format-v1.md`.
    pub invariant: &'static str,
    /// What is wrong, for people.
    pub detail: String,
    /// What names the object, up to [`REFERRERS_MAX`].
    pub referrers: Vec<String>,
}

/// Referrers of one object that are named.
pub const REFERRERS_MAX: usize = 8;

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Whether nothing is damaged; a bad cache is no damage.
    pub ok: bool,
    /// Objects that were hashed, those of git included.
    pub objects: u64,
    /// Objects that a clone of the history left at its remote: they were not checked.
    #[serde(skip_serializing_if = "none")]
    pub elsewhere: u64,
    /// Rows that were erased from segments of commits, by records.
    #[serde(skip_serializing_if = "none")]
    pub redacted: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// Whether gc was not held off, since the store can only be read.
    #[serde(skip)]
    pub unlocked: bool,
}

fn none(number: &u64) -> bool {
    *number == 0
}

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What is being checked: `objects`, `segments`, `commits`.
    pub phase: &'static str,
    /// How many are done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

impl Store {
    /// Checks every object and every invariant of the format.
    ///
    /// # Errors
    /// Where the store's directories cannot be listed or a file not be read. Damage is no error: it
    /// is in the report.
    pub fn verify(&self, progress: &mut dyn FnMut(VerifyProgress)) -> Result<VerifyReport> {
        // Others may commit meanwhile, but nothing may be removed.
        let lock = match self.writing() {
            Err(Error::Io { source, .. }) if is_read_only(&source) => None,
            done => Some(done?),
        };
        // What is elsewhere stays there: only what is here is checked.
        let here = self.beside(self.root())?;
        let mut verifier = Verifier::new(&here);
        verifier.elsewhere = self.objects_lent()?;
        let named = verifier.gather()?;
        verifier.check_objects(&named, progress)?;
        verifier.check_segments(&named, progress)?;
        verifier.check_removals(&named);
        verifier.check_commits(&named, progress)?;
        verifier.check_stage(&named)?;
        verifier.check_people()?;
        let mut report = verifier.report;
        report.unlocked = lock.is_none();
        report.ok = report.findings.iter().all(|finding| finding.kind == FindingKind::Cache);
        Ok(report)
    }
}

impl Store {
    /// What the branches of the remote name that lends rows, as they were fetched last.
    fn objects_lent(&self) -> Result<HashSet<Digest>> {
        let mut lent = HashSet::new();
        if !self.objects().may_be_elsewhere() {
            return Ok(lent);
        }
        for commit in self.history.followed_commits()? {
            lent.extend(self.objects_of(commit)?);
        }
        Ok(lent)
    }

    /// What commits name and is not here, with its length where they state it.
    pub(crate) fn objects_elsewhere(&self) -> Result<BTreeMap<Digest, Option<u64>>> {
        let here = self.beside(self.root())?;
        let mut roots = here.history.named_roots(&mut |_, _| ())?;
        let merging = here.merge_file()?;
        for id in merging.iter().flat_map(|m| m.base.into_iter().chain([m.ours, m.theirs])) {
            roots.push(Root { name: MERGE_FILE.to_owned(), id: id.0 });
        }
        let roots: Vec<_> = roots.into_iter().map(|root| (root.name, root.id)).collect();
        let named = Verifier::new(&here).gather_from(&roots, HashSet::new())?;
        let lengths: HashMap<Digest, u64> =
            named.segments.keys().map(|used| (used.line.segment, used.line.bytes)).collect();
        let absent = named
            .objects(&here.objects().redactions())
            .into_keys()
            .filter(|object| !here.objects().contains(object));
        Ok(absent.map(|object| (object, lengths.get(&object).copied())).collect())
    }
}

/// A check under way.
pub(crate) struct Verifier<'s> {
    store: &'s Store,
    report: VerifyReport,
    /// Objects with a finding, and those that are elsewhere.
    bad: HashSet<String>,
    /// Objects that the remote has which lends what is not here.
    elsewhere: HashSet<Digest>,
}

impl<'s> Verifier<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        let (report, bad) = Default::default();
        Self { store, report, bad, elsewhere: HashSet::new() }
    }

    /// What was found so far.
    pub(crate) fn findings(&self) -> &[Finding] {
        &self.report.findings
    }

    /// Reports an object, once an invariant.
    fn find(
        &mut self,
        rule: Rule,
        object: impl ToString,
        detail: impl ToString,
        referrers: Vec<String>,
    ) {
        let object = object.to_string();
        let found = &mut self.report.findings;
        if found.iter().any(|f| f.invariant == rule.0 && f.object == object) {
            return;
        }
        if rule.1 != FindingKind::Cache {
            self.bad.insert(object.clone());
        }
        let (Rule(invariant, kind), detail) = (rule, detail.to_string());
        found.push(Finding { object, kind, invariant, detail, referrers });
    }

    /// Reports an error as a broken invariant, unless it only says what was found before.
    ///
    /// # Errors
    /// Gives errors of the disk back: a full one is no damage.
    fn find_error(&mut self, rule: Rule, object: impl ToString, error: Error) -> Result<()> {
        let known = match &error {
            Error::Io { .. } => return Err(error),
            Error::Damaged { object, .. } => self.is_bad(object),
            // Errors of git do not say which object it was; the walk of the graph did.
            Error::Git { .. } => {
                let git = [rule::GIT_EXISTS, rule::GIT_BYTES, rule::REFS].map(|rule| rule.0);
                self.report.findings.iter().any(|found| git.contains(&found.invariant))
            }
            _ => false,
        };
        if !known {
            self.find(rule, object, explain(&error), Vec::new());
        }
        Ok(())
    }

    fn is_bad(&self, object: impl ToString) -> bool {
        self.bad.contains(&object.to_string())
    }

    fn check_people(&mut self) -> Result<()> {
        let dir = self.store.root().join("private");
        // Reading people makes a key where there is none; a check shall not.
        if !dir.join("key").is_file() {
            if dir.join("people").is_file() {
                let what = "the key of its pseudonyms is missing";
                self.find(rule::PEOPLE, "private/key", what, vec!["private/people".to_owned()]);
            }
            return Ok(());
        }
        match self.store.people() {
            Err(error @ Error::BadFile { .. }) => {
                let key = matches!(&error, Error::BadFile { path, .. } if path.ends_with("key"));
                let object = if key { "private/key" } else { "private/people" };
                self.find(rule::PEOPLE, object, explain(&error), Vec::new());
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

/// An error with its sources, in one line.
fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

/// Violations of one invariant in one object: the first in words, the rest as a number.
#[derive(Debug, Default)]
struct Tally {
    first: Option<String>,
    more: u64,
}

impl Tally {
    fn note(&mut self, detail: impl FnOnce() -> String) {
        match self.first {
            None => self.first = Some(detail()),
            Some(_) => self.more += 1,
        }
    }

    fn detail(self) -> Option<String> {
        let more = match self.more {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        self.first.map(|first| first + &more)
    }
}
