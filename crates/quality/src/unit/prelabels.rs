//! Pre-labels: which prediction a person began with, and what they made of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow::array::RecordBatch;
use glossator_store::Result;
use glossator_store::canonical::Rows;
use glossator_store::schema::{ANNOTATIONS, Annotations};
use serde::Serialize;

use super::Names;
use super::read::{Part, is_drawn};
use crate::answers::content;

/// What became of a prediction in a person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The answer says what the prediction said.
    Accepted,
    /// The answer says something else.
    Edited,
    /// The prediction said nothing of this question.
    Added,
    /// The prediction is not among the rows that are looked at.
    Unknown,
}

/// The prediction that an answer was made with in view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prelabel {
    /// A number of [`Answers::models`](super::Answers::models); `None` where it is unknown.
    pub model: Option<u32>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of the predictions of one version of a model, or of the labels of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PrelabelCounts {
    /// Answers that say what the prediction said.
    pub accepted: u64,
    /// Answers that say something else.
    pub edited: u64,
    /// Predictions that the person left no answer of.
    pub rejected: u64,
    /// Answers to questions that the prediction said nothing of.
    pub added: u64,
}

/// Field, target and region: what is asked of an item.
type Question<'a> = (&'a str, &'a str, &'a str, &'a str);

/// The predictions of one item that people began with.
#[derive(Default)]
pub(super) struct Predicted<'b> {
    /// By prediction: its questions and rows, and the model.
    by_submission: HashMap<&'b str, (u32, BTreeMap<Question<'b>, Vec<usize>>)>,
    by_annotation: HashMap<&'b str, (u32, usize)>,
    /// By a person's submission: the prediction that it began with.
    pub(super) parents: HashMap<String, String>,
    rows: Option<Rows<'b>>,
}

/// The question that a row answers; its region is one that was drawn.
fn question<'b>(rows: &Annotations<'b>, row: usize, drawn: &HashSet<(&str, &str)>) -> Question<'b> {
    let submission = rows.submission_id(row).unwrap_or_default();
    let region = rows.region_id(row);
    let region = region.filter(|r| !is_drawn(rows, row) && drawn.contains(&(submission, r)));
    let target = rows.target(row).unwrap_or_default();
    (rows.field(row), rows.kind(row), target, region.unwrap_or_default())
}

impl<'b> Predicted<'b> {
    /// Reads the predictions among the rows of an item, if any row or submission began with one.
    pub(super) fn new(
        batch: &'b RecordBatch,
        rows: &Annotations<'b>,
        range: std::ops::Range<usize>,
        drawn: &HashSet<(&str, &str)>,
        parents: HashMap<String, String>,
        models: &mut Names,
    ) -> Result<Self> {
        let mut found = Self { parents, ..Self::default() };
        let by_row = range.clone().any(|row| rows.parent_id(row).is_some());
        if found.parents.is_empty() && !by_row {
            return Ok(found);
        }
        for row in range.filter(|&row| rows.origin(row) != "human") {
            let model = models.number(rows.annotator_id(row));
            found.by_annotation.insert(rows.annotation_id(row), (model, row));
            if let Some(submission) = rows.submission_id(row) {
                let (_, questions) = found
                    .by_submission
                    .entry(submission)
                    .or_insert_with(|| (model, BTreeMap::new()));
                let question = question(rows, row, drawn);
                questions.entry(question).or_default().push(row);
            }
        }
        found.rows = Some(Rows::new(&ANNOTATIONS, batch)?);
        Ok(found)
    }

    /// What an answer made of the prediction that it began with.
    pub(super) fn of(&self, rows: &Annotations<'b>, answer: &[Part<'b>]) -> Option<Prelabel> {
        let canonical = self.rows.as_ref()?;
        let first = answer.first()?;
        let (model, theirs): (u32, Vec<usize>) = match self.parents.get(first.submission) {
            Some(parent) => {
                let Some((model, questions)) = self.by_submission.get(parent.as_str()) else {
                    return Some(Prelabel { model: None, outcome: Outcome::Unknown });
                };
                let (name, kind) = (rows.field(first.row), rows.kind(first.row));
                let asked = (name, kind, first.target, first.region);
                match questions.get(&asked) {
                    Some(rows) => (*model, rows.clone()),
                    None => {
                        return Some(Prelabel { model: Some(*model), outcome: Outcome::Added });
                    }
                }
            }
            None => {
                // In order: of several models the first parent's is told, on every machine.
                let parents: BTreeSet<&str> =
                    answer.iter().filter_map(|part| rows.parent_id(part.row)).collect();
                let found: Vec<(u32, usize)> = parents
                    .into_iter()
                    .filter_map(|parent| self.by_annotation.get(parent).copied())
                    .collect();
                let model = found.first()?.0;
                (model, found.into_iter().map(|(_, row)| row).collect())
            }
        };
        let said = |rows: &mut dyn Iterator<Item = usize>| {
            let mut said: Vec<Vec<u8>> = rows.map(|row| content(canonical, row)).collect();
            said.sort_unstable();
            said
        };
        let ours = said(&mut answer.iter().map(|part| part.row));
        let outcome = match ours == said(&mut theirs.into_iter()) {
            true => Outcome::Accepted,
            false => Outcome::Edited,
        };
        Some(Prelabel { model: Some(model), outcome })
    }

    /// Questions that a prediction answered and the person who began with it did not: their field,
    /// kind and model. `answered` are the questions of each submission of a person.
    pub(super) fn rejected(
        &self,
        answered: &HashSet<(&str, Question<'b>)>,
    ) -> Vec<(&'b str, &'b str, u32)> {
        let mut rejected = Vec::new();
        for (submission, parent) in &self.parents {
            let Some((model, questions)) = self.by_submission.get(parent.as_str()) else {
                continue;
            };
            for question in questions.keys() {
                if !answered.contains(&(submission.as_str(), *question)) {
                    rejected.push((question.0, question.1, *model));
                }
            }
        }
        rejected
    }
}
