//! Reviews: of which content they are, and the statuses that follow from them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at once")]

#[allow(dead_code, reason = "helpers of several tests")]
mod support;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use glossator_store::change::only_old;
use glossator_store::intake::{Edit, Edits, Intake, IntakeOptions};
use glossator_store::reviews::AS_GIVEN;
use glossator_store::schema::*;
use glossator_store::{Digest, Layer, Transaction};
use support::*;

/// What a file says of one submission on item `a`: its answers as field and label, its state, and
/// its reviews as id and decision, the last of which is of these answers.
struct File<'f> {
    answers: &'f [(&'f str, &'f str)],
    state: &'f str,
    reviews: &'f [(&'f str, &'f str)],
}

impl File<'_> {
    fn tables(&self) -> Vec<(&'static Table, RecordBatch)> {
        let mut annotations = AnnotationsBuilder::default();
        for (field, label) in self.answers {
            annotations.push(&AnnotationRow {
                item_id: "a",
                source: "s",
                submission_id: Some("annotation/1"),
                annotator_id: "ann",
                origin: "human",
                field,
                kind: "choice",
                label: Some(label),
                status: self.state,
                ..AnnotationRow::default()
            });
        }
        let mut submissions = SubmissionsBuilder::default();
        submissions.push(&SubmissionRow {
            item_id: "a",
            submission_id: "annotation/1",
            source: "s",
            annotator_id: "ann",
            origin: "human",
            state: self.state,
            ..SubmissionRow::default()
        });
        let mut reviews = ReviewsBuilder::default();
        for (round, (id, decision)) in self.reviews.iter().enumerate() {
            let last = round + 1 == self.reviews.len();
            reviews.push(&ReviewRow {
                item_id: "a",
                review_id: id,
                source: "s",
                submission_id: Some("annotation/1"),
                round: Some(round as i32 + 1),
                reviewer_id: "rev",
                decision,
                digest: last.then_some(AS_GIVEN),
                ..ReviewRow::default()
            });
        }
        vec![
            (&ANNOTATIONS, annotations.finish()),
            (&SUBMISSIONS, submissions.finish()),
            (&REVIEWS, reviews.finish()),
        ]
    }
}

const TWO: &[(&str, &str)] = &[("class", "car"), ("more", "red")];

/// One accepted submission of two answers.
fn accepted() -> Bench {
    let mut bench = Bench::empty();
    let file = File { answers: TWO, state: "accepted", reviews: &[("r1", "accepted")] };
    bench.commit(&file.tables());
    bench
}

/// The answers at `HEAD` with layers on top, as `field=label status`, then the submission's state.
fn statuses(bench: &Bench, layers: &[Layer]) -> Vec<String> {
    let snapshot = bench.store.snapshot(Some(bench.head()), layers).unwrap();
    let mut found = Vec::new();
    for batch in snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap() {
        for row in Annotations::new(&batch.unwrap()).iter() {
            found.push(format!("{}={} {}", row.field, row.label.unwrap(), row.status));
        }
    }
    for batch in snapshot.table(&SUBMISSIONS).unwrap().scan().unwrap() {
        found.extend(Submissions::new(&batch.unwrap()).iter().map(|row| row.state.to_owned()));
    }
    found
}

/// The reviews at `HEAD`: id and digest.
fn digests(bench: &Bench) -> Vec<(String, Option<String>)> {
    let snapshot = bench.store.snapshot(Some(bench.head()), &[]).unwrap();
    let rows = snapshot.table(&REVIEWS).unwrap().scan().unwrap();
    rows.flat_map(|batch| {
        let batch = batch.unwrap();
        let rows = Reviews::new(&batch);
        let text = |row: ReviewRow<'_>| (row.review_id.to_owned(), row.digest.map(str::to_owned));
        rows.iter().map(text).collect::<Vec<_>>()
    })
    .collect()
}

/// An edit of columns of annotations of item `a` by key; the first two are the key.
fn edited(bench: &Bench, columns: &[&str], rows: &[&[&str]]) -> Vec<Layer> {
    let snapshot = bench.store.snapshot(Some(bench.head()), &[]).unwrap();
    let places: Vec<usize> = columns.iter().map(|name| ANNOTATIONS.column(name).unwrap()).collect();
    let schema = ANNOTATIONS.arrow().project(&places).unwrap();
    let arrays = schema.fields().iter().enumerate().map(|(at, field)| -> ArrayRef {
        let texts: StringArray = rows.iter().map(|row| Some(row[at])).collect();
        arrow::compute::cast(&texts, field.data_type()).unwrap()
    });
    let arrays = arrays.collect();
    let batch = RecordBatch::try_new(std::sync::Arc::new(schema), arrays).unwrap();
    let mut edits = Edits::new(&snapshot, None, Edit::Update);
    edits.push(&places, batch).unwrap();
    edits.finish().unwrap().0.layers
}

