//! `quality`: figures in tables of at most 100 columns.

use std::io::Write;

use glossator_quality::agreement::Interval;
use glossator_quality::report::{
    AnnotatorField, AnnotatorReport, ConfusedPair, FieldReport, HardItem, ObjectsReport, Report,
    TextsReport,
};

use super::{lines, number, plain, shortened, table};
use crate::commands::quality::By;
use crate::error::Result;

/// Rows of one table at most.
const ROWS_MAX: usize = 40;
/// Characters of a name.
const NAME: usize = 28;

/// Four digits, or a dash where a measure is undefined.
pub(crate) fn figure(value: Option<f64>) -> String {
    value.map_or("—".to_owned(), |value| match value.fract() == 0.0 && value.abs() > 1.0 {
        true => format!("{value}"),
        false => format!("{value:.4}"),
    })
}

fn range(interval: Option<Interval>) -> String {
    interval.map_or(String::new(), |i| format!("{:.4} to {:.4}", i.low, i.high))
}

pub(crate) fn write(out: &mut dyn Write, commit: &str, report: &Report, by: By) -> Result<()> {
    writeln!(out, "commit {commit}: {} annotation rows", number(report.rows))?;
    if !report.excluded.is_empty() {
        let reasons: Vec<String> = report
            .excluded
            .iter()
            .map(|(reason, count)| format!("{reason} {}", number(*count)))
            .collect();
        writeln!(out, "not counted as answers: {}", reasons.join(", "))?;
    }
    if report.fields.is_empty() {
        writeln!(out, "there are no answers to measure")?;
    }
    for field in &report.fields {
        write_field(out, field)?;
    }
    rules(out, report)?;
    match by {
        By::Field => Ok(()),
        By::Annotator => annotators(out, report),
        By::Label => labels(out, report),
        By::Item => {
            items(out, &report.items.hardest)?;
            confused(out, &report.items.confused)
        }
        By::Policy => policies(out, report),
    }
}

fn write_field(out: &mut dyn Write, field: &FieldReport) -> Result<()> {
    let name = shortened(&field.field, NAME);
    writeln!(
        out,
        "\nfield {name} ({}): {} answers of {} annotators to {} items, {} with two answers or more",
        plain(&field.kind),
        number(field.answers),
        number(field.annotators),
        number(field.items),
        number(field.agreement.items)
    )?;
    let mut rows = table(&["measure", "value", "95 % interval"]);
    let (agreement, gold) = (&field.agreement, &field.gold);
    let intervals = &agreement.intervals;
    let alpha = &agreement.krippendorff_alpha;
    let kappa = agreement.cohen_kappa;
    let pairs =
        kappa.map_or(String::new(), |k| format!("Cohen's kappa, {} pairs", number(k.pairs)));
    let of_gold = |what: &str| format!("gold: {what}, {} items", number(gold.items));
    let measures: [(String, Option<f64>, Option<Interval>); 19] = [
        ("percent, mean of items".into(), agreement.percent_item_mean, intervals.percent_item_mean),
        (
            "percent, of all pairs".into(),
            agreement.percent_pair_pooled,
            intervals.percent_pair_pooled,
        ),
        ("alpha, nominal".into(), alpha.nominal, intervals.krippendorff_alpha_nominal),
        ("alpha, ordinal".into(), alpha.ordinal, None),
        ("alpha, interval".into(), alpha.interval, None),
        ("alpha, MASI".into(), agreement.alpha_masi, None),
        ("alpha, Jaccard".into(), agreement.alpha_jaccard, None),
        ("Fleiss' kappa".into(), agreement.fleiss_kappa, None),
        (pairs, kappa.and_then(|k| k.mean), None),
        ("Cohen's kappa, linear".into(), kappa.and_then(|k| k.mean_linear), None),
        ("Cohen's kappa, quadratic".into(), kappa.and_then(|k| k.mean_quadratic), None),
        (of_gold("answers"), gold.answer_accuracy, gold.answer_accuracy_interval),
        (of_gold("majority"), gold.majority_accuracy, None),
        (of_gold("weighted majority"), gold.weighted_majority_accuracy, None),
        (of_gold("Dawid-Skene"), gold.dawid_skene_accuracy, None),
        (of_gold("error of the mean"), gold.mean_mae, None),
        (of_gold("error of the median"), gold.median_mae, None),
        (of_gold("Pearson"), gold.pearson, None),
        (of_gold("Spearman"), gold.spearman, None),
    ];
    let mut any = false;
    for (name, value) in field.boxes.iter().chain(&field.spans).flat_map(objects) {
        if value.is_some() {
            any = true;
            rows.add_row([name, figure(value), String::new()]);
        }
    }
    for (name, value) in field.texts.iter().flat_map(texts) {
        if value.is_some() {
            any = true;
            rows.add_row([name, figure(value), String::new()]);
        }
    }
    for (name, value, interval) in measures {
        if value.is_some() {
            any = true;
            rows.add_row([name, figure(value), range(interval)]);
        }
    }
    if any {
        writeln!(out, "{}", lines(&rows))?;
    }
    // Only what one would look for: that a choice is no set of labels is no news.
    for (measure, name) in [
        ("percent_item_mean", "percent agreement"),
        ("krippendorff_alpha.nominal", "nominal alpha"),
        ("fleiss_kappa", "Fleiss' kappa"),
    ] {
        let objects = field.boxes.is_some() || field.spans.is_some() || field.texts.is_some();
        if let Some(reason) = agreement.undefined.get(measure).filter(|_| !objects) {
            writeln!(out, "{name} is undefined, because {reason}")?;
        }
    }
    besides(out, field)?;
    if let Some(ties) = field.tied_items.filter(|ties| *ties > 0) {
        writeln!(out, "items with a tied majority: {}", number(ties))?;
    }
    if let Some(fit) = field.dawid_skene.filter(|fit| !fit.converged) {
        writeln!(out, "Dawid-Skene did not converge in {} iterations", fit.iterations)?;
    }
    Ok(())
}

