//! What tests share: stores in temporary directories, and rows without ceremony.

pub mod chromium;
pub mod faults;
pub mod fuzz;
pub mod gcs_fake;
pub mod moto;
pub mod operations;
pub mod proxy;
pub mod remote;
mod setup;

use std::path::Path;

use arrow::array::RecordBatch;
use glossator_store::fs::Disk;
use glossator_store::history::Identity;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::schema::{ANNOTATIONS, Table};
use glossator_store::schema::{AnnotationRow, Annotations, AnnotationsBuilder};
use glossator_store::segment::BatchStream;
use glossator_store::{CommitId, CommitOptions, Layer, Result, Store};

/// A store in a directory that vanishes with it.
#[derive(Debug)]
pub struct TestStore {
    dir: tempfile::TempDir,
    /// The store.
    pub store: Store,
}

/// Who commits in tests, at a fixed time.
pub fn identity() -> Identity {
    Identity {
        name: "Test".to_owned(),
        email: "test@example.com".to_owned(),
        seconds: 1_700_000_000,
        offset: 0,
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::new()
    }
}

impl TestStore {
    /// Makes an empty store.
    ///
    /// # Panics
    /// If the temporary directory cannot be made.
    pub fn new() -> Self {
        let dir = scratch();
        let store = Store::init(&Disk::default(), dir.path()).expect("an empty store");
        Self { dir, store }
    }

    /// The directory around `.gloss`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Opens the store anew, as another process would.
    ///
    /// # Errors
    /// Whatever opening says.
    pub fn reopen(&self) -> Result<Store> {
        Store::open(&Disk::default(), self.store.root())
    }

    /// Commits layers made on the head.
    ///
    /// # Errors
    /// Whatever the commit says.
    pub fn commit(&self, base: Option<CommitId>, layers: &[Layer]) -> Result<Option<CommitId>> {
        commit(&self.store, base, layers)
    }

    /// Upserts annotations and commits.
    ///
    /// # Errors
    /// Whatever the intake or the commit says.
    pub fn import(&self, rows: &[AnnotationRow<'_>]) -> Result<Option<CommitId>> {
        self.import_batches(&ANNOTATIONS, [batch(rows)])
    }

    /// Takes batches of one table and commits.
    ///
    /// # Errors
    /// Whatever the intake or the commit says.
    pub fn import_batches(
        &self,
        table: &'static Table,
        batches: impl IntoIterator<Item = RecordBatch>,
    ) -> Result<Option<CommitId>> {
        let base = self.store.history.head()?.commit;
        let snapshot = self.store.snapshot(base, &[])?;
        let mut intake = Intake::new(&snapshot, IntakeOptions::default());
        for batch in batches {
            intake.rows(table, batch)?;
        }
        let made = intake.finish()?;
        self.commit(base, &made.layers)
    }
}

/// Commits layers to the branch of `HEAD`.
///
/// # Errors
/// Whatever the commit says.
pub fn commit(store: &Store, base: Option<CommitId>, layers: &[Layer]) -> Result<Option<CommitId>> {
    store.commit(base, layers, &options())
}

/// Commits to the branch of `HEAD` as tests do.
pub fn options() -> CommitOptions<'static> {
    CommitOptions {
        branch: None,
        message: "test",
        author: identity(),
        committer: identity(),
        code_commit: None,
        action: "commit",
        stage: None,
        signer: None,
        guards: &[],
    }
}

/// An annotation with a stated id and a label.
pub fn choice<'a>(item: &'a str, id: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow {
        item_id: item,
        annotation_id: id,
        source: "table",
        annotator_id: "ann",
        origin: "human",
        field: "label",
        kind: "choice",
        label: Some(label),
        status: "submitted",
        ..AnnotationRow::default()
    }
}

/// A batch of annotations.
pub fn batch(rows: &[AnnotationRow<'_>]) -> RecordBatch {
    let mut builder = AnnotationsBuilder::default();
    rows.iter().for_each(|row| builder.push(row));
    builder.finish()
}

/// Calls `each` for every annotation of a stream.
///
/// # Errors
/// Whatever the stream says.
pub fn for_each_annotation(
    rows: BatchStream<'_>,
    mut each: impl FnMut(AnnotationRow<'_>),
) -> Result<()> {
    let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    for batch in rows {
        let batch = batch?.project(&columns)?;
        Annotations::new(&batch).iter().for_each(&mut each);
    }
    Ok(())
}

/// A temporary directory, in memory where the system has a place for that: faults are tried on
/// thousands of stores, and what they leave is told from calls rather than from a disk.
///
/// # Panics
/// If it cannot be made.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a temporary directory")
}

/// Texts of so many characters that do not compress to a part of their length.
pub fn noise(seed: &[u8], count: usize, len: usize) -> Vec<String> {
    let mut noise = blake3::Hasher::new().update(seed).finalize_xof();
    let mut bytes = vec![0; len];
    let mut text = || {
        noise.fill(&mut bytes);
        bytes.iter().map(|byte| char::from(33 + byte % 94)).collect()
    };
    (0..count).map(|_| text()).collect()
}
