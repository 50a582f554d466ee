//! How far apart two distributions of labels are.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF};

use crate::measure::{Measure, NO_ANSWERS, ONE_LABEL, Undefined};

/// Below this expected count a cell makes the test rough.
const EXPECTED_MIN: f64 = 5.0;

/// Jensen and Shannon's divergence of two counts by label, in bits: H((P+Q)/2) - (H(P) + H(Q))/2
/// with H(P) = -Σ_k p_k log₂ p_k; 0 where the shares are equal, 1 where no label is in both. Lin,
/// *Divergence measures based on the Shannon entropy*, 1991.
///
/// # Errors
/// Undefined where either has no answers.
pub fn jensen_shannon(a: &[u64], b: &[u64]) -> Measure {
    let (of_a, of_b) = (total(a), total(b));
    if of_a == 0.0 || of_b == 0.0 {
        return Err(NO_ANSWERS);
    }
    let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    let sum = a.iter().zip(b).map(|(&a, &b)| {
        let (p, q) = (a as f64 / of_a, b as f64 / of_b);
        part((p + q) / 2.0) - (part(p) + part(q)) / 2.0
    });
    // Rounding may leave a little less than nothing.
    Ok(sum.sum::<f64>().clamp(0.0, 1.0))
}

/// Pearson's test of whether two counts by label are drawn from one distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChiSquare {
    /// Σ (observed - expected)²/expected over labels and both counts.
    pub statistic: f64,
    /// Labels that anybody gave, less one.
    pub degrees: u64,
    /// How likely so large a statistic is where they are.
    pub p: f64,
    /// The size of the effect, √(statistic/n), from 0 to 1: Cramér's V of two rows.
    pub cramers_v: f64,
    /// Whether a count below five is expected somewhere, which makes `p` rough.
    pub sparse: bool,
}

/// Compares two counts by label, of different answers. Pearson, 1900; Cramér, *Mathematical Methods
/// of Statistics*, 1946.
///
/// # Errors
/// Undefined where either has no answers, or all answers are one label.
pub fn chi_square(a: &[u64], b: &[u64]) -> Result<ChiSquare, Undefined> {
    let (of_a, of_b) = (total(a), total(b));
    if of_a == 0.0 || of_b == 0.0 {
        return Err(NO_ANSWERS);
    }
    let (mut statistic, mut labels, mut sparse) = (0.0, 0_u64, false);
    for (&a, &b) in a.iter().zip(b).filter(|(a, b)| **a + **b > 0) {
        labels += 1;
        let both = (a + b) as f64;
        for (seen, of) in [(a as f64, of_a), (b as f64, of_b)] {
            let expected = both * of / (of_a + of_b);
            statistic += (seen - expected) * (seen - expected) / expected;
            sparse |= expected < EXPECTED_MIN;
        }
    }
    let degrees = labels - 1;
    let Ok(distribution) = ChiSquared::new(degrees as f64) else { return Err(ONE_LABEL) };
    let p = distribution.sf(statistic);
    let cramers_v = (statistic / (of_a + of_b)).sqrt();
    Ok(ChiSquare { statistic, degrees, p, cramers_v, sparse })
}

fn total(counts: &[u64]) -> f64 {
    counts.iter().sum::<u64>() as f64
}
