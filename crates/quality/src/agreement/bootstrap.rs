//! Intervals by a seeded bootstrap over items or groups of items.

use std::collections::HashMap;

use rand::SeedableRng;
use rand_distr::{Binomial, Distribution};
use rand_pcg::Pcg64Mcg;
use serde::Serialize;

use crate::measure::Measure;

/// Steps of one interval's arithmetic at most: fewer replicates are drawn of very many units.
const STEPS_MAX: usize = 200_000_000;
/// No interval is told from fewer replicates.
const REPLICATES_MIN: u32 = 200;
/// Of so many replicates at least a measure must be defined, else it has no interval.
const DEFINED_MIN: f64 = 0.95;

/// A range that holds the middle 95 % of the replicates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// What is drawn: units (items, or groups of items that stand or fall together), with equal ones
/// told apart by nothing and therefore counted.
#[derive(Debug, Clone)]
pub struct Units<T> {
    distinct: Vec<T>,
    counts: Vec<u64>,
    total: u64,
}

impl<T: Eq + std::hash::Hash + Clone> Units<T> {
    /// Counts equal units. Their order is that of their first, so that a seed gives one result.
    pub fn new(units: impl IntoIterator<Item = T>) -> Self {
        let mut numbers: HashMap<T, usize> = HashMap::new();
        let (mut distinct, mut counts, mut total) = (Vec::new(), Vec::new(), 0);
        for unit in units {
            total += 1;
            match numbers.get(&unit) {
                Some(&at) => counts[at] += 1,
                None => {
                    numbers.insert(unit.clone(), distinct.len());
                    distinct.push(unit);
                    counts.push(1);
                }
            }
        }
        Self { distinct, counts, total }
    }
}

impl<T> Units<T> {
    /// Units that differ from each other.
    pub fn distinct(&self) -> &[T] {
        &self.distinct
    }

    /// How many units there are in all.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// How often is drawn, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// The seed: the same gives the same intervals.
    pub seed: u64,
    /// Replicates; fewer where there are very many different units.
    pub replicates: u32,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { seed: 0, replicates: 1_000 }
    }
}

impl Bootstrap {
    /// Percentile intervals of `N` measures; `None` where a measure is undefined on more than one
    /// replicate of twenty, or where there are fewer than two units.
    ///
    /// A replicate draws as many units as there are, with repetition; `measure` is given how often
    /// each distinct unit came. How often equal units come together is multinomial, and is drawn
    /// as such, by one binomial draw a distinct unit. `steps` is what one call of `measure` costs,
    /// in additions. Efron, *Bootstrap methods: another look at the jackknife*, 1979.
    pub fn intervals<T, const N: usize>(
        &self,
        units: &Units<T>,
        steps: usize,
        mut measure: impl FnMut(&[u64]) -> [Measure; N],
    ) -> [Option<Interval>; N] {
        if units.total < 2 {
            return [None; N];
        }
        let afford = STEPS_MAX / (steps + 20 * units.distinct.len()).max(1);
        let afford = u32::try_from(afford).unwrap_or(u32::MAX);
        let replicates = self.replicates.min(afford.max(REPLICATES_MIN));
        let mut random = Pcg64Mcg::seed_from_u64(self.seed);
        let mut weights = vec![0; units.distinct.len()];
        let mut found: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
        for _ in 0..replicates {
            draw(units, &mut random, &mut weights);
            for (values, value) in found.iter_mut().zip(measure(&weights)) {
                values.extend(value.ok());
            }
        }
        let enough = f64::from(replicates) * DEFINED_MIN;
        found.map(|mut values| {
            values.sort_unstable_by(f64::total_cmp);
            let told = !values.is_empty() && values.len() as f64 >= enough;
            told.then(|| Interval {
                low: percentile(&values, 0.025),
                high: percentile(&values, 0.975),
            })
        })
    }
}

fn draw<T>(units: &Units<T>, random: &mut Pcg64Mcg, weights: &mut [u64]) {
    let (mut draws, mut left) = (units.total, units.total);
    for (weight, &count) in weights.iter_mut().zip(&units.counts) {
        // Of the draws that are left, those that fall on this unit rather than a later one.
        let share = count as f64 / left as f64;
        *weight = match Binomial::new(draws, share.min(1.0)) {
            Ok(_) if left == count => draws,
            Ok(binomial) => binomial.sample(random),
            // A share is between 0 and 1.
            Err(_) => 0,
        };
        draws -= *weight;
        left -= count;
    }
}

/// A percentile of rising values, between two of them in proportion.
fn percentile(values: &[f64], share: f64) -> f64 {
    let at = share * (values.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    values[low] + (values[high] - values[low]) * at.fract()
}
