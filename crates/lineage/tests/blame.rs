//! Blame and history cost what they find, not commits times rows, and trust no cache.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and damage files"
)]

use std::collections::HashMap;

use glossator_lineage::{Blame, Blamer, history};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{CommitId, Store};
use glossator_testkit::{TestStore, choice};

/// More than are walked for each time.
const COMMITS: usize = 100;

/// Commits that each relabel three items, and which commit each item was labelled by last.
fn ledger(rows: usize) -> (TestStore, HashMap<String, CommitId>, Vec<CommitId>) {
    let test = TestStore::new();
    let (mut last, mut commits) = (HashMap::new(), Vec::new());
    let item = |at: usize| format!("item-{:05}", at % rows);
    for at in 0..COMMITS {
        let touched: Vec<String> = match at {
            0 => (0..rows).map(item).collect(),
            _ => [at * 7, at * 7 + 1, 0].map(item).to_vec(),
        };
        let touched: std::collections::BTreeSet<String> = touched.into_iter().collect();
        let label = format!("label-{at}");
        let made: Vec<_> = touched.iter().map(|item| choice(item, "1", &label)).collect();
        let commit = test.import(&made).unwrap().unwrap();
        last.extend(touched.into_iter().map(|item| (item, commit)));
        commits.push(commit);
    }
    (test, last, commits)
}

fn blame(store: &Store, tip: CommitId, item: &str) -> Vec<Blame> {
    let snapshot = store.snapshot(Some(tip), &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let rows = table.fetch(&table.locate_item(item).unwrap()).unwrap();
    Blamer::new(store, tip).unwrap().rows(&ANNOTATIONS, &rows).unwrap()
}

#[test]
fn every_row_is_blamed_on_the_commit_of_the_ledger_also_after_a_compaction() {
    let (test, last, commits) = ledger(800);
    let compacted = test.store.compact(&glossator_testkit::options()).unwrap().unwrap();
    for tip in [*commits.last().unwrap(), compacted] {
        let store = test.reopen().unwrap();
        for (item, commit) in &last {
            let wanted = Blame { commit: *commit, made_in: None };
            assert_eq!(blame(&store, tip, item), [wanted], "{item}");
        }
    }
    // At an older commit, what came later is not known.
    let wanted = Blame { commit: commits[40], made_in: None };
    assert_eq!(blame(&test.store, commits[40], "item-00000"), [wanted]);
}

#[test]
fn rows_read_follow_what_is_found_and_not_the_table_or_the_history() {
    let mut costs = Vec::new();
    for rows in [800, 8_000] {
        let (test, last, commits) = ledger(rows);
        let tip = *commits.last().unwrap();
        blame(&test.store, tip, "item-00000");
        let store = test.reopen().unwrap();
        let before = store.disk().work.counts();
        let found = blame(&store, tip, "item-00007");
        let after = store.disk().work.counts();
        assert_eq!(found[0].commit, last["item-00007"]);
        let told = history(&store, tip, &ANNOTATIONS, "item-00007", None).unwrap().count();
        let last = store.disk().work.counts();
        // By hand: it was made in commit 0, and 1 and, as the second of two, no other touched it.
        assert_eq!(told, 2);
        // One live row; its first version, and its change: the new row and the old values.
        costs.push((after[2] - before[2], last[2] - after[2]));
    }
    assert_eq!(costs, [(1, 3), (1, 3)]);
}

#[test]
fn a_file_of_commits_that_is_missing_damaged_or_of_another_store_changes_no_answer() {
    let (test, last, commits) = ledger(800);
    let tip = *commits.last().unwrap();
    let kept = test.store.root().join("cache/index/commits");
    let wanted = |item: &str| [Blame { commit: last[item], made_in: None }];
    assert_eq!(blame(&test.store, tip, "item-00008"), wanted("item-00008"));
    let good = std::fs::read(&kept).unwrap();
    let (other, ..) = ledger(10);
    let head = other.store.history.head().unwrap().commit.unwrap();
    blame(&other.store, head, "item-00000");
    let foreign = std::fs::read(other.store.root().join("cache/index/commits")).unwrap();
    let cut = good[..good.len() / 2].to_vec();
    for bytes in [Vec::new(), cut, foreign, b"GLOSCOM1".to_vec()] {
        std::fs::write(&kept, &bytes).unwrap();
        for item in ["item-00000", "item-00008", "item-00799"] {
            assert_eq!(blame(&test.reopen().unwrap(), tip, item), wanted(item));
        }
    }
    // Written anew by whoever walked.
    assert!(std::fs::read(&kept).unwrap().len() > 1_000);
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(blame(&test.reopen().unwrap(), tip, "item-00000"), wanted("item-00000"));
    assert!(kept.exists());
}
