//! When people worked, and how long it took.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::unit::{Answers, Work};

/// The median of absolute deviations times this estimates a standard deviation.
const SIGMA: f64 = 1.482_602_218_505_602;
/// Beyond so many of these a time is an outlier.
const OUTLIER: f64 = 3.5;
/// Of fewer times no outliers are told.
const TIMES_MIN: usize = 5;

/// How long pieces of work took, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LeadTimes {
    /// Pieces of work whose time is known.
    pub measured: u64,
    /// The median.
    pub median: f64,
    /// The first quartile.
    pub lower_quartile: f64,
    /// The third quartile.
    pub upper_quartile: f64,
    /// Outliers that took less.
    pub much_faster: u64,
    /// Outliers that took longer.
    pub much_slower: u64,
}

/// One person's work: submissions; in a table without submissions, answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkReport {
    /// Pieces of work of which the time or the duration is known.
    pub pieces: u64,
    /// By hour of the day, UTC, from 0.
    pub by_hour: [u64; 24],
    /// By day, UTC.
    pub by_day: BTreeMap<String, u64>,
    /// How long they took; null where nobody says.
    pub lead_time: Option<LeadTimes>,
}

/// By annotator; `None` of whom nothing is known.
pub(crate) fn by_annotator(answers: &Answers) -> Vec<Option<WorkReport>> {
    let mut of: Vec<Vec<&Work>> = vec![Vec::new(); answers.annotators.all.len()];
    answers.work.iter().for_each(|work| of[work.annotator as usize].push(work));
    of.into_iter().map(|work| (!work.is_empty()).then(|| report(&work))).collect()
}

fn report(work: &[&Work]) -> WorkReport {
    let mut by_hour = [0; 24];
    let mut by_day = BTreeMap::new();
    for at in work.iter().filter_map(|work| work.at) {
        let Ok(time) = jiff::Timestamp::from_microsecond(at) else { continue };
        let time = time.to_zoned(jiff::tz::TimeZone::UTC);
        by_hour[time.hour() as usize % 24] += 1;
        *by_day.entry(time.date().to_string()).or_default() += 1;
    }
    let times = work.iter().filter_map(|work| work.lead_time).filter(|time| *time >= 0.0);
    let lead_time = lead_times(times.collect());
    WorkReport { pieces: work.len() as u64, by_hour, by_day, lead_time }
}

/// Median, quartiles and outliers: times whose logarithm is further from the median of logarithms
/// than 3.5 times 1.4826 times the median of absolute deviations. Iglewicz and Hoaglin, *How to
/// Detect and Handle Outliers*, 1993; of logarithms, for times are skewed.
pub(crate) fn lead_times(mut times: Vec<f64>) -> Option<LeadTimes> {
    if times.is_empty() {
        return None;
    }
    times.sort_unstable_by(f64::total_cmp);
    // A time of 0 is as fast as it gets.
    let logs: Vec<f64> = times.iter().map(|time| time.max(1e-3).ln()).collect();
    let centre = quantile(&logs, 0.5);
    let mut deviations: Vec<f64> = logs.iter().map(|log| (log - centre).abs()).collect();
    deviations.sort_unstable_by(f64::total_cmp);
    let limit = OUTLIER * SIGMA * quantile(&deviations, 0.5);
    let enough = times.len() >= TIMES_MIN && limit > 0.0;
    let beyond = |sign: f64| {
        let far = logs.iter().filter(|log| enough && (*log - centre) * sign > limit);
        far.count() as u64
    };
    Some(LeadTimes {
        measured: times.len() as u64,
        median: quantile(&times, 0.5),
        lower_quartile: quantile(&times, 0.25),
        upper_quartile: quantile(&times, 0.75),
        much_faster: beyond(-1.0),
        much_slower: beyond(1.0),
    })
}

/// A quantile of rising values, between two of them in proportion.
fn quantile(values: &[f64], share: f64) -> f64 {
    let at = share * (values.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    values[low] + (values[high] - values[low]) * at.fract()
}
