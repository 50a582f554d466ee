//! The directory `.gloss`: opening it, and reading the tables of a commit.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::change::{ChangeRecord, Meta, TableChange, joined};
use crate::delta::DeltaBatch;
use crate::error::{Error, Result};
use crate::fs::{Disk, Lock};
use crate::history::{BlobId, Expected, History, Identity, PublishLock, RefMove, RefName};
use crate::id::{CommitId, Digest};
use crate::limits::FORMAT;
use crate::objects::Objects;
use crate::redaction::Redactions;
use crate::remote::RemoteLender;
use crate::schema::{TABLES, Table};
use crate::segment::{SCHEMA_VERSION, SegmentKind, SegmentRef};
use crate::snapshot::{TableSnapshot, TableState};

/// The name of the store's directory.
pub const STORE_DIR: &str = ".gloss";
/// The tree file that says what the store is.
pub const FACTS_FILE: &str = "gloss.toml";
/// The tree file that says what a commit did.
pub const CHANGE_FILE: &str = "change.json";

/// `gloss.toml`: what a reader must know before it reads anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The version of the format.
    pub format: u32,
    /// A random name, equal in every copy of the store.
    pub store_id: String,
    /// The hash that names objects: `blake3`.
    pub hash: String,
    /// What a reader and a writer must understand.
    #[serde(default)]
    pub features: Features,
}

/// Features beyond the format's version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// A reader that does not know one of these must refuse.
    #[serde(default)]
    pub read: Vec<String>,
    /// A writer that does not know one of these must refuse.
    #[serde(default)]
    pub write: Vec<String>,
}

impl Facts {
    fn check(&self) -> Result<()> {
        let newer = |feature: String| Err(Error::NewerFormat { feature });
        if self.format != FORMAT {
            return newer(format!("format {}", self.format));
        }
        if self.hash != "blake3" {
            return newer(format!("hash {}", self.hash));
        }
        // Format 1 has no features yet: each that is named is unknown.
        match self.features.read.first() {
            Some(feature) => newer(feature.clone()),
            None => Ok(()),
        }
    }

    /// Refuses to write where a feature is named that this version does not know.
    pub(crate) fn check_write(&self) -> Result<()> {
        match self.features.write.first() {
            Some(feature) => Err(Error::NewerFormat { feature: feature.clone() }),
            None => Ok(()),
        }
    }
}

/// A store.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    disk: Disk,
    objects: Objects,
    /// The git history.
    pub history: History,
    facts: Facts,
    /// The `gloss.toml` that was read last, by its git object.
    read: RefCell<Option<(BlobId, Facts)>>,
}

impl Store {
    /// Makes a store in `dir/.gloss`.
    pub fn init(disk: &Disk, dir: &Path) -> Result<Self> {
        Self::init_as(disk, dir, crate::random_name()?, &"main".parse()?, |_| Ok(()))
    }

    /// Makes a store that is a copy of another one. `fill` is given the store before it counts as
    /// one: where it fails there is none, and it can be made again.
    pub(crate) fn init_as<E: From<Error>>(
        disk: &Disk,
        dir: &Path,
        store_id: String,
        branch: &RefName,
        fill: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let root = dir.join(STORE_DIR);
        let exists = || root.join("config.toml").exists();
        if exists() {
            return Err(Error::StoreExists(root).into());
        }
        disk.create_dir_all(&root.join("cache"))?;
        // Of several that make it at once, one does. Not the store's own lock: what fills it takes
        // that one.
        let _making = disk.lock(&root.join("cache/making"))?;
        if exists() {
            return Err(Error::StoreExists(root).into());
        }
        for sub in ["", "objects", "stage", "private", "cache", "cache/index"] {
            disk.create_dir_durable(&root.join(sub))?;
        }
        // Made now, so that no object is ever the first of a directory that is not durable.
        for shard in 0..=u8::MAX {
            disk.create_dir_unsynced(&root.join(format!("objects/{shard:02x}")))?;
        }
        disk.sync_dir(&root.join("objects"))?;
        drop(disk.lock(&root.join("lock"))?);
        // Synced now, so that a note in it is never in a file that is not durable; and not made
        // anew, for whoever waits for it holds this one.
        disk.write_note(&root.join("lock"), "")?;
        disk.sync_dir(&root)?;
        // Private files and objects must not enter the git of the code around the store.
        disk.put(&root.join(".gitignore"), b"*\n")?;
        History::init(disk, &root.join("git"), branch)?;
        let facts = Facts {
            format: FORMAT,
            store_id,
            hash: "blake3".to_owned(),
            features: Features::default(),
        };
        let config = render_facts(&facts)?;
        let store = Self::with_facts(disk, &root, facts)?;
        fill(&store)?;
        // Last: a directory without it is no store, and init can be run again.
        disk.write(&root.join("config.toml"), config.as_bytes())?;
        Ok(store)
    }

