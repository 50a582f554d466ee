//! What 10,000 small commits in a row cost, and what the store is like afterwards.
//!
//! `cargo run --release -p glossator-store --example many_commits -- [COMMITS] [ROWS]` makes a
//! store of ROWS annotations, then COMMITS commits of ten changes each, and prints CPU time by
//! hundreds of commits, the time to read the table before and after a compaction, and the bytes on
//! disk.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a program that is run by hand prints, and may stop at once"
)]

use std::path::Path;

use glossator_store::fs::Disk;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, AnnotationsBuilder};
use glossator_store::{CommitId, Store};
use glossator_testkit::{TestStore, batch, choice, options};

/// Rows that each commit changes.
const CHANGES: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let commits = arguments.next().unwrap_or(10_000);
    let rows = arguments.next().unwrap_or(100_000);
    let test = TestStore::new();
    let batches = (0..rows).step_by(5_000).map(|start| {
        let mut builder = AnnotationsBuilder::default();
        for row in start..(start + 5_000).min(rows) {
            builder.push(&annotation(&item(row), row % 3));
        }
        builder.finish()
    });
    test.import_batches(&ANNOTATIONS, batches).unwrap().unwrap();
    let mut spent = Vec::new();
    // A small generator of its own: the same commits in every run.
    let mut state = 1_u64;
    for at in 0..commits {
        let items: Vec<String> = (0..CHANGES)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                item((state >> 33) as usize % rows)
            })
            .collect();
        let began = cpu_seconds();
        // Opened anew, as each command does.
        commit(&test.reopen().unwrap(), &items, at);
        spent.push(cpu_seconds() - began);
        if (at + 1) % 500 == 0 {
            let mean = |part: &[f64]| part.iter().sum::<f64>() * 1e3 / part.len() as f64;
            let last = mean(&spent[spent.len() - 100..]);
            println!("commits {}: {last:.2} ms of CPU on average of the last 100", at + 1);
        }
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let early = mean(&spent[50.min(commits)..150.min(commits)]);
    let late = mean(&spent[commits.saturating_sub(100)..]);
    println!("around the 100th: {:.2} ms; the last 100: {:.2} ms", early * 1e3, late * 1e3);
    println!("ratio {:.2}", late / early);
    let head = head(&test.store);
    let state = test.store.table_state(head, &ANNOTATIONS).unwrap();
    println!("{} segments, {} removals", state.segments.len(), state.removals.len());
    let before = read(&test, head);
    report(test.store.root());
    let compacted = test.store.compact(&options()).unwrap().unwrap();
    let after = read(&test, compacted);
    println!("read {:.1} ms, compacted {:.1} ms", before * 1e3, after * 1e3);
    println!("ratio {:.2}", before / after);
}

fn item(row: usize) -> String {
    format!("images/{:04}/{row:08}.jpg", row / 1_000)
}

fn annotation(item: &str, label: usize) -> AnnotationRow<'_> {
    choice(item, "answer", ["car", "truck", "bus"][label])
}

fn head(store: &Store) -> CommitId {
    store.history.head().unwrap().commit.unwrap()
}

fn commit(store: &Store, items: &[String], at: usize) {
    let head = head(store);
    let snapshot = store.snapshot(Some(head), &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    let label = format!("label-{at}");
    let mut items = items.to_vec();
    items.sort_unstable();
    items.dedup();
    let rows: Vec<AnnotationRow<'_>> =
        items.iter().map(|item| choice(item, "answer", &label)).collect();
    intake.rows(&ANNOTATIONS, batch(&rows)).unwrap();
    let made = intake.finish().unwrap();
    store.commit(Some(head), &made.layers, &options()).unwrap().unwrap();
}

/// CPU seconds to read the whole table, the least of five times.
fn read(test: &TestStore, commit: CommitId) -> f64 {
    let once = || {
        let began = cpu_seconds();
        let store = test.reopen().unwrap();
        let snapshot = store.snapshot(Some(commit), &[]).unwrap();
        let table = snapshot.table(&ANNOTATIONS).unwrap();
        let rows: usize = table.scan().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows as u64, table.state.rows());
        cpu_seconds() - began
    };
    (0..5).map(|_| once()).fold(f64::MAX, f64::min)
}

fn report(root: &Path) {
    for part in ["git", "objects", "cache"] {
        let (files, bytes) = size(&root.join(part));
        println!("{part}: {files} files, {bytes} bytes");
    }
    let pack = |name: &str| name.ends_with(".pack");
    let dir = std::fs::read_dir(root.join("git/objects/pack")).unwrap();
    let packs = dir.filter(|entry| pack(entry.as_ref().unwrap().file_name().to_str().unwrap()));
    println!("{} packs", packs.count());
}

fn size(dir: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in Disk::default().list(dir).unwrap() {
        let (files, bytes) =
            if entry.is_dir { size(&dir.join(&entry.name)) } else { (1, entry.len) };
        sum = (sum.0 + files, sum.1 + bytes);
    }
    sum
}

/// CPU time of the main thread, as Linux counts it in nanoseconds.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
