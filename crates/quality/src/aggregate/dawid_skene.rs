//! Dawid and Skene's model: each annotator has a matrix of how they answer each true label.

use crate::measure::Undefined;
use crate::votes::Votes;

/// Labels are padded to a multiple of this: what one instruction holds.
const LANES: usize = 2;
/// Cells of all confusion matrices at most: 128 MiB each for the matrices and their counts.
const CELLS_MAX: usize = 1 << 24;
/// Cells of all posteriors at most, 1 GiB.
const POSTERIORS_MAX: usize = 1 << 27;
/// Less than this is no count of answers: a cell that is 0 would stay so for ever, and the model
/// end where the likelihood is lower.
const COUNT_MIN: f64 = 1e-10;
/// A product of probabilities is scaled where it falls below.
const SMALL: f64 = 1e-200;

/// How the model is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DawidSkeneOptions {
    /// s: what is added to each cell of each confusion matrix before it is made into shares.
    pub smoothing: f64,
    /// Stops where the log-likelihood changes by less than this share of itself.
    pub tolerance: f64,
    /// Stops after so many iterations.
    pub iterations_max: u32,
}

impl Default for DawidSkeneOptions {
    fn default() -> Self {
        Self { smoothing: 0.01, tolerance: 1e-9, iterations_max: 200 }
    }
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct DawidSkene {
    labels: usize,
    stride: usize,
    /// By item, then true label, with `stride` places an item.
    posteriors: Vec<f64>,
    /// By annotator, given label and true label.
    confusion: Vec<f64>,
    /// The share of each true label.
    pub priors: Vec<f64>,
    /// The natural logarithm of the likelihood of all answers.
    pub log_likelihood: f64,
    /// Iterations made.
    pub iterations: u32,
    /// Whether it stopped because nothing moved any more.
    pub converged: bool,
}

impl DawidSkene {
    /// Fits the model by expectation and maximisation. Dawid and Skene, *Maximum likelihood
    /// estimation of observer error-rates using the EM algorithm*, 1979.
    ///
    /// T_ik, the probability that k is the true label of item i, starts as the share of answers k
    /// to i. Then in turn: p_k = mean over answered items of T_ik; π_jkl = (Σ_i T_ik n_ijl + s) /
    /// Σ_l (Σ_i T_ik n_ijl + s), the probability that annotator j answers l where k is true, n_ijl
    /// being how often j gave l to i, and each numerator 1e-10 at least; T_ik ∝ p_k Π_j Π_l
    /// π_jkl^n_ijl. The log-likelihood is Σ_i ln Σ_k p_k Π_j Π_l π_jkl^n_ijl. All answers count,
    /// also several of one annotator to one item.
    ///
    /// Cost: answers × labels an iteration; memory: (items + 2 × annotators × labels) × labels × 8
    /// bytes.
    ///
    /// # Errors
    /// Undefined without answers, and where the matrices would not fit into memory.
    pub fn fit(votes: &Votes, options: &DawidSkeneOptions) -> Result<Self, Undefined> {
        if votes.is_empty() {
            return Err(crate::measure::NO_ANSWERS);
        }
        let labels = votes.label_count();
        let stride = labels.next_multiple_of(LANES);
        let cells = votes.annotator_count().saturating_mul(labels).saturating_mul(stride);
        let posteriors = votes.item_count().saturating_mul(stride);
        if cells > CELLS_MAX || posteriors > POSTERIORS_MAX {
            return Err(Undefined("there are too many labels for a matrix of each annotator"));
        }
        let mut fit = Self {
            labels,
            stride,
            posteriors: vec![0.0; posteriors],
            confusion: vec![0.0; cells],
            priors: vec![0.0; labels],
            log_likelihood: f64::NEG_INFINITY,
            iterations: 0,
            converged: false,
        };
        fit.run(votes, options);
        Ok(fit)
    }

