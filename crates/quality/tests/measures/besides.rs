//! What is known of answers besides their labels: time, reviews, policies, repeats.

use arrow::array::RecordBatch;
use glossator_quality::Aliases;
use glossator_quality::report::{Report, ReportOptions};
use glossator_quality::unit::{Answers, Repeats};
use glossator_store::Error;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, AnnotationsBuilder, REVIEWS, ReviewRow, ReviewsBuilder,
    SUBMISSIONS, SubmissionRow, SubmissionsBuilder, Table,
};
use glossator_store::segment::BatchStream;

/// Tables of a snapshot, in key order.
pub struct Tables {
    pub annotations: RecordBatch,
    pub submissions: RecordBatch,
    reviews: RecordBatch,
}

impl Tables {
    pub fn new(rows: &[AnnotationRow<'_>]) -> Self {
        let mut builder = AnnotationsBuilder::default();
        rows.iter().for_each(|row| builder.push(row));
        Self {
            annotations: builder.finish(),
            submissions: SubmissionsBuilder::default().finish(),
            reviews: ReviewsBuilder::default().finish(),
        }
    }

    pub fn answers(&self, repeats: Repeats) -> Answers {
        let open = |table: &'static Table| -> Result<BatchStream<'static>, Error> {
            let batch = match table {
                _ if table == &ANNOTATIONS => &self.annotations,
                _ if table == &SUBMISSIONS => &self.submissions,
                _ if table == &REVIEWS => &self.reviews,
                _ => return Ok(Box::new(std::iter::empty())),
            };
            Ok(Box::new(std::iter::once(Ok(batch.clone()))))
        };
        Answers::read(open, &Aliases::default(), repeats).unwrap()
    }

    pub fn report(&self, repeats: Repeats) -> Report {
        let answers = self.answers(repeats);
        Report::new(&answers, &ReportOptions { iou_min: 0.5, ..ReportOptions::default() }).unwrap()
    }
}

pub fn row<'a>(item: &'a str, id: &'a str, who: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow {
        item_id: item,
        annotation_id: id,
        source: "table",
        annotator_id: who,
        origin: "human",
        field: "label",
        kind: "choice",
        label: Some(label),
        status: "submitted",
        ..AnnotationRow::default()
    }
}

const HOUR: i64 = 3_600_000_000;
/// 2026-01-05T00:00:00Z.
const DAY: i64 = 1_767_571_200_000_000;

