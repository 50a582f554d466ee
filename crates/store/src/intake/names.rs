//! Item ids: what people call an item where that is unique, else the tool's own number.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};

use super::spool::Spool;
use crate::error::{Error, Result};
use crate::schema::{ANNOTATORS, ITEMS, Items, SOURCES, Table};
use crate::segment::BatchStream;
use crate::snapshot::{Located, TableSnapshot};
use crate::store::Snapshot;

/// Final ids by provisional id, where they differ.
#[derive(Debug, Default)]
pub(super) struct Names {
    renamed: HashMap<String, String>,
    /// Provisional ids by final id, and whether the item was found by its own number.
    taken: HashMap<String, (String, bool)>,
    /// Items with provisional ids, and how many of them are stored by which other source.
    items: u64,
    elsewhere: BTreeMap<String, u64>,
}

impl Names {
    /// Decides over all items of the file.
    ///
    /// An item that carries a provisional id takes, in this order: the id under which that
    /// provisional id is stored as an alias; its URI, where no other item of the file has it and it
    /// is stored as nothing or as the one item that has it as its alias; its provisional id.
    pub(super) fn decide(
        snapshot: &Snapshot<'_>,
        items: Option<&mut Spool>,
        other_sources: &[String],
    ) -> Result<Self> {
        let mut names = Self::default();
        let Some(spool) = items else { return Ok(names) };
        let mut once: HashSet<u64> = HashSet::new();
        let mut twice: HashSet<u64> = HashSet::new();
        for batch in spool.read()? {
            let batch = batch?;
            for row in Items::new(&batch).iter().filter(is_provisional) {
                let hash = row.uri.map(hash);
                if let Some(hash) = hash.filter(|hash| !once.insert(*hash)) {
                    twice.insert(hash);
                }
            }
        }
        drop(once);
        let stored = snapshot.table(&ITEMS)?;
        for batch in spool.read()? {
            let batch = batch?;
            names.decide_batch(stored, &batch, &twice)?;
        }
        for (source, count) in &names.elsewhere {
            if other_sources.contains(source) && count * 2 > names.items {
                return Err(Error::OtherSource { name: source.clone(), items: *count });
            }
        }
        Ok(names)
    }

    fn decide_batch(
        &mut self,
        stored: &TableSnapshot,
        batch: &RecordBatch,
        twice: &HashSet<u64>,
    ) -> Result<()> {
        let mut undecided = Vec::new();
        let mut located = Vec::new();
        for row in Items::new(batch).iter().filter(is_provisional) {
            let uri = row.uri.filter(|uri| !uri.is_empty() && !twice.contains(&hash(uri)));
            // What is stored under the provisional id comes first, then under the URI.
            let mut found = stored_as(stored, row.item_id)?;
            let by_number = found.is_some();
            if found.is_none()
                && let Some(uri) = uri
            {
                found = stored_as(stored, uri)?;
            }
            undecided.push((
                row.item_id.to_owned(),
                uri.map(str::to_owned),
                found.is_some(),
                by_number,
            ));
            located.extend(found);
        }
        // One read for all of them: rows lie close together.
        self.items += undecided.len() as u64;
        let known = stored.fetch(&located)?;
        let known = known.project(&(0..ITEMS.columns.len()).collect::<Vec<_>>())?;
        for row in Items::new(&known).iter() {
            if let Some(source) = row.source {
                *self.elsewhere.entry(source.to_owned()).or_default() += 1;
            }
        }
        let mut names = known.column(0).as_string::<i32>().iter();
        for (provisional, uri, is_stored, by_number) in undecided {
            let name = if is_stored { names.next().flatten().map(str::to_owned) } else { uri };
            if by_number && name.as_ref() == Some(&provisional) {
                // It keeps its number, and no other item of the file becomes it.
                self.taken.insert(provisional.clone(), (provisional.clone(), true));
            }
            let name = name
                .filter(|name| *name != provisional && name.len() <= crate::limits::ID_BYTES_MAX);
            if let Some(name) = name {
                self.rename_to(provisional, name, by_number);
            }
        }
        Ok(())
    }

    /// Two items of a file never become one: of those that ask for a name, the one that is stored
    /// under its own number gets it, else the first.
    fn rename_to(&mut self, provisional: String, name: String, by_number: bool) {
        match self.taken.get(&name) {
            Some((_, true)) => return,
            Some((_, false)) if !by_number => return,
            Some((other, false)) => drop(self.renamed.remove(other)),
            None => {}
        }
        self.taken.insert(name.clone(), (provisional.clone(), by_number));
        self.renamed.insert(provisional, name);
    }

    /// Puts final ids in place of provisional ones.
    pub(super) fn rename<'a>(
        &'a self,
        table: &'static Table,
        batches: BatchStream<'a>,
    ) -> BatchStream<'a> {
        if self.renamed.is_empty() || table == &SOURCES || table == &ANNOTATORS {
            return batches;
        }
        Box::new(batches.map(|batch| {
            let batch = batch?;
            let ids = batch.column(0).as_string::<i32>();
            let ids: StringArray = ids
                .iter()
                .map(|id| id.map(|id| self.renamed.get(id).map_or(id, String::as_str)))
                .collect();
            let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
            columns[0] = Arc::new(ids);
            Ok(RecordBatch::try_new(batch.schema(), columns)?)
        }))
    }
}

/// An item whose aliases hold its own id was named by the importer for the time being.
fn is_provisional(row: &crate::schema::ItemRow<'_>) -> bool {
    row.aliases.as_ref().is_some_and(|aliases| aliases.contains(&row.item_id))
}

fn hash(text: &str) -> u64 {
    crate::key_index::KeyHasher::default().item(text)
}

/// The one stored item with that id or alias; none where there are several.
fn stored_as(stored: &TableSnapshot, alias: &str) -> Result<Option<Located>> {
    let mut found = stored.locate_item(alias)?;
    if found.is_empty() {
        found = stored.locate_alias(alias)?;
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}
