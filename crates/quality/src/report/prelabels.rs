//! What people made of predictions that they began with.

use std::collections::BTreeMap;

use serde::Serialize;

use super::learning::Scored;
use crate::gold::Score;
use crate::unit::{Answers, Field, PrelabelCounts};

/// The predictions of one version of a model, and what became of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrelabelReport {
    /// The version of the model.
    pub model: String,
    /// What became of its predictions.
    #[serde(flatten)]
    pub counts: PrelabelCounts,
    /// Accepted among accepted, edited and rejected.
    pub accepted_rate: Option<f64>,
    /// Answers that were made with it in view, on items with gold.
    pub gold: Score,
    /// The share of these that are right.
    pub gold_accuracy: Option<f64>,
}

/// By version of a model, in the order of names.
pub(crate) fn by_model(field: &Field, answers: &Answers, scored: &[Scored]) -> Vec<PrelabelReport> {
    let mut gold: BTreeMap<u32, Score> = BTreeMap::new();
    for one in scored {
        if let Some(model) = one.model {
            let score = gold.entry(model).or_default();
            score.answers += 1;
            score.right += u64::from(one.given == one.gold);
        }
    }
    let mut found: Vec<PrelabelReport> = field
        .prelabels
        .iter()
        .map(|(model, counts)| {
            let shown = counts.accepted + counts.edited + counts.rejected;
            let gold = gold.get(model).copied().unwrap_or_default();
            PrelabelReport {
                model: answers.models.all[*model as usize].clone(),
                counts: *counts,
                accepted_rate: (shown > 0).then(|| counts.accepted as f64 / shown as f64),
                gold,
                gold_accuracy: gold.accuracy().ok(),
            }
        })
        .collect();
    found.sort_by(|a, b| a.model.cmp(&b.model));
    found
}
