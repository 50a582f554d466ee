//! Small stores, and commits that say what they should not.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and damages files"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use glossator_store::change::{ChangeRecord, Meta, TableChange};
use glossator_store::delta::Counts;
use glossator_store::fs::Disk;
use glossator_store::history::{Identity, NewCommit};
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::removal::{Removal, RemovalRef};
use glossator_store::schema::*;
use glossator_store::segment::{SegmentKind, SegmentRef, SegmentWriter};
use glossator_store::snapshot::TableState;
use glossator_store::store::table_path;
use glossator_store::{CommitId, CommitOptions, Layer, Store};

/// A store in a directory that vanishes with it.
pub struct Bench {
    /// Removed with it.
    _dir: tempfile::TempDir,
    pub store: Store,
    /// Two commits: rows, then one changed, one removed and one added.
    pub commits: Vec<CommitId>,
}

pub fn who() -> Identity {
    Identity {
        name: "Test".to_owned(),
        email: "test@example.com".to_owned(),
        seconds: 1_700_000_000,
        offset: 0,
    }
}

fn options() -> CommitOptions<'static> {
    CommitOptions {
        branch: None,
        message: "Labels",
        author: who(),
        committer: who(),
        code_commit: None,
        action: "commit",
        stage: None,
        signer: None,
        guards: &[],
    }
}

fn annotation<'a>(item: &'a str, field: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow {
        item_id: item,
        source: "s",
        submission_id: Some("annotation/1"),
        annotator_id: "ann",
        origin: "human",
        field,
        kind: "choice",
        label: Some(label),
        policy: Some("vehicles@3"),
        status: "submitted",
        ..AnnotationRow::default()
    }
}

/// Answers by item, field and label, all of one submission an item.
pub fn annotations(rows: &[(&str, &str, &str)]) -> RecordBatch {
    let mut builder = AnnotationsBuilder::default();
    rows.iter().for_each(|(item, field, label)| builder.push(&annotation(item, field, label)));
    builder.finish()
}

pub fn items(rows: &[(&str, i64)]) -> RecordBatch {
    let mut builder = ItemsBuilder::default();
    for (item, width) in rows {
        let (aliases, width) = (Some(vec!["also", item]), Some(*width));
        builder.push(&ItemRow { item_id: item, aliases, width, ..ItemRow::default() });
    }
    builder.finish()
}

pub fn submissions(gold: bool) -> RecordBatch {
    let mut builder = SubmissionsBuilder::default();
    builder.push(&SubmissionRow {
        item_id: "a",
        submission_id: "annotation/1",
        source: "s",
        annotator_id: "ann",
        origin: "human",
        state: "submitted",
        policy: Some("vehicles@3"),
        gold,
        ..SubmissionRow::default()
    });
    builder.finish()
}

