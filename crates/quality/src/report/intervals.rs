//! Intervals of agreement and accuracy, by a bootstrap over items or their groups.

use std::collections::HashMap;

use super::ReportOptions;
use super::field::{Intervals, Measured};
use crate::agreement::{Coincidences, Interval, Units};
use crate::gold::Score;
use crate::unit::Field;

impl Measured {
    /// Nominal intervals: items with equal answers are told apart by nothing.
    pub(super) fn intervals(&self, field: &Field, options: &ReportOptions) -> Intervals {
        let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
        let patterns = self.votes.items().map(|(_, labels)| {
            let mut pattern = labels.to_vec();
            pattern.sort_unstable();
            let next = numbers.len() as u32;
            *numbers.entry(pattern).or_insert(next)
        });
        let units = Units::new(grouped(patterns.collect(), field, options));
        let mut patterns: Vec<(Vec<u32>, u32)> = numbers.into_iter().collect();
        patterns.sort_unstable_by_key(|(_, number)| *number);
        let steps = patterns.iter().map(|(pattern, _)| 8 + pattern.len()).sum::<usize>()
            + units.distinct().iter().map(Vec::len).sum::<usize>();
        let mut weights = vec![0.0; patterns.len()];
        let [alpha, mean, pooled] = options.bootstrap.intervals(&units, steps, |drawn| {
            weights.fill(0.0);
            for (unit, &times) in units.distinct().iter().zip(drawn) {
                unit.iter().for_each(|&pattern| weights[pattern as usize] += times as f64);
            }
            let items = patterns.iter().zip(&weights).map(|((p, _), &weight)| (&p[..], weight));
            let counted = Coincidences::weighted(self.votes.label_count(), items);
            [counted.nominal_alpha(), counted.percent_item_mean(), counted.percent_pair_pooled()]
        });
        Intervals {
            krippendorff_alpha_nominal: alpha,
            percent_item_mean: mean,
            percent_pair_pooled: pooled,
        }
    }

    pub(super) fn accuracy_interval(
        &self,
        field: &Field,
        gold: &[Option<u32>],
        options: &ReportOptions,
    ) -> Option<Interval> {
        let scored =
            self.votes.items().zip(gold).enumerate().filter_map(|(unit, (given, gold))| {
                let gold = (*gold)?;
                let scored = given
                    .0
                    .iter()
                    .zip(given.1)
                    .filter(|(who, _)| !field.gold_authors.contains(&(unit as u32, **who)));
                let (mut right, mut all) = (0_u32, 0_u32);
                scored.for_each(|(_, &label)| {
                    right += u32::from(label == gold);
                    all += 1;
                });
                (all > 0).then_some((unit, (right, all)))
            });
        // Of a group only its sums matter.
        let mut groups: HashMap<&str, (u32, u32)> = HashMap::new();
        let mut units = Vec::new();
        for (unit, (right, all)) in scored {
            match options.groups.get(&field.units[unit]) {
                Some(group) => {
                    let sum = groups.entry(group).or_default();
                    *sum = (sum.0 + right, sum.1 + all);
                }
                None => units.push((right, all)),
            }
        }
        units.extend(groups.into_values());
        units.sort_unstable();
        let units = Units::new(units);
        options.bootstrap.intervals(&units, 4 * units.distinct().len(), |drawn| {
            let (mut right, mut all) = (0, 0);
            for ((r, a), times) in units.distinct().iter().zip(drawn) {
                right += u64::from(*r) * times;
                all += u64::from(*a) * times;
            }
            [Score { answers: all, right }.accuracy()]
        })[0]
    }
}

/// The patterns of each group of items, in rising order; an item without a group is one alone.
fn grouped(patterns: Vec<u32>, field: &Field, options: &ReportOptions) -> Vec<Vec<u32>> {
    if options.groups.is_empty() {
        return patterns.into_iter().map(|pattern| vec![pattern]).collect();
    }
    let mut at: HashMap<&str, usize> = HashMap::new();
    let mut units: Vec<Vec<u32>> = Vec::new();
    for (pattern, item) in patterns.into_iter().zip(&field.units) {
        match options.groups.get(item) {
            Some(group) => {
                let place = *at.entry(group).or_insert(units.len());
                if place == units.len() {
                    units.push(Vec::new());
                }
                units[place].push(pattern);
            }
            None => units.push(vec![pattern]),
        }
    }
    units.iter_mut().for_each(|unit| unit.sort_unstable());
    units
}
