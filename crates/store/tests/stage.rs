//! The stage: what waits for a commit, and what is left of it when a process dies.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at once")]

#[allow(dead_code, reason = "helpers of several tests")]
mod support;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use glossator_store::fs::{Disk, Entry, Fs, Lock, Output, RealFs};
use glossator_store::schema::*;
use glossator_store::{Stage, Store};
use support::*;

/// Two commits, and a stage that a process committed before it died.
fn left_over() -> Bench {
    let mut bench = Bench::new();
    let layers = bench.layer(&[(&ITEMS, items(&[("d", 40)]))]);
    let stage = Stage::new(Some(bench.head()), layers).unwrap();
    bench.store.write_stage(&stage).unwrap();
    assert_eq!(bench.store.stage().unwrap(), stage, "it waits");
    let made = bench.try_commit(&stage.layers, Some(&stage.id)).unwrap();
    bench.commits.extend(made);
    bench
}

#[test]
fn a_stage_that_is_committed_counts_as_empty_and_is_cleared() {
    let mut bench = left_over();
    let file = bench.path("stage/shared.json");
    let stage = bench.store.stage().unwrap();
    assert!(stage.is_empty());
    assert_eq!(stage.base, Some(bench.head()));
    // Also when others have committed since.
    bench.commit(&[(&ITEMS, items(&[("e", 50)]))]);
    assert!(bench.store.stage().unwrap().is_empty());
    assert_eq!(bench.store.verify(&mut |_| {}).unwrap().findings, []);
    // Its objects stay as long as its file does, and are those of the commit.
    assert!(bench.store.plan_gc().unwrap().is_empty());
    bench.store.clear_committed_stage().unwrap();
    assert!(!file.exists());
    assert!(bench.store.plan_gc().unwrap().is_empty());
}

#[test]
fn a_stage_that_another_commit_was_not_made_of_waits() {
    let mut bench = Bench::new();
    let layers = bench.layer(&[(&ITEMS, items(&[("d", 40)]))]);
    let stage = Stage::new(Some(bench.head()), layers.clone()).unwrap();
    bench.store.write_stage(&stage).unwrap();
    // The same rows, committed by somebody else.
    bench.commit_layers(&layers);
    bench.store.clear_committed_stage().unwrap();
    assert_eq!(bench.store.stage().unwrap(), stage);
    // One on an empty store, too.
    let bench = Bench::empty();
    let layers = bench.layer(&[(&ITEMS, items(&[("d", 40)]))]);
    let stage = Stage::new(None, layers).unwrap();
    bench.store.write_stage(&stage).unwrap();
    assert_eq!(bench.store.stage().unwrap(), stage);
    bench.try_commit(&stage.layers, Some(&stage.id)).unwrap();
    assert!(bench.store.stage().unwrap().is_empty());
}

/// The real file system, and the removals and directory syncs that it did.
#[derive(Debug, Default)]
struct Logged {
    calls: Mutex<Vec<(&'static str, PathBuf)>>,
}

impl Logged {
    fn note(&self, call: &'static str, path: &Path) {
        self.calls.lock().unwrap().push((call, path.to_owned()));
    }
}

impl Fs for Logged {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        RealFs.open(path)
    }
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        RealFs.create_new(path)
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        RealFs.append(path)
    }
    fn overwrite(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        RealFs.overwrite(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.note("remove", path);
        RealFs.remove_file(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFs.create_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note("sync", path);
        RealFs.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealFs.list(path)
    }
    fn lock(&self, path: &Path, shared: bool) -> io::Result<Lock> {
        RealFs.lock(path, shared)
    }
}

#[test]
fn a_stage_that_was_cleared_does_not_come_back_after_a_power_cut() {
    let bench = left_over();
    let log = Arc::new(Logged::default());
    let store = Store::open(&Disk::new(log.clone()), bench.store.root()).unwrap();
    store.write_stage(&Stage::new(None, Vec::new()).unwrap()).unwrap();
    let file = bench.path("stage/shared.json");
    let expected = [("remove", file), ("sync", bench.path("stage"))];
    assert_eq!(*log.calls.lock().unwrap(), expected);
}
