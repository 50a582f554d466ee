//! Many commits: segments and packs stay few, and nothing that they hold changes.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and looks at files"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use glossator_store::fs::{Disk, Entry, Fs, Lock, Output, RealFs};
use glossator_store::limits::{PACKS_MAX, SEGMENTS_SMALL_MAX, WORN_ROWS_MIN};
use glossator_store::removal::Removal;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, ColumnView};
use glossator_store::{CommitId, Store};
use glossator_testkit::{TestStore, batch, choice, options};

/// Label and origin of each row.
fn rows(store: &Store, commit: CommitId) -> BTreeMap<String, (String, String)> {
    let snapshot = store.snapshot(Some(commit), &[]).unwrap();
    let label = ANNOTATIONS.column("label").unwrap();
    let mut found = BTreeMap::new();
    for batch in snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let text = |column: usize| {
                ColumnView::new(batch.column(column)).unwrap().text(row).unwrap().to_owned()
            };
            found.insert(text(0), (text(label), text(ANNOTATIONS.columns.len())));
        }
    }
    found
}

fn packs(test: &TestStore) -> usize {
    let dir = test.store.root().join("git/objects/pack");
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    names.filter(|name| name.to_str().unwrap().ends_with(".pack")).count()
}

fn sound(store: &Store) {
    let report = store.verify(&mut |_| {}).unwrap();
    assert_eq!(report.findings, []);
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|row| format!("i{row:05}")).collect()
}

fn labelled<'a>(items: &'a [String], label: &'a str) -> Vec<AnnotationRow<'a>> {
    items.iter().map(|item| choice(item, "a", label)).collect()
}

