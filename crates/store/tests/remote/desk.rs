//! Stores on machines of their own, and where they meet.

use std::path::Path as FilePath;
use std::sync::Arc;

use futures_util::TryStreamExt;
use glossator_store::fs::Disk;
use glossator_store::history::RefName;
use glossator_store::remote::{
    CloneRequest, FetchReport, PushReport, PushRequest, Remote, Result, Silent, clone_store,
};
use glossator_store::{CommitId, Store};
use glossator_testkit::{TestStore, choice, commit, identity, scratch};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// A remote, and the store under it.
pub struct Place {
    pub remote: Remote,
    pub store: Arc<dyn ObjectStore>,
    pub prefix: Path,
}

impl Place {
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let prefix = Path::from(prefix);
        let remote = Remote::over(store.clone(), prefix.clone(), "test://");
        Self { remote, store, prefix }
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        wait(self.store.put(&self.path(key), bytes.to_vec().into())).unwrap();
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        wait(async { self.store.get(&self.path(key)).await?.bytes().await }).unwrap().to_vec()
    }

    pub fn remove(&self, key: &str) {
        wait(self.store.delete(&self.path(key))).unwrap();
    }

    /// The same objects in another store.
    pub fn copy(other: &Self) -> Self {
        let copy = Self::new(Arc::new(InMemory::new()), other.prefix.as_ref());
        other.keys().iter().for_each(|key| copy.put(key, &other.get(key)));
        copy
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        let found: Vec<_> = wait(self.store.list(Some(&self.prefix)).try_collect()).unwrap();
        let inner = |meta: object_store::ObjectMeta| {
            let parts: Vec<_> = meta.location.prefix_match(&self.prefix).unwrap().collect();
            parts.iter().map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/")
        };
        found.into_iter().map(inner).collect()
    }
}

pub fn memory() -> Place {
    Place::new(Arc::new(InMemory::new()), "team/labels")
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub fn request() -> PushRequest {
    PushRequest {
        remote: "origin".to_owned(),
        branches: vec!["main".parse().unwrap()],
        tags: true,
        force: false,
        people: false,
        delete: Vec::new(),
        dry_run: false,
        who: identity(),
    }
}

pub fn push(store: &Store, remote: &Remote) -> Result<PushReport> {
    remote.push(store, &request(), &Silent)
}

pub fn fetch(store: &Store, remote: &Remote) -> Result<FetchReport> {
    remote.fetch(store, "origin", &identity(), &Silent)
}

/// A store in a directory that vanishes with it.
pub struct Copy {
    _dir: tempfile::TempDir,
    pub store: Store,
}

impl Copy {
    pub fn new(dir: tempfile::TempDir, store: Store) -> Self {
        Self { _dir: dir, store }
    }
}

pub fn try_clone_into(dir: &FilePath, remote: &Remote) -> Result<Store> {
    clone_of(dir, remote, false).map(|made| made.0)
}

fn clone_of(
    dir: &FilePath,
    remote: &Remote,
    rows_stay: bool,
) -> Result<(Store, RefName, FetchReport)> {
    let request = CloneRequest { name: "origin", branch: None, rows_stay, with_people: false };
    clone_store(&Disk::default(), dir, remote, &request, &identity(), &Silent)
}

/// A clone that leaves large objects there, and what came.
pub fn clone_history(remote: &Remote) -> (Copy, FetchReport) {
    let dir = scratch();
    let (store, _, report) = clone_of(dir.path(), remote, true).expect("a clone");
    (Copy { _dir: dir, store }, report)
}

pub fn try_clone(remote: &Remote) -> Result<Copy> {
    let dir = scratch();
    let store = try_clone_into(dir.path(), remote)?;
    Ok(Copy { _dir: dir, store })
}

pub fn clone(remote: &Remote) -> Copy {
    try_clone(remote).expect("a clone")
}

/// A store with one commit of a row.
pub fn first() -> TestStore {
    let made = TestStore::new();
    import(&made.store, "a", "one");
    made
}

/// Commits one row.
pub fn import(store: &Store, item: &str, label: &str) -> CommitId {
    use glossator_store::intake::{Intake, IntakeOptions};
    let base = store.history.head().unwrap().commit;
    let snapshot = store.snapshot(base, &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    let rows = glossator_testkit::batch(&[choice(item, "x", label)]);
    intake.rows(&glossator_store::schema::ANNOTATIONS, rows).unwrap();
    let layers = intake.finish().unwrap().layers;
    commit(store, base, &layers).unwrap().expect("a change")
}

pub fn head(store: &Store) -> String {
    store.history.head().unwrap().commit.map(|c| c.to_string()).unwrap_or_default()
}

/// Labels by item.
pub fn labels(store: &Store) -> Vec<(String, String)> {
    let head = store.history.head().unwrap().commit;
    let snapshot = store.snapshot(head, &[]).unwrap();
    let table = snapshot.table(&glossator_store::schema::ANNOTATIONS).unwrap();
    let mut found = Vec::new();
    glossator_testkit::for_each_annotation(table.scan().unwrap(), |row| {
        found.push((row.item_id.to_owned(), row.label.unwrap_or_default().to_owned()));
    })
    .unwrap();
    found
}

/// Every invariant of the store holds, and nothing is left in the quarantine.
#[track_caller]
pub fn sound(store: &Store) {
    let report = store.verify(&mut |_| ()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert!(report.objects > 0);
    assert!(!store.root().join("cache/incoming").exists(), "a quarantine is left");
}
