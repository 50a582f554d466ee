//! What a version of a policy asks to be labelled again.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Change, Mapping, Op, Redo, Version};

/// A change with what it makes void.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// Rows that have to be decided again; none of a change that is about whole items.
    pub rows: u64,
    /// Items that have to be looked at again.
    pub items: u64,
}

/// What has to be done for rows to be as of a version.
///
/// Only rows that were made under an earlier version of the policy take part, or are claimed to be.
#[derive(Debug, Default)]
pub struct Plan {
    name: String,
    changes: Vec<Change>,
    found: Vec<(u64, BTreeSet<String>)>,
    rows: u64,
    items: BTreeSet<String>,
}

impl Plan {
    /// Nothing, yet, of a policy and its changes up to a version.
    ///
    /// A label that became several has to be decided again, whatever was stated.
    pub fn new(name: &str, changes: &[Change], to: &Version) -> Self {
        let asks = |change: &&Change| {
            change.version <= *to && (change.redo != Redo::None || change.op == Op::Split)
        };
        let changes: Vec<Change> = changes.iter().filter(asks).cloned().collect();
        let found = vec![Default::default(); changes.len()];
        Self { name: name.to_owned(), found, changes, ..Self::default() }
    }

    /// Takes in a live annotation: its item and field, its policy and label.
    pub fn row(
        &mut self,
        mapping: &Mapping,
        (item, field): (&str, &str),
        (stated, label): (Option<&str>, Option<&str>),
    ) {
        let Some((policy, made)) = mapping.policy_of(stated) else { return };
        if policy.name != self.name {
            return;
        }
        let mut again = false;
        for (change, (rows, items)) in self.changes.iter().zip(&mut self.found) {
            if made >= change.version {
                continue;
            }
            let here = change.field.as_ref().is_none_or(|own| own == field);
            // Labels are named as they were right before the change.
            let was = label.map(|label| policy.read(field, label, &made, &change.version));
            let named = |from: &String| was.as_deref() == Some(from.as_str());
            let meant = here && (change.from.is_empty() || change.from.iter().any(named));
            let whole = change.redo == Redo::Items;
            if whole || meant {
                *rows += u64::from(!whole);
                again |= !whole;
                if !items.contains(item) {
                    items.insert(item.to_owned());
                    self.items.insert(item.to_owned());
                }
            }
        }
        self.rows += u64::from(again);
    }

    /// Rows that have to be decided again, each once.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Items that have to be looked at again.
    pub fn items(&self) -> &BTreeSet<String> {
        &self.items
    }

    /// The changes with what each makes void.
    pub fn groups(&self) -> Vec<Group> {
        let group = |(change, (rows, items)): (&Change, &(u64, BTreeSet<String>))| Group {
            change: change.clone(),
            rows: *rows,
            items: items.len() as u64,
        };
        self.changes.iter().zip(&self.found).map(group).collect()
    }
}
