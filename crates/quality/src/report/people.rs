//! Annotators and single items.

use std::collections::HashMap;

use serde::Serialize;

use super::field::Measured;
use crate::agreement::Interval;
use crate::gold::Score;
use crate::unit::{Answers, Field};

/// One annotator.
#[derive(Debug, Clone, Serialize)]
pub struct AnnotatorReport {
    /// Who: an id, or a pseudonym.
    pub annotator: String,
    /// Answers to all fields.
    pub answers: u64,
    /// Submissions that were skipped.
    pub skipped: u64,
    /// Skipped submissions among these and answers; null where there are neither.
    pub skip_rate: Option<f64>,
    /// By field.
    pub fields: Vec<AnnotatorField>,
}

/// One annotator's answers to one field.
#[derive(Debug, Clone, Serialize)]
pub struct AnnotatorField {
    /// The field.
    pub field: String,
    /// Answers.
    pub answers: u64,
    /// Of pairs with another person's answer to the same item, the share that is equal.
    pub agreement: Option<f64>,
    /// The mean of Cohen's kappa with each other, weighted by shared answers.
    pub cohen_kappa: Option<f64>,
    /// Answers on items with gold, and right ones.
    pub gold: Score,
    /// The share of right answers.
    pub gold_accuracy: Option<f64>,
    /// Wilson's interval of it.
    pub gold_interval: Option<Interval>,
    /// The mean probability, by Dawid and Skene's model, that the label given is the true one.
    pub dawid_skene_accuracy: Option<f64>,
}

/// An item that people do not agree on.
#[derive(Debug, Clone, Serialize)]
pub struct HardItem {
    /// The item.
    pub item: String,
    /// The field.
    pub field: String,
    /// Answers.
    pub answers: u64,
    /// The share of equal pairs of answers.
    pub agreement: f64,
    /// The entropy, in bits, of the label's posterior in Dawid and Skene's model.
    pub entropy: Option<f64>,
}

impl HardItem {
    /// Which of two is harder: by entropy, then by agreement, then by name.
    pub(crate) fn harder(&self, other: &Self) -> std::cmp::Ordering {
        let entropy = |item: &Self| item.entropy.unwrap_or(0.0);
        let by_entropy = entropy(other).total_cmp(&entropy(self));
        by_entropy
            .then(self.agreement.total_cmp(&other.agreement))
            .then_with(|| (&self.field, &self.item).cmp(&(&other.field, &other.item)))
    }
}

pub(crate) struct People<'a> {
    answers: &'a Answers,
    fields: Vec<Vec<AnnotatorField>>,
}

impl<'a> People<'a> {
    pub(crate) fn new(answers: &'a Answers) -> Self {
        Self { answers, fields: vec![Vec::new(); answers.annotators.all.len()] }
    }

    pub(crate) fn add(&mut self, field: &Field, measured: &Measured) {
        #[derive(Default, Clone)]
        struct Sums {
            answers: u64,
            pairs: u64,
            equal: u64,
            kappa: f64,
            shared: f64,
            probable: f64,
        }
        let mut sums = vec![Sums::default(); measured.votes.annotator_count()];
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for (unit, (people, labels)) in measured.votes.items().enumerate() {
            counts.clear();
            labels.iter().for_each(|&label| *counts.entry(label).or_default() += 1);
            for (&who, &label) in people.iter().zip(labels) {
                let sums = &mut sums[who as usize];
                sums.answers += 1;
                // A person's own other answers are no second opinion.
                let own = people.iter().zip(labels).filter(|(p, _)| **p == who);
                let (own, own_equal) = own.fold((0_u64, 0_u64), |(all, equal), (_, l)| {
                    (all + 1, equal + u64::from(*l == label))
                });
                sums.pairs += people.len() as u64 - own;
                sums.equal += counts[&label] - own_equal;
                if let Some(fit) = &measured.fit {
                    sums.probable += fit.probability(unit, label);
                }
            }
        }
        for pair in &measured.pairs {
            let Ok(kappa) = pair.kappa else { continue };
            for who in [pair.annotators.0, pair.annotators.1] {
                sums[who as usize].kappa += kappa * f64::from(pair.shared);
                sums[who as usize].shared += f64::from(pair.shared);
            }
        }
        for (who, sums) in sums.into_iter().enumerate().filter(|(_, sums)| sums.answers > 0) {
            let gold = measured.scores.annotators.get(who).copied().unwrap_or_default();
            let compared = measured.categorical && sums.pairs > 0;
            let answers = sums.answers as f64;
            self.fields[who].push(AnnotatorField {
                field: field.name.clone(),
                answers: sums.answers,
                agreement: compared.then(|| sums.equal as f64 / sums.pairs as f64),
                cohen_kappa: (sums.shared > 0.0).then(|| sums.kappa / sums.shared),
                gold,
                gold_accuracy: gold.accuracy().ok(),
                gold_interval: gold.wilson(),
                dawid_skene_accuracy: measured.fit.as_ref().map(|_| sums.probable / answers),
            });
        }
    }

    pub(crate) fn report(self) -> Vec<AnnotatorReport> {
        let all = self.answers.annotators.all.iter().zip(&self.answers.skipped);
        let mut people: Vec<AnnotatorReport> = all
            .zip(self.fields)
            .map(|((name, &skipped), fields)| {
                let answers: u64 = fields.iter().map(|field| field.answers).sum();
                let whole = answers + skipped;
                AnnotatorReport {
                    annotator: name.clone(),
                    answers,
                    skipped,
                    skip_rate: (whole > 0).then(|| skipped as f64 / whole as f64),
                    fields,
                }
            })
            .filter(|person| person.answers > 0 || person.skipped > 0)
            .collect();
        people.sort_by(|a, b| a.annotator.cmp(&b.annotator));
        people
    }
}

/// The hardest items of a field.
pub(crate) fn hard_items(field: &Field, measured: &Measured, most: usize) -> Vec<HardItem> {
    if !measured.categorical {
        return Vec::new();
    }
    let mut found: Vec<(usize, u64, f64, Option<f64>)> = Vec::new();
    for (unit, (_, labels)) in measured.votes.items().enumerate() {
        let n = labels.len();
        if n < 2 {
            continue;
        }
        let equal: usize = labels
            .iter()
            .enumerate()
            .map(|(at, label)| labels[..at].iter().filter(|other| *other == label).count())
            .sum();
        if 2 * equal == n * (n - 1) {
            continue;
        }
        let entropy = measured.fit.as_ref().map(|fit| fit.entropy(unit));
        found.push((unit, n as u64, 2.0 * equal as f64 / (n * (n - 1)) as f64, entropy));
    }
    found.sort_by(|a, b| {
        let entropy = b.3.unwrap_or(0.0).total_cmp(&a.3.unwrap_or(0.0));
        entropy.then(a.2.total_cmp(&b.2)).then(a.0.cmp(&b.0))
    });
    found.truncate(most);
    found
        .into_iter()
        .map(|(unit, answers, agreement, entropy)| HardItem {
            item: field.units[unit].clone(),
            field: field.name.clone(),
            answers,
            agreement,
            entropy,
        })
        .collect()
}
