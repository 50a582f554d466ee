//! Percent agreement, nominal alpha, Fleiss' kappa and agreement on each label, from one count.

use crate::measure::{Measure, NO_OVERLAP, ONE_LABEL, Undefined, ratio};
use crate::votes::Votes;

const UNEQUAL: Undefined = Undefined("items have different numbers of answers");

/// How often answers to one item were equal: what all nominal measures are made of.
///
/// In what follows `n_ik` is how many answers to item `i` are label `k`, `n_i` how many there are
/// to the item in all; items with one answer have nobody to agree with and drop out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Coincidences {
    /// Items with two answers or more.
    items: f64,
    /// Answers to these items.
    answers: f64,
    /// How many answers each item has, where all items have the same number.
    each: Option<u32>,
    /// Σ_i n_i(n_i-1): ordered pairs of answers to one item.
    pairs: f64,
    /// Σ_i Σ_k n_ik(n_ik-1): those that are equal.
    equal: f64,
    /// Σ_i Σ_k n_ik(n_ik-1)/n_i(n_i-1): the shares of equal pairs.
    shares: f64,
    /// Σ_i Σ_k n_ik(n_ik-1)/(n_i-1): the diagonal of Krippendorff's coincidence matrix.
    diagonal: f64,
    /// Σ_i n_ik, by label.
    margins: Vec<f64>,
    /// Σ_i n_ik(n_ik-1), by label.
    label_equal: Vec<f64>,
    /// Σ_i n_ik(n_i-1), by label.
    label_pairs: Vec<f64>,
}

impl Coincidences {
    /// Counts once over all answers.
    pub fn new(votes: &Votes) -> Self {
        Self::weighted(votes.label_count(), votes.items().map(|(_, labels)| (labels, 1.0)))
    }

    /// Counts over items of which each stands for `weight` of its kind: what a bootstrap draws. The
    /// labels are numbers below `labels`.
    pub fn weighted<'a>(labels: usize, items: impl Iterator<Item = (&'a [u32], f64)>) -> Self {
        let mut all = Self {
            margins: vec![0.0; labels],
            label_equal: vec![0.0; labels],
            label_pairs: vec![0.0; labels],
            ..Self::default()
        };
        let mut each = None;
        let mut unequal = false;
        let mut counts = vec![0_u32; labels];
        for (answers, weight) in items {
            let n = answers.len() as u32;
            if n == 0 || weight == 0.0 {
                continue;
            }
            unequal |= *each.get_or_insert(n) != n;
            if n >= 2 {
                all.add(answers, weight, &mut counts);
            }
        }
        all.each = each.filter(|_| !unequal);
        all
    }

    /// Adds the answers to one item. `counts` is 0 everywhere, before and after.
    fn add(&mut self, answers: &[u32], weight: f64, counts: &mut [u32]) {
        let n = answers.len() as f64;
        let mut equal = 0_u32;
        for &label in answers {
            let label = label as usize;
            // The answers before this one that are equal to it: half of the ordered pairs.
            let before = counts[label];
            counts[label] = before + 1;
            equal += before;
            self.margins[label] += weight;
            self.label_equal[label] += weight * f64::from(2 * before);
            self.label_pairs[label] += weight * (n - 1.0);
        }
        answers.iter().for_each(|&label| counts[label as usize] = 0);
        let equal = f64::from(equal) * 2.0;
        self.items += weight;
        self.answers += weight * n;
        self.pairs += weight * n * (n - 1.0);
        self.equal += weight * equal;
        self.shares += weight * equal / (n * (n - 1.0));
        self.diagonal += weight * equal / (n - 1.0);
    }

    /// The mean over items of the share of equal pairs: Σ_k n_ik(n_ik-1) / n_i(n_i-1), each item
    /// counting the same.
    pub fn percent_item_mean(&self) -> Measure {
        ratio(self.shares, self.items, NO_OVERLAP)
    }

    /// The share of equal pairs among all pairs, each pair counting the same.
    pub fn percent_pair_pooled(&self) -> Measure {
        ratio(self.equal, self.pairs, NO_OVERLAP)
    }

    /// Krippendorff's alpha for nominal labels: 1 - D_o/D_e.
    ///
    /// D_o = 1 - Σ_k o_kk/n is the observed disagreement, o_kk = Σ_i n_ik(n_ik-1)/(n_i-1) the
    /// diagonal of the coincidence matrix; D_e = (n² - Σ_k n_k²)/(n(n-1)) what chance gives, n the
    /// number of answers on items with two or more, n_k those that are label k. Krippendorff,
    /// *Content Analysis*, 2004, chapter 11.
    ///
    /// # Errors
    /// Undefined where no item has two answers, or where all answers are the same label.
    pub fn nominal_alpha(&self) -> Measure {
        if self.answers == 0.0 {
            return Err(NO_OVERLAP);
        }
        let n = self.answers;
        let squares: f64 = self.margins.iter().map(|m| m * m).sum();
        let observed = (n - self.diagonal) / n;
        let expected = (n * n - squares) / (n * (n - 1.0));
        if expected > 0.0 { Ok(1.0 - observed / expected) } else { Err(ONE_LABEL) }
    }

    /// Fleiss' kappa: (P - P_e)/(1 - P_e).
    ///
    /// P is [`percent_item_mean`](Self::percent_item_mean), P_e = Σ_k p_k² with p_k the share of
    /// label k among all answers. Fleiss, *Measuring nominal scale agreement among many raters*,
    /// 1971.
    ///
    /// # Errors
    /// Undefined where items have different numbers of answers, or one each, or where all answers
    /// are the same label.
    pub fn fleiss_kappa(&self) -> Measure {
        let observed = self.percent_item_mean()?;
        if self.each.is_none() {
            return Err(UNEQUAL);
        }
        let squares: f64 = self.margins.iter().map(|m| m * m).sum();
        let expected = squares / (self.answers * self.answers);
        // Exactly 1 where there is one label: its margin is the number of answers.
        if expected < 1.0 { Ok((observed - expected) / (1.0 - expected)) } else { Err(ONE_LABEL) }
    }

    /// Specific agreement on a label: of all pairs with an answer that is this label, the share in
    /// which the other is so as well, Σ_i n_ik(n_ik-1) / Σ_i n_ik(n_i-1). Fleiss, *Statistical
    /// Methods for Rates and Proportions*, 1981, chapter 13.
    ///
    /// # Errors
    /// Undefined where nobody gave the label to an item with two answers.
    pub fn specific_agreement(&self, label: usize) -> Measure {
        let nobody = Undefined("nobody gave this label where two answered");
        let part = |of: &[f64]| of.get(label).copied().unwrap_or_default();
        ratio(part(&self.label_equal), part(&self.label_pairs), nobody)
    }

    /// How many items have two answers or more.
    pub fn items_with_overlap(&self) -> u64 {
        self.items as u64
    }
}
