//! Items that people do not agree on, and labels that they take for each other.

use std::collections::HashMap;

use serde::Serialize;

use super::field::Measured;
use crate::aggregate::DawidSkene;
use crate::unit::Field;

/// From this expected share of equal pairs on, people would agree if the item were like others.
const SKILLED: f64 = 2.0 / 3.0;

/// An item that people do not agree on.
#[derive(Debug, Clone, Serialize)]
pub struct HardItem {
    /// The item.
    pub item: String,
    /// Which part of it was asked about.
    pub target: Option<String>,
    /// Which of its regions was asked about.
    pub region: Option<String>,
    /// The field.
    pub field: String,
    /// Answers.
    pub answers: u64,
    /// What was answered, most often first, and how often.
    pub labels: Vec<(String, u64)>,
    /// The share of equal pairs of answers.
    pub agreement: f64,
    /// The share of equal pairs that Dawid and Skene's model expects of these people on an item
    /// with this posterior: Σ_k T_k Σ_l π_akl π_bkl, the mean over pairs of people a and b.
    pub expected_agreement: Option<f64>,
    /// The entropy, in bits, of the label's posterior in Dawid and Skene's model.
    pub entropy: Option<f64>,
    /// `item`: people whose answers to such items are equal in two pairs of three did not agree on
    /// this one; `annotators`: those who answered disagree that much anyway.
    pub cause: Option<&'static str>,
}

/// Two labels that different people gave to one item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfusedPair {
    /// The field.
    pub field: String,
    /// The labels, in the order of their texts.
    pub labels: [String; 2],
    /// Pairs of answers to one item, one of each label.
    pub pairs: u64,
    /// Of all pairs of unequal answers to the field, the share that are these two.
    pub share: f64,
}

impl HardItem {
    /// Which of two is harder: by entropy, then by agreement, then by name.
    pub(crate) fn harder(&self, other: &Self) -> std::cmp::Ordering {
        let entropy = |item: &Self| item.entropy.unwrap_or(0.0);
        let by_entropy = entropy(other).total_cmp(&entropy(self));
        by_entropy
            .then(self.agreement.total_cmp(&other.agreement))
            .then_with(|| (&self.field, &self.item).cmp(&(&other.field, &other.item)))
            .then_with(|| (&self.target, &self.region).cmp(&(&other.target, &other.region)))
    }
}

/// The hardest items of a field.
pub(crate) fn hard_items(field: &Field, measured: &Measured, most: usize) -> Vec<HardItem> {
    if !measured.categorical {
        return Vec::new();
    }
    let mut found: Vec<(usize, f64, Option<f64>)> = Vec::new();
    for (unit, (_, labels)) in measured.votes.items().enumerate() {
        let n = labels.len();
        if n < 2 {
            continue;
        }
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        let pairs = |same: &[u32]| same.len() * (same.len() - 1) / 2;
        let equal: usize = sorted.chunk_by(|a, b| a == b).map(pairs).sum();
        if 2 * equal == n * (n - 1) {
            continue;
        }
        let entropy = measured.fit.as_ref().map(|fit| fit.entropy(unit));
        found.push((unit, 2.0 * equal as f64 / (n * (n - 1)) as f64, entropy));
    }
    found.sort_by(|a, b| {
        let entropy = b.2.unwrap_or(0.0).total_cmp(&a.2.unwrap_or(0.0));
        entropy.then(a.1.total_cmp(&b.1)).then(a.0.cmp(&b.0))
    });
    found.truncate(most);
    let items = found.into_iter();
    items
        .map(|(unit, agreement, entropy)| hard(field, measured, unit, agreement, entropy))
        .collect()
}

fn hard(
    field: &Field,
    measured: &Measured,
    unit: usize,
    agreement: f64,
    entropy: Option<f64>,
) -> HardItem {
    let ends = &measured.votes.starts()[unit..unit + 2];
    let answers = &field.answers[ends[0] as usize..ends[1] as usize];
    let people: Vec<u32> = answers.iter().map(|answer| answer.annotator).collect();
    let expected = measured.fit.as_ref().and_then(|fit| expected(fit, unit, &people));
    let mut counts: HashMap<u32, u64> = HashMap::new();
    answers.iter().for_each(|answer| *counts.entry(answer.set).or_default() += 1);
    let mut labels: Vec<(String, u64)> =
        counts.into_iter().map(|(set, count)| (field.set_text(set), count)).collect();
    labels.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    let (target, region) = field.parts.get(&(unit as u32)).cloned().unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    HardItem {
        item: field.units[unit].clone(),
        target: some(target),
        region: some(region),
        field: field.name.clone(),
        answers: answers.len() as u64,
        labels,
        agreement,
        expected_agreement: expected,
        entropy,
        cause: expected.map(|expected| match expected >= SKILLED && agreement < expected {
            true => "item",
            false => "annotators",
        }),
    }
}

/// The share of equal pairs that a model expects of people on an item; `None` where one of them
/// has no matrix, for none of their answers voted, or where nobody's did here.
fn expected(fit: &DawidSkene, unit: usize, people: &[u32]) -> Option<f64> {
    if people.iter().any(|&who| who as usize >= fit.annotator_count()) || unit >= fit.item_count() {
        return None;
    }
    let posterior = fit.posterior(unit);
    if posterior.iter().sum::<f64>() <= 0.0 {
        return None;
    }
    let pairs = (people.len() * (people.len() - 1)) as f64;
    let mut expected = 0.0;
    for (truth, &probability) in posterior.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        for given in 0..posterior.len() {
            // (Σ π)² - Σ π² is the sum over ordered pairs of different people.
            let (mut sum, mut squares) = (0.0, 0.0);
            for &who in people {
                let share = fit.confusion(who as usize, truth, given);
                sum += share;
                squares += share * share;
            }
            expected += probability * (sum * sum - squares) / pairs;
        }
    }
    Some(expected)
}

/// The pairs of labels that are taken for each other most often.
pub(crate) fn confused(field: &Field, measured: &Measured, most: usize) -> Vec<ConfusedPair> {
    if !measured.categorical {
        return Vec::new();
    }
    let mut pairs: HashMap<(u32, u32), u64> = HashMap::new();
    let mut counts: Vec<(u32, u64)> = Vec::new();
    for (_, labels) in measured.votes.items() {
        if labels.iter().all(|label| label == &labels[0]) {
            continue;
        }
        counts.clear();
        for &label in labels {
            match counts.iter_mut().find(|(known, _)| *known == label) {
                Some((_, count)) => *count += 1,
                None => counts.push((label, 1)),
            }
        }
        for (at, &(a, n)) in counts.iter().enumerate() {
            for &(b, m) in &counts[..at] {
                *pairs.entry((a.min(b), a.max(b))).or_default() += n * m;
            }
        }
    }
    let all: u64 = pairs.values().sum();
    let mut found: Vec<ConfusedPair> = pairs
        .into_iter()
        .map(|((a, b), pairs)| {
            let mut labels = [field.set_text(a), field.set_text(b)];
            labels.sort_unstable();
            let share = pairs as f64 / all as f64;
            ConfusedPair { field: field.name.clone(), labels, pairs, share }
        })
        .collect();
    found.sort_by(|a, b| (b.pairs, &a.labels).cmp(&(a.pairs, &b.labels)));
    found.truncate(most);
    found
}
