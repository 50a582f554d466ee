//! Fields whose answers are objects: boxes, areas, spans.

use serde::Serialize;

use super::{Reasons, ReportOptions, told};
use crate::measure::{NO_GOLD, ratio};
use crate::objects::{Object, ObjectCounts};
use crate::unit::{Answer, Field};
use crate::votes::Votes;

/// What people have in common, pair by pair of answers to one item, and with gold.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ObjectsReport {
    /// The least IoU of objects that match.
    pub iou_min: f64,
    /// Objects that people drew or marked.
    pub objects: u64,
    /// Those without extent, which match nothing.
    pub degenerate: u64,
    /// Answers that there is nothing.
    pub empty_answers: u64,
    /// Pairs of answers of different people.
    pub pairs: u64,
    /// Pooled F1 of objects that match, with equal labels.
    pub pair_f1: Option<f64>,
    /// The same, whatever the labels are.
    pub pair_f1_any_label: Option<f64>,
    /// The same of objects that are equal in extent and label.
    pub pair_f1_strict: Option<f64>,
    /// The mean IoU of objects that match.
    pub mean_iou: Option<f64>,
    /// Of objects that match whatever their labels, the share with the same.
    pub label_agreement: Option<f64>,
    /// The share of pairs with as many objects.
    pub same_count: Option<f64>,
    /// Pairs in which neither found anything.
    pub both_empty: u64,
    /// Pairs in which one found nothing.
    pub one_empty: u64,
    /// Answers on items with gold objects.
    pub gold_answers: u64,
    /// The share of people's objects that match gold.
    pub gold_precision: Option<f64>,
    /// The share of gold objects that are found.
    pub gold_recall: Option<f64>,
    /// F1 of both.
    pub gold_f1: Option<f64>,
    /// F1 of objects that are equal to gold in extent and label.
    pub gold_f1_strict: Option<f64>,
    /// The mean IoU of objects that match gold.
    pub gold_mean_iou: Option<f64>,
    /// Alpha over the tokens of texts; null for areas.
    pub token_alpha: Option<f64>,
    /// Why there is no value, by measure.
    pub undefined: Reasons,
}

/// Measures a field of objects. `votes` are its answers, ordered as they are.
pub(crate) fn measure(field: &Field, votes: &Votes, options: &ReportOptions) -> ObjectsReport {
    let (least, matching) = (options.iou_min, options.matching);
    let (mut pairs, mut gold) = (ObjectCounts::default(), ObjectCounts::default());
    for (unit, ends) in votes.starts().windows(2).enumerate() {
        let answers = &field.answers[ends[0] as usize..ends[1] as usize];
        for (at, a) in answers.iter().enumerate() {
            for b in answers[..at].iter().filter(|b| b.annotator != a.annotator) {
                pairs.add(field.drawn(a.objects), field.drawn(b.objects), least, matching);
            }
            let own = field.gold_authors.contains(&(unit as u32, a.annotator));
            if let Some(reference) = field.gold[unit].filter(|_| !own) {
                let reference = field.drawn(reference.objects);
                gold.add(field.drawn(a.objects), reference, least, matching);
            }
        }
    }
    let drawn = |answer: &Answer| field.drawn(answer.objects);
    let flat = |object: &&Object| {
        // An object that covers something covers all of itself.
        object.shape.as_ref().and_then(|shape| shape.iou(shape)).is_none()
    };
    let mut why = Reasons::new();
    ObjectsReport {
        iou_min: least,
        objects: field.answers.iter().map(|a| drawn(a).len() as u64).sum(),
        degenerate: field.answers.iter().flat_map(drawn).filter(flat).count() as u64,
        empty_answers: field.answers.iter().filter(|a| drawn(a).is_empty()).count() as u64,
        pairs: pairs.pairs,
        pair_f1: told(&mut why, "pair_f1", pairs.f1()),
        pair_f1_any_label: told(&mut why, "pair_f1_any_label", pairs.f1_any_label()),
        pair_f1_strict: told(&mut why, "pair_f1_strict", pairs.f1_equal()),
        mean_iou: told(&mut why, "mean_iou", pairs.mean_iou()),
        label_agreement: told(&mut why, "label_agreement", pairs.label_agreement()),
        same_count: told(&mut why, "same_count", pairs.same_count()),
        both_empty: pairs.both_empty,
        one_empty: pairs.one_empty,
        gold_answers: gold.pairs,
        gold_precision: told(
            &mut why,
            "gold_precision",
            ratio(gold.matched as f64, gold.first as f64, NO_GOLD),
        ),
        gold_recall: told(
            &mut why,
            "gold_recall",
            ratio(gold.matched as f64, gold.second as f64, NO_GOLD),
        ),
        gold_f1: told(&mut why, "gold_f1", gold.f1().map_err(|_| NO_GOLD)),
        gold_f1_strict: told(&mut why, "gold_f1_strict", gold.f1_equal().map_err(|_| NO_GOLD)),
        gold_mean_iou: told(&mut why, "gold_mean_iou", gold.mean_iou()),
        token_alpha: None,
        undefined: why,
    }
}
