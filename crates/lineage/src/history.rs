//! What became of one item: every change of its rows, newest first.

use glossator_store::delta::DeltaBatch;
use glossator_store::schema::Table;
use glossator_store::{CommitId, Result, Store};

/// What one commit did to the rows of an item.
#[derive(Debug)]
pub struct Event {
    /// The commit.
    pub commit: CommitId,
    /// The rows, old and new.
    pub deltas: Vec<DeltaBatch>,
}

/// Every commit in the history of `tip` that touched the item's rows in a table, or the row with
/// one key of it, newest first.
///
/// Commits are told apart by their key indices; only rows of the item are read.
pub fn history<'s>(
    store: &'s Store,
    tip: CommitId,
    table: &'static Table,
    item: &'s str,
    key: Option<&'s str>,
) -> Result<impl Iterator<Item = Result<Event>> + 's> {
    let event = move |commit: CommitId| -> Result<Option<Event>> {
        let record = store.change(commit)?;
        let Some(change) = record.tables.get(table.name) else { return Ok(None) };
        let deltas = store.change_of_item(table, change, item, key)?;
        Ok((!deltas.is_empty()).then_some(Event { commit, deltas }))
    };
    Ok(store.history.walk(tip)?.filter_map(move |commit| match commit {
        Ok(commit) => event(commit).transpose(),
        Err(e) => Some(Err(e)),
    }))
}
