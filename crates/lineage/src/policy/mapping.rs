//! Reads the labels of one version as those of another, without touching a row.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use glossator_store::Result;
use glossator_store::schema::{ANNOTATIONS, CellType, ColumnView};

use super::{Change, Op, Policy, Said, Version};

/// A policy cell, a field and a label, and what else changes ask.
type Asked = (Option<String>, String, String, Option<[String; 5]>);

/// Lossless changes of policies: rename and merge, and numbers on another scale.
///
/// The policy of a row stays what it is: under which version it was made does not change.
#[derive(Debug, Default)]
pub struct Mapping {
    policies: Vec<(Policy, Version)>,
    known: RefCell<HashMap<Asked, Option<String>>>,
}

impl Mapping {
    /// Reads each policy as of its own version, or as of the one that is given for it.
    pub fn new(policies: Vec<Policy>, as_of: Option<(&str, &Version)>) -> Self {
        let version = |policy: &Policy| match as_of {
            Some((name, version)) if name == policy.name => version.clone(),
            _ => policy.version.clone(),
        };
        let policies = policies.into_iter().map(|policy| (policy.clone(), version(&policy)));
        Self { policies: policies.collect(), known: RefCell::default() }
    }

    fn any(&self, of: impl Fn(&Change) -> bool) -> bool {
        self.policies.iter().any(|(policy, _)| policy.changes.iter().any(&of))
    }

    /// Whether no row can be read otherwise than it is stored.
    pub fn is_empty(&self) -> bool {
        !self.any(|change| change.is_lossless() || change.op == Op::Convert)
    }

    /// The policy that a row was made under, and its version there: stated, or claimed later.
    pub fn policy_of(&self, stated: Option<&str>) -> Option<(&Policy, Version)> {
        match stated {
            Some(stated) => {
                let (name, version) = stated.rsplit_once('@')?;
                let found = self.policies.iter().find(|(policy, _)| policy.name == name)?;
                Some((&found.0, version.parse().ok()?))
            }
            None => self
                .policies
                .iter()
                .find_map(|(policy, _)| policy.unstated.clone().map(|version| (policy, version))),
        }
    }

    /// The policy of a row, and the versions that it is read from and as.
    fn way(&self, stated: Option<&str>) -> Option<(&Policy, Version, &Version)> {
        let (policy, from) = self.policy_of(stated)?;
        let (_, to) = self.policies.iter().find(|(known, _)| known.name == policy.name)?;
        Some((policy, from, to))
    }

    /// The label that a row's label is read as.
    pub fn label(&self, said: &Said<'_>, label: &str) -> Option<String> {
        let (policy, from, to) = self.way(said.policy)?;
        Some(match *to >= from {
            true => policy.forward(said, label, |version| *version > from && version <= to),
            false => policy.backward(said, label, |version| version > to && *version <= from),
        })
    }

    /// The number that a row's number is read as; `None` where that is the same.
    pub fn number(&self, said: &Said<'_>, number: f64) -> Option<f64> {
        let (policy, from, to) = self.way(said.policy)?;
        let meant = |change: &&Change| change.op == Op::Convert && change.is_of(said);
        let changes = policy.changes.iter().filter(meant);
        let read = if *to >= from {
            let steps = changes.filter(|c| c.version > from && c.version <= *to);
            steps.map(Change::scale).fold(number, |now, (factor, offset)| now * factor + offset)
        } else {
            let steps = changes.rev().filter(|c| c.version > *to && c.version <= from);
            steps.map(Change::scale).fold(number, |now, (factor, offset)| (now - offset) / factor)
        };
        // A number that cannot be told stays as it is.
        (read != number && read.is_finite()).then_some(read)
    }

