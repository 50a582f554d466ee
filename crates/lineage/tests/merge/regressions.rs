//! What merges once got wrong, each named after it. Rows are as Label Studio gives them: every
//! result has a region id of its own, also where it is of the whole item.

use arrow::array::RecordBatch;
use glossator_store::merging::Take;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, SUBMISSIONS, SubmissionRow, SubmissionsBuilder, Table,
};
use glossator_testkit::{TestStore, batch};

use super::by_hand::{Rows, annotations, both_ways, kinds, review};
use super::support::{Merged, answer, each, nobody};

/// A choice of a submission, for the whole item.
fn choice(number: u8, label: &'static str) -> AnnotationRow<'static> {
    let (submission_id, region_id, annotation_id) = match number {
        1 => ("annotation/1", "r1", "annotation/1/r1/q"),
        _ => ("annotation/2", "r2", "annotation/2/r2/q"),
    };
    AnnotationRow {
        annotation_id,
        submission_id: Some(submission_id),
        region_id: Some(region_id),
        annotator_id: "ann",
        field: "q",
        ..answer("i", "x", label)
    }
}

/// A box of a submission, with a region of its own.
fn object(number: u8, region: &'static str, geometry: &'static [f64]) -> AnnotationRow<'static> {
    let id = format!("annotation/{number}/{region}/box").leak();
    AnnotationRow {
        annotation_id: id,
        region_id: Some(region),
        field: "box",
        kind: "bbox",
        geometry: Some(geometry),
        unit: Some("percent"),
        ..choice(number, "car")
    }
}

