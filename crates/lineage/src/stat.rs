//! What a difference amounts to: counts by label, annotator, policy and status, and which labels
//! became which.

use std::collections::{BTreeMap, HashMap};

use glossator_store::Result;
use glossator_store::canonical::Rows;
use glossator_store::delta::{Counts, DeltaBatch};
use glossator_store::schema::{ANNOTATIONS, ColumnView, Columns, Table};
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
    /// The columns of a table that are looked at, besides the key.
    pub fn columns(table: &Table) -> Columns {
        let of_annotations = ["label", "annotator_id", "policy", "status", "geometry"];
        Columns::named(table, if table == &ANNOTATIONS { &of_annotations } else { &[] })
    }

    /// Counts a batch of changes.
    pub fn add(&mut self, delta: &DeltaBatch) -> Result<()> {
        let counts = self.tables.entry(delta.table.name.to_owned()).or_default();
        for change in &delta.changes {
            counts.count(change.old.is_some(), change.new.is_some());
        }
        if delta.table != &ANNOTATIONS {
            return Ok(());
        }
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        for (group, name, missing) in [
            (&mut self.labels, "label", NO_LABEL),
            (&mut self.annotators, "annotator_id", ""),
            (&mut self.policies, "policy", "unstated"),
            (&mut self.statuses, "status", ""),
        ] {
            let Some(column) = ANNOTATIONS.column(name) else { continue };
            let mut tallies = [old.column(column), new.column(column)].map(Tally::new);
            for change in &delta.changes {
                let (tally, row) = match (change.new, change.old) {
                    (Some(row), _) => (&mut tallies[1], row),
                    (None, Some(row)) => (&mut tallies[0], row),
                    (None, None) => continue,
                };
                tally.count(row as usize, change.old.is_some(), change.new.is_some());
            }
            tallies.into_iter().for_each(|tally| tally.end(group, missing));
        }
        self.relate(delta, &old, &new);
        Ok(())
    }

    /// Counts which labels became which, and regions that moved.
    fn relate(&mut self, delta: &DeltaBatch, old: &Rows<'_>, new: &Rows<'_>) {
        let (Some(label), Some(geometry)) =
            (ANNOTATIONS.column("label"), ANNOTATIONS.column("geometry"))
        else {
            return;
        };
        let (from, to) = (old.column(label), new.column(label));
        let mut pairs: HashMap<_, (_, u64)> = HashMap::new();
        for change in &delta.changes {
            let (Some(was), Some(is)) = (change.old, change.new) else { continue };
            let (was, is) = (was as usize, is as usize);
            let names = (from.text(was), to.text(is));
            if names.0 != names.1 {
                let pair = pairs.entry((from.dict_key(was), to.dict_key(is)));
                pair.or_insert((names, 0)).1 += 1;
            } else if !old.column(geometry).same_cell(was, new.column(geometry), is) {
                self.moved += 1;
            }
        }
        for ((from, to), count) in pairs.into_values() {
            let row = self.transitions.entry(from.unwrap_or(NO_LABEL).to_owned()).or_default();
            *row.entry(to.unwrap_or(NO_LABEL).to_owned()).or_default() += count;
        }
    }
}

/// Counts by the values of a column of one batch: a name is looked up once, not once a row.
struct Tally<'a> {
    column: &'a ColumnView<'a>,
    /// By place in the dictionary, with a row that has it.
    named: Vec<(usize, Counts)>,
    missing: Counts,
}

impl<'a> Tally<'a> {
    fn new(column: &'a ColumnView<'a>) -> Self {
        Self { column, named: Vec::new(), missing: Counts::default() }
    }

    fn count(&mut self, row: usize, was: bool, is: bool) {
        let Some(key) = self.column.dict_key(row) else { return self.missing.count(was, is) };
        if key >= self.named.len() {
            self.named.resize(key + 1, Default::default());
        }
        self.named[key].0 = row;
        self.named[key].1.count(was, is);
    }

    fn end(self, group: &mut Group, missing: &str) {
        let named = self.named.iter().filter_map(|(row, counts)| {
            let name = self.column.text(*row)?;
            Some((name, *counts))
        });
        for (name, counts) in named.chain([(missing, self.missing)]) {
            if !counts.is_empty() {
                add(group, name, counts);
            }
        }
    }
}

fn add(group: &mut Group, name: &str, counts: Counts) {
    if let Some(known) = group.get_mut(name) {
        *known += counts;
        return;
    }
    let name = if group.len() < NAMES_MAX { name } else { "(other)" };
    *group.entry(name.to_owned()).or_default() += counts;
}
