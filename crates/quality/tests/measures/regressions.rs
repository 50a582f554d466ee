//! Figures that were wrong once, each named after what went wrong, worked out by hand.

use std::collections::BTreeMap;

use glossator_quality::agreement::{Weights, interval_alpha, pairwise_kappa};
use glossator_quality::compare::{Version, compare};
use glossator_quality::measure::Undefined;
use glossator_quality::objects::{Matching, Object, matched};
use glossator_quality::report::{Report, ReportOptions};
use glossator_quality::unit::{Answers, Repeats};
use glossator_quality::votes::Votes;
use glossator_quality::{Aliases, FinalAnswers, Method};
use glossator_store::geometry::Shape;
use glossator_store::schema::{AnnotationRow, Annotations};

use crate::besides::{Tables, row};

fn options() -> ReportOptions {
    ReportOptions { shared_min: 2, iou_min: 0.5, ..ReportOptions::default() }
}

fn measured(rows: &[AnnotationRow<'_>]) -> Report {
    Tables::new(rows).report(Repeats::Last)
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("a number");
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

/// Rows of one submission.
fn set<'a>(item: &'a str, who: &'a str, labels: &[&'a str]) -> Vec<AnnotationRow<'a>> {
    let one = |(at, label): (usize, &&'a str)| AnnotationRow {
        submission_id: Some(who),
        annotation_id: ["1", "2", "3"][at],
        ..row(item, "", who, label)
    };
    labels.iter().enumerate().map(one).collect()
}

/// Sets were named by the order in which their labels came first, so that one item more, before the
/// others, changed all of them.
#[test]
fn a_set_is_the_same_whichever_of_its_labels_came_first() {
    let old: Vec<_> =
        ["b", "c", "d"].iter().flat_map(|item| set(item, "ann", &["cat", "dog"])).collect();
    let new: Vec<_> = set("a", "ann", &["dog"]).into_iter().chain(old.clone()).collect();
    let read = |rows: &[AnnotationRow<'_>]| {
        let answers = Tables::new(rows).answers(Repeats::Last);
        let report = Report::new(&answers, &options()).unwrap();
        (answers, report)
    };
    let ((a, a_report), (b, b_report)) = (read(&old), read(&new));
    let version = |answers, report| Version { answers, report };
    let told = compare(version(&a, &a_report), version(&b, &b_report), &options());
    assert_eq!((told[0].kept, told[0].added, told[0].transitions.len()), (3, 1, 0));
    let labels: Vec<&str> = told[0].labels.iter().map(|label| label.label.as_str()).collect();
    assert_eq!(labels, ["cat + dog", "dog"]);
}

/// A label of the name `a + b` is not the set of `a` and `b`.
#[test]
fn a_label_with_a_plus_is_no_set() {
    let read = |rows: &[AnnotationRow<'_>]| {
        let answers = Tables::new(rows).answers(Repeats::Last);
        let report = Report::new(&answers, &options()).unwrap();
        (answers, report)
    };
    let (a, a_report) = read(&set("i", "ann", &["a", "b"]));
    let (b, b_report) = read(&set("i", "ann", &["a + b"]));
    let told = compare(
        Version { answers: &a, report: &a_report },
        Version { answers: &b, report: &b_report },
        &options(),
    );
    assert_eq!((told[0].kept, told[0].transitions.len()), (1, 1), "it was changed");
}

