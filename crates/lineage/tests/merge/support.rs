//! Branches that go apart, and merging them.

use arrow::array::RecordBatch;
use glossator_lineage::merge::{Conflict, How, Sides, merge};
use glossator_store::change::only_old;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::merging::Take;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, Table};
use glossator_store::{CommitId, Layer, Made, Store, Transaction};
use glossator_testkit::{TestStore, choice, for_each_annotation, options};

/// What a merge gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub open: u64,
    /// Kind, item and key of every conflict.
    pub conflicts: Vec<(&'static str, String, String)>,
    pub commit: CommitId,
}

/// Commits rows of some tables on a commit, without moving the branch; the branch is put back.
pub fn on(
    test: &TestStore,
    base: Option<CommitId>,
    rows: &[(&'static Table, RecordBatch)],
    removed: Option<RecordBatch>,
) -> Option<CommitId> {
    let layers = {
        let snapshot = test.store.snapshot(base, &[]).unwrap();
        let mut intake = Intake::new(&snapshot, IntakeOptions::default());
        for (table, batch) in rows {
            intake.rows(table, batch.clone()).unwrap();
        }
        let mut layers = intake.finish().unwrap().layers;
        if let Some(removed) = removed {
            let above = snapshot.above(&layers).unwrap();
            let mut transaction = Transaction::new(&above);
            let stream = Box::new(std::iter::once(Ok(removed)));
            transaction.apply(&ANNOTATIONS, only_old(&ANNOTATIONS, stream)).unwrap();
            layers.push(transaction.finish().unwrap());
        }
        layers
    };
    let whole = one(&test.store, base, &layers);
    test.store.commit_on(base, &Made::of(&whole), &elsewhere(test, base)).unwrap()
}

fn one(store: &Store, base: Option<CommitId>, layers: &[Layer]) -> Layer {
    store.rebase(base, layers, base).unwrap()
}

/// A branch of its own at a commit.
fn elsewhere(test: &TestStore, base: Option<CommitId>) -> glossator_store::CommitOptions<'static> {
    let Some(base) = base else { return options() };
    let name = format!("b{}", test.store.history.refs(false).unwrap().len());
    let branch: glossator_store::history::RefName = name.parse().unwrap();
    test.store.make_ref(false, &branch, base, &glossator_testkit::identity(), None).unwrap();
    glossator_store::CommitOptions { branch: Some(branch), ..options() }
}

/// Merges two commits that come from a third; open conflicts stay as they are on our side.
pub fn merged(
    test: &TestStore,
    ours: CommitId,
    theirs: CommitId,
    take: &dyn Fn(&Conflict<'_>) -> Option<Take>,
) -> Merged {
    let base = test.store.history.merge_bases(ours, theirs).unwrap();
    assert_eq!(base.len(), 1, "one merge base");
    let sides = Sides { base: base.first().copied(), ours, theirs };
    merged_from(test, sides, take)
}

/// The same with a base of one's own.
pub fn merged_from(
    test: &TestStore,
    sides: Sides,
    take: &dyn Fn(&Conflict<'_>) -> Option<Take>,
) -> Merged {
    let mut conflicts = Vec::new();
    let (open, layer) = {
        let snapshot = test.store.snapshot(Some(sides.ours), &[]).unwrap();
        let mut transaction = Transaction::new(&snapshot);
        let mut decide = |conflict: &Conflict<'_>| {
            let (item, key) = conflict.key;
            conflicts.push((conflict.kind.word(), item.to_owned(), key.to_owned()));
            Ok(take(conflict))
        };
        let open = merge(&test.store, sides, MERGER, &mut decide, &mut |table, deltas| {
            transaction.apply_with_origins(table, deltas).map(drop)
        })
        .unwrap();
        (open, transaction.finish().unwrap())
    };
    let made = Made { merged: Some(sides.theirs), ..Made::of(&layer) };
    let options = elsewhere(test, Some(sides.ours));
    let commit = test.store.commit_on(Some(sides.ours), &made, &options).unwrap().unwrap();
    assert_eq!(test.store.history.commit(commit).unwrap().parents, [sides.ours, sides.theirs]);
    Merged { open, conflicts, commit }
}

/// Who merges.
const MERGER: How<'static> = How { strict: false, author: "merger" };

/// Leaves every conflict open.
pub fn nobody(_: &Conflict<'_>) -> Option<Take> {
    None
}

/// An annotation by somebody of its own.
pub fn answer<'a>(item: &'a str, id: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow { annotator_id: id, ..choice(item, id, label) }
}

/// Item, id and label of every annotation.
pub fn labels(test: &TestStore, commit: CommitId) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    each(test, commit, |row| {
        found.push((
            row.item_id.to_owned(),
            row.annotation_id.to_owned(),
            row.label.unwrap_or("-").to_owned(),
        ));
    });
    found
}

/// Calls `each` for every annotation.
pub fn each(test: &TestStore, commit: CommitId, each: impl FnMut(AnnotationRow<'_>)) {
    let snapshot = test.store.snapshot(Some(commit), &[]).unwrap();
    for_each_annotation(snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap(), each).unwrap();
}

/// The store is whole.
pub fn verify(test: &TestStore) {
    let report = test.store.verify(&mut |_| {}).unwrap();
    assert!(report.ok, "{:?}", report.findings);
}