    /// Opens the store whose directory is `root` (`…/.gloss`).
    pub fn open(disk: &Disk, root: &Path) -> Result<Self> {
        let path = root.join("config.toml");
        let Some(bytes) = disk.read_optional(&path)? else {
            return Err(Error::NoStore(root.to_owned()));
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::damaged(path.display(), "it is not UTF-8"))?;
        let facts: Facts =
            toml::from_str(&text).map_err(|e| Error::damaged(path.display(), e.message()))?;
        facts.check()?;
        let lender = RemoteLender::of(disk, root, &facts.store_id);
        let lender = lender.map_err(|error| match error {
            crate::remote::Error::Store(error) => error,
            other => Error::BadFile { path: root.join("remotes.toml"), what: other.to_string() },
        })?;
        let mut store = Self::with_facts(disk, root, facts)?;
        store.objects = store.objects.lent_by(lender.map(|lender| Arc::new(lender) as _));
        Ok(store)
    }

    fn with_facts(disk: &Disk, root: &Path, facts: Facts) -> Result<Self> {
        let history = History::open(disk, &root.join("git"))?;
        let objects = Objects::new(disk.clone(), root.join("objects"));
        let store = Self {
            root: root.to_owned(),
            disk: disk.clone(),
            objects,
            history,
            facts,
            read: RefCell::default(),
        };
        store.read_redactions();
        Ok(store)
    }

    /// Reads which objects stand for which: anew where somebody may have redacted.
    pub(crate) fn read_redactions(&self) {
        // Where they cannot be read, what they stand for is missing, and a check says why.
        self.objects.redact(Redactions::read(&self.history).unwrap_or_default());
    }

    /// What is in another directory, as if it were this store.
    pub(crate) fn beside(&self, root: &Path) -> Result<Self> {
        Self::with_facts(&self.disk, root, self.facts.clone())
    }

    /// Opens the store at or above a directory.
    pub fn discover(disk: &Disk, start: &Path) -> Result<Self> {
        let start = start.canonicalize().unwrap_or_else(|_| start.to_owned());
        let mut at = Some(start.as_path());
        while let Some(dir) = at {
            let root = dir.join(STORE_DIR);
            if root.join("config.toml").is_file() {
                return Self::open(disk, &root);
            }
            at = dir.parent();
        }
        Err(Error::NoStore(start))
    }

    /// The directory `.gloss`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the store says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The object directory.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The disk that the store is on.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn index_dir(&self) -> PathBuf {
        self.root.join("cache/index")
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Keeps gc from deleting while objects are written that nothing names yet.
    pub fn writing(&self) -> Result<Lock> {
        self.disk.lock_shared(&self.root.join("writers"))
    }

    pub(crate) fn no_writers(&self) -> Result<Lock> {
        self.disk.lock(&self.root.join("writers"))
    }

    /// Reads what a commit's store says of itself; refuses what this version cannot read.
    pub(crate) fn facts_at(&self, commit: CommitId) -> Result<Facts> {
        let Some(file) = self.history.entry(commit, FACTS_FILE)? else {
            return Err(Error::damaged(commit, "it has no gloss.toml"));
        };
        // All commits have the same file, nearly always.
        if let Some((_, facts)) = self.read.borrow().as_ref().filter(|(known, _)| *known == file) {
            return Ok(facts.clone());
        }
        let bytes = self.history.blob(file)?;
        let facts: Facts = toml::from_str(&String::from_utf8_lossy(&bytes))
            .map_err(|e| Error::damaged(format!("{commit}:{FACTS_FILE}"), e.message()))?;
        facts.check()?;
        *self.read.borrow_mut() = Some((file, facts.clone()));
        Ok(facts)
    }