    fn run(&mut self, votes: &Votes, options: &DawidSkeneOptions) {
        let mut counts = vec![0.0; self.confusion.len()];
        let mut sums = vec![0.0; self.stride];
        let mut answered = 0.0;
        for ((annotators, labels), shares) in
            votes.items().zip(self.posteriors.chunks_exact_mut(self.stride))
        {
            let part = 1.0 / labels.len().max(1) as f64;
            labels.iter().for_each(|&label| shares[label as usize] += part);
            answered += f64::from(u8::from(!labels.is_empty()));
            add(shares, annotators, labels, self.labels, &mut counts, &mut sums);
        }
        while self.iterations < options.iterations_max && !self.converged {
            self.maximise(&counts, &sums, answered, options.smoothing);
            counts.fill(0.0);
            sums.fill(0.0);
            let before = self.log_likelihood;
            self.log_likelihood = self.expect(votes, &mut counts, &mut sums);
            self.iterations += 1;
            let change = (self.log_likelihood - before).abs();
            // A likelihood of 1 has the logarithm 0, of which nothing is a share.
            let whole = self.log_likelihood.abs().max(f64::MIN_POSITIVE);
            self.converged = before.is_finite() && change <= options.tolerance * whole;
        }
    }

    /// Priors and confusion matrices from what the posteriors add up to.
    fn maximise(&mut self, counts: &[f64], sums: &[f64], answered: f64, smoothing: f64) {
        let (labels, stride) = (self.labels, self.stride);
        self.priors.iter_mut().zip(sums).for_each(|(prior, sum)| *prior = sum / answered);
        let mut totals = vec![0.0; stride];
        let matrices = self.confusion.chunks_exact_mut(labels * stride);
        for (matrix, counts) in matrices.zip(counts.chunks_exact(labels * stride)) {
            let cell = |count: f64| (count + smoothing).max(COUNT_MIN);
            totals.fill(0.0);
            for given in counts.chunks_exact(stride) {
                totals.iter_mut().zip(given).for_each(|(total, count)| *total += cell(*count));
            }
            totals.iter_mut().for_each(|total| *total = 1.0 / *total);
            for (shares, counts) in matrix.chunks_exact_mut(stride).zip(counts.chunks_exact(stride))
            {
                let cells = shares.iter_mut().zip(counts).zip(&totals);
                cells.for_each(|((share, count), total)| *share = cell(*count) * total);
            }
            // What pads the labels must stay impossible.
            for row in matrix.chunks_exact_mut(stride) {
                row[labels..].fill(0.0);
            }
        }
    }

    /// Posteriors from priors and matrices, added up at once for the next step; gives the
    /// log-likelihood.
    fn expect(&mut self, votes: &Votes, counts: &mut [f64], sums: &mut [f64]) -> f64 {
        // Loops over few labels are unrolled; 0 stands for any number of them.
        match self.stride {
            2 => self.expect_of::<2>(votes, counts, sums),
            4 => self.expect_of::<4>(votes, counts, sums),
            6 => self.expect_of::<6>(votes, counts, sums),
            8 => self.expect_of::<8>(votes, counts, sums),
            10 => self.expect_of::<10>(votes, counts, sums),
            12 => self.expect_of::<12>(votes, counts, sums),
            16 => self.expect_of::<16>(votes, counts, sums),
            _ => self.expect_of::<0>(votes, counts, sums),
        }
    }

    fn expect_of<const S: usize>(
        &mut self,
        votes: &Votes,
        counts: &mut [f64],
        sums: &mut [f64],
    ) -> f64 {
        let stride = if S == 0 { self.stride } else { S };
        let labels = self.labels;
        let mut priors = self.priors.clone();
        priors.resize(stride, 0.0);
        let mut likelihood = LogProduct::default();
        let items = votes.items().zip(self.posteriors.chunks_exact_mut(stride));
        for ((annotators, given), posterior) in items {
            if given.is_empty() {
                continue;
            }
            let row = |annotator: u32, label: u32| {
                let start = (annotator as usize * labels + label as usize) * stride;
                start..start + stride
            };
            posterior.copy_from_slice(&priors[..stride]);
            for (&annotator, &label) in annotators.iter().zip(given) {
                let shares = &self.confusion[row(annotator, label)];
                posterior.iter_mut().zip(shares).for_each(|(p, share)| *p *= share);
            }
            let mut whole: f64 = posterior.iter().sum();
            if whole < SMALL {
                // Once more, scaled before it vanishes.
                posterior.copy_from_slice(&priors[..stride]);
                for (&annotator, &label) in annotators.iter().zip(given) {
                    let shares = &self.confusion[row(annotator, label)];
                    scale(posterior, shares, &mut likelihood);
                }
                whole = posterior.iter().sum();
            }
            likelihood.times(whole);
            let part = if whole > 0.0 { 1.0 / whole } else { 0.0 };
            posterior.iter_mut().for_each(|p| *p *= part);
            sums.iter_mut().zip(&*posterior).for_each(|(sum, p)| *sum += p);
            for (&annotator, &label) in annotators.iter().zip(given) {
                let counts = &mut counts[row(annotator, label)];
                counts.iter_mut().zip(&*posterior).for_each(|(count, p)| *count += p);
            }
        }
        likelihood.ln()
    }

