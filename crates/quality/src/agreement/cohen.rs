//! Cohen's kappa of each two annotators who answered the same items.

use std::collections::HashMap;

use crate::measure::{Measure, ONE_LABEL, Undefined};
use crate::votes::Votes;

/// How much two labels that differ disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// All differences are alike.
    None,
    /// |c - k|: labels are levels of a scale, in its order.
    Linear,
    /// (c - k)²: labels are levels of a scale, in its order.
    Quadratic,
}

/// The agreement of two annotators.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairKappa {
    /// The two, the lower number first.
    pub annotators: (u32, u32),
    /// How many pairs of answers to one item they share.
    pub shared: u32,
    /// The share of these that are equal.
    pub percent: f64,
    /// Cohen's kappa.
    pub kappa: Measure,
}

/// Pairs are counted in a square of annotators up to this many cells, in a map beyond.
const DENSE_PAIRS_MAX: usize = 1 << 22;
/// Pairs of annotators that share an item, at most: the map holds them all.
const PAIRS_MAX: usize = 1 << 22;
/// Pairs of answers to one item, at most: they are held together, 8 bytes each.
const ANSWER_PAIRS_MAX: u64 = 1 << 25;

const TOO_MANY_PAIRS: Undefined =
    Undefined("there are more than 4,194,304 pairs of annotators who share an item");
const TOO_MANY_ANSWERS: Undefined =
    Undefined("there are more than 33,554,432 pairs of answers to one item");

