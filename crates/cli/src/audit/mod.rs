//! A bundle that a third party checks without Glossator: the history, the objects, and what they
//! say, told again in files that people and scripts read.
//!
//! # Guarantees
//! - What is told is derived: `check.py` computes it anew from the history and the objects.
//! - Nothing of `.gloss/private` is in it unless that is asked for.
//! - Objects and rows are streamed; ids of commits and objects, and counts by name, are held.

mod files;
mod page;
mod records;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use glossator_store::change::ChangeRecord;
use glossator_store::schema::TABLES;
use glossator_store::signing::{Checker, SignatureLine, Subject};
use glossator_store::{CommitId, Digest, Error as StoreError, Proof, Store};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::files::Files;
use self::records::{Decided, decided, reviewed};
use crate::error::Result;

const CHECKS: [(&str, &str); 4] = [
    ("README.md", include_str!("../../../../assets/audit/README.md")),
    ("check.py", include_str!("../../../../assets/audit/check.py")),
    ("glossator_format.py", include_str!("../../../../assets/audit/glossator_format.py")),
    ("ssh_signature.py", include_str!("../../../../assets/audit/ssh_signature.py")),
];

/// What a bundle is about.
pub(crate) struct Audit<'a> {
    pub(crate) store: &'a Store,
    /// The commit whose history is told.
    pub(crate) tip: CommitId,
    /// The commit whose history is known already; none: all is told.
    pub(crate) base: Option<CommitId>,
    pub(crate) checker: &'a Checker,
    /// Rows that are proved to be in the tip.
    pub(crate) proofs: Vec<Proof>,
    /// Whether the names of people are put in.
    pub(crate) names: bool,
    /// Whether somebody watches.
    pub(crate) interactive: bool,
}

/// What is told in records and on the page.
struct Told<'a> {
    commits: &'a [CommitId],
    signatures: &'a [SignatureLine],
    /// Live annotations at the tip by who decided.
    decided: BTreeMap<Decided, u64>,
    /// Reviews at the tip by reviewer and decision.
    reviewed: BTreeMap<(String, String), u64>,
}

/// How far it is, where somebody watches.
struct Progress(ProgressBar);

impl Progress {
    fn new(interactive: bool) -> Self {
        let bar = if interactive { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    fn begin(&self, what: &'static str, steps: usize) {
        self.0.set_message(what);
        self.0.set_length(steps as u64);
        self.0.set_position(0);
    }

    fn step(&self, steps: usize) {
        self.0.inc(steps as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// What a bundle holds, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The digest of its list of files.
    pub(crate) digest: Digest,
    pub(crate) tip: CommitId,
    pub(crate) base: Option<CommitId>,
    pub(crate) commits: usize,
    pub(crate) objects: usize,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    /// Signatures by what they are worth.
    pub(crate) signatures: BTreeMap<&'static str, u64>,
}

/// `audit.json`.
#[derive(Debug, Serialize)]
struct About<'a> {
    /// The version of this form.
    audit: u32,
    /// The version of gloss that wrote it.
    gloss: &'a str,
    store_id: &'a str,
    base: Option<CommitId>,
    tip: CommitId,
    commits: usize,
    /// Whether names of people are in it.
    names: bool,
}

impl Audit<'_> {
    /// Writes the bundle.
    pub(crate) fn write(&self, dir: &Path) -> Result<Report> {
        let mut files = Files::begin(dir)?;
        let commits = self.store.history.commits_since(self.base, self.tip)?;
        let commits = commits.collect::<glossator_store::Result<Vec<_>>>()?;
        let progress = Progress::new(self.interactive);
        progress.begin("signatures", commits.len());
        let signatures = self.signatures(&progress)?;
        let about = About {
            audit: 1,
            gloss: env!("CARGO_PKG_VERSION"),
            store_id: &self.store.facts().store_id,
            base: self.base,
            tip: self.tip,
            commits: commits.len(),
            names: self.names,
        };
        files.write("audit.json", |out| {
            serde_json::to_writer_pretty(&mut *out, &about)?;
            Ok(out.write_all(b"\n")?)
        })?;
        files
            .write("history.bundle", |out| Ok(self.store.history.write_bundle(self.tip, out)?))?;
        progress.begin("objects", commits.len());
        let objects = self.objects(&mut files, &commits, &progress)?;
        progress.begin("records", 0);
        let told = Told {
            commits: &commits,
            signatures: &signatures,
            decided: decided(self)?,
            reviewed: reviewed(self)?,
        };
        records::write(self, &mut files, &told)?;
        for (number, proof) in self.proofs.iter().enumerate() {
            files.write(&format!("proofs/{}.json", number + 1), |out| {
                serde_json::to_writer(&mut *out, proof)?;
                Ok(out.write_all(b"\n")?)
            })?;
        }
        for (name, text) in CHECKS {
            files.write(name, |out| Ok(out.write_all(text.as_bytes())?))?;
        }
        files.write("index.html", |out| page::write(self, out, &told))?;
        let written = files.finish()?;
        let mut worth: BTreeMap<&'static str, u64> = BTreeMap::new();
        for line in &signatures {
            *worth.entry(line.checked.result.word()).or_default() += 1;
        }
        Ok(Report {
            digest: written.digest,
            tip: self.tip,
            base: self.base,
            commits: commits.len(),
            objects,
            files: written.files,
            bytes: written.bytes,
            signatures: worth,
        })
    }

    /// What every signature of the range is worth.
    fn signatures(&self, progress: &Progress) -> Result<Vec<SignatureLine>> {
        let mut lines = Vec::new();
        let range = Some((self.base, self.tip));
        self.store.check_signatures(self.checker, range, &mut |line| -> Result<()> {
            progress.step(usize::from(line.subject == Subject::Commit));
            lines.push(line.clone());
            Ok(())
        })?;
        Ok(lines)
    }

    /// Copies what the commits name, and the tables that they began with. Gives how many.
    fn objects(
        &self,
        files: &mut Files,
        commits: &[CommitId],
        progress: &Progress,
    ) -> Result<usize> {
        let own: HashSet<CommitId> = commits.iter().copied().collect();
        let mut copied = HashSet::new();
        for commit in commits {
            progress.step(1);
            let record = self.store.change(*commit)?;
            let mut named = self.store.objects_of(*commit)?;
            if let Some(parent) = self.store.history.first_parent(*commit)?
                && !own.contains(&parent)
            {
                for table in TABLES {
                    let state = self.store.table_state(parent, table)?;
                    let segments = state.segments.iter().map(|line| line.segment);
                    let removals = state.removals.iter().map(|line| line.removed);
                    named.extend(self.store.stored(segments.chain(removals)));
                }
            }
            named.extend(self.store.erasures());
            for digest in named {
                if copied.contains(&digest) || self.is_erased(&record, digest)? {
                    continue;
                }
                let name = digest.to_string();
                let written = files.write(&format!("objects/{}/{name}", &name[..2]), |out| {
                    let mut object = self.store.objects().open(&digest)?;
                    Ok(std::io::copy(&mut object, out).map(drop)?)
                })?;
                if written != digest {
                    let what = "its bytes do not hash to its name".to_owned();
                    return Err(StoreError::Damaged { object: name, what }.into());
                }
                copied.insert(digest);
            }
        }
        Ok(copied.len())
    }

    /// Whether an object is the names of a change that were erased: a reader does without.
    fn is_erased(&self, record: &ChangeRecord, digest: Digest) -> Result<bool> {
        Ok(record.meta == Some(digest) && records::meta_of(self.store, record)?.is_none())
    }
}