/// Ann learns: wrong on the first five items with gold, right on the other five.
#[test]
fn accuracy_over_time_and_against_chance() {
    let items: Vec<String> = (0..10).map(|item| format!("i{item}")).collect();
    let mut rows = Vec::new();
    for (at, item) in items.iter().enumerate() {
        // Given in the order of time, stored in another.
        let time = DAY + HOUR * (at as i64);
        let label = if at < 5 { "dog" } else { "cat" };
        rows.push(AnnotationRow { created_at: Some(time), ..row(item, "1", "ann", label) });
        rows.push(AnnotationRow { gold: true, ..row(item, "2", "gold", "cat") });
    }
    let report = Tables::new(&rows).report(Repeats::Last);
    let ann = report.annotators.iter().find(|person| person.annotator == "ann").unwrap();
    let of = &ann.fields[0];
    let curve: Vec<(u64, u64)> = of.gold_over_time.iter().map(|p| (p.answers, p.right)).collect();
    assert_eq!(curve, [(5, 0), (5, 5)]);
    assert_eq!(of.gold_over_time[0].from, "2026-01-05T00:00:00Z");
    assert_eq!(of.gold_over_time[1].to, "2026-01-05T09:00:00Z");
    assert_eq!(report.fields[0].gold_over_time, of.gold_over_time);
    // All gold is cat: who says cat half of the time is right on half.
    let chance = of.chance.unwrap();
    assert!((chance.accuracy - 0.5).abs() < 1e-12);
    assert_eq!(chance.verdict, "not distinguishable");
    let work = ann.work.as_ref().unwrap();
    assert_eq!(work.pieces, 10);
    assert_eq!(work.by_hour[..11], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(work.by_day["2026-01-05"], 10);
    assert_eq!(work.lead_time, None);
    // Nine answers on gold are too few to say.
    let report = Tables::new(&rows[2..]).report(Repeats::Last);
    assert_eq!(report.annotators[0].fields[0].chance.unwrap().verdict, "too few answers");
}

/// Times 8, 9, 10, 11, 12 and 900: the median is 10.5, and 900 is far out on a scale of logarithms.
#[test]
fn lead_times_have_their_outliers() {
    let times = [8.0, 9.0, 10.0, 11.0, 12.0, 900.0];
    let items: Vec<String> = (0..times.len()).map(|item| format!("i{item}")).collect();
    let submission = "annotation/1";
    let rows: Vec<AnnotationRow<'_>> = items
        .iter()
        .map(|item| AnnotationRow {
            submission_id: Some(submission),
            ..row(item, "1", "ann", "cat")
        })
        .collect();
    let mut tables = Tables::new(&rows);
    let mut handed = SubmissionsBuilder::default();
    for (item, time) in items.iter().zip(times) {
        handed.push(&SubmissionRow {
            item_id: item,
            submission_id: submission,
            source: "table",
            annotator_id: "ann",
            origin: "human",
            state: "submitted",
            lead_time: Some(time),
            ..SubmissionRow::default()
        });
    }
    tables.submissions = handed.finish();
    let report = tables.report(Repeats::Last);
    let times = report.annotators[0].work.as_ref().unwrap().lead_time.unwrap();
    assert_eq!((times.measured, times.median), (6, 10.5));
    // numpy.percentile of the same: 9.25 and 11.75.
    assert_eq!((times.lower_quartile, times.upper_quartile), (9.25, 11.75));
    // ln 900 is 4.45 from the median of logarithms; 3.5 · 1.4826 · 0.145 is 0.75, and ln 8 is 0.27.
    assert_eq!((times.much_faster, times.much_slower), (0, 1));
}

#[test]
fn reviews_count_by_label_policy_and_round() {
    let of = |item, id, label, policy, submission| AnnotationRow {
        policy: Some(policy),
        submission_id: Some(submission),
        ..row(item, id, "ann", label)
    };
    let rows = [
        of("a", "1", "cat", "p@1", "annotation/1"),
        of("b", "2", "dog", "p@1", "annotation/2"),
        of("c", "3", "cat", "p@2", "annotation/3"),
    ];
    let mut tables = Tables::new(&rows);
    let mut reviews = ReviewsBuilder::default();
    let mut review = |item, id, submission, annotation, round, decision| {
        reviews.push(&ReviewRow {
            item_id: item,
            review_id: id,
            source: "table",
            submission_id: submission,
            annotation_id: annotation,
            round: Some(round),
            reviewer_id: "rae",
            decision,
            ..ReviewRow::default()
        });
    };
    review("a", "r1", Some("annotation/1"), None, 1, "rejected");
    review("a", "r2", Some("annotation/1"), None, 2, "accepted");
    review("b", "r3", None, Some("2"), 1, "fixed");
    // Of no answer here: of another row, and of an item without rows.
    review("c", "r4", None, Some("9"), 1, "rejected");
    review("d", "r5", Some("annotation/4"), None, 1, "adjudicated");
    tables.reviews = reviews.finish();
    let report = tables.report(Repeats::Last);
    let reviews = &report.fields[0].reviews;
    let counts = |of: &glossator_quality::report::ReviewCounts| {
        [of.decisions, of.accepted, of.fixed, of.rejected, of.adjudicated]
    };
    assert_eq!(counts(&reviews.all), [3, 1, 1, 1, 0]);
    assert_eq!(reviews.all.accepted_rate, Some(1.0 / 3.0));
    assert_eq!(counts(&reviews.labels["cat"]), [2, 1, 0, 1, 0]);
    assert_eq!(counts(&reviews.labels["dog"]), [1, 0, 1, 0, 0]);
    assert_eq!(counts(&reviews.policies["p@1"]), [3, 1, 1, 1, 0]);
    assert_eq!(counts(&reviews.rounds[&1]), [2, 0, 1, 1, 0]);
    assert_eq!(counts(&reviews.rounds[&2]), [1, 1, 0, 0, 0]);
    assert_eq!(counts(&report.annotators[0].fields[0].reviews), [3, 1, 1, 1, 0]);
}

/// The same people disagree under the first policy and agree under the second.
#[test]
fn policies_are_compared_apart() {
    let of = |item, id, who, label, policy| AnnotationRow {
        policy: Some(policy),
        ..row(item, id, who, label)
    };
    let rows = [
        of("a", "1", "ann", "cat", "p@1"),
        of("a", "2", "bob", "dog", "p@1"),
        of("b", "1", "ann", "cat", "p@2"),
        of("b", "2", "bob", "cat", "p@2"),
        of("c", "1", "ann", "dog", "p@2"),
        of("c", "2", "bob", "dog", "p@2"),
        // Under different policies: an answer of each, and no pair of either.
        of("d", "1", "ann", "dog", "p@1"),
        of("d", "2", "bob", "dog", "p@2"),
    ];
    let report = Tables::new(&rows).report(Repeats::Last);
    let policies = &report.fields[0].policies;
    let told: Vec<_> = policies
        .iter()
        .map(|p| (p.policy.as_deref().unwrap(), p.answers, p.items_with_overlap))
        .collect();
    assert_eq!(told, [("p@1", 3, 1), ("p@2", 5, 2)]);
    // One item, of a cat and a dog: D_o = 1, D_e = (4 - 1 - 1)/(2·1) = 1.
    assert_eq!(policies[0].krippendorff_alpha_nominal, Some(0.0));
    assert_eq!(policies[1].krippendorff_alpha_nominal, Some(1.0));
    assert_eq!(policies[0].percent_pair_pooled, Some(0.0));
}

#[test]
fn who_is_asked_again_may_say_the_same() {
    let rows = [
        row("a", "1", "ann", "cat"),
        row("a", "2", "ann", "cat"),
        row("a", "3", "ann", "dog"),
        row("b", "1", "ann", "cat"),
        row("b", "2", "bob", "cat"),
    ];
    for repeats in [Repeats::Last, Repeats::First, Repeats::All] {
        let report = Tables::new(&rows).report(repeats);
        let own = report.annotators[0].fields[0].self_consistency.unwrap();
        // cat cat, cat dog, cat dog.
        assert_eq!((own.pairs, own.agreement), (3, 1.0 / 3.0));
        assert_eq!(report.annotators[1].fields[0].self_consistency, None);
    }
}

/// Three people; by the model Cid takes cats for dogs, and the matrix says so.
#[test]
fn confusion_matrices_have_the_order_of_their_labels() {
    let items: Vec<String> = (0..20).map(|item| format!("i{item:02}")).collect();
    let mut rows = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let truth = if at % 2 == 0 { "cat" } else { "dog" };
        rows.push(row(item, "1", "ann", truth));
        rows.push(row(item, "2", "bob", truth));
        rows.push(row(item, "3", "cid", "dog"));
    }
    let report = Tables::new(&rows).report(Repeats::Last);
    assert_eq!(report.fields[0].confusion_labels, ["cat", "dog"]);
    let cid = report.annotators[2].fields[0].confusion.as_ref().unwrap();
    // Ten cats, all called dogs: 0.01/10.02 and 10.01/10.02.
    for (found, expected) in [
        (cid[0][0], 0.01 / 10.02),
        (cid[0][1], 10.01 / 10.02),
        (cid[1][0], 0.01 / 10.02),
        (cid[1][1], 10.01 / 10.02),
    ] {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

/// Ann and Bob were asked for an animal and a mood. Bob leaves the mood of `a` empty; on `b`, where
/// nobody has a row, both leave both empty; Cid was not asked for a mood, and Dan skipped.
#[test]
fn a_field_that_was_asked_and_left_empty_is_an_answer() {
    let of = |item, id, who, field, label, submission| AnnotationRow {
        field,
        submission_id: Some(submission),
        ..row(item, id, who, label)
    };
    let rows = [
        of("a", "1", "ann", "animal", "cat", "annotation/1"),
        of("a", "2", "ann", "mood", "calm", "annotation/1"),
        of("a", "3", "bob", "animal", "cat", "annotation/2"),
        of("a", "4", "cid", "animal", "dog", "annotation/3"),
    ];
    let mut tables = Tables::new(&rows);
    let mut handed = SubmissionsBuilder::default();
    let mut submission = |item, id, who, state, asked: &[&'static str]| {
        handed.push(&SubmissionRow {
            item_id: item,
            submission_id: id,
            source: "table",
            annotator_id: who,
            origin: "human",
            state,
            fields_asked: Some(asked.to_vec()),
            ..SubmissionRow::default()
        });
    };
    submission("a", "annotation/1", "ann", "submitted", &["animal", "mood", "size"]);
    submission("a", "annotation/2", "bob", "submitted", &["animal", "mood"]);
    submission("a", "annotation/3", "cid", "submitted", &["animal"]);
    submission("b", "annotation/4", "ann", "submitted", &["animal", "mood"]);
    submission("b", "annotation/5", "bob", "submitted", &["animal", "mood"]);
    submission("b", "annotation/6", "dan", "skipped", &["animal", "mood"]);
    tables.submissions = handed.finish();
    let report = tables.report(Repeats::Last);
    let names: Vec<&str> = report.fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(names, ["animal", "mood"], "nobody ever answered the size");
    let [animal, mood] = &report.fields[..] else { panic!("two fields") };
    assert_eq!((animal.answers, mood.answers), (5, 4));
    // On `a` cat cat dog: one pair of three; on `b` nothing and nothing: equal.
    let near = |value: Option<f64>, expected: f64| {
        assert!((value.unwrap() - expected).abs() < 1e-12, "{value:?} is not {expected}");
    };
    near(animal.agreement.percent_item_mean, (1.0 / 3.0 + 1.0) / 2.0);
    // calm against nothing, and nothing against nothing.
    near(mood.agreement.percent_item_mean, 0.5);
    // One calm, three of nothing: D_o = 2/4, D_e = (16 - 1 - 9)/12.
    near(mood.agreement.krippendorff_alpha.nominal, 0.0);
    assert_eq!(mood.labels.len(), 1);
    assert_eq!(mood.confusion_labels, ["calm", "∅"]);
}

/// Three items: a rule on all, one that agrees with it on one and not on another, one alone.
#[test]
fn rules_cover_overlap_and_conflict() {
    let rule = |item, id, who, label| AnnotationRow { origin: "rule", ..row(item, id, who, label) };
    let rows = [
        rule("a", "1", "r1", "cat"),
        rule("a", "2", "r2", "cat"),
        rule("b", "1", "r1", "cat"),
        rule("b", "2", "r2", "dog"),
        row("b", "3", "ann", "dog"),
        rule("c", "1", "r1", "cat"),
        rule("c", "2", "r3", "cat"),
        row("d", "1", "ann", "dog"),
    ];
    let report = Tables::new(&rows).report(Repeats::Last);
    let told: Vec<_> = report
        .rules
        .iter()
        .map(|r| (r.rule.as_str(), r.counts.labelled, r.counts.overlaps, r.counts.conflicts))
        .collect();
    assert_eq!(told, [("r1", 3, 3, 1), ("r2", 2, 2, 1), ("r3", 1, 1, 0)]);
    assert_eq!((report.rules[0].coverage, report.rules[0].conflict), (0.75, 0.25));
    assert_eq!(report.excluded["rule"], 6);
}

/// Rows that name the row that they were made from: of a model's and of a rule's.
#[test]
fn rows_may_name_what_they_were_made_from() {
    let rows = [
        AnnotationRow { origin: "model", ..row("a", "1", "m@1", "cat") },
        AnnotationRow { parent_id: Some("1"), ..row("a", "2", "ann", "cat") },
        AnnotationRow { origin: "rule", ..row("b", "1", "r1", "cat") },
        AnnotationRow { parent_id: Some("1"), ..row("b", "2", "ann", "dog") },
        row("c", "1", "ann", "dog"),
    ];
    let report = Tables::new(&rows).report(Repeats::Last);
    let field = &report.fields[0];
    assert_eq!((field.answers, field.prelabelled_answers), (3, 2));
    let told: Vec<_> = field
        .prelabels
        .iter()
        .map(|p| (p.model.as_str(), p.counts.accepted, p.counts.edited))
        .collect();
    assert_eq!(told, [("m@1", 1, 0), ("r1", 0, 1)]);
}
