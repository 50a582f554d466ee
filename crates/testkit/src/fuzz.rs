//! What hostile bytes are given to: every importer, and every decoder of the format.
//!
//! A target takes any bytes and returns: an error is an answer, a panic is a finding. `fuzz/` runs
//! the targets with libFuzzer, a test runs them over the corpus that is kept in `tests/corpus/`.

#![allow(clippy::disallowed_methods, reason = "targets damage files of stores")]

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glossator_formats::collect::Collected;
use glossator_formats::{ExportOptions, ImportOptions, Input, exporters, importers, read_partial};
use glossator_store::change::{ChangeRecord, Meta, read_change};
use glossator_store::fs::{Disk, Entry, Fs, Lock, Output};
use glossator_store::geometry::Shape;
use glossator_store::key_index::{IndexState, KeyHasher, KeyIndex, Needle};
use glossator_store::objects::Objects;
use glossator_store::removal::Removal;
use glossator_store::schema::{TABLES, Table};
use glossator_store::segment::{SCHEMA_VERSION, SegmentKind, SegmentReader, SegmentRef};
use glossator_store::snapshot::TableState;
use glossator_store::{Digest, Store};

use crate::TestStore;

/// A target: a name and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("label_studio", |bytes| import("label-studio", bytes)),
    ("coco", |bytes| import("coco", bytes)),
    ("labelme", |bytes| import("labelme-xml", bytes)),
    ("csv", |bytes| table("csv", bytes)),
    ("tsv", |bytes| table("tsv", bytes)),
    ("jsonl", |bytes| table("jsonl", bytes)),
    ("parquet", |bytes| table("parquet", bytes)),
    ("each", each),
    ("mask", mask),
    ("segment", segment),
    ("removal", removal),
    ("key_index", key_index),
    ("table_file", table_file),
    ("change", change),
    ("meta", meta),
    ("commits", |bytes| with_file("cache/index/commits", bytes, commits)),
    ("config", |bytes| with_file("config.toml", bytes, |_| {})),
    ("stage", |bytes| with_file("stage/shared.json", bytes, stage)),
    ("people", |bytes| with_file("private/people", bytes, people)),
    ("packed_refs", |bytes| with_file("git/packed-refs", bytes, refs)),
    ("head", |bytes| with_file("git/HEAD", bytes, refs)),
    ("reflog", |bytes| with_file("git/logs/HEAD", bytes, refs)),
];

/// Gives bytes to a target.
///
/// # Panics
/// Where no target has that name, and where the target finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.expect("a target of that name");
    target(bytes);
}

/// Keeps a panic hook, such as one that aborts, from seeing panics that are caught as errors.
pub fn hide_guarded_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !glossator_store::guard::is_guarded() {
            report(info);
        }
    }));
}

thread_local! {
    static STORE: TestStore = {
        let test = TestStore::new();
        test.import(&[crate::choice("item", "id", "cat")]).expect("a commit");
        test
    };
    /// A file that is written over and over: for decoders that take no bytes but a path.
    static SCRATCH: RefCell<Option<(tempfile::TempDir, PathBuf)>> = const { RefCell::new(None) };
}

/// Writes the bytes to a file, in memory where the system has such a folder.
fn scratch(bytes: &[u8]) -> PathBuf {
    SCRATCH.with_borrow_mut(|scratch| {
        let (_, path) = scratch.get_or_insert_with(|| {
            let memory = Path::new("/dev/shm");
            let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
            let dir = dir.expect("a temporary directory");
            let path = dir.path().join("file");
            (dir, path)
        });
        fs::write(&path, bytes).expect("a temporary file");
        path.clone()
    })
}

/// What was imported can be exported, in every format.
fn imported(name: &str, options: &ImportOptions, bytes: &[u8]) {
    let input = Input::new(scratch(bytes));
    let importer = importers().iter().find(|importer| importer.name() == name);
    let importer = importer.expect("an importer of that name");
    importer.detect(name, bytes);
    let mut rows = Collected::default();
    rows.quarantine = true;
    if importer.import(&input, options, &mut rows).is_ok() {
        for exporter in exporters() {
            let _ = exporter.export(&rows, &ExportOptions::default(), &mut io::sink());
        }
    }
}

fn import(name: &str, bytes: &[u8]) {
    imported(name, &ImportOptions::default(), bytes);
}

/// A table, as rows and as edits by key.
fn table(name: &str, bytes: &[u8]) {
    import(name, bytes);
    let _ = read_partial(&Input::new(scratch(bytes)), Some(name), &mut |_, _, _| Ok(()));
}

/// Nested lists of a table.
fn each(bytes: &[u8]) {
    let options = ImportOptions { each: Some("boxes".to_owned()), ..ImportOptions::default() };
    imported("jsonl", &options, bytes);
}

/// The first byte is the number of rows that the segment should have.
fn segment(bytes: &[u8]) {
    let Some((rows, bytes)) = bytes.split_first() else { return };
    let disk = Disk::new(Arc::new(OneFile(bytes.to_vec())));
    let objects = Objects::new(disk, PathBuf::new());
    let digest = Digest::of(bytes);
    let line = SegmentRef {
        segment: digest,
        rows: u32::from(*rows),
        bytes: bytes.len() as u64,
        root: digest,
        schema: SCHEMA_VERSION,
    };
    for table in TABLES {
        for kind in [SegmentKind::Rows, SegmentKind::Before] {
            let Ok(reader) = SegmentReader::open(&objects, table, kind, &line) else { continue };
            let _ = reader.seed();
            let last = line.rows.saturating_sub(1);
            for scan in [reader.scan(), reader.rows(&[last])].into_iter().flatten() {
                scan.take_while(Result::is_ok).for_each(drop);
            }
        }
    }
}

