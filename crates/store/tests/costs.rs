//! Costs follow what changed, not how large the table is: work is counted at N and 10 N rows.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

use glossator_store::change::{only_old, read_change};
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, AnnotationsBuilder};
use glossator_store::{Store, Transaction};
use glossator_testkit::{TestStore, batch, choice, commit};

/// Rows changed, added and removed by the small commit.
const TOUCHED: usize = 120;

fn large(rows: usize) -> TestStore {
    let test = TestStore::new();
    let batches = (0..rows).step_by(5_000).map(|start| {
        let mut builder = AnnotationsBuilder::default();
        for row in start..(start + 5_000).min(rows) {
            let (item, id) = (format!("item-{:07}", row / 4), format!("{:08x}", row * 7919));
            builder.push(&AnnotationRow {
                seq: Some(row as i32),
                ..choice(&item, &id, if row % 3 == 0 { "car" } else { "truck" })
            });
        }
        builder.finish()
    });
    test.import_batches(&ANNOTATIONS, batches).unwrap().unwrap();
    test
}

fn spent<T>(store: &Store, work: impl FnOnce() -> T) -> ([u64; 4], T) {
    let before = store.disk().work.counts();
    let made = work();
    let after = store.disk().work.counts();
    (std::array::from_fn(|i| after[i] - before[i]), made)
}

/// Changes, adds and removes rows that lie apart, as another process would.
fn small_commit(test: &TestStore, rows: usize) -> [u64; 4] {
    let store = test.reopen().unwrap();
    let (cost, ()) = spent(&store, || {
        let head = store.history.head().unwrap().commit;
        let part = TOUCHED / 3;
        let names: Vec<(String, String)> = (0..2 * part)
            .map(|i| {
                let row = i * (rows / (2 * part));
                (format!("item-{:07}", row / 4), format!("{:08x}", row * 7919))
            })
            .collect();
        let new: Vec<String> = (0..part).map(|i| format!("new-{i}")).collect();
        let mut edits: Vec<AnnotationRow<'_>> =
            names[..part].iter().map(|(item, id)| choice(item, id, "bus")).collect();
        edits.extend(new.iter().map(|id| choice("item-0000001", id, "bus")));
        let snapshot = store.snapshot(head, &[]).unwrap();
        let mut intake = glossator_store::intake::Intake::new(&snapshot, Default::default());
        intake.rows(&ANNOTATIONS, batch(&edits)).unwrap();
        let mut layers = intake.finish().unwrap().layers;
        let removed = {
            let above = store.snapshot(head, &layers).unwrap();
            let table = above.table(&ANNOTATIONS).unwrap();
            let keys = names[part..].iter().map(|(i, k)| (i.as_str(), k.as_str()));
            let found: Vec<_> = table.locate(keys).unwrap().into_iter().flatten().collect();
            let gone = table.fetch(&found).unwrap();
            let mut transaction = Transaction::new(&above);
            let stream = Box::new(std::iter::once(Ok(gone)));
            transaction.apply(&ANNOTATIONS, only_old(&ANNOTATIONS, stream)).unwrap();
            transaction.finish().unwrap()
        };
        layers.push(removed);
        commit(&store, head, &layers).unwrap().unwrap();
    });
    cost
}

