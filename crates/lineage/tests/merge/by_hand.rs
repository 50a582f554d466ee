//! Cases worked out by hand: what moves whole, what merges apart, and what is a conflict.

use arrow::array::RecordBatch;
use glossator_lineage::merge::{Conflict, Rule};
use glossator_store::merging::Take;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, ITEMS, ItemRow, Items, ItemsBuilder, REVIEWS, ReviewRow,
    ReviewsBuilder, SUBMISSIONS, SubmissionRow, Submissions, SubmissionsBuilder, Table,
};
use glossator_store::{CommitId, change::resolve};
use glossator_testkit::{TestStore, batch};

use super::support::{Merged, answer, each, labels, merged, nobody, on, verify};

/// Rows of several tables.
pub(super) type Rows = Vec<(&'static Table, RecordBatch)>;

pub(super) fn annotations(rows: &[AnnotationRow<'_>]) -> Rows {
    vec![(&ANNOTATIONS, batch(rows))]
}

/// Merges what two sides did to rows; both ways round, the same where nothing is open.
pub(super) fn both_ways(
    start: &Rows,
    ours: &Rows,
    theirs: &Rows,
    take: &dyn Fn(&Conflict<'_>) -> Option<Take>,
) -> (TestStore, Merged) {
    let test = TestStore::new();
    let first = annotations(&[answer("other", "x", "cat")]);
    let all: Rows = first.into_iter().chain(start.clone()).collect();
    let base = on(&test, None, &all, None);
    let ours = on(&test, base, ours, None).unwrap();
    let theirs = on(&test, base, theirs, None).unwrap();
    let made = merged(&test, ours, theirs, take);
    let swapped = merged(&test, theirs, ours, take);
    assert_eq!(made.open, swapped.open);
    if made.conflicts.is_empty() {
        assert_eq!(rows_of(&test, made.commit), rows_of(&test, swapped.commit));
    }
    verify(&test);
    (test, made)
}

/// Every annotation in words.
fn rows_of(test: &TestStore, commit: CommitId) -> Vec<String> {
    let mut found = Vec::new();
    each(test, commit, |row| found.push(format!("{row:?}")));
    found
}

pub(super) fn kinds(made: &Merged) -> Vec<&'static str> {
    made.conflicts.iter().map(|(kind, ..)| *kind).collect()
}

#[test]
fn gold_and_members_of_extra_merge_apart_and_seq_is_no_conflict() {
    let start = AnnotationRow {
        extra: Some(r#"{"a":1,"b":1.0}"#),
        seq: Some(5),
        ..answer("i", "a", "car")
    };
    let ours = AnnotationRow {
        label: Some("truck"),
        extra: Some(r#"{"a":2,"b":1.0}"#),
        seq: Some(9),
        ..start.clone()
    };
    let theirs = AnnotationRow {
        gold: true,
        extra: Some(r#"{"a":1,"b":1.0,"c":3}"#),
        seq: Some(2),
        ..start.clone()
    };
    let (test, made) =
        both_ways(&annotations(&[start]), &annotations(&[ours]), &annotations(&[theirs]), &nobody);
    assert_eq!((made.open, kinds(&made)), (0, vec![]));
    let mut found = None;
    each(&test, made.commit, |row| {
        if row.item_id == "i" {
            found = Some((
                row.label.map(str::to_owned),
                row.gold,
                row.extra.map(str::to_owned),
                row.seq,
            ));
        }
    });
    let extra = r#"{"a":2,"b":1.0,"c":3}"#.to_owned();
    assert_eq!(found, Some((Some("truck".to_owned()), true, Some(extra), Some(2))));
}

#[test]
fn content_moves_whole() {
    // One changed the label, the other the text of the same answer: nobody decided both.
    let start = answer("i", "a", "car");
    let ours = AnnotationRow { label: Some("truck"), ..start.clone() };
    let theirs = AnnotationRow { text: Some("red"), ..start.clone() };
    let (test, made) =
        both_ways(&annotations(&[start]), &annotations(&[ours]), &annotations(&[theirs]), &|_| {
            Some(Take::Theirs)
        });
    assert_eq!(kinds(&made), ["changed-twice"]);
    let mut found = Vec::new();
    each(&test, made.commit, |row| {
        found.push((row.label.map(str::to_owned), row.text.map(str::to_owned)));
    });
    assert_eq!(found[0], (Some("car".to_owned()), Some("red".to_owned())), "theirs, whole");
}

#[test]
fn the_same_decision_at_two_times_is_the_later_one() {
    let start = answer("i", "a", "car");
    let at = |time| AnnotationRow {
        label: Some("truck"),
        updated_at: Some(time),
        ..answer("i", "a", "car")
    };
    let (test, made) = both_ways(
        &annotations(&[start]),
        &annotations(&[at(1_000_000)]),
        &annotations(&[at(2_000_000)]),
        &nobody,
    );
    assert_eq!(made.open, 0);
    let mut times = Vec::new();
    each(&test, made.commit, |row| times.push(row.updated_at));
    assert_eq!(times[0], Some(2_000_000));
}

#[test]
fn removals_conflict_with_edits_and_with_accepted_reviews() {
    for (edit, kind) in [
        (AnnotationRow { label: Some("truck"), ..answer("i", "a", "car") }, "removed-changed"),
        (AnnotationRow { status: "accepted", ..answer("i", "a", "car") }, "removed-accepted"),
    ] {
        for (take, left) in
            [(None, 1), (Some(Take::Ours), 1), (Some(Take::Theirs), 2), (Some(Take::Both), 2)]
        {
            let test = TestStore::new();
            let start = [answer("i", "a", "car"), answer("j", "b", "cat")];
            let base = on(&test, None, &annotations(&start), None);
            let ours = on(&test, base, &[], Some(batch(&start[..1]))).unwrap();
            let theirs = on(&test, base, &annotations(std::slice::from_ref(&edit)), None).unwrap();
            let made = merged(&test, ours, theirs, &|_| take);
            assert_eq!(made.conflicts, [(kind, "i".to_owned(), "a".to_owned())]);
            assert_eq!(made.open, u64::from(take.is_none()));
            assert_eq!(labels(&test, made.commit).len(), left, "{kind} {take:?}");
            verify(&test);
        }
    }
}

/// An answer of one annotator, with an id of its own.
fn twin<'a>(id: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow { annotator_id: "ann", annotation_id: id, ..answer("i", "x", label) }
}

#[test]
fn one_question_answered_on_both_sides_is_one_answer_or_a_conflict() {
    // Equal: one row, that with the lesser id.
    let (test, made) = both_ways(
        &vec![],
        &annotations(&[twin("t1", "car")]),
        &annotations(&[twin("t2", "car")]),
        &nobody,
    );
    assert_eq!(made.open, 0);
    let ids: Vec<_> = labels(&test, made.commit).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["t1", "x"]);
    // Different: a conflict, whichever ids they have.
    for id in ["t1", "t2"] {
        for (take, left) in [
            (None, vec!["car"]),
            (Some(Take::Theirs), vec!["bus"]),
            (Some(Take::Both), if id == "t2" { vec!["car", "bus"] } else { vec!["car"] }),
        ] {
            let (test, made) = both_ways(
                &vec![],
                &annotations(&[twin("t1", "car")]),
                &annotations(&[twin(id, "bus")]),
                &|conflict| take.filter(|take| conflict.can_take(*take)),
            );
            assert_eq!(kinds(&made), ["answered-twice"]);
            let found: Vec<_> = labels(&test, made.commit)
                .into_iter()
                .filter(|(item, ..)| item == "i")
                .map(|(.., label)| label)
                .collect();
            assert_eq!(found, left, "{id} {take:?}");
        }
    }
    // Two people who disagree are no conflict.
    let other = AnnotationRow { annotator_id: "bob", ..twin("t2", "bus") };
    let (test, made) =
        both_ways(&vec![], &annotations(&[twin("t1", "car")]), &annotations(&[other]), &nobody);
    assert_eq!((made.open, labels(&test, made.commit).len()), (0, 3));
}

#[test]
fn boxes_of_one_person_pair_by_overlap() {
    let object = |id: &'static str, geometry: &'static [f64], label| AnnotationRow {
        kind: "bbox",
        geometry: Some(geometry),
        unit: Some("px"),
        ..twin(id, label)
    };
    let ours =
        [object("a1", &[0., 0., 10., 10.], "car"), object("a2", &[100., 0., 10., 10.], "car")];
    // The first overlaps by 90 of 110 (IoU 0.82); the second lies elsewhere: another object.
    let theirs =
        [object("b1", &[1., 0., 10., 10.], "car"), object("b2", &[500., 0., 10., 10.], "bus")];
    let (test, made) = both_ways(&vec![], &annotations(&ours), &annotations(&theirs), &nobody);
    assert_eq!(made.conflicts, [("answered-twice", "i".to_owned(), "a1".to_owned())]);
    let ids: Vec<_> = labels(&test, made.commit).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["a1", "a2", "b2", "x"]);
}

fn submission(id: &'static str) -> (&'static Table, RecordBatch) {
    submission_at(id, None)
}

pub(super) fn submission_at(
    id: &'static str,
    updated_at: Option<i64>,
) -> (&'static Table, RecordBatch) {
    let mut builder = SubmissionsBuilder::default();
    builder.push(&SubmissionRow {
        item_id: "i",
        submission_id: id,
        source: "table",
        annotator_id: "ann",
        origin: "human",
        state: "submitted",
        updated_at,
        ..SubmissionRow::default()
    });
    (&SUBMISSIONS, builder.finish())
}

#[test]
fn a_submission_goes_with_the_last_of_its_rows() {
    let side = |submission_id: &'static str, row: &'static str| -> Rows {
        let row = AnnotationRow { submission_id: Some(submission_id), ..twin(row, "car") };
        vec![submission(submission_id), (&ANNOTATIONS, batch(&[row]))]
    };
    let (test, made) = both_ways(
        &vec![],
        &side("annotation/2", "annotation/2/label"),
        &side("annotation/1", "annotation/1/label"),
        &nobody,
    );
    assert_eq!(made.open, 0);
    let snapshot = test.store.snapshot(Some(made.commit), &[]).unwrap();
    let mut left = Vec::new();
    for found in snapshot.table(&SUBMISSIONS).unwrap().scan().unwrap() {
        let columns: Vec<usize> = (0..SUBMISSIONS.columns.len()).collect();
        let found = found.unwrap().project(&columns).unwrap();
        left.extend(Submissions::new(&found).iter().map(|row| row.submission_id.to_owned()));
    }
    assert_eq!(left, ["annotation/1"]);
}

pub(super) fn review(
    id: &'static str,
    decision: &'static str,
    at: i64,
) -> (&'static Table, RecordBatch) {
    let mut builder = ReviewsBuilder::default();
    builder.push(&ReviewRow {
        item_id: "i",
        review_id: id,
        source: "table",
        annotation_id: Some("a"),
        reviewer_id: "rev",
        decision,
        at: Some(at),
        digest: Some(glossator_store::reviews::AS_GIVEN),
        ..ReviewRow::default()
    });
    (&REVIEWS, builder.finish())
}

/// Both reviews stay, and the last that fits says the status.
#[test]
fn reviews_append_and_the_status_follows_the_last_that_fits() {
    let start = annotations(&[answer("i", "a", "car")]);
    let (accepts, rejects) = (review("r1", "accepted", 10), review("r2", "rejected", 20));
    let (test, made) = both_ways(&start, &vec![accepts.clone()], &vec![rejects.clone()], &nobody);
    assert_eq!(made.open, 0, "{:?}", made.conflicts);
    let status = |test: &TestStore, commit| {
        let mut found = None;
        each(test, commit, |row| {
            if row.item_id == "i" {
                found = Some((row.label.unwrap().to_owned(), row.status.to_owned()));
            }
        });
        found.unwrap()
    };
    assert_eq!(status(&test, made.commit), ("car".to_owned(), "rejected".to_owned()));
    // A review of other content than what is left says nothing of it.
    let edit = annotations(&[answer("i", "a", "truck")]);
    let (test, made) = both_ways(&start, &edit, &vec![accepts], &nobody);
    assert_eq!(made.open, 0, "{:?}", made.conflicts);
    assert_eq!(status(&test, made.commit), ("truck".to_owned(), "submitted".to_owned()));
}

fn item(aliases: &[&'static str], width: Option<i64>, split: &'static str) -> Rows {
    let mut builder = ItemsBuilder::default();
    builder.push(&ItemRow {
        item_id: "i",
        aliases: Some(aliases.to_vec()),
        width,
        split: Some(split),
        ..ItemRow::default()
    });
    vec![(&ITEMS, builder.finish())]
}

/// Facts of an item merge by column, names as a set.
#[test]
fn items_merge_by_column() {
    let (test, made) = both_ways(
        &item(&["m"], None, "train"),
        &item(&["m", "z"], Some(640), "train"),
        &item(&["b", "m"], None, "test"),
        &nobody,
    );
    assert_eq!(made.open, 0, "{:?}", made.conflicts);
    let snapshot = test.store.snapshot(Some(made.commit), &[]).unwrap();
    let columns: Vec<usize> = (0..ITEMS.columns.len()).collect();
    let mut found = Vec::new();
    for rows in snapshot.table(&ITEMS).unwrap().scan().unwrap() {
        let rows = rows.unwrap().project(&columns).unwrap();
        for row in Items::new(&rows).iter().filter(|row| row.item_id == "i") {
            let names: Vec<_> =
                row.aliases.unwrap_or_default().into_iter().map(str::to_owned).collect();
            found.push((names, row.width, row.split.map(str::to_owned)));
        }
    }
    // Those of the base, then what either side added, by name.
    let names = ["m", "b", "z"].map(str::to_owned).to_vec();
    assert_eq!(found, [(names, Some(640), Some("test".to_owned()))]);
}

#[test]
fn rules_decide_or_say_nothing() {
    let at = |label, time, status, policy| AnnotationRow {
        label: Some(label),
        updated_at: time,
        status,
        policy,
        ..answer("i", "a", "car")
    };
    for (rule, ours, theirs, take) in [
        (
            Rule::Newest,
            at("b", Some(1), "submitted", None),
            at("c", Some(2), "submitted", None),
            Some(Take::Theirs),
        ),
        (
            Rule::Newest,
            at("b", Some(2), "submitted", None),
            at("c", Some(2), "submitted", None),
            None,
        ),
        (Rule::Newest, at("b", None, "submitted", None), at("c", Some(2), "submitted", None), None),
        (
            Rule::Reviewed,
            at("b", None, "accepted", None),
            at("c", None, "submitted", None),
            Some(Take::Ours),
        ),
        (Rule::Reviewed, at("b", None, "accepted", None), at("c", None, "fixed", None), None),
        (
            Rule::NewerPolicy,
            at("b", None, "submitted", Some("p@9")),
            at("c", None, "submitted", Some("p@10")),
            Some(Take::Theirs),
        ),
        (
            Rule::NewerPolicy,
            at("b", None, "submitted", Some("p@1")),
            at("c", None, "submitted", Some("q@2")),
            None,
        ),
        (Rule::Union, at("b", None, "submitted", None), at("c", None, "submitted", None), None),
        (
            Rule::Ours,
            at("b", None, "submitted", None),
            at("c", None, "submitted", None),
            Some(Take::Ours),
        ),
    ] {
        let test = TestStore::new();
        let base = on(&test, None, &annotations(&[answer("i", "a", "car")]), None);
        let ours = on(&test, base, &annotations(&[ours]), None).unwrap();
        let theirs = on(&test, base, &annotations(&[theirs]), None).unwrap();
        let made = merged(&test, ours, theirs, &|conflict| rule.decide(conflict));
        assert_eq!(made.open, u64::from(take.is_none()), "{rule:?}");
        let label = if take == Some(Take::Theirs) { "c" } else { "b" };
        assert_eq!(labels(&test, made.commit)[0].2, label, "{rule:?}");
    }
}

/// Tools say once, of the submission, when an answer was changed.
#[test]
fn the_newest_row_is_that_of_the_submission_changed_last() {
    let side = |time, label: &'static str| -> Rows {
        let id = "annotation/1";
        let row = AnnotationRow { submission_id: Some(id), ..twin("annotation/1/label", label) };
        vec![submission_at(id, Some(time)), (&ANNOTATIONS, batch(&[row]))]
    };
    let newest = |conflict: &Conflict<'_>| Rule::Newest.decide(conflict);
    for (ours, theirs, left) in [(2, 3, "truck"), (3, 2, "bus")] {
        let (test, made) =
            both_ways(&side(1, "car"), &side(ours, "bus"), &side(theirs, "truck"), &newest);
        assert_eq!((made.open, kinds(&made)), (0, vec!["changed-twice"]));
        assert_eq!(labels(&test, made.commit)[0].2, left);
    }
}

/// The one rule is the store's; a merge that would need another one would be another merge.
#[test]
fn the_rule_is_that_of_the_commit_race() {
    use glossator_store::change::Resolution::{Apply, Conflict, Drop};
    for (base, theirs, ours, said) in [
        (Some(1), Some(2), Some(1), Apply),
        (Some(1), Some(2), Some(2), Drop),
        (Some(1), Some(2), Some(3), Conflict),
        (Some(1), None, Some(1), Apply),
        (Some(1), None, Some(3), Conflict),
        (None, Some(1), None, Apply),
    ] {
        assert_eq!(resolve(base, theirs, ours), said);
    }
}

/// A box of one person, in a submission.
fn boxed<'a>(id: &'a str, label: &'a str, corners: &'a [f64]) -> AnnotationRow<'a> {
    AnnotationRow {
        kind: "bbox",
        unit: Some("px"),
        geometry: Some(corners),
        updated_at: Some(1),
        ..twin(id, label)
    }
}

