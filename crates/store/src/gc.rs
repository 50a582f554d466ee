//! Removes what nothing names: objects, git objects in packs of ours, caches of segments that are
//! gone, and files that a dead process was writing.
//!
//! # Guarantees
//! - What a ref, a reflog or the stage reaches stays. Where any of them cannot be read, nothing is
//!   removed.
//! - Nothing is removed while a process writes objects that nothing names yet: such a process
//!   holds [`Store::writing`]. What a plan names is removed only if it is still unreachable then.
//! - No clock is asked.
//!
//! # Limitations
//! - Packs that git made, and loose git objects, are left to `git gc`.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::id::Digest;
use crate::redaction::Redactions;
use crate::store::Store;
use crate::verify::{FindingKind, Verifier};

/// A file that would go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct GcFile {
    /// Its path inside the store.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// An object that would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct GcObject {
    /// Its digest.
    pub object: Digest,
    /// Its length.
    pub bytes: u64,
}

/// What would go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[must_use]
pub struct GcPlan {
    /// Objects that nothing reaches.
    pub objects: Vec<GcObject>,
    /// Git objects that nothing reaches: commits that are on no branch any more, and their trees.
    #[serde(serialize_with = "as_hex")]
    pub history: BTreeSet<gix::ObjectId>,
    /// Caches of segments that nothing reaches.
    pub caches: Vec<GcFile>,
    /// Files that a dead process was writing.
    pub leftovers: Vec<GcFile>,
}

fn as_hex<S: serde::Serializer>(
    ids: &BTreeSet<gix::ObjectId>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(ToString::to_string))
}

impl GcPlan {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
            && self.history.is_empty()
            && self.caches.is_empty()
            && self.leftovers.is_empty()
    }

    /// The bytes of everything that would go, but for git objects.
    pub fn bytes(&self) -> u64 {
        let files = self.caches.iter().chain(&self.leftovers).map(|file| file.bytes);
        self.objects.iter().map(|object| object.bytes).chain(files).sum()
    }
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Objects.
    pub objects: u64,
    /// Git objects.
    pub history: u64,
    /// Caches and leftovers.
    pub files: u64,
    /// Bytes of objects, caches and leftovers.
    pub bytes: u64,
}

impl Store {
    /// Finds what nothing reaches. Waits for processes that write objects.
    ///
    /// # Errors
    /// [`Error::Damaged`] where something that names objects cannot be read.
    pub fn plan_gc(&self) -> Result<GcPlan> {
        let _writers = self.no_writers()?;
        self.unreachable()
    }

    /// Removes what a plan names and is still unreachable.
    ///
    /// # Errors
    /// As [`Store::plan_gc`]; a file that cannot be removed ends it, and it can be run again.
    pub fn run_gc(&self, plan: GcPlan) -> Result<GcReport> {
        let _writers = self.no_writers()?;
        let refs = self.history.lock(&self.lock_path())?;
        let now = self.unreachable()?;
        // A name of an object that is gone must not come back after a loss of power.
        self.sync_names(&self.root().join("stage"))?;
        self.disk().sync_dir(self.history.dir())?;
        self.sync_names(&self.history.dir().join("refs"))?;
        self.sync_names(&self.history.dir().join("logs"))?;
        let mut report = GcReport::default();
        let mut dirs = HashSet::new();
        // Caches first: one without its segment would be asked for by nobody, and stay.
        for (planned, there) in [(plan.caches, now.caches), (plan.leftovers, now.leftovers)] {
            let there: HashSet<GcFile> = there.into_iter().collect();
            for file in planned.into_iter().filter(|file| there.contains(file)) {
                let path = self.root().join(&file.path);
                self.disk().remove_file(&path)?;
                dirs.extend(path.parent().map(Path::to_owned));
                report.files += 1;
                report.bytes += file.bytes;
            }
        }
        let stored: HashSet<GcObject> = now.objects.into_iter().collect();
        for object in plan.objects.into_iter().filter(|object| stored.contains(object)) {
            self.objects().remove(&object.object)?;
            dirs.extend(self.objects().path(&object.object).parent().map(Path::to_owned));
            report.objects += 1;
            report.bytes += object.bytes;
        }
        let gone: BTreeSet<_> = plan.history.intersection(&now.history).copied().collect();
        report.history = self.history.drop_packed(&refs, &gone)?;
        // After an unsynced removal a file may be back: no harm, but the numbers would be wrong.
        dirs.iter().try_for_each(|dir| self.disk().sync_dir(dir))?;
        Ok(report)
    }

