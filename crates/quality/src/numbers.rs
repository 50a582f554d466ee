//! Answers that are numbers: how far their mean, their median and each of them are from gold.

use serde::Serialize;

use crate::gold::mean;
use crate::measure::{Measure, NO_GOLD, Undefined};

/// Numbers against reference numbers, over items that have both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberGold {
    /// Items with gold and an answer.
    pub items: u64,
    /// The mean over items of |mean answer - gold|.
    pub mean_mae: Measure,
    /// The root of the mean over items of (mean answer - gold)².
    pub mean_rmse: Measure,
    /// The mean over items of |median answer - gold|; of two middle answers, their mean.
    pub median_mae: Measure,
    /// The mean over answers of |answer - gold|.
    pub single_mae: Measure,
    /// Pearson's correlation of mean answers with gold.
    pub pearson: Measure,
    /// Spearman's: Pearson's of ranks, equal values sharing the mean of their ranks.
    pub spearman: Measure,
}

/// A summary of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The lowest.
    pub min: f64,
    /// The one in the middle.
    pub median: f64,
    /// The highest.
    pub max: f64,
}

/// Compares answers with gold, by item: `starts` as
/// [`Votes::starts`](crate::votes::Votes::starts), `gold` a number or none for each item.
pub fn number_gold(starts: &[u32], values: &[f64], gold: &[Option<f64>]) -> NumberGold {
    let items: Vec<(&[f64], f64)> = starts
        .windows(2)
        .zip(gold)
        .filter_map(|(ends, gold)| Some((&values[ends[0] as usize..ends[1] as usize], (*gold)?)))
        .filter(|(answers, _)| !answers.is_empty())
        .collect();
    let means: Vec<f64> =
        items.iter().map(|(of, _)| of.iter().sum::<f64>() / of.len() as f64).collect();
    let golds: Vec<f64> = items.iter().map(|(_, gold)| *gold).collect();
    let off = || means.iter().zip(&golds).map(|(mean, gold)| mean - gold);
    let medians = items.iter().map(|(of, gold)| (median(of) - gold).abs());
    let single = items.iter().flat_map(|(of, gold)| of.iter().map(move |v| (v - gold).abs()));
    NumberGold {
        items: items.len() as u64,
        mean_mae: mean(off().map(f64::abs), NO_GOLD),
        mean_rmse: mean(off().map(|d| d * d), NO_GOLD).map(f64::sqrt),
        median_mae: mean(medians, NO_GOLD),
        single_mae: mean(single, NO_GOLD),
        pearson: pearson(&means, &golds),
        spearman: pearson(&ranks(&means), &ranks(&golds)),
    }
}

/// The lowest, middle and highest of numbers; `None` of none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let min = values.iter().copied().min_by(f64::total_cmp)?;
    let max = values.iter().copied().max_by(f64::total_cmp)?;
    Some(Spread { min, median: median(values), max })
}

/// The middle of numbers, of which there is at least one; of two in the middle, their mean.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// Pearson's correlation: Σ (x - x̄)(y - ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²).
///
/// # Errors
/// Undefined of fewer than two pairs, and where all x or all y are equal.
pub fn pearson(x: &[f64], y: &[f64]) -> Measure {
    if x.len() < 2 {
        return Err(Undefined("fewer than two items have both"));
    }
    let constant = |of: &[f64]| of.iter().all(|v| *v == of[0]);
    if constant(x) || constant(y) {
        return Err(Undefined("one side has the same value everywhere"));
    }
    let average = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (mx, my) = (average(x), average(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mx) * (y - my);
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
    }
    Ok((xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

/// Ranks from 1, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = (at * 2 + equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|&i| ranks[i] = rank);
        at += equal.len();
    }
    ranks
}
