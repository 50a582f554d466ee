//! Clocks that are ten years off: nothing is decided by time.

use std::fs::{File, read_dir};
use std::path::Path;
use std::time::{Duration, SystemTime};

use glossator_store::fs::Disk;
use glossator_store::history::Identity;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{CommitOptions, Store};
use glossator_testkit::{batch, choice, identity, scratch};

use crate::bench::{benches, look, works_on};

const DECADE: i64 = 10 * 365 * 24 * 3_600;

fn at(seconds: i64) -> Identity {
    Identity { seconds, ..identity() }
}

fn date_all(dir: &Path, date: SystemTime) {
    for entry in read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            date_all(&path, date);
        } else {
            File::options().append(true).open(&path).unwrap().set_modified(date).unwrap();
        }
    }
}

/// Each committer has another clock; the history has the order in which they committed.
#[test]
fn commits_of_many_clocks_stand_in_their_order() {
    let dir = scratch();
    let store = Store::init(&Disk::default(), dir.path()).unwrap();
    let mut made = Vec::new();
    for round in 0..12_i64 {
        // Forward, back, standing still.
        let seconds = identity().seconds + [DECADE, -DECADE, 0][(round % 3) as usize];
        let base = store.history.head().unwrap().commit;
        let snapshot = store.snapshot(base, &[]).unwrap();
        let mut intake = Intake::new(&snapshot, IntakeOptions::default());
        let label = format!("label-{round}");
        intake.rows(&ANNOTATIONS, batch(&[choice("item", "id", &label)])).unwrap();
        let layers = intake.finish().unwrap().layers;
        let options = CommitOptions {
            branch: None,
            message: &label,
            author: at(seconds),
            committer: at(seconds),
            code_commit: None,
            action: "commit",
            stage: None,
            signer: None,
            guards: &[],
        };
        made.push(store.commit(base, &layers, &options).unwrap().unwrap());
    }
    let head = store.history.head().unwrap().commit.unwrap();
    let walked: Vec<_> = store.history.walk(head).unwrap().map(|id| id.unwrap()).collect();
    let newest_first: Vec<_> = made.iter().rev().copied().collect();
    assert_eq!(walked, newest_first);
    for (back, commit) in newest_first.iter().enumerate() {
        for revision in [format!("main~{back}"), format!("main@{{{back}}}")] {
            assert_eq!(store.history.resolve(&revision).unwrap(), *commit, "{revision}");
        }
    }
    assert!(store.plan_gc().unwrap().is_empty());
    assert!(store.verify(&mut |_| ()).unwrap().ok);
}

/// Files of the future and of the past: each operation does what it does at any other time, and gc
/// takes what it takes.
#[test]
fn dates_of_files_decide_nothing() {
    let off = Duration::from_secs(DECADE.unsigned_abs());
    for date in [SystemTime::UNIX_EPOCH, SystemTime::now() - off, SystemTime::now() + off] {
        for (operation, bench) in benches() {
            let dir = scratch();
            bench.image.write_to(dir.path()).unwrap();
            date_all(dir.path(), date);
            (operation.run)(&Disk::default(), dir.path()).unwrap();
            let after = bench.after(operation);
            assert_eq!(look(dir.path()).unwrap(), after, "{}", operation.name);
            works_on(dir.path(), after).unwrap();
        }
    }
}

/// An open store sees what another process did, whatever the dates of the files say.
#[test]
fn an_open_store_saw_packed_refs_of_the_future() {
    let (_, bench) = benches().nth(1).unwrap();
    let dir = scratch();
    bench.image.write_to(dir.path()).unwrap();
    let off = Duration::from_secs(DECADE.unsigned_abs());
    date_all(dir.path(), SystemTime::now() + off);
    let open = || Store::open(&Disk::default(), &dir.path().join(".gloss")).unwrap();
    let (long, short) = (open(), open());
    let names = |store: &Store| -> Vec<String> {
        store.history.refs(false).unwrap().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(&long), ["ahead", "main", "packed", "side"]);
    short.delete_ref(false, &"packed".parse().unwrap(), &identity()).unwrap();
    assert_eq!(names(&long), ["ahead", "main", "side"]);
}
