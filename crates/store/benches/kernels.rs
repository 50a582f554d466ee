//! The kernels that small commits, diffs and look-ups are made of, on 200,000 rows.
//!
//! `cargo bench -p glossator-store`

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench may stop at once")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use glossator_store::canonical::Rows;
use glossator_store::change::Fold;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, AnnotationsBuilder};
use glossator_testkit::{TestStore, choice};

const ROWS: usize = 200_000;

fn key(row: usize) -> (String, String) {
    (format!("item-{:07}", row / 4), format!("{:08x}", row * 7919))
}

fn made() -> TestStore {
    let test = TestStore::new();
    let batches = (0..ROWS).step_by(5_000).map(|start| {
        let mut builder = AnnotationsBuilder::default();
        for row in start..start + 5_000 {
            let (item, id) = key(row);
            let geometry = [row as f64, 0.5, 10.25, 20.0];
            builder.push(&AnnotationRow {
                geometry: Some(&geometry),
                unit: Some("px"),
                kind: "bbox",
                ..choice(&item, &id, if row % 3 == 0 { "car" } else { "truck" })
            });
        }
        builder.finish()
    });
    test.import_batches(&ANNOTATIONS, batches).unwrap();
    for label in ["bus", "van", "tram"] {
        let keys: Vec<_> = (0..1_000).map(|row| key(row * 190)).collect();
        let rows: Vec<_> = keys.iter().map(|(item, id)| choice(item, id, label)).collect();
        test.import(&rows).unwrap();
    }
    test
}

fn kernels(criterion: &mut Criterion) {
    let test = made();
    let store = &test.store;
    let head = store.history.head().unwrap().commit;
    let keys: Vec<_> = (0..1_000).map(|row| key(row * 199)).collect();
    let keys = || keys.iter().map(|(item, id)| (item.as_str(), id.as_str()));

    criterion.bench_function("locate 1,000 keys in a store just opened", |bench| {
        bench.iter(|| {
            let snapshot = store.snapshot(head, &[]).unwrap();
            black_box(snapshot.table(&ANNOTATIONS).unwrap().locate(keys()).unwrap());
        });
    });
    let snapshot = store.snapshot(head, &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let found: Vec<_> = table.locate(keys()).unwrap().into_iter().flatten().collect();
    criterion.bench_function("fetch 1,000 rows that lie apart", |bench| {
        bench.iter(|| black_box(table.fetch(&found).unwrap()));
    });
    criterion.bench_function("locate and fetch the rows of an item", |bench| {
        bench.iter(|| table.fetch(&table.locate_item("item-0001234").unwrap()).unwrap());
    });
    let rows = table.fetch(&found).unwrap();
    criterion.bench_function("digest 1,000 rows", |bench| {
        let (rows, mut scratch) = (Rows::new(&ANNOTATIONS, &rows).unwrap(), Vec::new());
        bench.iter(|| {
            (0..rows.len()).for_each(|row| {
                black_box(rows.digest(row, &mut scratch));
            });
        });
    });
    let commits: Vec<_> =
        store.history.walk(head.unwrap()).unwrap().take(3).map(Result::unwrap).collect();
    let changes: Vec<_> = commits.iter().rev().map(|c| store.change(*c).unwrap()).collect();
    criterion.bench_function("fold three changes of 1,000 rows", |bench| {
        bench.iter(|| {
            let mut fold = Fold::new(&ANNOTATIONS);
            for record in &changes {
                fold.push(store.objects(), &record.tables["annotations"], false).unwrap();
            }
            fold.finish().unwrap().map(|delta| delta.unwrap().changes.len()).sum::<usize>()
        });
    });
}

criterion_group!(benches, kernels);
criterion_main!(benches);