/// Reviews, policies and predictions in view.
fn besides(out: &mut dyn Write, field: &FieldReport) -> Result<()> {
    let reviews = &field.reviews.all;
    if reviews.decisions > 0 {
        let percent = |rate: Option<f64>| rate.unwrap_or_default() * 100.0;
        writeln!(
            out,
            "reviews: {}, accepted {:.1} %, fixed {:.1} %, rejected {:.1} %, adjudicated {:.1} %",
            number(reviews.decisions),
            percent(reviews.accepted_rate),
            percent(reviews.fixed_rate),
            percent(reviews.rejected_rate),
            percent(reviews.adjudicated_rate)
        )?;
    }
    if field.prelabelled_answers > 0 {
        writeln!(
            out,
            "{} of {} answers were made with a prediction in view, which raises agreement",
            number(field.prelabelled_answers),
            number(field.answers)
        )?;
    }
    for model in &field.prelabels {
        let counts = &model.counts;
        writeln!(
            out,
            "predictions of {}: {} accepted, {} edited, {} rejected; {} answers were added",
            shortened(&model.model, NAME),
            number(counts.accepted),
            number(counts.edited),
            number(counts.rejected),
            number(counts.added)
        )?;
    }
    if field.policies.len() > 1 {
        writeln!(
            out,
            "answers under {} policies, which mean what each of them says: `--by policy` has them \
             apart",
            number(field.policies.len() as u64)
        )?;
    }
    Ok(())
}

/// The figures of boxes, areas or spans.
fn objects(of: &ObjectsReport) -> [(String, Option<f64>); 9] {
    [
        (format!("F1 of {} pairs, IoU {}", number(of.pairs), of.iou_min), of.pair_f1),
        ("F1 whatever the label".into(), of.pair_f1_any_label),
        ("F1, equal extent and label".into(), of.pair_f1_strict),
        ("IoU of matched objects".into(), of.mean_iou),
        ("labels of matched objects".into(), of.label_agreement),
        ("as many objects".into(), of.same_count),
        ("alpha of tokens".into(), of.token_alpha),
        (format!("gold: F1, {} answers", number(of.gold_answers)), of.gold_f1),
        ("gold: F1, equal".into(), of.gold_f1_strict),
    ]
}

/// The figures of texts.
fn texts(of: &TextsReport) -> [(String, Option<f64>); 6] {
    [
        (format!("edits of characters, {} pairs", number(of.pairs)), of.pair_cer),
        ("edits of words".into(), of.pair_wer),
        ("equal texts".into(), of.pair_exact),
        (format!("gold: CER, {} answers", number(of.gold_answers)), of.gold_cer),
        ("gold: WER".into(), of.gold_wer),
        ("gold: equal texts".into(), of.gold_exact),
    ]
}

