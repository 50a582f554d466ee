//! The store against a plain in-memory table, and the two ways to diff against each other.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

use std::collections::BTreeMap;

use glossator_lineage::{between, between_columns};
use glossator_store::change::{compare, only_old};
use glossator_store::delta::{Counts, DeltaBatch};
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, ColumnView, Columns};
use glossator_store::{CommitId, Transaction};
use glossator_testkit::{TestStore, batch, choice, for_each_annotation, options};
use proptest::prelude::*;

type Key = (String, String);
type Model = BTreeMap<Key, String>;

#[derive(Debug, Clone)]
enum Step {
    /// Item, annotation, label.
    Upsert(Vec<(u8, u8, u8)>),
    Remove(Vec<(u8, u8)>),
    DropCaches,
    Revert,
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let upsert = prop::collection::vec((0..6_u8, 0..4_u8, 0..3_u8), 1..20).prop_map(Step::Upsert);
    let remove = prop::collection::vec((0..6_u8, 0..4_u8), 1..6).prop_map(Step::Remove);
    let step = prop_oneof![
        5 => upsert,
        2 => remove,
        1 => Just(Step::DropCaches),
        1 => Just(Step::Revert),
        1 => Just(Step::Compact),
    ];
    prop::collection::vec(step, 1..12)
}

fn key(item: u8, annotation: u8) -> Key {
    (format!("item-{item}"), format!("a{annotation}"))
}

fn snapshot_of(test: &TestStore, commit: Option<CommitId>) -> Model {
    let snapshot = test.store.snapshot(commit, &[]).unwrap();
    let rows = snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap();
    let mut found = Model::new();
    let mut last = None;
    for_each_annotation(rows, |row| {
        let key = (row.item_id.to_owned(), row.annotation_id.to_owned());
        assert!(last.as_ref() < Some(&key), "rows come in order of their keys");
        last = Some(key.clone());
        found.insert(key, row.label.unwrap().to_owned());
    })
    .unwrap();
    found
}

/// The segment that first held each row version.
fn origins(test: &TestStore, commit: Option<CommitId>) -> BTreeMap<Key, String> {
    let snapshot = test.store.snapshot(commit, &[]).unwrap();
    let mut found = BTreeMap::new();
    for batch in snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap() {
        let batch = batch.unwrap();
        let text = |column: usize, row: usize| {
            ColumnView::new(batch.column(column)).unwrap().text(row).unwrap().to_owned()
        };
        for row in 0..batch.num_rows() {
            let origin = text(ANNOTATIONS.columns.len(), row);
            found.insert((text(0, row), text(1, row)), origin);
        }
    }
    found
}

/// Old and new label by key.
type Changes = BTreeMap<Key, (Option<String>, Option<String>)>;

fn changes(deltas: impl Iterator<Item = glossator_store::Result<DeltaBatch>>) -> Changes {
    let label = ANNOTATIONS.column("label").unwrap();
    let mut found = Changes::new();
    for delta in deltas {
        let delta = delta.unwrap();
        let (old, new) = (delta.old_rows().unwrap(), delta.new_rows().unwrap());
        for change in &delta.changes {
            let (item, id) = DeltaBatch::key(&old, &new, *change);
            let was = change.old.map(|r| old.column(label).text(r as usize).unwrap().to_owned());
            let is = change.new.map(|r| new.column(label).text(r as usize).unwrap().to_owned());
            let twice = found.insert((item.to_owned(), id.to_owned()), (was, is));
            assert!(twice.is_none(), "a key stands once in a difference");
        }
    }
    found
}

fn keys(deltas: impl Iterator<Item = glossator_store::Result<DeltaBatch>>) -> Vec<Key> {
    let mut found = Vec::new();
    for delta in deltas {
        let delta = delta.unwrap();
        let (old, new) = (delta.old_rows().unwrap(), delta.new_rows().unwrap());
        let key = |change| DeltaBatch::key(&old, &new, change);
        let keys = delta.changes.iter().map(|change| key(*change));
        found.extend(keys.map(|(item, id)| (item.to_owned(), id.to_owned())));
    }
    found
}

fn expected(old: &Model, new: &Model) -> Changes {
    let mut all = Changes::new();
    for key in old.keys().chain(new.keys()) {
        let (was, is) = (old.get(key).cloned(), new.get(key).cloned());
        if was != is {
            all.insert(key.clone(), (was, is));
        }
    }
    all
}