/// The rows of one submission, and itself.
fn side(rows: &[AnnotationRow<'_>]) -> Rows {
    let mut builder = SubmissionsBuilder::default();
    builder.push(&SubmissionRow {
        item_id: "i",
        submission_id: rows[0].submission_id.unwrap(),
        source: rows[0].source,
        annotator_id: "ann",
        origin: "human",
        state: rows[0].status,
        gold: rows[0].gold,
        policy: rows[0].policy,
        ..SubmissionRow::default()
    });
    let submissions: (&'static Table, RecordBatch) = (&SUBMISSIONS, builder.finish());
    vec![submissions, (&ANNOTATIONS, batch(rows))]
}

/// Id, label, status and gold of what is left of the item.
fn left(test: &TestStore, made: &Merged) -> Vec<(String, String, String, bool)> {
    let mut found = Vec::new();
    each(test, made.commit, |row| {
        if row.item_id == "i" {
            let texts = [row.annotation_id, row.label.unwrap_or("-"), row.status];
            let [id, label, status] = texts.map(str::to_owned);
            found.push((id, label, status, row.gold));
        }
    });
    found
}

fn ids(test: &TestStore, made: &Merged) -> Vec<String> {
    left(test, made).into_iter().map(|row| row.0).collect()
}

#[test]
fn a_skipped_answer_does_not_push_out_an_equal_one_that_was_handed_in() {
    for status in ["skipped", "draft", "superseded"] {
        let skipped = AnnotationRow { status, ..choice(1, "cat") };
        let (test, made) =
            both_ways(&vec![], &side(&[skipped]), &side(&[choice(2, "cat")]), &nobody);
        assert_eq!(made.open, 0);
        assert_eq!(ids(&test, &made), ["annotation/1/r1/q", "annotation/2/r2/q"], "{status}");
    }
}

#[test]
fn of_equal_answers_the_gold_one_and_the_one_of_the_newer_policy_stays() {
    let gold = |row| AnnotationRow { gold: true, ..row };
    let under = |policy, row| AnnotationRow { policy: Some(policy), ..row };
    let (one, two) = ("annotation/1/r1/q", "annotation/2/r2/q");
    for (ours, theirs, stays) in [
        (choice(1, "cat"), choice(2, "cat"), vec![one]),
        (choice(1, "cat"), gold(choice(2, "cat")), vec![two]),
        (under("v@1", choice(1, "cat")), under("v@2", choice(2, "cat")), vec![two]),
        (under("v@9", choice(1, "cat")), under("v@10", choice(2, "cat")), vec![two]),
        (choice(1, "cat"), under("v@2", choice(2, "cat")), vec![two]),
        // Neither has all that the other has.
        (gold(choice(1, "cat")), under("v@2", choice(2, "cat")), vec![one, two]),
        (under("v@1", choice(1, "cat")), under("w@2", choice(2, "cat")), vec![one, two]),
    ] {
        let marked = ours.gold || theirs.gold;
        let (test, made) = both_ways(&vec![], &side(&[ours]), &side(&[theirs]), &nobody);
        assert_eq!(
            (made.open, ids(&test, &made)),
            (0, stays.iter().map(|s| s.to_string()).collect())
        );
        assert_eq!(left(&test, &made).iter().any(|row| row.3), marked, "the mark is kept");
    }
}

/// Nobody said {b3}, and nobody said {b1, b2, b3}.
#[test]
fn boxes_of_two_submissions_are_decided_as_a_whole() {
    const B1: &[f64] = &[0., 0., 10., 10.];
    const B2: &[f64] = &[20., 0., 10., 10.];
    const B3: &[f64] = &[60., 0., 10., 10.];
    let ours = side(&[object(1, "a", B1), object(1, "b", B2)]);
    let theirs = side(&[object(2, "c", B1), object(2, "d", B3)]);
    let (one, two) = (
        ["annotation/1/a/box", "annotation/1/b/box"],
        ["annotation/2/c/box", "annotation/2/d/box"],
    );
    for (take, stays) in [
        (None, one.to_vec()),
        (Some(Take::Ours), one.to_vec()),
        (Some(Take::Theirs), two.to_vec()),
        (Some(Take::Both), [one, two].concat()),
    ] {
        let (test, made) = both_ways(&vec![], &ours, &theirs, &|conflict| {
            assert_eq!(conflict.rows, [2, 2]);
            take
        });
        // One conflict, named after the box that the other side has not.
        assert_eq!(made.conflicts, [("answered-twice", "i".to_owned(), one[1].to_owned())]);
        if take.is_some() {
            assert_eq!(ids(&test, &made), stays);
        }
    }
    // The same boxes in another order, under other ids: one answer.
    let same = side(&[object(2, "c", B2), object(2, "d", B1)]);
    let (test, made) = both_ways(&vec![], &ours, &same, &nobody);
    assert_eq!((made.open, ids(&test, &made)), (0, one.map(str::to_owned).to_vec()));
}

#[test]
fn label_sets_of_two_submissions_are_decided_as_a_whole() {
    let set = |number, id, label| AnnotationRow { annotation_id: id, ..choice(number, label) };
    let ours = side(&[set(1, "annotation/1/r1/q", "a"), set(1, "annotation/1/r1/q/2", "b")]);
    let theirs = side(&[set(2, "annotation/2/r2/q", "a"), set(2, "annotation/2/r2/q/2", "c")]);
    let (test, made) = both_ways(&vec![], &ours, &theirs, &|_| Some(Take::Theirs));
    assert_eq!(kinds(&made), ["answered-twice"]);
    let labels: Vec<String> = left(&test, &made).into_iter().map(|row| row.1).collect();
    assert_eq!(labels, ["a", "c"], "what they said, whole");
}

#[test]
fn choices_of_the_whole_item_are_twins_though_every_result_has_an_id() {
    let (ours, theirs) = (side(&[choice(1, "cat")]), side(&[choice(2, "dog")]));
    let (_, made) = both_ways(&vec![], &ours, &theirs, &nobody);
    assert_eq!(kinds(&made), ["answered-twice"]);
    let theirs = side(&[choice(2, "cat")]);
    let (test, made) = both_ways(&vec![], &ours, &theirs, &nobody);
    assert_eq!((made.open, ids(&test, &made)), (0, vec!["annotation/1/r1/q".to_owned()]));
}

/// A colour of a box goes with the box: no colour is left whose box went.
#[test]
fn what_is_said_of_a_region_goes_with_what_drew_it() {
    const BOX: &[f64] = &[0., 0., 10., 10.];
    let colour = |number: u8, region, label| AnnotationRow {
        annotation_id: format!("annotation/{number}/{region}/colour").leak(),
        region_id: Some(region),
        field: "colour",
        ..choice(number, label)
    };
    let ours = side(&[object(1, "a", BOX), colour(1, "a", "red")]);
    let same = side(&[object(2, "c", BOX), colour(2, "c", "red")]);
    let (test, made) = both_ways(&vec![], &ours, &same, &nobody);
    let one = ["annotation/1/a/box", "annotation/1/a/colour"].map(str::to_owned).to_vec();
    assert_eq!((made.open, ids(&test, &made)), (0, one));
    let other = side(&[object(2, "c", BOX), colour(2, "c", "blue")]);
    let (test, made) = both_ways(&vec![], &ours, &other, &|_| Some(Take::Theirs));
    assert_eq!(made.conflicts.len(), 1);
    let two = ["annotation/2/c/box", "annotation/2/c/colour"].map(str::to_owned).to_vec();
    assert_eq!(ids(&test, &made), two);
}

/// A second box in a submission that both sides know is no second answer of its annotator.
#[test]
fn a_row_more_of_an_old_submission_is_no_answer_of_its_own() {
    const BOXES: [&[f64]; 2] = [&[0., 0., 10., 10.], &[20., 0., 10., 10.]];
    let start = side(&[object(1, "a", BOXES[0])]);
    let ours = annotations(&[object(1, "a", BOXES[0]), object(1, "b", BOXES[1])]);
    let theirs = side(&[object(2, "c", BOXES[0])]);
    let (test, made) = both_ways(&start, &ours, &theirs, &nobody);
    let all = ["annotation/1/a/box", "annotation/1/b/box", "annotation/2/c/box"];
    assert_eq!((made.open, ids(&test, &made)), (0, all.map(str::to_owned).to_vec()));
}

/// Ours accepted `car` of `w`, theirs made it `dog`: that `dog` was accepted, nobody said, also
/// where somebody reviewed another row of the item.
#[test]
fn a_review_of_another_row_of_the_item_does_not_hide_a_torn_status() {
    let w = |label, status| AnnotationRow { status, ..answer("i", "w", label) };
    let others = annotations(&[answer("i", "a", "car"), w("cat", "submitted")]);
    for reviewed in [false, true] {
        let mut start = others.clone();
        start.extend(reviewed.then(|| review("v1", "accepted", 1)));
        let ours = annotations(&[w("cat", "accepted")]);
        let theirs = annotations(&[w("dog", "submitted")]);
        let (test, made) = both_ways(&start, &ours, &theirs, &nobody);
        assert_eq!(kinds(&made), ["changed-twice"], "with a review: {reviewed}");
        let row = left(&test, &made).into_iter().find(|row| row.0 == "w").unwrap();
        assert_eq!((row.1.as_str(), row.2.as_str()), ("cat", "accepted"), "ours, whole");
    }
}
