//! Krippendorff's alpha where answers are numbers or levels of a scale.

use crate::measure::{Measure, NO_OVERLAP, ONE_LABEL, finite};

/// Krippendorff's alpha for numbers: 1 - D_o/D_e with the squared difference of two answers as
/// their disagreement.
///
/// `starts` says where the answers of each item begin in `values`, with the number of answers at
/// its end (as [`Votes::starts`](crate::votes::Votes::starts)). D_o averages (v - v')² over ordered
/// pairs of answers to one item, a pair of an item with n answers weighing 1/(n-1); D_e averages it
/// over all pairs of answers on items with two or more. Both are sums of squares about a mean:
/// Σ (v - v')² = 2n Σ (v - mean)², so that the cost follows the number of answers and not that of
/// distinct values. Krippendorff, *Content Analysis*, 2004, chapter 11.
///
/// # Errors
/// Undefined where no item has two answers, where all answers are equal, and where their squares
/// are too large for a number.
pub fn interval_alpha(starts: &[u32], values: &[f64]) -> Measure {
    let items = || pairable(starts).map(|range| &values[range]);
    let n: f64 = items().map(|item| item.len() as f64).sum();
    if n == 0.0 {
        return Err(NO_OVERLAP);
    }
    let mean = items().flatten().sum::<f64>() / n;
    let (mut within, mut total) = (0.0, 0.0);
    for item in items() {
        let count = item.len() as f64;
        let centre = item.iter().sum::<f64>() / count;
        let squares: f64 = item.iter().map(|v| (v - centre) * (v - centre)).sum();
        within += 2.0 * count * squares / (count - 1.0);
        total += item.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    }
    let observed = within / n;
    let expected = 2.0 * total / (n - 1.0);
    // Rounding of the mean leaves a little where all are equal.
    let equal = items().flatten().all(|&v| v == values[first(starts)]);
    match equal || expected <= 0.0 {
        true => Err(ONE_LABEL),
        // ∞/∞ is no number, and x/∞ is not 0 but of sums that nobody knows.
        false => finite(expected).and_then(|expected| finite(1.0 - observed / expected)),
    }
}

/// Krippendorff's alpha for levels of an ordered scale.
///
/// `levels` are places on the scale, from 0 upwards in its order, as many as there are answers. The
/// disagreement of levels c and k is (Σ_{g=c..k} n_g - (n_c + n_k)/2)², where n_g counts answers of
/// level g on items with two or more: the squared difference of their mid-ranks. So this is
/// [`interval_alpha`] of mid-ranks, whatever the levels are called.
///
/// # Errors
/// As [`interval_alpha`].
pub fn ordinal_alpha(starts: &[u32], levels: &[u32]) -> Measure {
    let mut ranks = vec![0.0; levels.iter().max().map_or(0, |&max| max as usize + 1)];
    for range in pairable(starts) {
        levels[range].iter().for_each(|&level| ranks[level as usize] += 1.0);
    }
    let mut before = 0.0;
    for rank in &mut ranks {
        let count = *rank;
        *rank = before + count / 2.0;
        before += count;
    }
    let values: Vec<f64> = levels.iter().map(|&level| ranks[level as usize]).collect();
    interval_alpha(starts, &values)
}

/// The answers of each item that has two or more.
fn pairable(starts: &[u32]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let ranges = starts.windows(2).map(|ends| ends[0] as usize..ends[1] as usize);
    ranges.filter(|range| range.len() >= 2)
}

fn first(starts: &[u32]) -> usize {
    pairable(starts).next().map_or(0, |range| range.start)
}