const CLASS: &str = "annotation/1/choice/class";
const MORE: &str = "annotation/1/choice/more";

/// The bytes that the digest is over, put together by hand: for each row its length, then number
/// and value of field, kind, label and negative.
fn content(rows: &[(&str, &str)]) -> String {
    let mut bytes = Vec::new();
    for (field, label) in rows {
        let mut row = vec![8, field.len() as u8];
        row.extend_from_slice(field.as_bytes());
        row.extend_from_slice(b"\x0a\x06choice\x0b");
        row.push(label.len() as u8);
        row.extend_from_slice(label.as_bytes());
        row.extend_from_slice(&[12, 0]);
        bytes.push(row.len() as u8);
        bytes.extend_from_slice(&row);
    }
    Digest::of(&bytes).to_string()
}

#[test]
fn a_review_carries_the_digest_of_what_was_reviewed() {
    let mut bench = Bench::empty();
    let reviews = &[("r1", "rejected"), ("r2", "accepted")];
    let file = File { answers: TWO, state: "accepted", reviews };
    bench.commit(&file.tables());
    let known = ("r2".to_owned(), Some(content(TWO)));
    assert_eq!(digests(&bench), [("r1".to_owned(), None), known]);
    assert_eq!(statuses(&bench, &[]), ["class=car accepted", "more=red accepted", "accepted"]);
    assert_eq!(bench.layer(&file.tables()), []);
    // A submission without answers can be reviewed too.
    let mut bench = Bench::empty();
    bench.commit(&File { answers: &[], state: "fixed", reviews: &[("r1", "fixed")] }.tables());
    assert_eq!(digests(&bench), [("r1".to_owned(), Some(Digest::of(b"").to_string()))]);
}

#[test]
fn an_answer_that_was_edited_after_its_review_is_submitted_again() {
    let mut bench = accepted();
    let layers = edited(&bench, &["item_id", "annotation_id", "label"], &[&["a", CLASS, "bus"]]);
    // The review was of the whole submission.
    let fallen = ["class=bus submitted", "more=red submitted", "submitted"];
    assert_eq!(statuses(&bench, &layers), fallen);
    assert_eq!(layers.len(), 1);
    let counted: Vec<_> = layers[0].tables.iter().map(|(t, c)| (t.as_str(), c.counts)).collect();
    assert_eq!(counted, [("annotations", counts(0, 2, 0)), ("submissions", counts(0, 1, 0))]);
    bench.commit_layers(&layers);
    assert_eq!(digests(&bench)[0].1, Some(content(TWO)));
    // Even one that names the old status: it is no verdict on what is there now.
    let columns = ["item_id", "annotation_id", "label", "status"];
    let layers = edited(&bench, &columns, &[&["a", CLASS, "van", "accepted"]]);
    assert_eq!(statuses(&bench, &layers)[0], "class=van submitted");
    // Back to what was reviewed: the review fits again.
    let layers = edited(&bench, &columns[..3], &[&["a", CLASS, "car"]]);
    let again = ["class=car accepted", "more=red accepted", "accepted"];
    assert_eq!(statuses(&bench, &layers), again);
    assert_eq!(bench.store.verify(&mut |_| {}).unwrap().findings, []);
}

#[test]
fn what_a_review_does_not_look_at_leaves_it_fitting() {
    let bench = accepted();
    let layers = edited(&bench, &["item_id", "annotation_id", "parent_id"], &[&["a", MORE, "p"]]);
    assert_eq!(statuses(&bench, &layers), statuses(&bench, &[]));
    assert_eq!(layers[0].tables["annotations"].counts, counts(0, 1, 0));
    // A status that a review gives is no one else's to set; a draft is the source's to say.
    let columns = ["item_id", "annotation_id", "status"];
    assert_eq!(edited(&bench, &columns, &[&["a", MORE, "rejected"]]), []);
    let layers = edited(&bench, &columns, &[&["a", MORE, "draft"]]);
    assert_eq!(statuses(&bench, &layers)[1], "more=red draft");
}

#[test]
fn a_file_whose_answers_changed_without_a_new_review_does_not_stamp_the_old_one() {
    let mut bench = accepted();
    let answers = &[("class", "bus"), ("more", "red")];
    let file = File { answers, state: "accepted", reviews: &[("r1", "accepted")] };
    bench.commit(&file.tables());
    let fallen = ["class=bus submitted", "more=red submitted", "submitted"];
    assert_eq!(statuses(&bench, &[]), fallen);
    assert_eq!(digests(&bench)[0].1, Some(content(TWO)));
    assert_eq!(bench.layer(&file.tables()), [], "again it changes nothing");
    // The next round is of what is there now, and so is a verdict that was taken back.
    let reviews = &[("r1", "accepted"), ("r2", "fixed")];
    bench.commit(&File { answers, state: "fixed", reviews }.tables());
    assert_eq!(statuses(&bench, &[]), ["class=bus fixed", "more=red fixed", "fixed"]);
    let reviews = &[("r1", "accepted"), ("r2", "rejected")];
    bench.commit(&File { answers, state: "rejected", reviews }.tables());
    assert_eq!(statuses(&bench, &[])[0], "class=bus rejected");
    assert_eq!(digests(&bench)[1].1, Some(content(answers)));
    assert_eq!(bench.store.verify(&mut |_| {}).unwrap().findings, []);
}

