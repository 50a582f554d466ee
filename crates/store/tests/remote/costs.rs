//! How many requests things take.

use std::sync::Arc;

use glossator_testkit::remote::FaultStore;
use glossator_testkit::{TestStore, choice};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::desk::*;

fn counted(inner: Arc<dyn ObjectStore>) -> (Arc<FaultStore>, Place) {
    let store = Arc::new(FaultStore::new(inner, None));
    (store.clone(), Place::new(store, "labels"))
}

/// Files of rows, which a clone reads beside the history.
fn files_of_rows(keys: &[String]) -> u64 {
    keys.iter().filter(|key| !key.contains("/log-") && *key != "root").count() as u64
}

#[test]
fn a_small_push_takes_few_requests_and_a_clone_of_many_pushes_too() {
    const PUSHES: u64 = 1_000;
    let here = first();
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (counter, place) = counted(inner.clone());
    push(&here.store, &place.remote).unwrap();
    let mut most = 0;
    for at in 1..PUSHES {
        import(&here.store, &format!("item-{}", at % 50), &format!("label-{at}"));
        let before = counter.requests();
        push(&here.store, &place.remote).unwrap();
        most = most.max(counter.requests() - before);
    }
    assert!(most <= 12, "{most} requests of a push");
    let (counter, place) = counted(inner);
    let copy = clone(&place.remote);
    assert_eq!(head(&copy.store), head(&here.store));
    let keys = place.keys();
    let beside = counter.requests() - files_of_rows(&keys).min(PUSHES);
    println!("a push: {most}; a clone: {beside} beside the rows, {} in all", counter.requests());
    assert!(beside <= 60, "{beside} requests of a clone beside those for rows");
    // Nothing new: one request.
    let before = counter.requests();
    assert_eq!(fetch(&copy.store, &place.remote).unwrap().refs, []);
    assert_eq!(counter.requests() - before, 1);
}

#[test]
fn a_push_of_many_changes_takes_no_more_requests() {
    let rows = |range: std::ops::Range<usize>, label: &str| -> Vec<(String, String)> {
        range.map(|row| (format!("item-{row:05}"), label.to_owned())).collect()
    };
    let (counter, place) = counted(Arc::new(InMemory::new()));
    let here = TestStore::new();
    let import = |named: &[(String, String)]| {
        let rows: Vec<_> = named.iter().map(|(item, label)| choice(item, "x", label)).collect();
        here.import(&rows).unwrap();
    };
    import(&rows(0..5_000, "one"));
    push(&here.store, &place.remote).unwrap();
    let before = counter.requests();
    // 1,050 rows changed and 200 added.
    import(&rows(3_950..5_200, "two"));
    push(&here.store, &place.remote).unwrap();
    let requests = counter.requests() - before;
    assert!(requests <= 12, "{requests} requests");
    assert_eq!(labels(&clone(&place.remote).store), labels(&here.store));
}
