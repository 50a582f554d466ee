//! Answers that are sets of labels: how far apart two sets are, and alpha with that distance.

use std::collections::HashMap;

use crate::measure::{Measure, NO_OVERLAP, ONE_LABEL, Undefined};

/// Distances of all pairs of sets are looked at: their number is bounded.
const SETS_MAX: usize = 4_096;

/// How far apart two sets of labels are, from 0 (equal) to 1 (nothing in common).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetDistance {
    /// 1 - J with J = |A ∩ B| / |A ∪ B|. Jaccard, 1901.
    Jaccard,
    /// 1 - J·M, where M is 1 for equal sets, 2/3 where one contains the other, 1/3 where they
    /// overlap, else 0. Passonneau, *Measuring agreement on set-valued items (MASI)*, 2006.
    Masi,
}

impl SetDistance {
    /// The distance of two rising lists of labels; that of two empty sets is 0.
    pub fn of(self, a: &[u32], b: &[u32]) -> f64 {
        if a == b {
            return 0.0;
        }
        let shared = a.iter().filter(|label| b.binary_search(label).is_ok()).count();
        let jaccard = shared as f64 / (a.len() + b.len() - shared) as f64;
        let monotone = match self {
            Self::Jaccard => 1.0,
            Self::Masi if shared == 0 => 0.0,
            Self::Masi if shared == a.len().min(b.len()) => 2.0 / 3.0,
            Self::Masi => 1.0 / 3.0,
        };
        1.0 - jaccard * monotone
    }
}

/// Distinct sets of labels, numbered in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Sets {
    numbers: HashMap<Box<[u32]>, u32>,
    sets: Vec<Box<[u32]>>,
}

impl Sets {
    /// The number of a set; order and repeats of its labels mean nothing.
    pub fn number(&mut self, labels: &[u32]) -> u32 {
        let mut set = labels.to_vec();
        set.sort_unstable();
        set.dedup();
        if let Some(&number) = self.numbers.get(&set[..]) {
            return number;
        }
        let number = self.sets.len() as u32;
        let set = set.into_boxed_slice();
        self.numbers.insert(set.clone(), number);
        self.sets.push(set);
        number
    }

    /// The sets, rising lists of labels, by number.
    pub fn all(&self) -> &[Box<[u32]>] {
        &self.sets
    }
}

/// Krippendorff's alpha for sets of labels: 1 - D_o/D_e with a distance of sets as disagreement.
///
/// `answers` are numbers of `sets`, ordered by item as `starts` says (see
/// [`Votes::starts`](crate::votes::Votes::starts)). D_o averages the distance over ordered pairs of
/// answers to one item, a pair of an item with n answers weighing 1/(n-1), D_e over all pairs of
/// answers on items with two or more.
///
/// # Errors
/// Undefined where no item has two answers, where all answers are the same set, or where there are
/// more than 4,096 distinct sets, whose distances nobody wants to wait for.
pub fn set_alpha(starts: &[u32], answers: &[u32], sets: &Sets, distance: SetDistance) -> Measure {
    let sets = sets.all();
    if sets.len() > SETS_MAX {
        return Err(Undefined("there are more than 4,096 different sets of labels"));
    }
    let far = |a: u32, b: u32| distance.of(&sets[a as usize], &sets[b as usize]);
    let mut counts = vec![0.0; sets.len()];
    let (mut n, mut within) = (0.0, 0.0);
    for ends in starts.windows(2) {
        let item = &answers[ends[0] as usize..ends[1] as usize];
        if item.len() < 2 {
            continue;
        }
        n += item.len() as f64;
        // Each set once, with how often it was given: many people give few sets.
        let mut given = item.to_vec();
        given.sort_unstable();
        let given: Vec<(u32, f64)> =
            given.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f64)).collect();
        let mut sum = 0.0;
        for (at, &(a, count)) in given.iter().enumerate() {
            counts[a as usize] += count;
            sum += given[..at].iter().map(|&(b, other)| count * other * far(a, b)).sum::<f64>();
        }
        within += 2.0 * sum / (item.len() - 1) as f64;
    }
    if n == 0.0 {
        return Err(NO_OVERLAP);
    }
    let mut between = 0.0;
    for (a, count) in counts.iter().enumerate() {
        let row: f64 = (0..a).map(|b| counts[b] * far(a as u32, b as u32)).sum();
        between += 2.0 * count * row;
    }
    if between > 0.0 {
        Ok(1.0 - (within / n) / (between / (n * (n - 1.0))))
    } else {
        Err(ONE_LABEL)
    }
}