fn ordered(rows: &[AnnotationRow<'_>], order: &[&str]) -> Report {
    let levels = order.iter().map(|level| (*level).to_owned()).collect();
    let orders = BTreeMap::from([("label".to_owned(), levels)]);
    let answers = Tables::new(rows).answers(Repeats::Last);
    Report::new(&answers, &ReportOptions { orders, ..options() }).unwrap()
}

/// Levels p < f < o < g < e, of which only p, g and e were given: their places are 0, 3 and 4, not
/// 0, 1 and 2. Pairs (p,p) (p,e) (g,e) (g,g) (e,e).
///
/// Linear: observed 4 + 1 = 5. By chance, first p 2, g 2, e 1 against second p 1, g 1, e 3:
/// p: 2·(3·1 + 4·3) = 30; g: 2·(3·1 + 1·3) = 12; e: 4·1 + 1·1 = 5; 47. κ = 1 - 5·5/47 = 22/47.
/// Quadratic: observed 16 + 1 = 17; p: 2·(9 + 16·3) = 114; g: 2·(9 + 3) = 24; e: 16 + 1 = 17; 155.
/// κ = 1 - 17·5/155 = 14/31. Without o and f it would be 1 - 3·5/25 = 2/5, and another one.
#[test]
fn levels_that_nobody_used_are_steps_of_the_scale() {
    let given =
        [("1", "p", "p"), ("2", "p", "e"), ("3", "g", "e"), ("4", "g", "g"), ("5", "e", "e")];
    let rows: Vec<_> = given
        .iter()
        .flat_map(|(item, a, b)| [row(item, "1", "ann", a), row(item, "2", "bob", b)])
        .collect();
    let kappas = |order: &[&str]| {
        let report = ordered(&rows, order);
        let kappa = report.fields[0].agreement.cohen_kappa.unwrap();
        (kappa.mean_linear, kappa.mean_quadratic)
    };
    let (linear, quadratic) = kappas(&["p", "f", "o", "g", "e"]);
    near(linear, 22.0 / 47.0);
    near(quadratic, 14.0 / 31.0);
    near(kappas(&["p", "g", "e"]).0, 2.0 / 5.0);
}

/// The reason once was that no order of the labels is known, and a label that is no level passed.
#[test]
fn an_order_is_not_forgotten_where_answers_are_empty_or_sets() {
    let why = |rows: &[AnnotationRow<'_>]| {
        let report = ordered(rows, &["low", "high"]);
        report.fields[0].agreement.undefined["krippendorff_alpha.ordinal"]
    };
    let mut rows = set("i", "ann", &["low"]);
    rows.push(AnnotationRow { label: None, ..row("i", "9", "bob", "") });
    assert_eq!(why(&rows), "an answer is empty, which has no place in an order");
    let rows = [set("i", "ann", &["low", "high"]), set("i", "bob", &["low"])].concat();
    assert_eq!(why(&rows), "answers are sets of labels");
    let orders = BTreeMap::from([("label".to_owned(), vec!["low".to_owned()])]);
    let answers = Tables::new(&rows).answers(Repeats::Last);
    let refused = Report::new(&answers, &ReportOptions { orders, ..options() }).unwrap_err();
    assert_eq!(refused.label, "high");
}

/// An expert marks gold alone, which does not vote, and agrees with the others on two items: there
/// the model believes them fully. On the others it says nothing, rather than that they are wrong.
#[test]
fn accuracy_by_the_model_is_over_items_that_somebody_voted_on() {
    let names: Vec<String> = (0..20).map(|item| format!("g{item:02}")).collect();
    let gold = |item| AnnotationRow { gold: true, ..row(item, "1", "expert", "cat") };
    let mut rows = Vec::new();
    for (item, label) in [("a", "cat"), ("b", "dog")] {
        for (id, who) in [("1", "expert"), ("2", "x"), ("3", "y")] {
            rows.push(row(item, id, who, label));
        }
    }
    rows.extend(names.iter().map(|item| gold(item)));
    let report = measured(&rows);
    let expert = report.annotators.iter().find(|a| a.annotator == "expert").unwrap();
    let accuracy = expert.fields[0].dawid_skene_accuracy.unwrap();
    // Not exactly 1, for cells are smoothed by 0.01; 2 of 22 would be 0.0909.
    assert!(accuracy > 0.99, "{accuracy}");
    // Who marked gold and nothing else has no figure.
    let alone = |item| AnnotationRow { gold: true, ..row(item, "9", "other", "cat") };
    rows.push(alone("z"));
    let report = measured(&rows);
    let other = report.annotators.iter().find(|a| a.annotator == "other").unwrap();
    assert_eq!(other.fields[0].dawid_skene_accuracy, None);
}

const BOXES: [&[f64]; 2] = [&[0., 0., 10., 10.], &[50., 50., 10., 10.]];

fn boxed<'a>(item: &'a str, id: &'a str, who: &'a str, at: usize) -> AnnotationRow<'a> {
    let (geometry, unit) = (Some(BOXES[at]), Some("px"));
    AnnotationRow {
        kind: "bbox",
        geometry,
        unit,
        submission_id: Some(who),
        ..row(item, id, who, "car")
    }
}

