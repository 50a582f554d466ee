//! How far a relabelling is, by the rows of its branch alone.

use std::collections::{BTreeMap, BTreeSet};

use glossator_store::Snapshot;
use glossator_store::schema::{ANNOTATIONS, Annotations, SUBMISSIONS, SUPERSEDED, Submissions};
use serde::Serialize;

use super::Relabelling;
use crate::error::Result;
use crate::filter::Filters;

const MICROS_PER_HOUR: f64 = 3_600e6;

/// What somebody has done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Person {
    pub annotator: String,
    /// Items that they answered.
    pub answers: u64,
    pub skipped: u64,
    /// Seconds that their submissions took, of those that say it.
    pub seconds: f64,
}

/// How much is done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Progress {
    /// Items to be done again.
    pub items: u64,
    /// Those with all the answers that were asked for.
    pub done: u64,
    /// Those with some of them.
    pub begun: u64,
    /// Those that were only skipped.
    pub skipped: u64,
    /// Items done, as a share.
    pub coverage: f64,
    /// How many people answer each item.
    pub overlap: u32,
    /// Answers so far: one is what one person said of one item.
    pub answers: u64,
    /// Answers that are missing.
    pub missing: u64,
    /// Answers an hour, between the first and the last submission.
    pub per_hour: Option<f64>,
    /// Hours until the missing answers are there at that pace.
    pub hours_left: Option<f64>,
    /// Hours of work that the missing answers are, as long as one took in the mean so far.
    pub work_hours_left: Option<f64>,
    pub people: Vec<Person>,
}

/// Who answered and who skipped an item.
#[derive(Default)]
struct OfItem {
    answered: BTreeSet<String>,
    skipped: bool,
}

/// Counts the answers of a snapshot of the branch.
pub(crate) fn progress(about: &Relabelling<'_>, snapshot: &Snapshot<'_>) -> Result<Progress> {
    let policy = about.record.full_name();
    let filters = Filters { policy: vec![policy], ..Filters::default() };
    let asked = about.work.plan.items();
    let mut items: BTreeMap<String, OfItem> = BTreeMap::new();
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    let mut times: Option<(i64, i64)> = None;
    let mut stamped = 0_u64;
    let (mut seconds, mut timed) = (0.0, 0_u64);
    for batch in filters.rows(snapshot, &SUBMISSIONS)? {
        let batch = batch?;
        for row in Submissions::new(&batch).iter() {
            let counts = row.origin == "human" && !["draft", SUPERSEDED].contains(&row.state);
            if !counts || !asked.contains_key(row.item_id) {
                continue;
            }
            let person = people.entry(row.annotator_id.to_owned()).or_default();
            person.seconds += row.lead_time.unwrap_or_default();
            let item = items.entry(row.item_id.to_owned()).or_default();
            if row.state == "skipped" {
                person.skipped += 1;
                item.skipped = true;
                continue;
            }
            if item.answered.insert(row.annotator_id.to_owned()) {
                person.answers += 1;
            }
            if let Some(at) = row.created_at {
                times = Some(times.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
                stamped += 1;
            }
            if let Some(time) = row.lead_time {
                (seconds, timed) = (seconds + time, timed + 1);
            }
        }
    }
    for batch in filters.rows(snapshot, &ANNOTATIONS)? {
        let batch = batch?;
        let rows = Annotations::new(&batch);
        for row in rows.iter().filter(|row| row.submission_id.is_none() && super::stands(row)) {
            if asked.contains_key(row.item_id) {
                let item = items.entry(row.item_id.to_owned()).or_default();
                if item.answered.insert(row.annotator_id.to_owned()) {
                    people.entry(row.annotator_id.to_owned()).or_default().answers += 1;
                }
            }
        }
    }
    let mut made = sums(about, &items);
    let span = times.map(|(first, last)| last.saturating_sub(first));
    // The first answer began the span, and is not of it.
    made.per_hour = span
        .filter(|span| *span > 0)
        .map(|span| (stamped - 1) as f64 * MICROS_PER_HOUR / span as f64);
    let missing = made.missing as f64;
    made.hours_left = made.per_hour.map(|pace| missing / pace);
    made.work_hours_left = (timed > 0).then(|| missing * seconds / timed as f64 / 3_600.0);
    made.people =
        people.into_iter().map(|(annotator, person)| Person { annotator, ..person }).collect();
    Ok(made)
}

fn sums(about: &Relabelling<'_>, items: &BTreeMap<String, OfItem>) -> Progress {
    let overlap = about.record.overlap.max(1);
    let total = about.work.plan.items().len() as u64;
    let answers = |item: &OfItem| item.answered.len() as u64;
    let count =
        |of: &dyn Fn(&OfItem) -> bool| items.values().filter(|item| of(item)).count() as u64;
    let done = count(&|item| answers(item) >= u64::from(overlap));
    let wanted = total.saturating_mul(u64::from(overlap));
    let counted: u64 = items.values().map(|item| answers(item).min(u64::from(overlap))).sum();
    Progress {
        items: total,
        done,
        begun: count(&|item| answers(item) > 0) - done,
        skipped: count(&|item| answers(item) == 0 && item.skipped),
        coverage: if total == 0 { 1.0 } else { done as f64 / total as f64 },
        overlap,
        answers: items.values().map(answers).sum(),
        missing: wanted.saturating_sub(counted),
        ..Progress::default()
    }
}