fn rules(out: &mut dyn Write, report: &Report) -> Result<()> {
    if report.rules.is_empty() {
        return Ok(());
    }
    let mut rows = table(&["rule", "field", "labelled", "coverage", "overlap", "conflict"]);
    for rule in report.rules.iter().take(ROWS_MAX) {
        rows.add_row([
            shortened(&rule.rule, NAME),
            shortened(&rule.field, 20),
            number(rule.counts.labelled),
            figure(Some(rule.coverage)),
            figure(Some(rule.overlap)),
            figure(Some(rule.conflict)),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    more(out, report.rules.len())
}

fn more(out: &mut dyn Write, all: usize) -> Result<()> {
    if all > ROWS_MAX {
        writeln!(out, "and {} more: `--json` has all", number((all - ROWS_MAX) as u64))?;
    }
    Ok(())
}

fn annotators(out: &mut dyn Write, report: &Report) -> Result<()> {
    let mut rows =
        table(&["annotator", "field", "answers", "agrees", "kappa", "gold", "of", "95 %"]);
    let all = report.annotators.iter().flat_map(|p| p.fields.iter().map(move |f| (p, f)));
    let count = all.clone().count();
    for (person, field) in all.take(ROWS_MAX) {
        rows.add_row([
            shortened(&person.annotator, 24),
            shortened(&field.field, 16),
            number(field.answers),
            figure(field.agreement),
            figure(field.cohen_kappa),
            figure(field.gold_accuracy),
            number(field.gold.answers),
            field.gold_interval.map_or(String::new(), |i| format!("{:.2}–{:.2}", i.low, i.high)),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    more(out, count)?;
    work(out, report)
}

/// How people worked, and what became of it.
fn work(out: &mut dyn Write, report: &Report) -> Result<()> {
    let mut rows = table(&[
        "annotator",
        "skips",
        "median s",
        "reviews",
        "accepted",
        "same again",
        "with prediction",
        "against chance",
    ]);
    for person in report.annotators.iter().take(ROWS_MAX) {
        let sum = |of: fn(&AnnotatorField) -> u64| person.fields.iter().map(of).sum::<u64>();
        let time = person.work.as_ref().and_then(|work| work.lead_time);
        let (decisions, accepted) = (sum(|f| f.reviews.decisions), sum(|f| f.reviews.accepted));
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let own = person.fields.iter().filter_map(|f| f.self_consistency);
        let (same, asked) = own.fold((0.0, 0.0), |(same, asked), own| {
            (same + own.agreement * own.pairs as f64, asked + own.pairs as f64)
        });
        rows.add_row([
            shortened(&person.annotator, 20),
            figure(person.skip_rate),
            time.map_or("—".to_owned(), |time| format!("{:.1}", time.median)),
            number(decisions),
            figure(share(accepted as f64, decisions as f64)),
            figure(share(same, asked)),
            number(sum(|f| f.prelabelled)),
            verdict(person),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    more(out, report.annotators.len())
}

/// Whether a person is better than chance, where they are not on every field.
fn verdict(person: &AnnotatorReport) -> String {
    let verdicts = person.fields.iter().filter_map(|f| f.chance).map(|chance| chance.verdict);
    let worst = ["below", "not distinguishable", "too few answers", "above"];
    let place = |verdict: &&str| worst.iter().position(|one| one == verdict);
    verdicts.min_by_key(place).unwrap_or("—").to_owned()
}

fn policies(out: &mut dyn Write, report: &Report) -> Result<()> {
    let header = ["field", "policy", "answers", "items", "percent", "alpha", "gold", "of", "95 %"];
    let mut rows = table(&header);
    let all = report.fields.iter().flat_map(|f| f.policies.iter().map(move |p| (f, p)));
    let count = all.clone().count();
    for (field, policy) in all.take(ROWS_MAX) {
        rows.add_row([
            shortened(&field.field, 16),
            shortened(policy.policy.as_deref().unwrap_or("—"), 20),
            number(policy.answers),
            number(policy.items),
            figure(policy.percent_pair_pooled),
            figure(policy.krippendorff_alpha_nominal),
            figure(policy.gold_accuracy),
            number(policy.gold.answers),
            policy.gold_interval.map_or(String::new(), |i| format!("{:.2}–{:.2}", i.low, i.high)),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    more(out, count)
}

fn labels(out: &mut dyn Write, report: &Report) -> Result<()> {
    let mut rows = table(&["field", "label", "answers", "specific agreement", "found of gold"]);
    let all = report.fields.iter().flat_map(|f| f.labels.iter().map(move |l| (f, l)));
    let count = all.clone().count();
    for (field, label) in all.take(ROWS_MAX) {
        rows.add_row([
            shortened(&field.field, 20),
            shortened(&label.label, NAME),
            number(label.answers),
            figure(label.specific_agreement),
            figure(label.gold.accuracy().ok()),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    more(out, count)
}

/// Items that people agree on least.
pub(crate) fn items(out: &mut dyn Write, hardest: &[HardItem]) -> Result<()> {
    let header = ["hardest items", "field", "answers", "agree", "expected", "bits", "cause"];
    let mut rows = table(&header);
    for item in hardest.iter().take(ROWS_MAX) {
        let labels: Vec<String> =
            item.labels.iter().map(|(label, count)| format!("{label} {count}")).collect();
        rows.add_row([
            shortened(&item.item, 24),
            shortened(&item.field, 12),
            shortened(&labels.join(", "), 22),
            figure(Some(item.agreement)),
            figure(item.expected_agreement),
            figure(item.entropy),
            item.cause.unwrap_or("—").to_owned(),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    Ok(())
}

/// Labels that people take for each other.
pub(crate) fn confused(out: &mut dyn Write, pairs: &[ConfusedPair]) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut rows = table(&["confused labels", "and", "field", "pairs", "of all unequal"]);
    for pair in pairs.iter().take(ROWS_MAX) {
        let [a, b] = &pair.labels;
        rows.add_row([
            shortened(a, NAME),
            shortened(b, NAME),
            shortened(&pair.field, 16),
            number(pair.pairs),
            figure(Some(pair.share)),
        ]);
    }
    writeln!(out, "\n{}", lines(&rows))?;
    Ok(())
}
