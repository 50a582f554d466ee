//! The label with most answers.

use crate::votes::Votes;

/// The labels that most votes are for, by item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Winners {
    /// Rising labels of each item: none where nobody answered, several where they are tied.
    pub labels: Vec<Vec<u32>>,
}

impl Winners {
    /// The items on which labels are tied.
    pub fn ties(&self) -> impl Iterator<Item = usize> {
        self.labels.iter().enumerate().filter(|(_, labels)| labels.len() > 1).map(|(item, _)| item)
    }

    /// What a reference answer is credited with: 1 where it alone has most votes, 1/k where it is
    /// among k that are tied, else 0; `None` where nobody answered.
    pub fn credit(&self, item: usize, gold: u32) -> Option<f64> {
        let labels = self.labels.get(item).filter(|labels| !labels.is_empty())?;
        let among = labels.contains(&gold);
        Some(if among { 1.0 / labels.len() as f64 } else { 0.0 })
    }
}

/// The labels with most answers, each answer counting 1.
pub fn majority(votes: &Votes) -> Winners {
    winners(votes, |_| 1.0)
}

/// The labels with most weight, an answer weighing what its annotator does.
///
/// `weights` are by annotator, finite and not negative; weights that differ by a billionth of the
/// item's whole weight are tied, for sums of fractions are rounded.
pub fn weighted_majority(votes: &Votes, weights: &[f64]) -> Winners {
    winners(votes, |annotator| weights.get(annotator as usize).copied().unwrap_or(0.0))
}

/// How often each annotator is with the majority: the mean over their answers of what the majority
/// credits (1/k where theirs is among k that are tied), 0 for who gave none.
///
/// As weights of a [`weighted_majority`] these are what crowd-kit calls Worker Agreement With
/// Aggregate (Wawa), which decides ties of the majority one way or the other; here they count in
/// part. Ustalov, Pavlichenko, Tseitlin, *Learning from Crowds with Crowd-Kit*, 2024.
pub fn agreement_weights(votes: &Votes) -> Vec<f64> {
    let winners = majority(votes);
    let mut sums = vec![(0.0, 0.0); votes.annotator_count()];
    for (item, (annotators, labels)) in votes.items().enumerate() {
        for (&annotator, &label) in annotators.iter().zip(labels) {
            let sum = &mut sums[annotator as usize];
            sum.0 += winners.credit(item, label).unwrap_or(0.0);
            sum.1 += 1.0;
        }
    }
    sums.into_iter().map(|(with, all)| if all > 0.0 { with / all } else { 0.0 }).collect()
}

fn winners(votes: &Votes, weight: impl Fn(u32) -> f64) -> Winners {
    let mut sums = vec![0.0; votes.label_count()];
    let labels = votes.items().map(|(annotators, labels)| {
        let mut whole = 0.0;
        for (&annotator, &label) in annotators.iter().zip(labels) {
            let weight = weight(annotator);
            sums[label as usize] += weight;
            whole += weight;
        }
        let most = labels.iter().map(|&label| sums[label as usize]).fold(0.0, f64::max);
        let first = |label: &u32| sums[*label as usize] >= most - whole * 1e-9;
        let mut best: Vec<u32> = labels.iter().copied().filter(first).collect();
        best.sort_unstable();
        best.dedup();
        labels.iter().for_each(|&label| sums[label as usize] = 0.0);
        best
    });
    Winners { labels: labels.collect() }
}
