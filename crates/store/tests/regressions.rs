//! Bugs that were found, each named after what went wrong.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at once")]

use glossator_store::change::read_change;
use glossator_store::delta::DeltaBatch;
use glossator_store::intake::{Edit, Edits};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, ColumnView, SUBMISSIONS, SubmissionRow, SubmissionsBuilder,
};
use glossator_store::{Error, Transaction};
use glossator_testkit::{TestStore, batch, choice, identity};

#[test]
fn a_conflict_before_the_first_commit_lost_the_row() {
    let test = TestStore::new();
    let snapshot = test.store.snapshot(None, &[]).unwrap();
    let mut transaction = Transaction::new(&snapshot);
    // Changes a row that is not there.
    let delta = DeltaBatch {
        table: &ANNOTATIONS,
        old: batch(&[choice("item", "id", "a")]),
        new: batch(&[choice("item", "id", "b")]),
        changes: vec![glossator_store::delta::RowChange { old: Some(0), new: Some(0) }],
    };
    transaction.apply(&ANNOTATIONS, Box::new(std::iter::once(Ok(delta)))).unwrap();
    let refused = transaction.finish();
    assert!(
        matches!(&refused, Err(Error::Conflict { conflicts, head: None }) if conflicts.len() == 1),
        "{refused:?}"
    );
}

#[test]
fn one_open_store_could_not_make_more_than_32_commits() {
    let test = TestStore::new();
    for round in 0..80 {
        let label = format!("label-{round}");
        assert!(test.import(&[choice("item", "id", &label)]).unwrap().is_some(), "{round}");
    }
    let head = test.store.history.head().unwrap().commit.unwrap();
    assert_eq!(test.store.history.walk(head).unwrap().count(), 80);
}

#[test]
fn a_revert_forgot_where_a_row_came_from() {
    let test = TestStore::new();
    let first = test.import(&[choice("item", "id", "a")]).unwrap().unwrap();
    let second = test.import(&[choice("item", "id", "b")]).unwrap().unwrap();
    let segment = |commit| {
        let change = test.store.change(commit).unwrap().tables.remove("annotations").unwrap();
        change.added[0].segment.to_string()
    };
    let origin = |batch: &arrow::array::RecordBatch| {
        let column = batch.column(ANNOTATIONS.columns.len());
        ColumnView::new(column).unwrap().text(0).unwrap().to_owned()
    };
    let change = test.store.change(second).unwrap().tables.remove("annotations").unwrap();
    let mut deltas = read_change(test.store.objects(), &ANNOTATIONS, &change).unwrap();
    let delta = deltas.next().unwrap().unwrap();
    assert_eq!(origin(&delta.old), segment(first));
    // What was new is old when it is undone, and still knows its segment.
    assert_eq!(origin(&delta.inverted().unwrap().old), segment(second));
}

#[test]
fn two_imports_at_once_lost_the_people_of_one() {
    let test = TestStore::new();
    let (mut one, mut two) = (test.store.people().unwrap(), test.store.people().unwrap());
    one.identify(Some("1"), Some("a@example.com"), Some(r#"{"id":1}"#));
    two.identify(Some("2"), Some("b@example.com"), Some(r#"{"id":2}"#));
    test.store.save_people(&mut one).unwrap();
    test.store.save_people(&mut two).unwrap();
    let people = test.store.people().unwrap();
    assert_eq!(people.facts("1"), Some(r#"{"id":1}"#));
    assert_eq!(people.facts("2"), Some(r#"{"id":2}"#));
}

#[test]
fn a_torn_line_of_a_reflog_swallowed_the_next() {
    let test = TestStore::new();
    test.import(&[choice("item", "id", "a")]).unwrap();
    let log = test.store.history.dir().join("logs/refs/heads/main");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&whole[..], b"0000000000000000000000"].concat()).unwrap();
    test.import(&[choice("item", "id", "b")]).unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.as_bytes().starts_with(&whole));
}

#[test]
fn an_edit_made_a_row_say_otherwise_than_its_submission() {
    let test = TestStore::new();
    let mut submissions = SubmissionsBuilder::default();
    submissions.push(&SubmissionRow {
        item_id: "item",
        submission_id: "annotation/1",
        source: "table",
        annotator_id: "ann",
        origin: "human",
        state: "submitted",
        ..SubmissionRow::default()
    });
    test.import_batches(&SUBMISSIONS, [submissions.finish()]).unwrap();
    let row = AnnotationRow { submission_id: Some("annotation/1"), ..choice("item", "id", "a") };
    let head = test.import(std::slice::from_ref(&row)).unwrap();
    let edited = AnnotationRow { gold: true, ..row };
    let gold = ANNOTATIONS.column("gold").unwrap();
    let refused = {
        let snapshot = test.store.snapshot(head, &[]).unwrap();
        let mut edits = Edits::new(&snapshot, None, Edit::Update);
        let columns = [0, 1, gold];
        edits.push(&columns, batch(&[edited]).project(&columns).unwrap()).unwrap();
        edits.finish()
    };
    assert!(
        matches!(&refused, Err(Error::BadRows { what, .. }) if what.contains("annotation/1")),
        "{refused:?}"
    );
    assert_eq!(test.store.history.head().unwrap().commit, head);
}

#[test]
fn a_branch_could_name_a_commit_whose_objects_were_collected() {
    let test = TestStore::new();
    let who = identity();
    let first = test.import(&[choice("item", "id", "a")]).unwrap().unwrap();
    let change = test.store.change(first).unwrap().tables.remove("annotations").unwrap();
    std::fs::remove_file(test.store.objects().path(&change.added[0].segment)).unwrap();
    let refused = test.store.make_ref(false, &"side".parse().unwrap(), first, &who, None);
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
    assert_eq!(test.store.history.refs(false).unwrap().len(), 1);
}
