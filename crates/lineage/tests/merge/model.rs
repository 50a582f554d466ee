//! Random edits on two branches, merged, against a table in memory.

use std::collections::{BTreeMap, BTreeSet};

use glossator_lineage::between;
use glossator_lineage::merge::Sides;
use glossator_store::CommitId;
use glossator_store::schema::ANNOTATIONS;
use glossator_testkit::{TestStore, batch};
use proptest::prelude::*;

use super::support::{answer, labels, merged, merged_from, nobody, on, verify};

type Key = (u8, u8);
type Model = BTreeMap<Key, u8>;
/// Item, annotation, and the label, none where it is removed.
type Edit = (u8, u8, Option<u8>);

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    let label = prop_oneof![4 => (0..4_u8).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((0..5_u8, 0..3_u8, label), 0..most)
}

fn edited(model: &Model, edits: &[Edit]) -> Model {
    let mut model = model.clone();
    for (item, id, label) in edits {
        match label {
            Some(label) => drop(model.insert((*item, *id), *label)),
            None => drop(model.remove(&(*item, *id))),
        }
    }
    model
}

/// Three-way by the textbook: whoever alone changed a row has it, equal changes are one, else
/// conflict, and ours stays. With the number of conflicts.
fn three_way(base: &Model, ours: &Model, theirs: &Model) -> (Model, u64) {
    let keys: BTreeSet<&Key> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
    let (mut made, mut conflicts) = (Model::new(), 0);
    for key in keys {
        let (was, own, other) = (base.get(key), ours.get(key), theirs.get(key));
        let row = if was == own { other } else { own };
        conflicts += u64::from(own != other && was != own && was != other);
        made.extend(row.map(|row| (*key, *row)));
    }
    (made, conflicts)
}

fn names(model: &Model) -> Vec<[String; 3]> {
    let name = |((item, id), label): (&Key, &u8)| {
        [format!("i{item}"), format!("a{id}"), format!("l{label}")]
    };
    model.iter().map(name).collect()
}

fn commit(test: &TestStore, base: Option<CommitId>, old: &Model, new: &Model) -> Option<CommitId> {
    let changed: Model =
        new.iter().filter(|(k, v)| old.get(k) != Some(v)).map(|(k, v)| (*k, *v)).collect();
    let gone: Model =
        old.iter().filter(|(k, _)| !new.contains_key(k)).map(|(k, v)| (*k, *v)).collect();
    let (changed, gone) = (names(&changed), names(&gone));
    let rows = |names: &[[String; 3]]| {
        batch(&names.iter().map(|[i, a, l]| answer(i, a, l)).collect::<Vec<_>>())
    };
    let removed = (!gone.is_empty()).then(|| rows(&gone));
    let added = if changed.is_empty() { vec![] } else { vec![(&ANNOTATIONS, rows(&changed))] };
    on(test, base, &added, removed).or(base)
}

fn read(test: &TestStore, commit: CommitId) -> Vec<[String; 3]> {
    labels(test, commit).into_iter().map(|(item, id, label)| [item, id, label]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..Default::default() })]

    #[test]
    fn a_merge_is_what_the_textbook_says(
        start in edits(12), left in edits(8), right in edits(8), more in edits(6)
    ) {
        let test = TestStore::new();
        let base_rows = edited(&Model::from([((9, 9), 0)]), &start);
        let base = commit(&test, None, &Model::new(), &base_rows).unwrap();
        let (left, right) = (edited(&base_rows, &left), edited(&base_rows, &right));
        let ours = commit(&test, Some(base), &base_rows, &left).unwrap();
        let theirs = commit(&test, Some(base), &base_rows, &right).unwrap();
        let sides = Sides { base: Some(base), ours, theirs };
        let made = merged_from(&test, sides, &nobody);
        let (rows, open) = three_way(&base_rows, &left, &right);
        prop_assert_eq!(read(&test, made.commit), names(&rows));
        prop_assert_eq!(made.open, open);

        // Whichever side is ours, where nothing is in conflict.
        let swapped = merged_from(&test, Sides { ours: theirs, theirs: ours, ..sides }, &nobody);
        prop_assert_eq!(swapped.open, made.open);
        if made.open == 0 {
            prop_assert_eq!(read(&test, swapped.commit), names(&rows));
        }
        // With the base, or with itself, it is the identity.
        for (ours, theirs, rows) in
            [(ours, base, &left), (base, ours, &left), (ours, ours, &left)]
        {
            let same = merged_from(&test, Sides { base: Some(base), ours, theirs }, &nobody);
            prop_assert_eq!(same.open, 0);
            prop_assert_eq!(read(&test, same.commit), names(rows));
        }
        // The branch goes on, and merges again: only what is new comes.
        let later = edited(&right, &more);
        let theirs_later = commit(&test, Some(theirs), &right, &later).unwrap();
        if theirs_later != theirs && theirs != base {
            let again = merged(&test, made.commit, theirs_later, &nobody);
            let (rows_again, open) = three_way(&right, &rows, &later);
            prop_assert_eq!(read(&test, again.commit), names(&rows_again));
            prop_assert_eq!(again.open, open);
            // What a diff over both merges tells is what their rows say.
            let deltas = between(&test.store, Some(theirs), Some(again.commit), &ANNOTATIONS);
            let changed: usize = deltas.unwrap().map(|delta| delta.unwrap().changes.len()).sum();
            let differing = rows_again.iter().filter(|(k, v)| right.get(k) != Some(v)).count()
                + right.keys().filter(|key| !rows_again.contains_key(key)).count();
            prop_assert_eq!(changed, differing);
        }
        verify(&test);
    }
}
