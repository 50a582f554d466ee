//! Rules (labelling functions): which items they label, and where they contradict each other.

use std::collections::BTreeMap;
use std::ops::Range;

use glossator_store::schema::Annotations;
use serde::Serialize;

/// What one rule did in one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RuleCounts {
    /// Items that it labelled.
    pub labelled: u64,
    /// Those of these that another rule labelled as well.
    pub overlaps: u64,
    /// Those of these that another rule labelled otherwise.
    pub conflicts: u64,
}

/// By field and rule.
pub type Rules = BTreeMap<(String, String), RuleCounts>;

/// Adds what rules said of one item.
pub(super) fn add(rules: &mut Rules, rows: &Annotations<'_>, range: Range<usize>) {
    let by_rule = range.filter(|&row| rows.origin(row) == "rule");
    let mut said: Vec<_> = by_rule
        .filter(|&row| !["draft", "skipped", "superseded"].contains(&rows.status(row)))
        .map(|row| {
            let label = (rows.target(row), rows.label(row), rows.negative(row));
            (rows.field(row), rows.annotator_id(row), label)
        })
        .collect();
    said.sort_unstable();
    said.dedup();
    for field in said.chunk_by(|a, b| a.0 == b.0) {
        let answers: Vec<_> = field.chunk_by(|a, b| a.1 == b.1).collect();
        let labels = |at: usize| answers[at].iter().map(|row| row.2);
        for (at, answer) in answers.iter().enumerate() {
            let (field, rule, _) = answer[0];
            let counts = rules.entry((field.to_owned(), rule.to_owned())).or_default();
            counts.labelled += 1;
            counts.overlaps += u64::from(answers.len() > 1);
            let differs = |other: usize| !labels(other).eq(labels(at));
            counts.conflicts += u64::from((0..answers.len()).any(differs));
        }
    }
}
