//! A store on a file system that can only be read, and git's lock files that others hold.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use glossator_store::fs::{Disk, Entry, Fs, Lock, Output, RealFs};
use glossator_store::history::RefName;
use glossator_store::{Error, Store};
use glossator_testkit::{TestStore, choice, identity};

/// The real file system with two faults.
#[derive(Debug, Default)]
struct Odd {
    /// Every write fails.
    read_only: bool,
    /// How often a lock file of git's is there already.
    held: AtomicU32,
}

impl Odd {
    fn writable(&self) -> io::Result<()> {
        match self.read_only {
            true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            false => Ok(()),
        }
    }
}

impl Fs for Odd {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        RealFs.open(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.writable()?;
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        let left = |left: u32| left.checked_sub(1);
        if is_lock && self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        RealFs.create_new(path)
    }

    fn overwrite(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.writable()?;
        RealFs.overwrite(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.writable()?;
        RealFs.append(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.writable()?;
        RealFs.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.writable()?;
        RealFs.remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        match path.is_dir() {
            true => Ok(()),
            false => self.writable(),
        }?;
        RealFs.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealFs.list(path)
    }

    fn lock(&self, path: &Path, shared: bool) -> io::Result<Lock> {
        self.writable()?;
        RealFs.lock(path, shared)
    }
}

fn odd(test: &TestStore, fs: Odd) -> Store {
    Store::open(&Disk::new(Arc::new(fs)), test.store.root()).unwrap()
}

/// A store with two segments and their indices.
fn store() -> TestStore {
    let test = TestStore::new();
    test.import(&[choice("a", "1", "cat"), choice("b", "1", "dog")]).unwrap();
    test.import(&[choice("a", "1", "dog")]).unwrap();
    test
}

fn indices(test: &TestStore) -> Vec<std::path::PathBuf> {
    let dir = test.store.root().join("cache/index");
    let entries = RealFs.list(&dir).unwrap();
    let names = entries.iter().filter(|entry| entry.name.ends_with(".idx"));
    names.map(|entry| dir.join(&entry.name)).collect()
}

#[test]
fn a_store_that_can_only_be_read_is_verified() {
    let test = store();
    let store = odd(&test, Odd { read_only: true, ..Odd::default() });
    let report = store.verify(&mut |_| {}).unwrap();
    assert!(report.ok && report.unlocked && report.findings.is_empty(), "{report:?}");
    let locked = test.store.verify(&mut |_| {}).unwrap();
    assert!(locked.ok && !locked.unlocked);

    let disk = Disk::default();
    for path in indices(&test) {
        let mut bytes = disk.read(&path).unwrap();
        let last = bytes.len() - 1;
        // In the zeros after the entries, which the check of a block covers, too.
        bytes[last] ^= 1;
        bytes[100] ^= 1;
        disk.write(&path, &bytes).unwrap();
    }
    let bad = indices(&test).len();
    let report = store.verify(&mut |_| {}).unwrap();
    assert!(report.ok, "a cache is no damage: {report:?}");
    assert_eq!(report.findings.len(), bad, "{report:?}");
    assert!(report.findings.iter().all(|found| found.detail == "it is bad"), "{report:?}");
    let report = test.store.verify(&mut |_| {}).unwrap();
    assert!(report.findings.iter().all(|found| found.detail.contains("built again")));
    assert_eq!(report.findings.len(), bad);
    assert!(test.store.verify(&mut |_| {}).unwrap().findings.is_empty());

    let refused = store.plan_gc().unwrap_err();
    assert!(matches!(&refused, Error::Io { action: "lock", .. }), "{refused}");
}

#[test]
fn a_held_lock_file_is_waited_for() {
    let test = store();
    let commit = test.store.history.head().unwrap().commit.unwrap();
    let make = |name: &str, held: u32| {
        let store = odd(&test, Odd { held: AtomicU32::new(held), ..Odd::default() });
        let name: RefName = name.parse().unwrap();
        store.make_ref(false, &name, commit, &identity(), None)
    };
    make("short", 5).unwrap();
    let error = make("long", u32::MAX).unwrap_err();
    let Error::RefLocked(path) = &error else { panic!("{error}") };
    assert!(path.ends_with("refs/heads/long.lock"), "{error}");
    let names: Vec<String> =
        test.store.history.refs(false).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["main", "short"]);
}
