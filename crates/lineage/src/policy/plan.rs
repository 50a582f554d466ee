//! What a version of a policy asks to be labelled again.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Serialize;

use super::{Change, Mapping, Op, Policy, Redo, Said, Version};

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
    fields: Vec<String>,
    changes: Vec<Change>,
    found: Vec<Found>,
    rows: u64,
    items: BTreeMap<String, Rc<BTreeSet<String>>>,
    /// Sets of questions, each once: items share them.
    sets: BTreeSet<Rc<BTreeSet<String>>>,
}

/// What a change makes void; rows come item by item.
#[derive(Debug, Clone, Default)]
struct Found {
    rows: u64,
    items: u64,
    last: Option<String>,
}

impl Plan {
    /// Nothing, yet, of a policy and its changes up to a version.
    ///
    /// A label that became several has to be decided again, whatever was stated.
    pub fn new(policy: &Policy, to: &Version) -> Self {
        let asks = |change: &&Change| {
            change.version <= *to && (change.redo != Redo::None || change.op == Op::Split)
        };
        let changes: Vec<Change> = policy.changes.iter().filter(asks).cloned().collect();
        Self {
            name: policy.name.clone(),
            fields: policy.fields.iter().map(|field| field.name.clone()).collect(),
            found: vec![Found::default(); changes.len()],
            changes,
            ..Self::default()
        }
    }

    /// The changes that are about a row, by place: whether they make the row itself void, rather
    /// than the item around it.
    fn about(&self, mapping: &Mapping, row: Said<'_>) -> Vec<(usize, bool)> {
        let Some((policy, made)) = mapping.policy_of(row.policy) else { return Vec::new() };
        if policy.name != self.name {
            return Vec::new();
        }
        let later = self.changes.iter().enumerate().filter(|(_, change)| made < change.version);
        later
            .filter_map(|(at, change)| {
                if change.redo == Redo::Items {
                    return Some((at, change.is_of(&row)));
                }
                // Labels are named as they were right before the change.
                let was = row.label.map(|label| policy.read(&row, label, &made, &change.version));
                change.is_about(&row, was.as_deref()).then_some((at, true))
            })
            .collect()
    }

    /// Takes in a live annotation; those of an item follow each other.
    pub fn row(&mut self, mapping: &Mapping, row: Said<'_>) {
        let mut again = false;
        for (at, _) in self.about(mapping, row) {
            let (change, found) = (&self.changes[at], &mut self.found[at]);
            if change.redo != Redo::Items {
                found.rows += 1;
                again = true;
            }
            if found.last.as_deref() != Some(row.item) {
                found.items += 1;
                found.last = Some(row.item.to_owned());
            }
            let own = [row.field.to_owned()];
            let more = match (&change.field, change.redo) {
                (Some(field), _) => std::slice::from_ref(field),
                (None, Redo::Items) => &self.fields,
                (None, _) => &own,
            };
            let asked = self.items.get(row.item).cloned().unwrap_or_default();
            if more.is_empty() || more.iter().any(|field| !asked.contains(field)) {
                let all = asked.iter().chain(more).cloned().collect();
                let all = shared(&mut self.sets, all);
                self.items.insert(row.item.to_owned(), all);
            }
        }
        self.rows += u64::from(again);
    }

    /// Whether a row says nothing any more, once its item was labelled again.
    pub fn is_void(&self, mapping: &Mapping, row: Said<'_>) -> bool {
        self.about(mapping, row).into_iter().any(|(_, itself)| itself)
    }

    /// Whether who found nothing under a policy has to look again.
    pub fn asks_whole_items(&self, mapping: &Mapping, policy: Option<&str>) -> bool {
        let made = mapping.policy_of(policy).filter(|(policy, _)| policy.name == self.name);
        made.is_some_and(|(_, made)| {
            let mut later = self.changes.iter().filter(|change| made < change.version);
            later.any(|change| change.redo == Redo::Items)
        })
    }

    /// Rows that have to be decided again, each once.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Items that have to be looked at again, with the questions to be asked.
    pub fn items(&self) -> &BTreeMap<String, Rc<BTreeSet<String>>> {
        &self.items
    }

    /// All questions that are asked again.
    pub fn asked(&self) -> BTreeSet<&str> {
        self.items.values().flat_map(|asked| asked.iter()).map(String::as_str).collect()
    }

    /// The changes with what each makes void.
    pub fn groups(&self) -> Vec<Group> {
        let group = |(change, found): (&Change, &Found)| Group {
            change: change.clone(),
            rows: found.rows,
            items: found.items,
        };
        self.changes.iter().zip(&self.found).map(group).collect()
    }
}

/// The one copy of a set.
fn shared(
    sets: &mut BTreeSet<Rc<BTreeSet<String>>>,
    set: BTreeSet<String>,
) -> Rc<BTreeSet<String>> {
    let set = Rc::new(set);
    match sets.get(&set) {
        Some(known) => known.clone(),
        None => {
            sets.insert(set.clone());
            set
        }
    }
}