/// Label, text, geometry, annotator and submission of the rows of item `i`.
type Said = (Option<String>, Option<String>, Option<Vec<f64>>, String, Option<String>);

fn said(test: &TestStore, made: &Merged) -> Vec<Said> {
    let mut found = Vec::new();
    each(test, made.commit, |row| {
        if row.item_id == "i" {
            let text = |text: Option<&str>| text.map(str::to_owned);
            found.push((
                text(row.label),
                text(row.text),
                row.geometry.map(<[f64]>::to_vec),
                row.annotator_id.to_owned(),
                text(row.submission_id),
            ));
        }
    });
    found
}

fn by(rule: Rule) -> impl Fn(&Conflict<'_>) -> Option<Take> {
    move |conflict| rule.decide(conflict)
}

/// What a merge makes of two rows is nobody's of them: the merger is its author.
#[test]
fn a_row_that_is_made_of_two_has_the_merger_as_its_author() {
    let merger = || "merger".to_owned();
    let label = |label: &str| Some(label.to_owned());
    // One box, moved two ways: 2/2 and 4/2 from where they differ.
    let (start, ours, theirs) = ([0., 0., 90., 90.], [2., 0., 90., 90.], [0., 4., 90., 90.]);
    let (test, made) = both_ways(
        &annotations(&[boxed("b", "car", &start)]),
        &annotations(&[boxed("b", "car", &ours)]),
        &annotations(&[boxed("b", "car", &theirs)]),
        &by(Rule::MeanBox),
    );
    assert_eq!((made.open, kinds(&made)), (0, vec!["changed-twice"]));
    let mean = || Some(vec![1., 2., 90., 90.]);
    assert_eq!(said(&test, &made), [(label("car"), None, mean(), merger(), None)]);
    // One person's box, drawn on both sides.
    let (test, made) = both_ways(
        &vec![],
        &annotations(&[boxed("b1", "car", &ours)]),
        &annotations(&[boxed("b2", "car", &theirs)]),
        &by(Rule::MeanBox),
    );
    assert_eq!((made.open, kinds(&made)), (0, vec!["answered-twice"]));
    assert_eq!(said(&test, &made), [(label("car"), None, mean(), merger(), None)]);
    // Two labels have no mean.
    let (_, made) = both_ways(
        &annotations(&[boxed("b", "car", &start)]),
        &annotations(&[boxed("b", "bus", &ours)]),
        &annotations(&[boxed("b", "car", &theirs)]),
        &by(Rule::MeanBox),
    );
    assert_eq!(made.open, 1);
    // A label and a text, each changed on one side.
    let start = answer("i", "a", "car");
    let (ours, theirs) = (
        AnnotationRow { label: Some("truck"), status: "accepted", ..start.clone() },
        AnnotationRow { text: Some("red"), ..start.clone() },
    );
    let start = annotations(&[start]);
    let (ours, theirs) = (annotations(&[ours]), annotations(&[theirs]));
    let (test, made) = both_ways(&start, &ours, &theirs, &by(Rule::PerColumn));
    assert_eq!((made.open, kinds(&made)), (0, vec!["changed-twice"]));
    assert_eq!(said(&test, &made), [(label("truck"), label("red"), None, merger(), None)]);
    each(&test, made.commit, |row| {
        assert_eq!(row.status, "submitted", "what was accepted was another row");
    });
    // The same column changed twice stays open.
    let other = annotations(&[answer("i", "a", "bus")]);
    assert_eq!(both_ways(&start, &ours, &other, &by(Rule::PerColumn)).1.open, 1);
}

#[test]
fn answers_given_twice_stay_where_they_are_repeats() {
    let (test, made) = both_ways(
        &vec![],
        &annotations(&[twin("t1", "car")]),
        &annotations(&[twin("t2", "bus")]),
        &by(Rule::Repeats),
    );
    assert_eq!((made.open, said(&test, &made).len()), (0, 2));
    let start = annotations(&[answer("i", "a", "car")]);
    let edit = |label| annotations(&[answer("i", "a", label)]);
    let (_, made) = both_ways(&start, &edit("bus"), &edit("van"), &by(Rule::Repeats));
    assert_eq!(made.open, 1, "one answer that both changed is no repeat");
}
