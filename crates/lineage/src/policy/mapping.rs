//! Reads the labels of one version as those of another, without touching a row.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use glossator_store::Result;
use glossator_store::schema::{ANNOTATIONS, CellType, ColumnView};

use super::{Op, Policy, Version};

/// A policy cell, a field and a label.
type Asked = (Option<String>, String, String);

/// Lossless changes of policies: rename and merge.
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

    /// Whether no label can change.
    pub fn is_empty(&self) -> bool {
        !self.policies.iter().any(|(policy, _)| policy.changes.iter().any(|c| c.is_lossless()))
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

    /// The label that a row's label is read as.
    pub fn label(&self, stated: Option<&str>, field: &str, label: &str) -> Option<String> {
        let (policy, from) = self.policy_of(stated)?;
        let (_, to) = self.policies.iter().find(|(known, _)| known.name == policy.name)?;
        Some(match *to >= from {
            true => policy.forward(field, label, |version| *version > from && version <= to),
            false => policy.backward(field, label, |version| version > to && *version <= from),
        })
    }

    /// A batch of annotations with the labels that they are read as.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let column = |name: &str| {
            let index = ANNOTATIONS.column(name)?;
            Some((index, ColumnView::new(batch.columns().get(index)?)?))
        };
        let (Some((at, labels)), Some((_, fields)), Some((_, policies))) =
            (column("label"), column("field"), column("policy"))
        else {
            return Ok(batch);
        };
        let mut known = self.known.borrow_mut();
        let mut changed = false;
        let mut made: Vec<Option<String>> = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let Some(label) = labels.text(row) else {
                made.push(None);
                continue;
            };
            let (stated, field) = (policies.text(row), fields.text(row).unwrap_or_default());
            let asked = (stated.map(str::to_owned), field.to_owned(), label.to_owned());
            let read = known.entry(asked).or_insert_with(|| self.label(stated, field, label));
            changed |= read.as_deref().is_some_and(|read| read != label);
            made.push(Some(read.clone().unwrap_or_else(|| label.to_owned())));
        }
        if !changed {
            drop(known);
            return Ok(batch);
        }
        let texts: StringArray = made.into_iter().collect();
        let column: ArrayRef = cast(&(Arc::new(texts) as ArrayRef), &CellType::Dict.arrow())?;
        let mut columns = batch.columns().to_vec();
        columns[at] = column;
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }
}

impl Policy {
    /// A label of one version as it is named right before a later one.
    pub fn read(&self, field: &str, label: &str, from: &Version, before: &Version) -> String {
        self.forward(field, label, |version| version > from && version < before)
    }

    /// Follows a label through renames and merges. Changes of one version are made at once: two
    /// labels may change places.
    fn forward(&self, field: &str, label: &str, within: impl Fn(&Version) -> bool) -> String {
        let (mut now, mut done) = (label, None);
        for change in self.changes.iter().filter(|change| {
            change.is_lossless()
                && change.field.as_deref() == Some(field)
                && within(&change.version)
        }) {
            if done != Some(&change.version) && change.from.iter().any(|from| from == now) {
                (now, done) = (&change.to[0], Some(&change.version));
            }
        }
        now.to_owned()
    }

    /// Follows a label back: only what one label alone became.
    fn backward(&self, field: &str, label: &str, within: impl Fn(&Version) -> bool) -> String {
        let (mut now, mut done) = (label, None);
        for change in self.changes.iter().rev().filter(|change| {
            change.op == Op::Rename
                && change.field.as_deref() == Some(field)
                && within(&change.version)
        }) {
            if done != Some(&change.version) && change.to.iter().any(|to| to == now) {
                (now, done) = (&change.from[0], Some(&change.version));
            }
        }
        now.to_owned()
    }
}
