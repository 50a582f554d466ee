//! What a difference amounts to: counts by label, annotator, policy and status, and which labels
//! became which.

use std::collections::BTreeMap;

use glossator_store::Result;
use glossator_store::delta::{Counts, DeltaBatch};
use glossator_store::schema::{ANNOTATIONS, Annotations};
use serde::Serialize;

/// Counts by name.
pub type Group = BTreeMap<String, Counts>;

/// Distinct names that one group counts apart; the rest is counted as `(other)`.
const NAMES_MAX: usize = 100_000;

/// A difference in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stat {
    /// Rows by table.
    pub tables: Group,
    /// Annotations whose region moved and whose label did not; they count as changed too.
    pub moved: u64,
    /// Annotations by label; `-` where there is none.
    pub labels: Group,
    /// Annotations by annotator.
    pub annotators: Group,
    /// Annotations by policy; `unstated` where there is none.
    pub policies: Group,
    /// Annotations by status.
    pub statuses: Group,
    /// Old label to new label to annotations.
    pub transitions: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The name of a missing label.
const NO_LABEL: &str = "-";

impl Stat {
    /// Counts a batch of changes.
    pub fn add(&mut self, delta: &DeltaBatch) -> Result<()> {
        let counts = self.tables.entry(delta.table.name.to_owned()).or_default();
        for change in &delta.changes {
            counts.count(change.old.is_some(), change.new.is_some());
        }
        if delta.table != &ANNOTATIONS {
            return Ok(());
        }
        let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
        let (old, new) = (delta.old.project(&columns)?, delta.new.project(&columns)?);
        let (old, new) = (Annotations::new(&old), Annotations::new(&new));
        for change in &delta.changes {
            let (was, is) = (change.old.is_some(), change.new.is_some());
            let (rows, row) = match (change.new, change.old) {
                (Some(row), _) => (&new, row as usize),
                (None, Some(row)) => (&old, row as usize),
                (None, None) => continue,
            };
            let label = rows.label(row).unwrap_or(NO_LABEL);
            count(&mut self.labels, label, was, is);
            count(&mut self.annotators, rows.annotator_id(row), was, is);
            count(&mut self.policies, rows.policy(row).unwrap_or("unstated"), was, is);
            count(&mut self.statuses, rows.status(row), was, is);
            if let (Some(was), Some(is)) = (change.old, change.new) {
                let from = old.label(was as usize).unwrap_or(NO_LABEL);
                let to = new.label(is as usize).unwrap_or(NO_LABEL);
                if from != to {
                    let row = self.transitions.entry(from.to_owned()).or_default();
                    *row.entry(to.to_owned()).or_default() += 1;
                } else if old.geometry(was as usize) != new.geometry(is as usize) {
                    self.moved += 1;
                }
            }
        }
        Ok(())
    }
}

fn count(group: &mut Group, name: &str, was: bool, is: bool) {
    if let Some(counts) = group.get_mut(name) {
        return counts.count(was, is);
    }
    let name = if group.len() < NAMES_MAX { name } else { "(other)" };
    group.entry(name.to_owned()).or_default().count(was, is);
}