    /// A batch of annotations as it is read.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let batch = self.apply_labels(batch)?;
        match self.any(|change| change.op == Op::Convert) {
            true => self.apply_numbers(batch),
            false => Ok(batch),
        }
    }

    fn apply_labels(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let (Some(rows), Some(at)) = (Facts::of(&batch), ANNOTATIONS.column("label")) else {
            return Ok(batch);
        };
        let conditional = self.any(|change| change.when.is_some());
        let mut known = self.known.borrow_mut();
        let mut changed = false;
        let mut made: Vec<Option<String>> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let said = rows.said(row);
            let Some(label) = said.label else {
                made.push(None);
                continue;
            };
            let more = conditional.then(|| said.conditions().map(str::to_owned));
            let asked =
                (said.policy.map(str::to_owned), said.field.to_owned(), label.to_owned(), more);
            let read = known.entry(asked).or_insert_with(|| self.label(&said, label));
            changed |= read.as_deref().is_some_and(|read| read != label);
            made.push(Some(read.clone().unwrap_or_else(|| label.to_owned())));
        }
        drop(known);
        if !changed {
            return Ok(batch);
        }
        let texts: StringArray = made.into_iter().collect();
        let column: ArrayRef = cast(&(Arc::new(texts) as ArrayRef), &CellType::Dict.arrow())?;
        with_column(&batch, at, column)
    }

    fn apply_numbers(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let (Some(rows), Some(at)) = (Facts::of(&batch), ANNOTATIONS.column("number")) else {
            return Ok(batch);
        };
        let Some(numbers) = ColumnView::new(batch.column(at)) else { return Ok(batch) };
        let read = |row: usize| {
            let number = numbers.float(row)?;
            Some(self.number(&rows.said(row), number).unwrap_or(number))
        };
        let column: Float64Array = (0..batch.num_rows()).map(read).collect();
        with_column(&batch, at, Arc::new(column))
    }
}

fn with_column(batch: &RecordBatch, at: usize, column: ArrayRef) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    columns[at] = column;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// The columns that changes ask about.
struct Facts<'b>([ColumnView<'b>; 9]);

impl<'b> Facts<'b> {
    /// `None` of batches that have not all of them.
    fn of(batch: &'b RecordBatch) -> Option<Self> {
        let names = [
            "item_id",
            "field",
            "policy",
            "label",
            "source",
            "annotator_id",
            "origin",
            "kind",
            "target",
        ];
        let column = |name: &str| ColumnView::new(batch.columns().get(ANNOTATIONS.column(name)?)?);
        let found: Option<Vec<ColumnView<'b>>> = names.into_iter().map(column).collect();
        found?.try_into().ok().map(Self)
    }

    fn said(&self, row: usize) -> Said<'b> {
        let [item, field, policy, label, source, annotator, origin, kind, target] =
            self.0.each_ref().map(|column| column.text(row));
        Said {
            item: item.unwrap_or_default(),
            field: field.unwrap_or_default(),
            policy,
            label,
            source: source.unwrap_or_default(),
            annotator: annotator.unwrap_or_default(),
            origin: origin.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            target,
        }
    }
}

impl Policy {
    /// A label of one version as it is named right before a later one.
    pub fn read(&self, said: &Said<'_>, label: &str, from: &Version, before: &Version) -> String {
        self.forward(said, label, |version| version > from && version < before)
    }

    /// Follows a label through renames and merges. Changes of one version are made at once: two
    /// labels may change places.
    fn forward(&self, said: &Said<'_>, label: &str, within: impl Fn(&Version) -> bool) -> String {
        let (mut now, mut done) = (label, None);
        for change in self
            .changes
            .iter()
            .filter(|change| change.is_lossless() && change.is_of(said) && within(&change.version))
        {
            if done != Some(&change.version) && change.from.iter().any(|from| from == now) {
                (now, done) = (&change.to[0], Some(&change.version));
            }
        }
        now.to_owned()
    }

    /// Follows a label back: only what one label alone became.
    fn backward(&self, said: &Said<'_>, label: &str, within: impl Fn(&Version) -> bool) -> String {
        let (mut now, mut done) = (label, None);
        for change in self.changes.iter().rev().filter(|change| {
            change.op == Op::Rename && change.is_of(said) && within(&change.version)
        }) {
            if done != Some(&change.version) && change.to.iter().any(|to| to == now) {
                (now, done) = (&change.from[0], Some(&change.version));
            }
        }
        now.to_owned()
    }
}
