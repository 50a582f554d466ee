//! A merge costs what both sides changed, not how large the table is: work is counted.

use glossator_store::schema::{ANNOTATIONS, AnnotationsBuilder};
use glossator_testkit::{TestStore, batch};

use super::support::{answer, merged, nobody, on};

/// Rows that each side changes.
const TOUCHED: usize = 1_250;

fn name(row: usize) -> (String, String) {
    (format!("item-{:07}", row / 4), format!("{:08x}", row * 7919))
}

#[test]
fn a_merge_costs_the_same_on_ten_times_the_rows() {
    let mut costs = Vec::new();
    for rows in [6_000, 60_000] {
        let test = TestStore::new();
        let batches = (0..rows).step_by(5_000).map(|start| {
            let mut builder = AnnotationsBuilder::default();
            for row in start..(start + 5_000).min(rows) {
                let (item, id) = name(row);
                builder.push(&answer(&item, &id, "car"));
            }
            builder.finish()
        });
        let base = test.import_batches(&ANNOTATIONS, batches).unwrap().unwrap();
        let side = |offset: usize, label: &str| {
            let step = rows / (2 * TOUCHED);
            let names: Vec<_> = (0..TOUCHED).map(|i| name((2 * i + offset) * step)).collect();
            let edits: Vec<_> = names.iter().map(|(item, id)| answer(item, id, label)).collect();
            on(&test, Some(base), &[(&ANNOTATIONS, batch(&edits))], None).unwrap()
        };
        let (ours, theirs) = (side(0, "bus"), side(1, "truck"));
        let before = test.store.disk().work.counts();
        let made = merged(&test, ours, theirs, &nobody);
        let after = test.store.disk().work.counts();
        assert_eq!(made.open, 0);
        let counts = test.store.change(made.commit).unwrap().counts("annotations");
        assert_eq!(counts.changed, TOUCHED as u64);
        let cost: [u64; 4] = std::array::from_fn(|i| after[i] - before[i]);
        costs.push(cost);
    }
    let [small, large] = costs[..] else { panic!("two sizes") };
    println!("bytes written, segment bytes, rows, index blocks: {small:?} {large:?}");
    // Each side's new rows and old values, and nothing else.
    assert_eq!(small[2], 4 * TOUCHED as u64, "rows decoded");
    assert_eq!(large[2], small[2], "rows decoded");
    assert!(large[0] < small[0] * 12 / 10, "{} bytes written, then {}", small[0], large[0]);
    assert!(large[1] < small[1] * 12 / 10, "{} segment bytes, then {}", small[1], large[1]);
}
