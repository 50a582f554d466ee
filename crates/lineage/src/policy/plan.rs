//! What a version of a policy asks to be labelled again.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;
use std::slice::from_ref;

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
    /// Items that somebody looked at since; of changes about whole items.
    done: HashSet<String>,
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
            .filter(|(at, _)| !self.found[*at].done.contains(row.item))
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

    /// Whether any change is about whole items: then [`looked`](Self::looked) comes first.
    pub fn has_whole_items(&self) -> bool {
        self.changes.iter().any(|change| change.redo == Redo::Items)
    }

    /// Takes in that somebody was asked these questions of an item under some version, all of them
    /// where `fields` says nothing. Before all else.
    pub fn looked(&mut self, mapping: &Mapping, said: Said<'_>, fields: Option<&[&str]>) {
        let made = mapping.policy_of(said.policy).filter(|(policy, _)| policy.name == self.name);
        let Some((_, made)) = made else { return };
        for (change, found) in self.changes.iter().zip(&mut self.found) {
            let of_field = |field: &String| fields.is_none_or(|all| all.contains(&field.as_str()));
            let asked = change.field.as_ref().is_none_or(of_field);
            let done = change.redo == Redo::Items && made >= change.version && asked;
            if done && !found.done.contains(said.item) {
                found.done.insert(said.item.to_owned());
            }
        }
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
                (Some(field), _) => from_ref(field),
                (None, Redo::Items) => &self.fields,
                (None, _) => &own,
            };
            ask(&mut self.items, &mut self.sets, row.item, more);
        }
        self.rows += u64::from(again);
    }

    /// Takes in a submission, after the annotations: who found nothing has no row.
    pub fn submission(&mut self, mapping: &Mapping, said: Said<'_>) {
        for at in self.whole(mapping, said) {
            let more = self.changes[at].field.as_ref().map_or(&self.fields[..], from_ref);
            if ask(&mut self.items, &mut self.sets, said.item, more) {
                self.found[at].items += 1;
            }
        }
    }

    /// The later changes that are about whole items, by place.
    fn whole(&self, mapping: &Mapping, said: Said<'_>) -> Vec<usize> {
        let made = mapping.policy_of(said.policy).filter(|(policy, _)| policy.name == self.name);
        let Some((_, made)) = made else { return Vec::new() };
        let fits = |change: &Change| change.when.as_ref().is_none_or(|when| when.fits(&said));
        let asks = |c: &Change| made < c.version && c.redo == Redo::Items && fits(c);
        let open = |at: usize| !self.found[at].done.contains(said.item);
        let all = self.changes.iter().enumerate();
        all.filter(|(at, change)| asks(change) && open(*at)).map(|(at, _)| at).collect()
    }

    /// Whether a row says nothing any more, once its item was labelled again.
    pub fn is_void(&self, mapping: &Mapping, row: Said<'_>) -> bool {
        self.about(mapping, row).into_iter().any(|(_, itself)| itself)
    }

    /// Whether who handed in a submission and found nothing has to look again.
    pub fn asks_whole_items(&self, mapping: &Mapping, said: Said<'_>) -> bool {
        !self.whole(mapping, said).is_empty()
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

/// Adds questions to those that are asked of an item; whether that is anything new. Items share
/// sets of questions.
fn ask(
    items: &mut BTreeMap<String, Rc<BTreeSet<String>>>,
    sets: &mut BTreeSet<Rc<BTreeSet<String>>>,
    item: &str,
    more: &[String],
) -> bool {
    let asked = items.get(item).cloned();
    let known = |asked: &Rc<BTreeSet<String>>| more.iter().all(|field| asked.contains(field));
    if asked.as_ref().is_some_and(known) {
        return false;
    }
    let before = asked.iter().flat_map(|asked| asked.iter());
    let all: Rc<BTreeSet<String>> = Rc::new(before.chain(more).cloned().collect());
    let all = sets.get(&all).cloned().unwrap_or_else(|| {
        sets.insert(Rc::clone(&all));
        all
    });
    items.insert(item.to_owned(), all);
    true
}