    /// Makes the names in a directory, and below it, last as they are.
    fn sync_names(&self, dir: &Path) -> Result<()> {
        for entry in self.disk().list(dir)?.iter().filter(|entry| entry.is_dir) {
            self.sync_names(&dir.join(&entry.name))?;
        }
        match self.disk().sync_dir(dir) {
            // Somebody removed it: so says the directory around it, which is synced too.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn unreachable(&self) -> Result<GcPlan> {
        // Somebody may have redacted since this store was opened: what stands for what is read
        // anew.
        let now = self.beside(self.root())?;
        // Records that cannot be read name what nothing else does.
        Redactions::read(&now.history)?;
        let mut verifier = Verifier::new(&now);
        let named = verifier.gather()?;
        let doubt = verifier.findings().iter().find(|finding| {
            use FindingKind::{Damaged, Malformed, Missing};
            matches!(finding.kind, Damaged | Malformed | Missing)
        });
        if let Some(finding) = doubt {
            let what = format!("{}; nothing was removed", finding.detail);
            return Err(Error::damaged(&finding.object, what));
        }
        let reached: HashSet<Digest> =
            named.objects(&now.objects().redactions()).into_keys().collect();
        let (stored, _) = self.objects().list()?;
        let objects = stored
            .into_iter()
            .filter(|(object, _)| !reached.contains(object))
            .map(|(object, bytes)| GcObject { object, bytes })
            .collect();
        let mut caches = self.files("cache/index")?;
        caches.retain(|file| indexed_segment(&file.path).is_some_and(|s| !reached.contains(&s)));
        let mut leftovers = Vec::new();
        // Not below `git/refs`: there a name that looks temporary is a branch.
        for dir in [
            "",
            "objects",
            "stage",
            "private",
            "cache/index",
            "cache/remote",
            "git",
            "git/objects/pack",
        ] {
            leftovers.extend(self.files(dir)?);
        }
        leftovers.retain(|file| is_leftover(&file.path));
        leftovers.extend(self.lone_packs()?);
        // A fetch holds what writers hold: there is none.
        self.files_below("cache/incoming", &mut leftovers)?;
        let mut history = self.history.packed(&self.history.own_packs()?)?;
        history.retain(|id| !named.git.contains(id));
        Ok(GcPlan { objects, history, caches, leftovers })
    }

    /// Packs without an index: they were being written, or removed.
    fn lone_packs(&self) -> Result<Vec<GcFile>> {
        let files = self.files("git/objects/pack")?;
        let whole: HashSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let lone = |file: &GcFile| {
            file.path.extension().is_some_and(|extension| extension == "pack")
                && !whole.contains(&file.path.with_extension("idx"))
        };
        Ok(files.into_iter().filter(lone).collect())
    }

    /// All files below a directory of the store.
    fn files_below(&self, dir: &str, found: &mut Vec<GcFile>) -> Result<()> {
        found.extend(self.files(dir)?);
        for entry in self.disk().list(&self.root().join(dir))? {
            if entry.is_dir {
                self.files_below(&format!("{dir}/{}", entry.name), found)?;
            }
        }
        Ok(())
    }

    /// The files of a directory of the store.
    fn files(&self, dir: &str) -> Result<Vec<GcFile>> {
        let entries = self.disk().list(&self.root().join(dir))?;
        let files = entries.into_iter().filter(|entry| !entry.is_dir);
        Ok(files
            .map(|entry| GcFile { path: Path::new(dir).join(entry.name), bytes: entry.len })
            .collect())
    }
}

/// The segment that a cache file is of.
fn indexed_segment(path: &Path) -> Option<Digest> {
    let (stem, extension) = path.file_name()?.to_str()?.split_once('.')?;
    ["idx", "aliases", "rows"].contains(&extension).then(|| stem.parse().ok())?
}

/// Whether a file never became whole: gc holds the locks under which such files are made.
fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with(crate::fs::TEMP_PREFIX)
}