#[test]
fn a_label_that_changed_with_its_next_review_is_one_change() {
    let mut bench = accepted();
    let answers = &[("class", "bus"), ("more", "red")];
    let reviews = &[("r1", "accepted"), ("r2", "accepted")];
    let file = File { answers, state: "accepted", reviews };
    let snapshot = bench.store.snapshot(Some(bench.head()), &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    for (table, rows) in file.tables() {
        intake.rows(table, rows).unwrap();
    }
    let made = intake.finish().unwrap();
    assert_eq!(made.counts["annotations"], counts(0, 1, 0));
    assert_eq!(made.counts["submissions"], counts(0, 0, 0));
    assert_eq!(made.counts["reviews"], counts(1, 0, 0));
    bench.commit(&file.tables());
    assert_eq!(statuses(&bench, &[]), ["class=bus accepted", "more=red accepted", "accepted"]);
}

#[test]
fn an_answer_that_is_removed_or_emptied_takes_the_review_with_it() {
    let mut bench = accepted();
    let snapshot = bench.store.snapshot(Some(bench.head()), &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let gone = table
        .fetch(&table.locate([("a", MORE)]).unwrap().into_iter().flatten().collect::<Vec<_>>());
    let mut transaction = Transaction::new(&snapshot);
    let gone = Box::new(std::iter::once(gone));
    transaction.apply(&ANNOTATIONS, only_old(&ANNOTATIONS, gone)).unwrap();
    let layer = transaction.finish().unwrap();
    drop(snapshot);
    assert_eq!(statuses(&bench, &[layer]), ["class=car submitted", "submitted"]);
    // A submission that lost its answers and was reviewed like that.
    let reviews = &[("r1", "accepted"), ("r2", "rejected")];
    bench.commit(&File { answers: &[], state: "rejected", reviews }.tables());
    assert_eq!(statuses(&bench, &[]), ["rejected"]);
    assert_eq!(digests(&bench)[1].1, Some(Digest::of(b"").to_string()));
}

#[test]
fn a_review_of_one_annotation_is_of_it_alone_and_the_last_in_time_counts() {
    let mut bench = accepted();
    let mut reviews = ReviewsBuilder::default();
    // Of one annotation, later than the round of its submission; and one without a known verdict.
    for (id, at, decision) in [("r2", 5, "adjudicated"), ("r3", 9, "rejected"), ("r4", 12, "maybe")]
    {
        reviews.push(&ReviewRow {
            item_id: "a",
            review_id: id,
            source: "s",
            submission_id: Some("annotation/1"),
            annotation_id: Some(CLASS),
            reviewer_id: "rev",
            decision,
            at: Some(at),
            digest: Some(AS_GIVEN),
            ..ReviewRow::default()
        });
    }
    bench.commit(&[(&REVIEWS, reviews.finish())]);
    assert_eq!(statuses(&bench, &[]), ["class=car rejected", "more=red accepted", "accepted"]);
    assert_eq!(digests(&bench)[2].1, Some(content(&TWO[..1])));
    // The other answer changes: the whole does not fit any more, this one still does.
    let layers = edited(&bench, &["item_id", "annotation_id", "label"], &[&["a", MORE, "blue"]]);
    let expected = ["class=car rejected", "more=blue submitted", "submitted"];
    assert_eq!(statuses(&bench, &layers), expected);
}

#[test]
fn reviews_that_race_leave_the_status_of_the_last_one() {
    let mut bench = accepted();
    let base = bench.head();
    let review = |id: &'static str, at: i64, decision: &'static str| {
        let mut reviews = ReviewsBuilder::default();
        reviews.push(&ReviewRow {
            item_id: "a",
            review_id: id,
            source: "s",
            submission_id: Some("annotation/1"),
            reviewer_id: "rev",
            decision,
            at: Some(at),
            digest: Some(AS_GIVEN),
            ..ReviewRow::default()
        });
        reviews.finish()
    };
    // Made on the first commit, where it changes no status; the head rejects meanwhile.
    let late = bench.layer(&[(&REVIEWS, review("r9", 9, "accepted"))]);
    bench.commit(&[(&REVIEWS, review("r2", 2, "rejected"))]);
    assert_eq!(statuses(&bench, &[])[0], "class=car rejected");
    let rebased = bench.store.rebase(Some(base), &late, Some(bench.head())).unwrap();
    assert_eq!(statuses(&bench, &[rebased])[0], "class=car accepted");
}