impl Bench {
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::init(&Disk::default(), dir.path()).unwrap();
        Self { _dir: dir, store, commits: Vec::new() }
    }

    pub fn new() -> Self {
        let mut bench = Self::empty();
        let first =
            annotations(&[("a", "class", "car"), ("a", "more", "bus"), ("b", "class", "car")]);
        bench.commit(&[
            (&ANNOTATIONS, first),
            (&SUBMISSIONS, submissions(false)),
            (&ITEMS, items(&[("a", 10), ("b", 20)])),
        ]);
        bench.commit(&[
            (&ANNOTATIONS, annotations(&[("a", "class", "truck"), ("c", "class", "car")])),
            (&ITEMS, items(&[("c", 30)])),
        ]);
        bench
    }

    pub fn head(&self) -> CommitId {
        *self.commits.last().unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.store.root().join(path)
    }

    /// The layer that tables make on `HEAD`.
    pub fn layer(&self, tables: &[(&'static Table, RecordBatch)]) -> Vec<Layer> {
        let snapshot = self.store.snapshot(self.commits.last().copied(), &[]).unwrap();
        let mut intake = Intake::new(&snapshot, IntakeOptions::default());
        for (table, rows) in tables {
            intake.rows(table, rows.clone()).unwrap();
        }
        intake.finish().unwrap().layers
    }

    pub fn commit(&mut self, tables: &[(&'static Table, RecordBatch)]) {
        let layers = self.layer(tables);
        self.commit_layers(&layers);
    }

    pub fn commit_layers(&mut self, layers: &[Layer]) {
        let made = self.try_commit(layers, None).unwrap();
        self.commits.push(made.unwrap());
        self.reopen();
    }

    /// Commits layers on `HEAD`, of the stage with that id.
    pub fn try_commit(
        &self,
        layers: &[Layer],
        stage: Option<&str>,
    ) -> glossator_store::Result<Option<CommitId>> {
        let options = CommitOptions { stage, ..options() };
        self.store.commit(self.commits.last().copied(), layers, &options)
    }

    /// A commit of segments that were written anew.
    pub fn compact(&mut self) {
        self.commits.push(self.store.compact(&options()).unwrap().unwrap());
        self.reopen();
    }

    /// Each command is a process of its own.
    fn reopen(&mut self) {
        self.store = Store::open(&Disk::default(), self.store.root()).unwrap();
    }

    /// The files of `HEAD`'s tree.
    pub fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        let names = ["gloss.toml".to_owned(), "change.json".to_owned()];
        for path in TABLES.iter().map(|table| table_path(table)).chain(names) {
            if let Some(bytes) = self.store.history.file(self.head(), &path).unwrap() {
                files.insert(path, String::from_utf8(bytes).unwrap());
            }
        }
        files
    }

    pub fn record(&self) -> ChangeRecord {
        self.store.change(self.head()).unwrap()
    }

    /// Puts a commit with these files on a parent, and the branch at it.
    pub fn forge(
        &self,
        parent: Option<CommitId>,
        files: BTreeMap<String, String>,
        message: &str,
    ) -> CommitId {
        let commit = self
            .store
            .history
            .write_commit(&NewCommit {
                parents: parent.as_slice(),
                files: files.into_iter().map(|(p, t)| (p, Some(t.into_bytes()))).collect(),
                author: who(),
                committer: who(),
                message: message.to_owned(),
                signer: None,
            })
            .unwrap();
        fs::write(self.path("git/refs/heads/main"), format!("{commit}\n")).unwrap();
        commit
    }

    /// `HEAD` with other files, as a sibling of it.
    pub fn reforge(&self, edit: impl FnOnce(&mut BTreeMap<String, String>)) -> CommitId {
        let message = self.store.history.commit(self.head()).unwrap().message;
        self.reforge_saying(&message, edit)
    }

    /// The same with another message.
    pub fn reforge_saying(
        &self,
        message: &str,
        edit: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> CommitId {
        let mut files = self.files();
        edit(&mut files);
        self.forge(Some(self.commits[self.commits.len() - 2]), files, message)
    }

    pub fn segment(
        &self,
        table: &'static Table,
        kind: SegmentKind,
        rows: &RecordBatch,
    ) -> SegmentRef {
        let objects = self.store.objects();
        let mut writer = SegmentWriter::new(objects, table, kind, [7; 32]).unwrap();
        writer.push(rows).unwrap();
        writer.finish().unwrap().unwrap().line
    }

    pub fn removal(&self, rows: &[(SegmentRef, u32)]) -> Option<RemovalRef> {
        let mut removal = Removal::default();
        rows.iter().for_each(|(segment, row)| removal.push(segment.segment, *row));
        removal.sort();
        removal.write(self.store.objects()).unwrap()
    }

    /// The line of the first segment of a table at `HEAD`.
    pub fn first_segment(&self, table: &Table) -> SegmentRef {
        self.store.table_state(self.head(), table).unwrap().segments[0].clone()
    }

    /// A commit on `HEAD` (or the first one) that changes one table which is not annotations.
    pub fn forge_change(&self, table: &'static Table, change: TableChange) -> CommitId {
        let head = self.commits.last().copied();
        let mut state = head
            .map_or_else(TableState::default, |head| self.store.table_state(head, table).unwrap());
        state.segments.extend(change.added.clone());
        state.removals.extend(change.removed.clone());
        let meta = Meta::default().encode().unwrap();
        let record = ChangeRecord {
            tables: BTreeMap::from([(table.name.to_owned(), change)]),
            policies: BTreeMap::new(),
            meta: Some(self.store.objects().put(&meta).unwrap()),
            stage: None,
        };
        let facts = self.store.facts();
        let mut files = BTreeMap::from([
            (table_path(table), String::from_utf8(state.render().unwrap()).unwrap()),
            ("change.json".to_owned(), serde_json::to_string(&record).unwrap()),
        ]);
        files.insert("gloss.toml".to_owned(), toml::to_string(facts).unwrap());
        self.forge(head, files, "Forged\n\nGloss-Change: +0 ~0 -0\n")
    }
}

pub fn counts(added: u64, changed: u64, removed: u64) -> Counts {
    Counts { added, changed, removed }
}
