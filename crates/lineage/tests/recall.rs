//! Recall reads the changes that match and no others; lives end, however far their parents go.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at once")]

use std::collections::BTreeSet;

use glossator_lineage::life::life;
use glossator_lineage::recall::{Suspect, live, rows_of, touches};
use glossator_store::schema::AnnotationRow;
use glossator_store::{CommitId, Store};
use glossator_testkit::{TestStore, choice};

/// Commits of others, around two of `few`: four rows each.
const COMMITS: usize = 60;

fn history(rows: usize) -> (TestStore, CommitId) {
    let test = TestStore::new();
    let items: Vec<String> = (0..rows).map(|at| format!("item-{at:06}")).collect();
    let made: Vec<AnnotationRow<'_>> = items.iter().map(|item| choice(item, "1", "car")).collect();
    test.import(&made).unwrap().unwrap();
    let mut tip = None;
    for at in 1..=COMMITS {
        let label = format!("label-{at}");
        let who = if at == 20 || at == 40 { "few" } else { "many" };
        let made: Vec<AnnotationRow<'_>> = items[at..at + 4]
            .iter()
            .map(|item| AnnotationRow { annotator_id: who, ..choice(item, "1", &label) })
            .collect();
        tip = test.import(&made).unwrap();
    }
    (test, tip.unwrap())
}

/// Rows that were read out of segments for a piece of work.
fn read<T>(store: &Store, work: impl FnOnce() -> T) -> (u64, T) {
    let before = store.disk().work.counts()[2];
    let made = work();
    (store.disk().work.counts()[2] - before, made)
}

#[test]
fn rows_of_commits_that_do_not_match_are_not_read() {
    let mut costs = Vec::new();
    for rows in [500, 5_000] {
        let (test, tip) = history(rows);
        let store = test.reopen().unwrap();
        let is = |id: &str| id == "few";
        let suspect = Suspect::Annotator(&is);
        let (told, touched) = read(&store, || {
            let origins = store.origins(&[tip]).unwrap();
            touches(&store, &origins, &[tip], suspect).unwrap()
        });
        // By hand: two commits of four rows; the counts of commits told so.
        assert_eq!(touched.iter().map(|touch| touch.rows).collect::<Vec<_>>(), [4, 4]);
        assert_eq!(told, 0);
        let of: Vec<usize> = touched
            .iter()
            .flat_map(|touch| rows_of(&store, touch.commit, suspect).unwrap())
            .map(|batch| batch.unwrap().num_rows())
            .collect();
        assert_eq!(of.iter().sum::<usize>(), 8);
        let tips = BTreeSet::from([tip, touched[0].commit]);
        let (looked, counted) = read(&store, || live(&store, &touched, suspect, &tips).unwrap());
        // Of items 20 to 23 the commits 21 to 23 relabelled three, of 40 to 43 as many.
        assert_eq!((counted[&tip], counted[&touched[0].commit]), (2, 4));
        costs.push(looked);
    }
    // Each commit's four rows and their old values, whatever the table holds.
    assert_eq!(costs, [16, 16]);
}

#[test]
fn a_chain_of_parents_is_followed_to_its_end() {
    const LONG: usize = 50_000;
    let ids: Vec<String> = (0..LONG).map(|at| format!("{at:06}")).collect();
    let rows: Vec<AnnotationRow<'_>> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| AnnotationRow {
            // The first is made of the last: a circle of all of them.
            parent_id: Some(&ids[(at + LONG - 1) % LONG]),
            ..choice("i", id, "car")
        })
        .chain([choice("i", "apart", "car")])
        .collect();
    let test = TestStore::new();
    let tip = test.import(&rows).unwrap().unwrap();
    let mut told = life(&test.store, tip, "i").unwrap();
    assert_eq!(told.deeds.len(), LONG + 1);
    told.keep(&ids[LONG / 2]);
    assert_eq!(told.deeds.len(), LONG);
    told.keep("nobody");
    assert!(told.deeds.is_empty());
}