/// The reference and an expert's box marked as gold, one and the same, once were a contradiction.
#[test]
fn equal_boxes_of_two_references_agree() {
    let gold = |id, who, at| AnnotationRow { gold: true, ..boxed("i", id, who, at) };
    for (one, two, contradict) in [([0, 1], [0, 1], 0), ([0, 1], [1, 0], 0), ([0, 1], [0, 0], 2)] {
        let rows = [
            gold("1", "expert", one[0]),
            gold("2", "expert", one[1]),
            gold("3", "gold", two[0]),
            gold("4", "gold", two[1]),
            boxed("i", "5", "ann", 0),
        ];
        let answers = Tables::new(&rows).answers(Repeats::Last);
        let found = answers.excluded.get("contradicting reference").copied().unwrap_or_default();
        assert_eq!(found, contradict, "{one:?} {two:?}");
        assert_eq!(answers.fields[0].gold[0].is_some(), contradict == 0);
    }
}

/// Rankings and keypoints were compared by their labels, which say nothing of them.
#[test]
fn nobody_is_consistent_in_what_is_not_compared() {
    let ranking = |id, order: [&str; 2]| AnnotationRow {
        kind: "ranking",
        label: None,
        refs: Some(order.map(str::to_owned).iter().map(|s| &*s.clone().leak()).collect()),
        ..row("i", id, "ann", "")
    };
    let report = measured(&[ranking("1", ["x", "y"]), ranking("2", ["y", "x"])]);
    assert_eq!(report.annotators[0].fields[0].self_consistency, None);
    let point = |id, x: &'static [f64]| AnnotationRow {
        kind: "keypoints",
        geometry: Some(x),
        ..row("i", id, "ann", "nose")
    };
    let report = measured(&[point("1", &[1., 1., 2.]), point("2", &[90., 1., 2.])]);
    assert_eq!(report.annotators[0].fields[0].self_consistency, None);
    // Of choices it is told: one pair of three is equal.
    let rows = [row("i", "1", "ann", "x"), row("i", "2", "ann", "y"), row("i", "3", "ann", "x")];
    let own = measured(&rows).annotators[0].fields[0].self_consistency.unwrap();
    assert_eq!((own.pairs, own.agreement), (3, 1.0 / 3.0));
}

/// One answer of two boxes, begun with a box of each of two models: the model was that which a
/// `HashSet` gave first, another one in every run.
#[test]
fn an_answer_begun_with_two_models_is_of_the_same_one_in_every_run() {
    let model =
        |id, who| AnnotationRow { origin: "model", submission_id: None, ..boxed("i", id, who, 0) };
    let own = |id, parent| AnnotationRow { parent_id: Some(parent), ..boxed("i", id, "ann", 0) };
    let rows = [model("p1", "m1"), model("p2", "m2"), own("q1", "p2"), own("q2", "p1")];
    for _ in 0..32 {
        let report = measured(&rows);
        let told: Vec<&str> = report.fields[0].prelabels.iter().map(|p| p.model.as_str()).collect();
        assert_eq!(told, ["m1"], "that of the lesser parent");
    }
}

