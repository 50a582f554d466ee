//! The order of a field's labels, and what they are worth as numbers.

use super::field::IS_SETS;
use super::{NotALevel, ReportOptions};
use crate::measure::Undefined;
use crate::unit::Field;

pub(super) const NO_SCALE: Undefined = Undefined("no order of the labels is known");
const IS_EMPTY: Undefined = Undefined("an answer is empty, which has no place in an order");

/// Places of labels on a scale, and what they are worth.
pub(super) struct Scale {
    /// By set of labels: its level.
    pub(super) levels: Vec<u32>,
    /// By set of labels: its number.
    pub(super) values: Vec<f64>,
}

/// The order of a field's labels: as given, with the levels that nobody used, or that of their
/// numbers where all are written as numbers. Labels that are one number stay levels of their own,
/// in the order of their texts. Or why there is none.
pub(super) fn scale_of(
    field: &Field,
    options: &ReportOptions,
) -> Result<Result<Scale, Undefined>, NotALevel> {
    let names = &field.labels.all;
    let named = options.orders.get(&field.name);
    let common = options.orders.get("");
    let common = common.filter(|order| names.iter().all(|label| order.contains(label)));
    let (levels, values): (Vec<u32>, Vec<f64>) = match named.or(common) {
        Some(order) => {
            let place = |label: &String| {
                let found = order.iter().position(|level| level == label);
                let none = || NotALevel { field: field.name.clone(), label: label.clone() };
                found.map(|at| (at as u32, (at + 1) as f64)).ok_or_else(none)
            };
            names.iter().map(place).collect::<Result<_, _>>()?
        }
        None => {
            let numbers = names.iter().map(|label| decimal(label)).collect::<Option<Vec<f64>>>();
            let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else {
                return Ok(Err(NO_SCALE));
            };
            (by_value(names, &numbers), numbers)
        }
    };
    let sets = field.sets.all();
    if field.has_sets {
        return Ok(Err(IS_SETS));
    }
    let label = |set: &[u32]| set.first().map(|&label| label as usize);
    // Nothing has no place on a scale.
    let Some(labels) = sets.iter().map(|set| label(set)).collect::<Option<Vec<usize>>>() else {
        return Ok(Err(IS_EMPTY));
    };
    Ok(Ok(Scale {
        levels: labels.iter().map(|&label| levels[label]).collect(),
        values: labels.iter().map(|&label| values[label]).collect(),
    }))
}

/// Places of labels in the order of their numbers.
fn by_value(names: &[String], values: &[f64]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| {
        let by_value = values[a].partial_cmp(&values[b]).unwrap_or(std::cmp::Ordering::Equal);
        by_value.then_with(|| names[a].cmp(&names[b]))
    });
    let mut levels = vec![0; values.len()];
    order.iter().zip(0..).for_each(|(&label, level)| levels[label] = level);
    levels
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
