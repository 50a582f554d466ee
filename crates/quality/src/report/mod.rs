//! Everything that is measured of a snapshot, in one value that becomes JSON.

mod field;
mod hard;
mod intervals;
mod learning;
mod objects;
mod people;
mod policies;
mod prelabels;
mod reviews;
mod scale;
mod texts;
mod work;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

pub use field::{
    AgreementReport, Alphas, FieldReport, GoldReport, KappaReport, LabelReport, PairReport,
};
pub use hard::{ConfusedPair, HardItem};
pub use learning::{ChanceReport, LearningPoint};
pub use objects::ObjectsReport;
pub use people::{AnnotatorField, AnnotatorReport, SelfConsistency};
pub use policies::PolicyReport;
pub use prelabels::PrelabelReport;
pub use reviews::{ReviewCounts, ReviewReport};
pub use texts::TextsReport;
pub use work::{LeadTimes, WorkReport};

use crate::agreement::Bootstrap;
use crate::measure::{Measure, finite};
use crate::objects::Matching;
use crate::unit::{Answers, RuleCounts};

/// What is asked of a report.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// Levels of ordinal scales, in their order, by field; under the empty name those of every
    /// other field that has such labels.
    pub orders: BTreeMap<String, Vec<String>>,
    /// Two annotators are compared where they share so many pairs of answers.
    pub shared_min: u32,
    /// How intervals are drawn.
    pub bootstrap: Bootstrap,
    /// Which items stand or fall together: patient, video, conversation, by item.
    pub groups: HashMap<String, String>,
    /// How many of the hardest items are listed.
    pub hardest: usize,
    /// How objects are paired.
    pub matching: Matching,
    /// The least IoU of objects that match.
    pub iou_min: f64,
    /// Alpha over tokens, by field in the order of the answers; see
    /// [`token_alphas`](crate::tokens::token_alphas).
    pub token_alphas: Vec<Measure>,
}

/// How good the labels of a snapshot are.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Annotation rows that were read.
    pub rows: u64,
    /// Rows that are no answers, by reason.
    pub excluded: BTreeMap<&'static str, u64>,
    /// By field and kind.
    pub fields: Vec<FieldReport>,
    /// By annotator.
    pub annotators: Vec<AnnotatorReport>,
    /// By field and rule.
    pub rules: Vec<RuleReport>,
    /// Single items.
    pub items: ItemsReport,
}

/// One rule (labelling function) in one field.
#[derive(Debug, Clone, Serialize)]
pub struct RuleReport {
    /// The field.
    pub field: String,
    /// The rule.
    pub rule: String,
    /// Items that it labelled, where others did, and where they said otherwise.
    #[serde(flatten)]
    pub counts: RuleCounts,
    /// Labelled items among all that have any row. Overlaps and conflicts as shares of the same:
    /// what Snorkel's analysis of labelling functions tells. Ratner et al., *Snorkel: rapid
    /// training data creation with weak supervision*, 2017.
    pub coverage: f64,
    /// The share of items that another rule labelled as well.
    pub overlap: f64,
    /// The share of items that another rule labelled otherwise.
    pub conflict: f64,
}

impl RuleReport {
    fn all(answers: &Answers) -> Vec<Self> {
        // Rules are there where items are.
        let share = |count: u64| count as f64 / answers.items.max(1) as f64;
        let rules = answers.rules.iter();
        rules
            .map(|((field, rule), counts)| Self {
                field: field.clone(),
                rule: rule.clone(),
                counts: *counts,
                coverage: share(counts.labelled),
                overlap: share(counts.overlaps),
                conflict: share(counts.conflicts),
            })
            .collect()
    }
}

/// Single items that stand out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ItemsReport {
    /// Those that people agree on least.
    pub hardest: Vec<HardItem>,
    /// Labels that people take for each other most often.
    pub confused: Vec<ConfusedPair>,
}

/// Why measures have no value, by the name of the measure.
pub type Reasons = BTreeMap<&'static str, &'static str>;

/// A value, or nothing and the reason kept.
pub(crate) fn told(reasons: &mut Reasons, name: &'static str, measure: Measure) -> Option<f64> {
    measure.and_then(finite).map_err(|why| reasons.insert(name, why.0)).ok()
}

/// A label that is not a level of the scale that its field has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotALevel {
    /// The field.
    pub field: String,
    /// The label.
    pub label: String,
}

impl Report {
    /// Measures everything.
    ///
    /// # Errors
    /// Where a field has an order of levels, and somebody gave a label that is none of them.
    pub fn new(answers: &Answers, options: &ReportOptions) -> Result<Self, NotALevel> {
        let mut people = people::People::new(answers);
        let mut fields = Vec::new();
        let (mut hardest, mut confused) = (Vec::new(), Vec::new());
        for (at, field) in answers.fields.iter().enumerate() {
            let mut measured = field::Measured::new(field, options)?;
            if let (Some(spans), Some(alpha)) =
                (&mut measured.report.spans, options.token_alphas.get(at))
            {
                spans.token_alpha = told(&mut spans.undefined, "token_alpha", *alpha);
            }
            let scored = if measured.categorical { learning::scored(field) } else { Vec::new() };
            people.add(field, &measured, &scored);
            hardest.extend(hard::hard_items(field, &measured, options.hardest));
            confused.extend(hard::confused(field, &measured, options.hardest));
            measured.besides(field, answers, &scored);
            fields.push(measured.report);
        }
        hardest.sort_by(HardItem::harder);
        hardest.truncate(options.hardest);
        confused.sort_by(|a, b| (b.pairs, &a.field).cmp(&(a.pairs, &b.field)));
        confused.truncate(options.hardest);
        Ok(Self {
            rows: answers.rows,
            excluded: answers.excluded.clone(),
            fields,
            annotators: people.report(),
            rules: RuleReport::all(answers),
            items: ItemsReport { hardest, confused },
        })
    }
}