fn apply(test: &TestStore, model: &mut Model, step: &Step) -> Option<CommitId> {
    let head = test.store.history.head().unwrap().commit;
    match step {
        Step::Upsert(rows) => {
            let rows: BTreeMap<Key, String> =
                rows.iter().map(|(i, a, l)| (key(*i, *a), format!("label-{l}"))).collect();
            let batch: Vec<AnnotationRow<'_>> =
                rows.iter().map(|((item, id), label)| choice(item, id, label)).collect();
            let made = test.import(&batch).unwrap();
            model.extend(rows.clone());
            made
        }
        Step::Remove(keys) => {
            let keys: Vec<Key> = keys.iter().map(|(i, a)| key(*i, *a)).collect();
            let gone: BTreeMap<Key, String> =
                keys.iter().filter_map(|k| Some((k.clone(), model.get(k)?.clone()))).collect();
            let rows: Vec<AnnotationRow<'_>> =
                gone.iter().map(|((item, id), label)| choice(item, id, label)).collect();
            let layer = {
                let snapshot = test.store.snapshot(head, &[]).unwrap();
                let mut transaction = Transaction::new(&snapshot);
                let stream = Box::new(std::iter::once(Ok(batch(&rows))));
                transaction.apply(&ANNOTATIONS, only_old(&ANNOTATIONS, stream)).unwrap();
                transaction.finish().unwrap()
            };
            gone.keys().for_each(|key| drop(model.remove(key)));
            test.commit(head, &[layer]).unwrap()
        }
        Step::DropCaches => {
            let _ = std::fs::remove_dir_all(test.store.root().join("cache"));
            None
        }
        Step::Compact => test.store.compact(&options()).unwrap(),
        Step::Revert => {
            let head = head?;
            let parent = test.store.history.first_parent(head).unwrap();
            let layer = {
                let snapshot = test.store.snapshot(Some(head), &[]).unwrap();
                let mut transaction = Transaction::new(&snapshot);
                let deltas = between(&test.store, parent, Some(head), &ANNOTATIONS).unwrap();
                let inverse = Box::new(deltas.map(|delta| delta?.inverted()));
                transaction.apply(&ANNOTATIONS, inverse).unwrap();
                transaction.finish().unwrap()
            };
            *model = snapshot_of(test, parent);
            test.commit(Some(head), &[layer]).unwrap()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_table_with_history(steps in steps()) {
        let test = TestStore::new();
        let mut model = Model::new();
        let mut versions: Vec<(Option<CommitId>, Model)> = vec![(None, Model::new())];
        for step in &steps {
            let before = model.clone();
            let was = test.store.history.head().unwrap().commit;
            let made = apply(&test, &mut model, step);
            let head = test.store.history.head().unwrap().commit;
            prop_assert_eq!(&snapshot_of(&test, head), &model);
            if let Step::Compact = step {
                prop_assert_eq!(origins(&test, was), origins(&test, head));
                if let Some(commit) = made {
                    prop_assert!(test.store.change(commit).unwrap().is_empty());
                    prop_assert!(test.store.plan_compaction(commit).unwrap().is_empty());
                    versions.push((Some(commit), model.clone()));
                }
                continue;
            }
            // A commit is made exactly where something changed, and counts it.
            prop_assert_eq!(made.is_some(), before != model);
            if let Some(commit) = made {
                let mut counts = Counts::default();
                for (was, is) in expected(&before, &model).values() {
                    counts.count(was.is_some(), is.is_some());
                }
                let record = test.store.change(commit).unwrap();
                prop_assert_eq!(record.counts("annotations"), counts);
                prop_assert_eq!(record.tables["annotations"].rows, model.len() as u64);
                versions.push((Some(commit), model.clone()));
            }
        }
        for (old, old_rows) in &versions {
            prop_assert_eq!(&snapshot_of(&test, *old), old_rows);
            for (new, new_rows) in &versions {
                let folded = between(&test.store, *old, *new, &ANNOTATIONS).unwrap();
                let wanted = expected(old_rows, new_rows);
                prop_assert_eq!(&changes(folded), &wanted);
                // Rows that changed and changed back are told apart whatever columns are read.
                for columns in [["label"], ["status"]].map(|c| Columns::named(&ANNOTATIONS, &c)) {
                    let read = between_columns(&test.store, *old, *new, &ANNOTATIONS, columns);
                    let wanted: Vec<_> = wanted.keys().cloned().collect();
                    prop_assert_eq!(&keys(read.unwrap()), &wanted);
                }
                let scan = |commit| {
                    let snapshot = test.store.snapshot(commit, &[]).unwrap();
                    snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap()
                };
                let compared = compare(&ANNOTATIONS, scan(*old), scan(*new)).unwrap();
                prop_assert_eq!(&changes(compared), &wanted);
            }
        }
        let report = test.store.verify(&mut |_| {}).unwrap();
        prop_assert!(report.ok, "{:?}", report.findings);
    }
}