#[test]
fn segments_and_packs_stay_few_over_many_commits() {
    let test = TestStore::new();
    // One process that stays, as another that comes and goes, sees every commit.
    let watcher = test.reopen().unwrap();
    let mut expected: BTreeMap<String, (String, String)> = BTreeMap::new();
    let (mut checkpoints, mut most) = (0, 0);
    let mut first = None;
    for at in 0..150 {
        // Each commit adds a row and changes one of an earlier commit.
        let label = format!("label-{at}");
        let items = [format!("new-{at:03}"), format!("new-{:03}", at / 2)];
        let items = if at == 0 { &items[..1] } else { &items[..] };
        let commit = test.import(&labelled(items, &label)).unwrap().unwrap();
        let record = test.store.change(commit).unwrap();
        let [added] = &record.tables["annotations"].added[..] else { panic!("one segment") };
        for item in items {
            expected.insert(item.clone(), (label.clone(), added.segment.to_string()));
        }
        let state = watcher.table_state(commit, &ANNOTATIONS).unwrap();
        most = most.max(state.segments.len());
        assert!(packs(&test) < PACKS_MAX + 1, "{} packs", packs(&test));
        let message = watcher.history.commit(commit).unwrap();
        if message.trailer("Gloss-Checkpoint") == Some("annotations") {
            checkpoints += 1;
            assert!(state.segments.len() <= 8, "{}", state.segments.len());
            assert_eq!(rows(&watcher, commit), expected);
        }
        first = first.or(Some(commit));
    }
    // At the 65th commit 64 segments are folded into one, and 63 commits later again.
    assert_eq!(most, SEGMENTS_SMALL_MAX);
    assert_eq!(checkpoints, 2, "of 150 commits");
    let head = test.store.history.head().unwrap().commit.unwrap();
    assert_eq!(rows(&test.reopen().unwrap(), head), expected);
    assert_eq!(rows(&watcher, first.unwrap()).len(), 1);
    sound(&test.store);
    let git = test.store.root().join("git");
    let fsck = Command::new("git").arg("-C").arg(git).args(["fsck", "--strict"]).output().unwrap();
    assert!(fsck.status.success() && fsck.stdout.is_empty(), "{fsck:?}");
    // What was folded is still what earlier commits name.
    let plan = test.store.plan_gc().unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn a_half_dead_segment_is_written_anew_and_its_removals_go() {
    let test = TestStore::new();
    let all = names(0..WORN_ROWS_MIN);
    let first = test.import(&labelled(&all, "car")).unwrap().unwrap();
    let large = test.store.table_state(first, &ANNOTATIONS).unwrap().segments[0].segment;
    let state_after = |range, label: &str| {
        let commit = test.import(&labelled(&names(range), label)).unwrap().unwrap();
        test.store.table_state(commit, &ANNOTATIONS).unwrap()
    };
    let names_it = |state: &glossator_store::snapshot::TableState| {
        let removals = state.removals.iter();
        let mut dead = removals.map(|r| Removal::read(test.store.objects(), r).unwrap());
        let removed = dead.any(|removal| removal.rows.contains_key(&large));
        (state.segments.iter().any(|line| line.segment == large), removed)
    };
    // One row less than half, then half: it is due from then on, and gone with the next commit.
    let half = WORN_ROWS_MIN / 2;
    assert_eq!(names_it(&state_after(0..half - 1, "bus")), (true, true));
    assert_eq!(names_it(&state_after(half - 1..half, "bus")), (true, true));
    // This commit changes one row of it, which is dead in the new segment.
    let after = state_after(half..half + 1, "tram");
    assert_eq!(names_it(&after), (false, false));
    assert_eq!(after.rows(), WORN_ROWS_MIN as u64);
    assert_eq!(after.removals.iter().map(|line| line.count).sum::<u64>(), 1);
    let head = test.store.history.head().unwrap().commit.unwrap();
    let labels = rows(&test.store, head);
    let count = |label: &str| labels.values().filter(|row| row.0 == label).count();
    assert_eq!((count("car"), count("bus"), count("tram")), (half - 1, half, 1));
    sound(&test.store);
}

/// A file system on which nothing happens any more after so many steps.
#[derive(Debug)]
struct DyingFs(AtomicUsize);

impl DyingFs {
    fn step(&self) -> io::Result<()> {
        let less = |left: usize| left.checked_sub(1);
        let alive = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        alive.map(drop).map_err(|_| io::Error::other("dead"))
    }
}

impl Fs for DyingFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        RealFs.open(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.step()?;
        RealFs.create_new(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.step()?;
        RealFs.append(path)
    }

    fn overwrite(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.step()?;
        RealFs.overwrite(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealFs.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        RealFs.list(path)
    }

    fn lock(&self, path: &Path, shared: bool) -> io::Result<Lock> {
        RealFs.lock(path, shared)
    }
}

/// Copies a directory; most of those for objects are empty, and are made when they are needed.
fn copy(from: &Path, to: &Path) {
    if from.parent().is_none_or(|dir| !dir.ends_with(".gloss/objects")) {
        std::fs::create_dir_all(to).unwrap();
    }
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
        } else {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// Whatever step it dies at, the commit whose packs are folded is there or not, and all before it.
#[test]
fn a_fold_that_dies_half_way_loses_nothing() {
    let test = TestStore::new();
    let label = |at: usize| format!("label-{at}");
    for at in 1..PACKS_MAX {
        test.import(&[choice("i", "a", &label(at))]).unwrap().unwrap();
    }
    let head = test.store.history.head().unwrap().commit.unwrap();
    let layers = {
        let snapshot = test.store.snapshot(Some(head), &[]).unwrap();
        let mut intake = glossator_store::intake::Intake::new(&snapshot, Default::default());
        intake.rows(&ANNOTATIONS, batch(&[choice("i", "a", &label(PACKS_MAX))])).unwrap();
        intake.finish().unwrap().layers
    };
    let mut outcomes = [0, 0];
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        copy(test.store.root(), dir.path());
        let disk = Disk::new(Arc::new(DyingFs(AtomicUsize::new(steps))));
        let made = Store::open(&disk, dir.path()).unwrap().commit(Some(head), &layers, &options());
        let store = Store::open(&Disk::default(), dir.path()).unwrap();
        let now = store.history.head().unwrap().commit.unwrap();
        if let Ok(made) = &made {
            assert_eq!(*made, Some(now), "it was said to be made");
        }
        let length = PACKS_MAX - usize::from(now == head);
        let walked: Vec<_> = store.history.walk(now).unwrap().map(|c| c.unwrap()).collect();
        assert_eq!(walked.len(), length, "after {steps} steps");
        assert_eq!(rows(&store, now)["i"].0, label(length));
        outcomes[usize::from(now != head)] += 1;
        let files = std::fs::read_dir(dir.path().join("git/objects/pack")).unwrap().count();
        // Every git object is read; leftovers are found, and nothing is thought to be damaged.
        store.run_gc(store.plan_gc().unwrap()).unwrap();
        if files == 2 {
            break;
        }
    }
    // It died before the ref moved, and at each of the 64 removals after.
    assert!(outcomes[0] > 10 && outcomes[1] > 64, "{outcomes:?}");
}

/// Whoever commits while segments are written anew loses nothing, whoever comes first.
#[test]
fn commits_race_with_compactions() {
    const WRITERS: usize = 3;
    const COMMITS: usize = 12;
    let test = TestStore::new();
    test.import(&labelled(&names(0..WRITERS * COMMITS), "car")).unwrap().unwrap();
    let root = test.store.root();
    let open = || Store::open(&Disk::default(), root).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let store = open();
                for at in 0..COMMITS {
                    let item = format!("i{:05}", writer * COMMITS + at);
                    let head = store.history.head().unwrap().commit;
                    let snapshot = store.snapshot(head, &[]).unwrap();
                    let mut intake =
                        glossator_store::intake::Intake::new(&snapshot, Default::default());
                    intake.rows(&ANNOTATIONS, batch(&[choice(&item, "a", "bus")])).unwrap();
                    let layers = intake.finish().unwrap().layers;
                    store.commit(head, &layers, &options()).unwrap().unwrap();
                }
            });
        }
        scope.spawn(move || {
            let store = open();
            for _ in 0..COMMITS {
                store.compact(&options()).unwrap();
            }
        });
    });
    let head = test.store.history.head().unwrap().commit.unwrap();
    let labels = rows(&test.store, head);
    assert_eq!(labels.len(), WRITERS * COMMITS);
    assert!(labels.values().all(|row| row.0 == "bus"));
    let walked: Vec<_> = test.store.history.walk(head).unwrap().map(|c| c.unwrap()).collect();
    let changes = walked.iter().filter(|c| !test.store.change(**c).unwrap().is_empty()).count();
    assert_eq!(changes, WRITERS * COMMITS + 1);
    sound(&test.store);
}
