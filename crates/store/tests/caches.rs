//! Caches change how fast an answer comes, never the answer.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and damages files"
)]

use std::path::PathBuf;

use arrow::array::RecordBatch;
use glossator_store::canonical::Rows;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, Annotations};
use glossator_store::{CommitId, Store};
use glossator_testkit::{TestStore, choice};

/// Rows with every sort of cell, and some that the row cache leaves out.
fn rich<'a>(item: &'a str, id: &'a str, long: &'a str, at: usize) -> AnnotationRow<'a> {
    const SHAPES: [&[f64]; 4] = [&[1.5, 2.0], &[], &[-0.0, 3.0], &[0.1, -7.25, 1e300]];
    AnnotationRow {
        submission_id: at.is_multiple_of(3).then_some("annotation/1"),
        geometry: (!at.is_multiple_of(5)).then_some(SHAPES[at % 4]),
        unit: (!at.is_multiple_of(5)).then_some("px"),
        frame: (at % 7 == 1).then_some(-5),
        seq: at.is_multiple_of(2).then_some(at as i32 - 9),
        refs: (at % 6 == 2).then(|| vec!["a", "", "Größe"]),
        text: (at % 11 == 3).then_some(if at.is_multiple_of(2) { long } else { "kurz\n" }),
        number: (at % 4 == 1).then_some(if at % 8 == 1 { -0.0 } else { 4.5 }),
        mask: (at % 9 == 4).then_some(&[0, 255, 7][..]),
        gold: at % 2 == 1,
        created_at: Some(1_700_000_000_000_000 + at as i64),
        extra: (at % 3 == 1).then_some(r#"{"z":1.0,"a":[]}"#),
        ..choice(item, id, if at.is_multiple_of(2) { "car" } else { "Fußgänger" })
    }
}

struct Made {
    test: TestStore,
    head: CommitId,
    keys: Vec<(String, String)>,
}

fn made() -> Made {
    let test = TestStore::new();
    let keys: Vec<(String, String)> =
        (0..150).map(|at| (format!("item-{:03}", at / 3), format!("id-{at}"))).collect();
    // Longer than a row of the cache may be.
    let long = "x".repeat(20_000);
    let rows: Vec<_> =
        keys.iter().enumerate().map(|(at, (item, id))| rich(item, id, &long, at)).collect();
    test.import(&rows).unwrap();
    let changed = rows.iter().step_by(4).cloned();
    let changed: Vec<_> = changed.map(|row| AnnotationRow { score: Some(0.5), ..row }).collect();
    let head = test.import(&changed).unwrap().unwrap();
    Made { test, head, keys }
}

/// Every second row, backwards, with its origin.
fn fetched(store: &Store, made: &Made) -> RecordBatch {
    let snapshot = store.snapshot(Some(made.head), &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let keys = made.keys.iter().rev().step_by(2).map(|(item, id)| (item.as_str(), id.as_str()));
    let found: Vec<_> = table.locate(keys).unwrap().into_iter().map(Option::unwrap).collect();
    table.fetch(&found).unwrap()
}

fn files(store: &Store, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store.root().join("cache/index")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    assert!(!paths.is_empty(), "no {extension}");
    paths
}

/// Equal to the bit, which equality of canonical rows is not: −0 is +0 there.
fn assert_equal(a: &RecordBatch, b: &RecordBatch, what: &str) {
    assert_eq!(a.num_rows(), b.num_rows(), "{what}");
    let (rows, others) = (Rows::new(&ANNOTATIONS, a).unwrap(), Rows::new(&ANNOTATIONS, b).unwrap());
    let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let (plain, other) = (a.project(&columns).unwrap(), b.project(&columns).unwrap());
    let (plain, other) = (Annotations::new(&plain), Annotations::new(&other));
    for row in 0..rows.len() {
        assert!(rows.differing(row, &others, row).is_empty(), "{what}: row {row}");
        let bits = |rows: &Annotations<'_>| -> Vec<u64> {
            let numbers = rows.number(row).into_iter();
            numbers
                .chain(rows.geometry(row).unwrap_or_default().to_vec())
                .map(f64::to_bits)
                .collect()
        };
        assert_eq!(bits(&plain), bits(&other), "{what}: row {row}");
    }
    let origin = |batch: &RecordBatch| {
        let column = batch.column(ANNOTATIONS.columns.len()).clone();
        arrow::compute::cast(&column, &arrow::datatypes::DataType::Utf8).unwrap()
    };
    assert_eq!(&origin(a), &origin(b), "{what}");
}

#[test]
fn rows_are_equal_with_and_without_the_row_cache() {
    let made = made();
    let cached = fetched(&made.test.reopen().unwrap(), &made);
    for path in files(&made.test.store, "rows") {
        std::fs::remove_file(path).unwrap();
    }
    let decoded = fetched(&made.test.reopen().unwrap(), &made);
    assert_equal(&cached, &decoded, "without row caches");
    // Built anew together with the indices.
    std::fs::remove_dir_all(made.test.store.root().join("cache")).unwrap();
    assert_equal(&fetched(&made.test.reopen().unwrap(), &made), &decoded, "without caches");
    assert_equal(&fetched(&made.test.reopen().unwrap(), &made), &decoded, "with caches again");
    assert!(made.test.store.verify(&mut |_| {}).unwrap().findings.is_empty());
}

#[test]
fn few_rows_of_a_large_segment_come_from_the_cache_alone() {
    let made = made();
    let store = made.test.reopen().unwrap();
    let snapshot = store.snapshot(Some(made.head), &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let found = table.locate_item("item-001").unwrap();
    assert_eq!(table.fetch(&found).unwrap().num_rows(), 3);
    assert_eq!(store.disk().work.counts()[1], 0, "bytes of segments");
}

#[test]
fn a_flipped_byte_of_a_cache_changes_no_answer() {
    let made = made();
    let sound = fetched(&made.test.reopen().unwrap(), &made);
    for extension in ["rows", "idx"] {
        for path in files(&made.test.store, extension) {
            let bytes = std::fs::read(&path).unwrap();
            for at in
                (0..bytes.len()).step_by(bytes.len() / 97 + 1).chain(bytes.len() - 80..bytes.len())
            {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << (at % 8);
                std::fs::write(&path, bad).unwrap();
                let read = fetched(&made.test.reopen().unwrap(), &made);
                assert_equal(&read, &sound, &format!("{extension} at {at}"));
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn an_item_is_found_in_every_segment_that_has_it() {
    let made = made();
    let store = made.test.reopen().unwrap();
    let snapshot = store.snapshot(Some(made.head), &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let items: Vec<String> = (0..52).map(|item| format!("item-{item:03}")).collect();
    let items: Vec<&str> = items.iter().rev().map(String::as_str).collect();
    let found = table.locate_items(&items).unwrap();
    let counts: Vec<usize> = found.iter().map(Vec::len).collect();
    // Three rows an item; the first two asked for do not exist.
    assert_eq!(counts[..2], [0, 0]);
    assert!(counts[2..].iter().all(|count| *count == 3), "{counts:?}");
    assert_eq!(found[2].len(), table.locate_item(items[2]).unwrap().len());
}
