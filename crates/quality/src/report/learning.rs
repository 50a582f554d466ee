//! Accuracy against gold over time, and whether it differs from chance.

use std::collections::HashMap;

use serde::Serialize;

use crate::agreement::Interval;
use crate::gold::Score;
use crate::unit::Field;

/// Points of a curve at most.
const POINTS_MAX: usize = 10;
/// Answers of a point at least.
const POINT_ANSWERS_MIN: usize = 5;
/// With fewer answers on gold nothing is said about chance.
const CHANCE_ANSWERS_MIN: u64 = 10;

/// Some successive answers on items with gold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LearningPoint {
    /// When the first was given, RFC 3339.
    pub from: String,
    /// When the last was given.
    pub to: String,
    /// Answers.
    pub answers: u64,
    /// Those that equal gold.
    pub right: u64,
    /// The share of these.
    pub accuracy: f64,
    /// Wilson's interval of it.
    pub interval: Option<Interval>,
}

/// One answer on an item with gold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored {
    pub annotator: u32,
    pub at: Option<i64>,
    pub given: u32,
    pub gold: u32,
    /// The model whose prediction was in view.
    pub model: Option<u32>,
}

/// All answers on items with gold, but for those of gold's authors.
pub(crate) fn scored(field: &Field) -> Vec<Scored> {
    let author = |unit: u32, who: u32| field.gold_authors.contains(&(unit, who));
    let answers = field.answers.iter().filter(|a| !author(a.unit, a.annotator));
    answers
        .filter_map(|answer| {
            let gold = field.gold.get(answer.unit as usize).copied().flatten()?;
            let about = field.about(answer);
            let model = about.prelabel.and_then(|prelabel| prelabel.model);
            let (annotator, given, gold) = (answer.annotator, answer.set, gold.set);
            Some(Scored { annotator, at: about.at, given, gold, model })
        })
        .collect()
}

/// Answers in order of time, in up to ten parts of equal size, of five answers or more; answers
/// without a time are no part of it.
pub(crate) fn curve<'s>(scored: impl Iterator<Item = &'s Scored>) -> Vec<LearningPoint> {
    let mut timed: Vec<(i64, bool)> =
        scored.filter_map(|s| Some((s.at?, s.given == s.gold))).collect();
    timed.sort_by_key(|(at, _)| *at);
    let points = (timed.len() / POINT_ANSWERS_MIN).clamp(1, POINTS_MAX);
    let cut = |point: usize| point * timed.len() / points;
    let parts = (0..points).map(|point| &timed[cut(point)..cut(point + 1)]);
    parts
        .filter_map(|part| {
            let (from, to) = (part.first()?.0, part.last()?.0);
            let right = part.iter().filter(|(_, right)| *right).count() as u64;
            let score = Score { answers: part.len() as u64, right };
            Some(LearningPoint {
                from: time(from)?,
                to: time(to)?,
                answers: score.answers,
                right,
                accuracy: right as f64 / score.answers as f64,
                interval: score.wilson(),
            })
        })
        .collect()
}

/// Microseconds since 1970 as RFC 3339.
fn time(at: i64) -> Option<String> {
    jiff::Timestamp::from_microsecond(at).ok().map(|time| time.to_string())
}

/// How right somebody would be who gave the same labels as often, but on items drawn by lot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChanceReport {
    /// Σ_k a_k g_k: the shares of label k among their answers and in gold.
    pub accuracy: f64,
    /// `above`, `below`, `not distinguishable` where it lies in the interval of the accuracy, or
    /// `too few answers`, of fewer than ten.
    pub verdict: &'static str,
}

/// Whether one person's answers are better than chance.
pub(crate) fn chance<'s>(scored: impl Iterator<Item = &'s Scored>) -> Option<ChanceReport> {
    let mut counts: HashMap<u32, (u64, u64)> = HashMap::new();
    let mut score = Score::default();
    for one in scored {
        score.answers += 1;
        score.right += u64::from(one.given == one.gold);
        counts.entry(one.given).or_default().0 += 1;
        counts.entry(one.gold).or_default().1 += 1;
    }
    let interval = score.wilson()?;
    let n = score.answers as f64;
    let both: u64 = counts.values().map(|(given, gold)| given * gold).sum();
    let accuracy = both as f64 / (n * n);
    let verdict = match () {
        () if score.answers < CHANCE_ANSWERS_MIN => "too few answers",
        () if interval.low > accuracy => "above",
        () if interval.high < accuracy => "below",
        () => "not distinguishable",
    };
    Some(ChanceReport { accuracy, verdict })
}
