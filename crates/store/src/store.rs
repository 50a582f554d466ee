//! The directory `.gloss`: opening it, and reading the tables of a commit.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::change::{ChangeRecord, Meta, TableChange, read_change};
use crate::delta::DeltaBatch;
use crate::error::{Error, Result};
use crate::fs::{Disk, Lock};
use crate::history::{History, RefName};
use crate::id::{CommitId, Digest};
use crate::limits::{FORMAT, REMOVALS_UNFOLDED_MAX};
use crate::objects::Objects;
use crate::removal::Removal;
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
}

impl Store {
    /// Makes a store in `dir/.gloss`.
    pub fn init(disk: &Disk, dir: &Path) -> Result<Self> {
        let root = dir.join(STORE_DIR);
        if root.join("config.toml").exists() {
            return Err(Error::StoreExists(root));
        }
        for sub in ["", "objects", "stage", "private", "cache", "cache/index"] {
            disk.create_dir_durable(&root.join(sub))?;
        }
        // Made now, so that no object is ever the first of a directory that is not durable.
        for shard in 0..=u8::MAX {
            disk.create_dir_unsynced(&root.join(format!("objects/{shard:02x}")))?;
        }
        disk.sync_dir(&root.join("objects"))?;
        let store_id = Digest(crate::random_bytes()?).to_string()[..32].to_owned();
        let main: RefName = "main".parse()?;
        // Made now, so that a note in it is never in a file that is not durable.
        disk.put(&root.join("lock"), b"")?;
        // Private files and objects must not enter the git of the code around the store.
        disk.put(&root.join(".gitignore"), b"*\n")?;
        History::init(disk, &root.join("git"), &main)?;
        let facts = Facts {
            format: FORMAT,
            store_id,
            hash: "blake3".to_owned(),
            features: Features::default(),
        };
        let config = render_facts(&facts)?;
        let store = Self::with_facts(disk, &root, facts)?;
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
        Self::with_facts(disk, root, facts)
    }

    fn with_facts(disk: &Disk, root: &Path, facts: Facts) -> Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            disk: disk.clone(),
            objects: Objects::new(disk.clone(), root.join("objects")),
            history: History::open(disk, &root.join("git"))?,
            facts,
        })
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
        let Some(bytes) = self.history.file(commit, FACTS_FILE)? else {
            return Err(Error::damaged(commit, "it has no gloss.toml"));
        };
        let facts: Facts = toml::from_str(&String::from_utf8_lossy(&bytes))
            .map_err(|e| Error::damaged(format!("{commit}:{FACTS_FILE}"), e.message()))?;
        facts.check()?;
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
        serde_json::from_slice(&self.objects.read(&digest)?).map_err(|e| Error::damaged(digest, e))
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
    /// Whether a commit added, changed or removed a row of an item (or only) id: index look-ups
    /// alone.
    pub fn touches(&self, table: &'static Table, change: &TableChange, item: &str) -> Result<bool> {
        let parts = [(SegmentKind::Rows, &change.added), (SegmentKind::Before, &change.before)];
        for (kind, lines) in parts {
            let state = TableState { segments: lines.clone(), removals: Vec::new() };
            let (disk, objects) = (self.disk.clone(), self.objects.clone());
            let rows = TableSnapshot::new(table, state, kind, disk, objects, self.index_dir())?;
            if !rows.locate_item(item)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rows that a commit did to one item (or only) id, old and new.
    pub fn change_of_item(
        &self,
        table: &'static Table,
        change: &TableChange,
        item: &str,
    ) -> Result<Vec<DeltaBatch>> {
        if !self.touches(table, change, item)? {
            return Ok(Vec::new());
        }
        if change.before.is_empty() {
            // Only new rows, perhaps a great many: fetch those of the item.
            let state = TableState { segments: change.added.clone(), removals: Vec::new() };
            let rows = self.table(table, state)?;
            let mut found = rows.locate_item(item)?;
            found.sort_unstable();
            return Ok(vec![DeltaBatch::added(table, rows.fetch(&found)?)]);
        }
        let mut touched = Vec::new();
        for delta in read_change(&self.objects, table, change)? {
            let mut delta = delta?;
            let mut changes = std::mem::take(&mut delta.changes);
            {
                let (old, new) = (delta.old_rows()?, delta.new_rows()?);
                changes.retain(|change| DeltaBatch::key(&old, &new, *change).0 == item);
            }
            delta.changes = changes;
            if !delta.changes.is_empty() {
                touched.push(delta);
            }
        }
        Ok(touched)
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

    /// Folds the removal objects into one where there are too many, and leaves out segments that
    /// are wholly dead.
    pub(crate) fn tidy(&mut self, objects: &Objects) -> Result<()> {
        if self.removals.len() <= REMOVALS_UNFOLDED_MAX {
            return Ok(());
        }
        let mut all = Removal::default();
        for line in &self.removals {
            all.extend(Removal::read(objects, line)?);
        }
        all.sort();
        let dead = |segment: &Digest, rows: u32| {
            all.rows.get(segment).is_some_and(|gone| gone.len() == rows as usize)
        };
        let wholly: Vec<Digest> = self
            .segments
            .iter()
            .filter(|line| dead(&line.segment, line.rows))
            .map(|line| line.segment)
            .collect();
        self.segments.retain(|line| !wholly.contains(&line.segment));
        wholly.iter().for_each(|segment| drop(all.rows.remove(segment)));
        self.removals = all.write(objects)?.into_iter().collect();
        Ok(())
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

impl Snapshot<'_> {
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
    pub fn store(&self) -> &Store {
        self.store
    }
}

fn position(table: &'static Table) -> usize {
    TABLES.iter().position(|t| *t == table).unwrap_or_default()
}