fn mask(bytes: &[u8]) {
    for geometry in [None, Some(&[12.0, 9.0][..])] {
        if let Some(shape) = Shape::decode_mask(bytes, geometry) {
            let iou = shape.iou(&shape);
            assert!(iou.is_none_or(|iou| iou == 1.0), "a mask is equal to itself");
        }
    }
}

fn removal(bytes: &[u8]) {
    if let Some(removal) = Removal::decode(bytes) {
        assert!(removal.count() > 0 || removal.rows.is_empty(), "a segment without dead rows");
    }
}

/// The first 32 bytes name the segment that the index is of.
fn key_index(bytes: &[u8]) {
    let Some((segment, bytes)) = bytes.split_first_chunk::<32>() else { return };
    let path = scratch(bytes);
    let opened = KeyIndex::open(&Disk::default(), &path, &Digest(*segment));
    let Ok(IndexState::Ready(index)) = opened else { return };
    let mut hasher = KeyHasher::default();
    for key in ["a", "b", ""] {
        let (item, key) = hasher.hash("a", key);
        let needles = [Needle { item, key: None }, Needle { item, key: Some(key) }];
        let _ = index.find(needles.into_iter().enumerate(), &mut |_, _| {});
    }
}

fn table_file(bytes: &[u8]) {
    let Ok(state) = TableState::parse(bytes) else { return };
    let _ = state.rows();
    let text = state.render().expect("what was read can be written");
    let again = TableState::parse(&text).expect("what was written can be read");
    assert_eq!(again, state);
}

fn change(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<ChangeRecord>(bytes) else { return };
    let objects = Objects::new(Disk::new(Arc::new(OneFile(Vec::new()))), PathBuf::new());
    for (name, change) in &record.tables {
        let _ = record.counts(name).total();
        let rows = Table::by_name(name).map(|table| read_change(&objects, table, change));
        if let Some(Ok(rows)) = rows {
            rows.take_while(Result::is_ok).for_each(drop);
        }
    }
    let text = serde_json::to_vec(&record).expect("what was read can be written");
    let again: ChangeRecord = serde_json::from_slice(&text).expect("it can be read again");
    assert_eq!(again, record);
}

fn meta(bytes: &[u8]) {
    let Ok(meta) = Meta::decode(bytes) else { return };
    let text = serde_json::to_vec(&meta).expect("what was read can be written");
    let again: Meta = serde_json::from_slice(&text).expect("it can be read again");
    assert_eq!(again, meta);
}

/// Opens a store that has these bytes as one of its files.
fn with_file(name: &str, bytes: &[u8], then: fn(&Store)) {
    STORE.with(|test| {
        let path = test.store.root().join(name);
        fs::create_dir_all(path.parent().expect("a file of the store")).expect("its folder");
        let before = fs::read(&path).ok();
        fs::write(&path, bytes).expect("a file of the store");
        if let Ok(store) = test.reopen() {
            then(&store);
        }
        match before {
            Some(before) => fs::write(&path, before).expect("a file of the store"),
            None => fs::remove_file(&path).expect("a file of the store"),
        }
    });
}

fn stage(store: &Store) {
    let Ok(stage) = store.stage() else { return };
    let Ok(snapshot) = store.snapshot(None, &stage.layers) else { return };
    for table in TABLES {
        let _ = snapshot.state(table).rows();
        let rows = snapshot.table(table).and_then(|table| table.scan());
        if let Ok(rows) = rows {
            rows.take_while(Result::is_ok).for_each(drop);
        }
    }
}

fn people(store: &Store) {
    let Ok(mut people) = store.people() else { return };
    for (id, email) in [(Some("2"), Some("a@example.org")), (None, Some("b@example.org"))] {
        let id = people.identify(id, email, Some("{}"));
        let _ = people.facts(&id);
    }
}

/// Whatever the file says, the commits that are there are known.
fn commits(store: &Store) {
    let head = store.history.head().expect("a head").commit.expect("a commit");
    let origins = store.origins(&[head]).expect("a walk");
    assert!(origins.reached(head).contains(&head));
    assert!(origins.order(&[head]).ends_with(&[head]));
}

fn refs(store: &Store) {
    let _ = store.history.head();
    let _ = store.history.refs(false);
    let _ = store.history.refs(true);
    for revision in ["main", "HEAD@{1}", "v1^{commit}", "main~3"] {
        let _ = store.history.resolve(revision);
    }
    let _ = store.verify(&mut |_| {});
}

/// A file system with one file under every name, that cannot be written.
#[derive(Debug)]
struct OneFile(Vec<u8>);

/// What every call but a read of the whole file gives.
fn denied<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Fs for OneFile {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }
    fn open(&self, _: &Path) -> io::Result<File> {
        denied()
    }
    fn create_new(&self, _: &Path) -> io::Result<Box<dyn Output>> {
        denied()
    }
    fn append(&self, _: &Path) -> io::Result<Box<dyn Output>> {
        denied()
    }
    fn overwrite(&self, _: &Path) -> io::Result<Box<dyn Output>> {
        denied()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        denied()
    }
    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        denied()
    }
    fn remove_file(&self, _: &Path) -> io::Result<()> {
        denied()
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        denied()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        denied()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        Ok(Vec::new())
    }
    fn lock(&self, _: &Path, _: bool) -> io::Result<Lock> {
        denied()
    }
}