fn final_labels(rows: &[AnnotationRow<'_>], method: Method) -> Vec<String> {
    let tables = Tables::new(rows);
    let annotations = Box::new(std::iter::once(Ok(tables.annotations)));
    let submissions = Box::new(std::iter::once(Ok(tables.submissions)));
    let mut found = Vec::new();
    for part in FinalAnswers::new(annotations, submissions, Aliases::default(), method) {
        let (batch, _) = part.unwrap();
        found.extend(Annotations::new(&batch).iter().map(|row| row.label.unwrap().to_owned()));
    }
    found
}

/// What a person's votes are: the same for training as for agreement.
fn votes(rows: &[AnnotationRow<'_>]) -> usize {
    let answers: Answers = Tables::new(rows).answers(Repeats::Last);
    answers.fields[0].answers.iter().filter(|answer| answer.votes).count()
}

/// w1 said cat in two sources and w2 dog: two people, one vote each, a tie. They once had three.
#[test]
fn one_person_in_two_sources_has_one_vote_for_training() {
    let of = |id, source, who, label| AnnotationRow { source, ..row("i", id, who, label) };
    let rows = [of("1", "a", "w1", "cat"), of("2", "b", "w1", "cat"), of("3", "a", "w2", "dog")];
    assert_eq!(votes(&rows), 2);
    assert!(final_labels(&rows, Method::GoldThenMajority2).is_empty(), "a tie");
    // What was pinned by the first method goes on to mean what it meant.
    assert_eq!(final_labels(&rows, Method::GoldThenMajority1), ["cat"]);
}

/// Rows without a submission are an answer each, and the later one counts: once both were exported
/// as the final answer, for training.
#[test]
fn a_repeat_in_a_table_is_no_second_label_for_training() {
    let seq = |seq, row| AnnotationRow { seq: Some(seq), ..row };
    let rows = [seq(0, row("i", "1", "w1", "cat")), seq(1, row("i", "2", "w1", "dog"))];
    assert_eq!(votes(&rows), 1);
    assert_eq!(final_labels(&rows, Method::GoldThenMajority2), ["dog"]);
    assert_eq!(final_labels(&rows, Method::GoldThenMajority1), ["cat", "dog"]);
    // The labels of one submission are one answer.
    let rows = set("i", "w1", &["cat", "dog"]);
    assert_eq!(final_labels(&rows, Method::GoldThenMajority2), ["cat", "dog"]);
}

/// What one person drew is one answer, of whatever kind, and a text beside a choice is another
/// question: nothing of it is a repeat, in a table that knows no submissions.
#[test]
fn all_that_one_person_drew_in_a_table_is_for_training() {
    let drawn = |id, kind, region| AnnotationRow {
        kind,
        geometry: Some(&[1., 1., 2., 9., 9., 2.]),
        region_id: region,
        ..row("i", id, "w1", "person")
    };
    let colour = |id, region, label| AnnotationRow {
        field: "colour",
        region_id: Some(region),
        ..row("i", id, "w1", label)
    };
    let rows = [
        drawn("1", "keypoints", Some("r1")),
        drawn("2", "keypoints", Some("r2")),
        drawn("3", "polyline", None),
        drawn("4", "polyline", None),
        colour("5", "r1", "red"),
        colour("6", "r2", "blue"),
        row("i", "7", "w1", "indoor"),
        AnnotationRow { kind: "text", text: Some("two people"), ..row("i", "8", "w1", "caption") },
    ];
    for method in Method::ALL {
        assert_eq!(final_labels(&rows, method).len(), rows.len(), "{method:?}");
    }
    let answers = Tables::new(&rows).answers(Repeats::Last);
    assert_eq!(answers.excluded.get("repeat"), None);
}

/// A table that names nobody, as `item,label`, says which labels an item has: all are for training.
#[test]
fn rows_of_nobody_known_are_one_answer() {
    let rows = [row("i", "1", "unknown", "cat"), row("i", "2", "unknown", "dog")];
    for method in Method::ALL {
        assert_eq!(final_labels(&rows, method), ["cat", "dog"]);
    }
    // Two sources that name nobody are two voices.
    let other = AnnotationRow { source: "other", ..row("i", "3", "unknown", "cat") };
    let both = [rows[0].clone(), other, row("i", "4", "ann", "dog")];
    for method in Method::ALL {
        assert_eq!(final_labels(&both, method), ["cat"]);
    }
    let answers = Tables::new(&rows).answers(Repeats::Last);
    assert_eq!(answers.excluded.get("repeat"), None);
    assert_eq!(answers.fields[0].set_text(answers.fields[0].answers[0].set), "cat + dog");
}

/// (1e200)² is no number, and alpha was null without a word.
#[test]
fn numbers_whose_squares_are_too_large_have_a_reason() {
    let large = Err(Undefined("the numbers are too large"));
    assert_eq!(interval_alpha(&[0, 2, 4], &[1e200, -1e200, 3.0, 4.0]), large);
    let number = |item, id, who, number| AnnotationRow {
        kind: "number",
        label: None,
        number: Some(number),
        ..row(item, id, who, "")
    };
    let report = measured(&[
        number("a", "1", "x", 1e200),
        number("a", "2", "y", -1e200),
        number("b", "1", "x", 3.0),
        number("b", "2", "y", 4.0),
    ]);
    let agreement = &report.fields[0].agreement;
    assert_eq!(agreement.krippendorff_alpha.interval, None);
    assert_eq!(agreement.undefined["krippendorff_alpha.interval"], "the numbers are too large");
}

/// 12,000 people on one item are 71,994,000 pairs: they took 4.4 GB and a minute.
#[test]
fn very_many_people_on_one_item_have_no_kappas_and_a_reason() {
    let people: Vec<u32> = (0..12_000).collect();
    let labels: Vec<u32> = people.iter().map(|who| who % 2).collect();
    let votes = Votes::new(&vec![0; 12_000], &people, &labels);
    let why = "there are more than 33,554,432 pairs of answers to one item";
    assert_eq!(pairwise_kappa(&votes, 1, Weights::None), Err(Undefined(why)));
    // 3,000 people: 4,498,500 pairs of people, more than a map of them may hold.
    let people = &people[..3_000];
    let votes = Votes::new(&vec![0; 3_000], people, &labels[..3_000]);
    let why = "there are more than 4,194,304 pairs of annotators who share an item";
    assert_eq!(pairwise_kappa(&votes, 1, Weights::None), Err(Undefined(why)));
}

/// One contested box once made the pairing of all of them a matter of n³. Each of 6,000 boxes has
/// its like, and one of them two: of these the better one is taken.
#[test]
fn one_contested_box_among_very_many_is_paired_at_once() {
    let at =
        |x: f64| Object { shape: Shape::decode("bbox", &[x, 0.0, 10.0, 10.0]), label: Some(0) };
    let a: Vec<Object> = (0..6_000).map(|box_| at(f64::from(box_) * 100.0)).collect();
    let mut b = a.clone();
    // 2 of 10 aside: IoU 8/12. It comes first, and is not taken.
    b.insert(0, at(2.0));
    let start = std::time::Instant::now();
    let found = matched(&a, &b, 0.5, Matching::Best, true);
    let took = start.elapsed();
    assert_eq!(found.len(), 6_000);
    assert!(found.iter().all(|&(i, j, iou)| j == i + 1 && iou == 1.0));
    // The old way took seconds, the new one milliseconds; the rest is room for slow machines.
    assert!(took.as_secs() < 8, "{took:?}");
}

/// Of two pairs that cross, the sum decides, heap by heap: (0.9, 0.2 apart) as the whole would.
#[test]
fn heaps_are_paired_so_that_their_overlap_is_the_largest() {
    let at =
        |x: f64| Object { shape: Shape::decode("bbox", &[x, 0.0, 10.0, 10.0]), label: Some(0) };
    // In each heap a has 0 and 2, b has 1 and -2 (from its start). IoU of boxes d apart is
    // (10-d)/(10+d): 0~1 9/11, 0~-2 8/12, 2~1 9/11, 2~-2 6/14 (too little). Greedy would take 0~1
    // and leave 2 alone; the best is 0~-2 and 2~1: 8/12 + 9/11.
    let heap = |start: f64| ([at(start), at(start + 2.0)], [at(start + 1.0), at(start - 2.0)]);
    let (first, second) = (heap(0.0), heap(1_000.0));
    let a: Vec<Object> = first.0.into_iter().chain(second.0).collect();
    let b: Vec<Object> = first.1.into_iter().chain(second.1).collect();
    let found = matched(&a, &b, 0.5, Matching::Best, true);
    let places: Vec<(usize, usize)> = found.iter().map(|&(i, j, _)| (i, j)).collect();
    assert_eq!(places, [(0, 1), (1, 0), (2, 3), (3, 2)]);
    let sum: f64 = found.iter().map(|pair| pair.2).sum();
    near(Some(sum), 2.0 * (8.0 / 12.0 + 9.0 / 11.0));
}