    /// What a commit did against its first parent.
    pub fn change(&self, commit: CommitId) -> Result<ChangeRecord> {
        self.facts_at(commit)?;
        let Some(bytes) = self.history.file(commit, CHANGE_FILE)? else {
            return Err(Error::damaged(commit, "it has no change.json"));
        };
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::damaged(format!("{commit}:{CHANGE_FILE}"), e))
    }

    /// The counts by person and label of a change.
    pub fn meta(&self, record: &ChangeRecord) -> Result<Meta> {
        let Some(digest) = record.meta else { return Ok(Meta::default()) };
        Meta::decode(&self.objects.read(&digest)?).map_err(|what| Error::damaged(digest, what))
    }

    /// Every object that a commit needs: its tables', its change's, and the counts, or what stands
    /// for them.
    ///
    /// # Errors
    /// Where its files cannot be read.
    pub fn objects_of(&self, commit: CommitId) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for table in TABLES {
            let state = self.table_state(commit, table)?;
            found.extend(state.segments.iter().map(|line| line.segment));
            found.extend(state.removals.iter().map(|line| line.removed));
        }
        let record = self.change(commit)?;
        for change in record.tables.values() {
            found.extend(change.added.iter().chain(&change.before).map(|line| line.segment));
            found.extend(change.removed.iter().map(|line| line.removed));
        }
        found.extend(record.meta);
        Ok(self.stored(found.into_iter()))
    }

    /// What is stored for objects that commits name: themselves, or what stands for them since rows
    /// of them were erased, with its proof.
    pub fn stored(&self, named: impl Iterator<Item = Digest>) -> Vec<Digest> {
        let redactions = self.objects.redactions();
        named.flat_map(|object| redactions.needs(&object)).collect()
    }

    /// The objects that say which rows were erased.
    pub fn erasures(&self) -> Vec<Digest> {
        self.objects.redactions().beside().collect()
    }

    /// Moves a ref that follows another place, wherever it was; `None` removes it.
    pub(crate) fn track(
        &self,
        name: &str,
        new: Option<gix::ObjectId>,
        who: &Identity,
        why: &str,
    ) -> Result<Option<gix::ObjectId>> {
        let mut lock = self.history.lock(&self.lock_path())?;
        self.track_locked(&mut lock, name, new, who, why)
    }

    /// As [`Store::track`], with the lock held. Gives what it was.
    pub(crate) fn track_locked(
        &self,
        lock: &mut PublishLock,
        name: &str,
        new: Option<gix::ObjectId>,
        who: &Identity,
        why: &str,
    ) -> Result<Option<gix::ObjectId>> {
        let old = self.history.ref_target(name)?;
        if old != new {
            let expected = old.map_or(Expected::Absent, Expected::Is);
            self.history.move_ref(lock, &RefMove { name, expected, new, who, why })?;
        }
        Ok(old)
    }

    /// The state of one table at a commit.
    pub fn table_state(&self, commit: CommitId, table: &Table) -> Result<TableState> {
        let path = table_path(table);
        match self.history.file(commit, &path)? {
            None => Ok(TableState::default()),
            Some(bytes) => {
                let state = TableState::parse(&bytes)
                    .map_err(|e| Error::damaged(format!("{commit}:{path}"), e))?;
                check_schema(&state.segments)?;
                Ok(state)
            }
        }
    }

    /// The tables at a commit with staged layers on top; no commit is an empty store.
    pub fn snapshot(&self, commit: Option<CommitId>, layers: &[Layer]) -> Result<Snapshot<'_>> {
        if let Some(commit) = commit {
            self.facts_at(commit)?;
        }
        let mut states = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let mut state = match commit {
                Some(commit) => self.table_state(commit, table)?,
                None => TableState::default(),
            };
            for change in layers.iter().filter_map(|layer| layer.tables.get(table.name)) {
                state.add(change);
            }
            states.push(state);
        }
        let tables = Default::default();
        Ok(Snapshot { store: self, commit, layers: layers.to_vec(), states, tables })
    }

    /// Opens one table's state.
    pub fn table(&self, table: &'static Table, state: TableState) -> Result<TableSnapshot> {
        TableSnapshot::new(
            table,
            state,
            SegmentKind::Rows,
            self.disk.clone(),
            self.objects.clone(),
            self.index_dir(),
        )
    }
}

