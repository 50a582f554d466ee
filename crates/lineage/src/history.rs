//! What became of one item: every change of its rows, newest first.

use glossator_store::delta::DeltaBatch;
use glossator_store::merging::Decision;
use glossator_store::schema::Table;
use glossator_store::snapshot::short;
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
/// Commits are told apart by their key indices; only rows of the item are read. What a merge took
/// from the other branch as it was there is told by the commit that did it; what somebody decided
/// in a merge is told by the merge.
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
        let mut deltas = store.change_of_item(table, change, item, key)?;
        let parents = store.history.commit(commit)?.parents;
        for parent in parents.into_iter().skip(1) {
            let merge = store.meta(&record).ok().and_then(|meta| meta.merge);
            came_along(store, parent, merge.map(|m| m.decisions).unwrap_or_default(), &mut deltas)?;
        }
        deltas.retain(|delta| !delta.changes.is_empty());
        Ok((!deltas.is_empty()).then_some(Event { commit, deltas }))
    };
    Ok(store.history.walk(tip)?.filter_map(move |commit| match commit {
        Ok(commit) => event(commit).transpose(),
        Err(e) => Some(Err(e)),
    }))
}

/// Leaves out the rows that are as the commit has them, and that nobody had to decide.
pub(crate) fn came_along(
    store: &Store,
    commit: CommitId,
    decided: Vec<Decision>,
    deltas: &mut [DeltaBatch],
) -> Result<()> {
    for delta in deltas {
        let snapshot = store.snapshot(Some(commit), &[])?;
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        let keys = delta.changes.iter().map(|change| DeltaBatch::key(&old, &new, *change));
        let located = snapshot.table(delta.table)?.locate(keys)?;
        let mut scratch = Vec::new();
        let same: Vec<bool> = delta
            .changes
            .iter()
            .zip(located)
            .map(|(change, at)| {
                let (item, key) = DeltaBatch::key(&old, &new, *change);
                let decided = decided.iter().any(|one| {
                    (&*one.table, &*one.item, &*one.key) == (delta.table.name, item, key)
                });
                let is = change.new.map(|row| short(&new.digest(row as usize, &mut scratch)));
                !decided && is == at.map(|at| at.digest)
            })
            .collect();
        drop((old, new));
        let mut same = same.into_iter();
        delta.changes.retain(|_| same.next() == Some(false));
    }
    Ok(())
}