    /// The probability of each label on an item, in order of labels; all 0 where nobody answered.
    pub fn posterior(&self, item: usize) -> &[f64] {
        &self.posteriors[item * self.stride..][..self.labels]
    }

    /// Whether anybody voted on an item, so that the model says something of it.
    pub fn has_votes(&self, item: usize) -> bool {
        let start = item.saturating_mul(self.stride);
        let found = self.posteriors.get(start..start.saturating_add(self.labels));
        found.is_some_and(|shares| shares.iter().any(|share| *share > 0.0))
    }

    /// The probability of one label on an item; 0 for an item or label that nobody voted on or for.
    pub fn probability(&self, item: usize, label: u32) -> f64 {
        let label = label as usize;
        let at = item * self.stride + label;
        if label < self.labels { self.posteriors.get(at).copied().unwrap_or(0.0) } else { 0.0 }
    }

    /// How open the label of an item is: -Σ_k T_ik log₂ T_ik, in bits.
    pub fn entropy(&self, item: usize) -> f64 {
        let start = (item * self.stride).min(self.posteriors.len());
        let shares = self.posteriors[start..].iter().take(self.labels);
        shares.filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum()
    }

    /// The most probable label of each item, the lowest of equal ones; `None` where nobody
    /// answered.
    pub fn winners(&self) -> Vec<Option<u32>> {
        let best = |shares: &[f64]| {
            let mut best: Option<(u32, f64)> = None;
            for (label, &share) in shares[..self.labels].iter().enumerate() {
                if share > best.map_or(0.0, |(_, most)| most) {
                    best = Some((label as u32, share));
                }
            }
            best.map(|(label, _)| label)
        };
        self.posteriors.chunks_exact(self.stride).map(best).collect()
    }

    /// How many annotators have a matrix.
    pub fn annotator_count(&self) -> usize {
        self.confusion.len() / (self.labels * self.stride)
    }

    /// How many items have a posterior.
    pub fn item_count(&self) -> usize {
        self.posteriors.len() / self.stride
    }

    /// How an annotator answers: the probability that they give `given` where `truth` is true,
    /// smoothed as it was fitted.
    pub fn confusion(&self, annotator: usize, truth: usize, given: usize) -> f64 {
        self.confusion[(annotator * self.labels + given) * self.stride + truth]
    }
}

/// Multiplies in place, and divides by the largest product where that is very small.
fn scale(posterior: &mut [f64], shares: &[f64], likelihood: &mut LogProduct) {
    posterior.iter_mut().zip(shares).for_each(|(p, share)| *p *= share);
    let largest = posterior.iter().copied().fold(0.0, f64::max);
    if largest < SMALL && largest > 0.0 {
        posterior.iter_mut().for_each(|p| *p /= largest);
        likelihood.times(largest);
    }
}

/// Adds an item's posterior to the matrices of those who answered it, and to the sum of all.
fn add(
    posterior: &[f64],
    annotators: &[u32],
    given: &[u32],
    labels: usize,
    counts: &mut [f64],
    sums: &mut [f64],
) {
    let stride = posterior.len();
    if !given.is_empty() {
        sums.iter_mut().zip(posterior).for_each(|(sum, p)| *sum += p);
    }
    for (&annotator, &label) in annotators.iter().zip(given) {
        let row = (annotator as usize * labels + label as usize) * stride;
        let row = &mut counts[row..row + stride];
        row.iter_mut().zip(posterior).for_each(|(count, p)| *count += p);
    }
}

/// The logarithm of a product of many small numbers, with few logarithms.
struct LogProduct {
    product: f64,
    sum: f64,
}

impl Default for LogProduct {
    fn default() -> Self {
        Self { product: 1.0, sum: 0.0 }
    }
}

impl LogProduct {
    fn times(&mut self, factor: f64) {
        // Both are above 1e-201 or so, or the factor is 0 and so is the likelihood.
        if self.product < 1e-100 {
            self.sum += self.product.ln();
            self.product = 1.0;
        }
        self.product *= factor;
        if self.product < SMALL {
            self.sum += self.product.ln();
            self.product = 1.0;
        }
    }

    fn ln(&self) -> f64 {
        self.sum + self.product.ln()
    }
}