#[test]
fn a_small_commit_its_diff_and_a_look_up_cost_the_same_on_ten_times_the_rows() {
    let mut costs = Vec::new();
    for rows in [6_000, 60_000] {
        let test = large(rows);
        let commit_cost = small_commit(&test, rows);
        let store = test.reopen().unwrap();
        let head = store.history.head().unwrap().commit.unwrap();
        let record = store.change(head).unwrap();
        let counts = record.counts("annotations");
        assert_eq!(counts.added + counts.changed + counts.removed, TOUCHED as u64);

        let (diff_cost, changes) = spent(&store, || {
            let change = &record.tables["annotations"];
            let deltas = read_change(store.objects(), &ANNOTATIONS, change).unwrap();
            deltas.map(|delta| delta.unwrap().changes.len()).sum::<usize>()
        });
        assert_eq!(changes, TOUCHED);
        // Only the change was read: its rows added and the old values of its rows.
        assert_eq!(diff_cost[2], counts.added + 2 * counts.changed + counts.removed);
        assert_eq!(diff_cost[0], 0, "reading writes nothing");

        let (look_up_cost, found) = spent(&store, || {
            let snapshot = store.snapshot(Some(head), &[]).unwrap();
            let table = snapshot.table(&ANNOTATIONS).unwrap();
            let found = table.locate_item("item-0000700").unwrap();
            table.fetch(&found).unwrap().num_rows()
        });
        assert_eq!(found, 4);
        assert_eq!(look_up_cost[2], 4, "an item's rows alone are handed out");
        costs.push((commit_cost, diff_cost, look_up_cost));
    }
    let [(small, small_diff, small_item), (large, large_diff, large_item)] = costs[..] else {
        panic!("two sizes")
    };
    println!("bytes written, segment bytes, rows, index blocks: {small:?} {large:?}");
    // Rows handed out and bytes written do not know the size of the table.
    assert_eq!(small[2], large[2]);
    assert!(large[0] < small[0] * 11 / 10, "{} bytes written, then {}", small[0], large[0]);
    // A key is looked up twice (intake, two layers made one) in one block of the large segment,
    // and in those of layers.
    assert!(large[3] <= 3 * TOUCHED as u64, "{} index blocks", large[3]);
    assert!(large[1] < small[1] * 11 / 10 + 1_000, "{} segment bytes, then {}", small[1], large[1]);
    assert_eq!(small_diff[2..], large_diff[2..], "a diff reads its change");
    assert!(large_diff[1] < small_diff[1] * 11 / 10, "{small_diff:?} {large_diff:?}");
    assert_eq!(small_item[2], large_item[2]);
    // The item and its neighbour share the hash range of one block, or of two.
    assert!(large_item[3] <= 4, "{} index blocks for an item", large_item[3]);
    assert_eq!([small_item[1], large_item[1]], [0, 0], "no page is decoded for an item");
}

#[test]
fn the_history_of_a_row_costs_the_same_whatever_else_was_committed() {
    let test = TestStore::new();
    let items: Vec<String> = (0..3_000).map(|i| format!("item-{i:04}")).collect();
    let rows: Vec<_> = items.iter().map(|item| choice(item, "a", "car")).collect();
    test.import(&rows).unwrap();
    let mut costs = Vec::new();
    let mut versions = 1;
    for touched in [30, 300] {
        let store = test.reopen().unwrap();
        let count_from = store.history.head().unwrap().commit;
        for round in 0..5 {
            let label = format!("label-{touched}-{round}");
            let step = items.len() / touched;
            let others = items.iter().skip(1).step_by(step);
            let mut rows: Vec<_> = others.map(|item| choice(item, "a", &label)).collect();
            if round % 2 == 0 {
                rows.push(choice(&items[0], "a", &label));
                versions += 1;
            }
            test.import(&rows).unwrap();
        }
        let store = test.reopen().unwrap();
        let head = store.history.head().unwrap().commit.unwrap();
        let (cost, found) = spent(&store, || {
            let commits = store.history.walk(head).unwrap().map(Result::unwrap);
            let new = commits.take_while(|commit| Some(*commit) != count_from);
            let deltas = new.flat_map(|commit| {
                let record = store.change(commit).unwrap();
                let change = &record.tables["annotations"];
                store.change_of_item(&ANNOTATIONS, change, "item-0000", Some("a")).unwrap()
            });
            deltas.map(|delta| delta.changes.len()).sum::<usize>()
        });
        assert_eq!(found, 3);
        costs.push(cost);
    }
    assert_eq!(versions, 7);
    // Three versions, old and new.
    assert_eq!([costs[0][2], costs[1][2]], [6, 6], "rows read");
    assert_eq!([costs[0][1], costs[1][1]], [0, 0], "bytes of segments read");
    assert!(costs[1][3] <= 2 * 5 * 2, "{} index blocks for five commits", costs[1][3]);
}