impl Store {
    /// The rows that a commit did to one item (or only) id, or to one key of it, old and new: read
    /// by the key indices, whatever else it changed.
    pub fn change_of_item(
        &self,
        table: &'static Table,
        change: &TableChange,
        item: &str,
        key: Option<&str>,
    ) -> Result<Vec<DeltaBatch>> {
        let before = self.rows_of_item(table, SegmentKind::Before, &change.before, item, key)?;
        let added = self.rows_of_item(table, SegmentKind::Rows, &change.added, item, key)?;
        if before.is_none() && added.is_none() {
            return Ok(Vec::new());
        }
        let stream = |rows: Option<RecordBatch>| Box::new(rows.into_iter().map(Ok));
        joined(table, stream(before), stream(added))?.collect()
    }

    /// Rows of an item in segments of one change, in order of their keys; `None` where there are
    /// none.
    fn rows_of_item(
        &self,
        table: &'static Table,
        kind: SegmentKind,
        lines: &[SegmentRef],
        item: &str,
        key: Option<&str>,
    ) -> Result<Option<RecordBatch>> {
        let state = TableState { segments: lines.to_vec(), removals: Vec::new() };
        let (disk, objects) = (self.disk.clone(), self.objects.clone());
        let rows = TableSnapshot::new(table, state, kind, disk, objects, self.index_dir())?;
        let mut found = match key {
            Some(key) => rows.locate([(item, key)])?.into_iter().flatten().collect(),
            None => rows.locate_item(item)?,
        };
        found.sort_unstable();
        Ok(if found.is_empty() { None } else { Some(rows.fetch(&found)?) })
    }
}

/// Refuses segments with columns that this version does not know.
fn check_schema(segments: &[SegmentRef]) -> Result<()> {
    match segments.iter().find(|line| line.schema > SCHEMA_VERSION) {
        Some(line) => Err(Error::NewerFormat { feature: format!("schema {}", line.schema) }),
        None => Ok(()),
    }
}

/// The path of a table's file in the tree.
pub fn table_path(table: &Table) -> String {
    format!("tables/{}.jsonl", table.name)
}

pub(crate) fn render_facts(facts: &Facts) -> Result<String> {
    toml::to_string(facts).map_err(|e| Error::damaged(FACTS_FILE, e))
}

impl TableState {
    /// Puts a change on top.
    pub(crate) fn add(&mut self, change: &TableChange) {
        self.segments.extend(change.added.iter().cloned());
        self.removals.extend(change.removed.clone());
    }
}

/// Changes of tables that no commit holds yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// By table; tables that did not change are absent.
    pub tables: std::collections::BTreeMap<String, TableChange>,
    /// Counts by name, and the files that were read.
    pub meta: Meta,
}

impl Layer {
    /// Whether no row changed.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(|t| t.counts.is_empty())
    }
}

/// The tables at one commit, opened when asked for.
#[derive(Debug)]
pub struct Snapshot<'s> {
    store: &'s Store,
    /// The commit, none for an empty store.
    pub commit: Option<CommitId>,
    /// The layers on top of it.
    pub layers: Vec<Layer>,
    states: Vec<TableState>,
    tables: [OnceCell<TableSnapshot>; TABLES.len()],
}

impl<'s> Snapshot<'s> {
    /// A table of it.
    pub fn table(&self, table: &'static Table) -> Result<&TableSnapshot> {
        let at = position(table);
        if let Some(opened) = self.tables[at].get() {
            return Ok(opened);
        }
        let opened = self.store.table(table, self.states[at].clone())?;
        Ok(self.tables[at].get_or_init(|| opened))
    }

    /// What the table's file says, without opening anything.
    pub fn state(&self, table: &'static Table) -> &TableState {
        &self.states[position(table)]
    }

    /// The store it is of.
    pub fn store(&self) -> &'s Store {
        self.store
    }
}

fn position(table: &'static Table) -> usize {
    TABLES.iter().position(|t| *t == table).unwrap_or_default()
}
