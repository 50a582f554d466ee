//! What annotations repeat of their submissions is held at commit, whatever the size of a change.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use arrow::array::RecordBatch;
use glossator_store::delta::{DeltaBatch, RowChange};
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::schema::*;
use glossator_store::{CommitId, Result, Transaction};
use glossator_testkit::TestStore;

const ITEMS_MANY: usize = 3_500;
const ANSWERS: usize = 20;

/// Submissions and their answers on items of that name; one of the last item lies, if asked.
fn tables(prefix: &str, items: usize, lie: bool) -> [(&'static Table, RecordBatch); 2] {
    let (mut rows, mut submissions) =
        (AnnotationsBuilder::default(), SubmissionsBuilder::default());
    for item in 0..items {
        let id = format!("{prefix}-{item:05}");
        submissions.push(&SubmissionRow {
            item_id: &id,
            submission_id: "annotation/1",
            source: "s",
            annotator_id: "ann",
            origin: "human",
            state: "submitted",
            ..SubmissionRow::default()
        });
        for answer in 0..ANSWERS {
            rows.push(&AnnotationRow {
                item_id: &id,
                source: "s",
                submission_id: Some("annotation/1"),
                annotator_id: "ann",
                origin: "human",
                field: &format!("f{answer:02}"),
                kind: "choice",
                label: Some("car"),
                status: "submitted",
                gold: lie && (item, answer) == (items - 1, ANSWERS - 1),
                ..AnnotationRow::default()
            });
        }
    }
    [(&ANNOTATIONS, rows.finish()), (&SUBMISSIONS, submissions.finish())]
}

fn take(test: &TestStore, tables: &[(&'static Table, RecordBatch)]) -> Result<Option<CommitId>> {
    let base = test.store.history.head()?.commit;
    let snapshot = test.store.snapshot(base, &[])?;
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    for (table, rows) in tables {
        intake.rows(table, rows.clone())?;
    }
    let layers = intake.finish()?.layers;
    test.commit(base, &layers)
}

#[test]
fn an_annotation_that_contradicts_its_submission_is_refused_among_few_and_among_many() {
    let test = TestStore::new();
    let refused = |made: Result<Option<CommitId>>, item: &str| {
        let error = made.unwrap_err().to_string();
        assert!(error.contains(item) && error.contains("annotation/1"), "{error}");
    };
    // 70,000 rows: joined with a scan.
    refused(take(&test, &tables("many", ITEMS_MANY, true)), "many-03499");
    take(&test, &tables("many", ITEMS_MANY, false)).unwrap();
    // A few among them: looked up. First the rows of a new item, then a submission that is there.
    refused(take(&test, &tables("few", 1, true)), "few-00000");
    let base = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(base, &[]).unwrap();
    let stored = snapshot.table(&SUBMISSIONS).unwrap();
    let old = stored.fetch(&stored.locate_item("many-00000").unwrap()).unwrap();
    let [_, (table, submission)] = tables("many", 1, false);
    let changes = vec![RowChange { old: Some(0), new: Some(0) }];
    let delta = DeltaBatch { table, old, new: gold(&submission), changes };
    let mut transaction = Transaction::new(&snapshot);
    transaction.apply(table, Box::new(std::iter::once(Ok(delta)))).unwrap();
    refused(test.commit(base, &[transaction.finish().unwrap()]), "many-00000");
    // Rows alone, against submissions that were there before.
    let [(table, rows), _] = tables("many", ITEMS_MANY, true);
    refused(take(&test, &[(table, rows)]), "many-03499");
}

/// The same submissions, but gold.
fn gold(submissions: &RecordBatch) -> RecordBatch {
    let mut columns = submissions.columns().to_vec();
    let gold = arrow::array::BooleanArray::from(vec![true; submissions.num_rows()]);
    columns[SUBMISSIONS.column("gold").unwrap()] = std::sync::Arc::new(gold);
    RecordBatch::try_new(submissions.schema(), columns).unwrap()
}
