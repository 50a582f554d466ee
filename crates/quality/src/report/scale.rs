//! The order of a field's labels, and what they are worth as numbers.

use super::{NotALevel, ReportOptions};
use crate::unit::Field;

/// Places of labels on a scale, and what they are worth.
pub(super) struct Scale {
    /// By set of labels: its level.
    pub(super) levels: Vec<u32>,
    /// By set of labels: its number.
    pub(super) values: Vec<f64>,
}

/// The order of a field's labels: as given, or that of their numbers where all are written as
/// numbers. Labels that are one number stay levels of their own, in the order of their texts.
pub(super) fn scale_of(field: &Field, options: &ReportOptions) -> Result<Option<Scale>, NotALevel> {
    let named = options.orders.get(&field.name);
    let common = options
        .orders
        .get("")
        .filter(|order| field.labels.all.iter().all(|label| order.contains(label)));
    // Nothing has no place on a scale.
    if field.has_sets || field.sets.all().iter().any(|set| set.is_empty()) {
        return Ok(None);
    }
    let values: Vec<f64> = match named.or(common) {
        Some(order) => {
            let place = |label: &String| order.iter().position(|level| level == label);
            let found = field.labels.all.iter().map(|label| {
                place(label)
                    .map(|at| (at + 1) as f64)
                    .ok_or_else(|| NotALevel { field: field.name.clone(), label: label.clone() })
            });
            found.collect::<Result<_, _>>()?
        }
        None => {
            let numbers = field.labels.all.iter().map(|label| decimal(label));
            let Some(numbers) = numbers.collect() else { return Ok(None) };
            numbers
        }
    };
    let mut order: Vec<usize> = (0..values.len()).collect();
    let text = |at: usize| &field.labels.all[at];
    order.sort_by(|&a, &b| {
        let by_value = values[a].partial_cmp(&values[b]).unwrap_or(std::cmp::Ordering::Equal);
        by_value.then_with(|| text(a).cmp(text(b)))
    });
    let mut levels = vec![0; values.len()];
    order.iter().zip(0..).for_each(|(&label, level)| levels[label] = level);
    let label = |set: &[u32]| set.first().map_or(0, |&label| label as usize);
    let sets = field.sets.all();
    Ok(Some(Scale {
        levels: sets.iter().map(|set| levels[label(set)]).collect(),
        values: sets.iter().map(|set| values[label(set)]).collect(),
    }))
}

/// A number as people write it: no `inf`, no `nan`.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e'));
    text.parse().ok().filter(|value: &f64| digits && value.is_finite())
}

/// Places of numbers among their distinct values.
pub(super) fn ranked(values: &[f64]) -> Vec<u32> {
    let mut scale = values.to_vec();
    scale.sort_unstable_by(f64::total_cmp);
    scale.dedup();
    let place = |value: &f64| scale.partition_point(|level| level < value) as u32;
    values.iter().map(place).collect()
}