/// Cohen's kappa of each two annotators who share `shared_min` items or more, in order of their
/// numbers: κ = 1 - Σ w_ck o_ck / Σ w_ck e_ck.
///
/// o_ck is the share of shared items that the first gave label c and the second label k, e_ck =
/// p_c q_k what their own shares of labels on these items (p, q) give by chance, w_ck how much c
/// and k disagree: 1 where they differ, or as [`Weights`] say. Cohen, *A coefficient of agreement
/// for nominal scales*, 1960; *Weighted kappa*, 1968. Several answers of one person to one item
/// pair with each answer of the other.
///
/// The kappa of two who gave one and the same label throughout is undefined.
///
/// # Errors
/// Undefined where there are too many pairs: with n people on one item they are n(n-1)/2.
pub fn pairwise_kappa(
    votes: &Votes,
    shared_min: u32,
    weights: Weights,
) -> Result<Vec<PairKappa>, Undefined> {
    let answers = votes.items().map(|(_, labels)| labels.len() as u64);
    if answers.map(|n| n * n.saturating_sub(1) / 2).sum::<u64>() > ANSWER_PAIRS_MAX {
        return Err(TOO_MANY_ANSWERS);
    }
    let pairs = PairIndex::new(votes)?;
    let mut starts = vec![0_u32; pairs.len() + 1];
    each_pair(votes, |a, b, _, _| starts[pairs.at(a, b) + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    // Gathered by pair, so that one table of labels serves all.
    let mut next = starts.clone();
    let mut answers = vec![(0_u32, 0_u32); starts.last().map_or(0, |&n| n as usize)];
    each_pair(votes, |a, b, x, y| {
        let at = &mut next[pairs.at(a, b)];
        answers[*at as usize] = (x, y);
        *at += 1;
    });
    let mut margins = Margins::new(votes.label_count());
    let mut found = Vec::new();
    for (at, ends) in starts.windows(2).enumerate() {
        let shared = ends[1] - ends[0];
        if shared == 0 || shared < shared_min {
            continue;
        }
        let answers = &answers[ends[0] as usize..ends[1] as usize];
        let equal = answers.iter().filter(|(x, y)| x == y).count();
        found.push(PairKappa {
            annotators: pairs.of(at),
            shared,
            percent: equal as f64 / f64::from(shared),
            kappa: margins.kappa(answers, weights),
        });
    }
    found.sort_unstable_by_key(|pair| pair.annotators);
    Ok(found)
}

/// Every pair of answers of two annotators to one item, the lower number first.
fn each_pair(votes: &Votes, mut of: impl FnMut(u32, u32, u32, u32)) {
    for (annotators, labels) in votes.items() {
        for (at, (&a, &x)) in annotators.iter().zip(labels).enumerate() {
            for (&b, &y) in annotators[..at].iter().zip(labels) {
                match a.cmp(&b) {
                    std::cmp::Ordering::Less => of(a, b, x, y),
                    std::cmp::Ordering::Greater => of(b, a, y, x),
                    std::cmp::Ordering::Equal => {}
                }
            }
        }
    }
}

/// Numbers of pairs of annotators.
enum PairIndex {
    Dense(usize),
    Sparse(HashMap<(u32, u32), usize>, Vec<(u32, u32)>),
}

impl PairIndex {
    fn new(votes: &Votes) -> Result<Self, Undefined> {
        let annotators = votes.annotator_count();
        if annotators.saturating_mul(annotators) <= DENSE_PAIRS_MAX {
            return Ok(Self::Dense(annotators));
        }
        let (mut numbers, mut pairs) = (HashMap::new(), Vec::new());
        each_pair(votes, |a, b, _, _| {
            if pairs.len() <= PAIRS_MAX {
                numbers.entry((a, b)).or_insert_with(|| {
                    pairs.push((a, b));
                    pairs.len() - 1
                });
            }
        });
        if pairs.len() > PAIRS_MAX { Err(TOO_MANY_PAIRS) } else { Ok(Self::Sparse(numbers, pairs)) }
    }

    fn len(&self) -> usize {
        match self {
            Self::Dense(side) => side * side,
            Self::Sparse(_, pairs) => pairs.len(),
        }
    }

    fn at(&self, a: u32, b: u32) -> usize {
        match self {
            Self::Dense(side) => a as usize * side + b as usize,
            Self::Sparse(numbers, _) => numbers[&(a, b)],
        }
    }

    fn of(&self, at: usize) -> (u32, u32) {
        match self {
            Self::Dense(side) => ((at / side) as u32, (at % side) as u32),
            Self::Sparse(_, pairs) => pairs[at],
        }
    }
}

/// How often each of two gave each label; 0 between two uses.
struct Margins {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Margins {
    fn new(labels: usize) -> Self {
        Self { first: vec![0.0; labels], second: vec![0.0; labels] }
    }

    fn kappa(&mut self, answers: &[(u32, u32)], weights: Weights) -> Measure {
        for &(x, y) in answers {
            self.first[x as usize] += 1.0;
            self.second[y as usize] += 1.0;
        }
        let n = answers.len() as f64;
        let (observed, expected) = match weights {
            Weights::None => self.plain(answers),
            Weights::Linear => self.linear(answers),
            Weights::Quadratic => self.quadratic(answers),
        };
        for &(x, y) in answers {
            self.first[x as usize] = 0.0;
            self.second[y as usize] = 0.0;
        }
        // Both are sums of whole numbers, exact: 0 is 0.
        if expected > 0.0 { Ok(1.0 - observed * n / expected) } else { Err(ONE_LABEL) }
    }

    /// Σ w over the pairs, and Σ_ck w_ck r_c s_k over what each gave; the same below.
    fn plain(&self, answers: &[(u32, u32)]) -> (f64, f64) {
        let n = answers.len() as f64;
        let mut differ = 0.0;
        let mut chance = n * n;
        for &(x, y) in answers {
            differ += f64::from(u8::from(x != y));
            // Summed over the first's answers, each label comes as often as the first gave it.
            chance -= self.second[x as usize];
        }
        (differ, chance)
    }

    fn linear(&self, answers: &[(u32, u32)]) -> (f64, f64) {
        let n = answers.len() as f64;
        let differ = answers.iter().map(|(x, y)| f64::from(x.abs_diff(*y))).sum();
        // |c - k| counts the steps of the scale between c and k: of each step, who is below it.
        let (mut below, mut other, mut chance) = (0.0, 0.0, 0.0);
        for (r, s) in self.first.iter().zip(&self.second) {
            below += r;
            other += s;
            chance += below * (n - other) + other * (n - below);
        }
        (differ, chance)
    }

    fn quadratic(&self, answers: &[(u32, u32)]) -> (f64, f64) {
        let n = answers.len() as f64;
        let square = |v: f64| v * v;
        let differ = answers.iter().map(|(x, y)| square(f64::from(x.abs_diff(*y)))).sum();
        let sum = |of: fn(&(u32, u32)) -> u32, power: i32| -> f64 {
            answers.iter().map(|pair| f64::from(of(pair)).powi(power)).sum()
        };
        let (x, y) = (|pair: &(u32, u32)| pair.0, |pair: &(u32, u32)| pair.1);
        let chance = n * (sum(x, 2) + sum(y, 2)) - 2.0 * sum(x, 1) * sum(y, 1);
        (differ, chance)
    }
}
