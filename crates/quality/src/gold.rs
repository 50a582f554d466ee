//! How often answers equal a reference answer.

use serde::Serialize;

use crate::aggregate::Winners;
use crate::agreement::Interval;
use crate::measure::{Measure, NO_GOLD, Undefined, ratio};
use crate::votes::Votes;

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Right answers among all, with the interval of their share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Score {
    /// Answers on items with gold.
    pub answers: u64,
    /// Those that equal gold.
    pub right: u64,
}

impl Score {
    /// The share of right answers.
    ///
    /// # Errors
    /// Undefined without answers on items with gold.
    pub fn accuracy(&self) -> Measure {
        ratio(self.right as f64, self.answers as f64, NO_GOLD)
    }

    /// Wilson's 95 % interval of the share of right answers; see [`wilson`].
    pub fn wilson(&self) -> Option<Interval> {
        wilson(self.accuracy().ok()?, self.answers as f64)
    }

    fn add(&mut self, right: bool) {
        self.answers += 1;
        self.right += u64::from(right);
    }
}

/// Wilson's 95 % interval of a share p of n: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), z =
/// 1.96; none of nothing. Wilson, *Probable inference, the law of succession, and statistical
/// inference*, 1927.
pub fn wilson(p: f64, n: f64) -> Option<Interval> {
    if n <= 0.0 {
        return None;
    }
    let z2 = Z * Z;
    let centre = p + z2 / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z2 / n;
    let low = ((centre - half) / whole).max(0.0);
    Some(Interval { low, high: ((centre + half) / whole).min(1.0) })
}

/// Scores of all answers, of each annotator, and of each label that gold gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scores {
    /// Items that have gold and an answer.
    pub items: u64,
    /// All answers on these.
    pub all: Score,
    /// By annotator.
    pub annotators: Vec<Score>,
    /// By the label that gold gives: how often it is found.
    pub labels: Vec<Score>,
}

impl Scores {
    /// Compares answers with `gold`, a label by item or none. `counts` says whether an answer of
    /// an annotator to an item is scored: gold never scores who made it.
    pub fn new(
        votes: &Votes,
        gold: &[Option<u32>],
        mut counts: impl FnMut(usize, u32) -> bool,
    ) -> Self {
        let labels = gold.iter().flatten().max().map_or(0, |&max| max as usize + 1);
        let mut scores = Self {
            annotators: vec![Score::default(); votes.annotator_count()],
            labels: vec![Score::default(); labels.max(votes.label_count())],
            ..Self::default()
        };
        for (item, ((annotators, labels), gold)) in votes.items().zip(gold).enumerate() {
            let Some(gold) = *gold else { continue };
            let before = scores.all.answers;
            for (&annotator, &label) in annotators.iter().zip(labels) {
                if counts(item, annotator) {
                    let right = label == gold;
                    scores.all.add(right);
                    scores.annotators[annotator as usize].add(right);
                    scores.labels[gold as usize].add(right);
                }
            }
            scores.items += u64::from(scores.all.answers > before);
        }
        scores
    }
}

/// The mean credit of the labels with most votes (see [`Winners::credit`]) over items that have
/// gold and an answer.
///
/// # Errors
/// Undefined where there is no such item.
pub fn majority_accuracy(winners: &Winners, gold: &[Option<u32>]) -> Measure {
    let credits = gold.iter().enumerate().filter_map(|(item, gold)| winners.credit(item, (*gold)?));
    mean(credits, NO_GOLD)
}

/// The share of items with gold and a winner where both are equal.
///
/// # Errors
/// Undefined where there is no such item.
pub fn winner_accuracy(winners: &[Option<u32>], gold: &[Option<u32>]) -> Measure {
    let equal = winners
        .iter()
        .zip(gold)
        .filter_map(|(winner, gold)| Some(f64::from(u8::from((*winner)? == (*gold)?))));
    mean(equal, NO_GOLD)
}

pub(crate) fn mean(values: impl Iterator<Item = f64>, otherwise: Undefined) -> Measure {
    let (mut sum, mut count) = (0.0, 0.0);
    values.for_each(|value| {
        sum += value;
        count += 1.0;
    });
    ratio(sum, count, otherwise)
}
