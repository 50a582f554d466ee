//! The net difference of two commits.

use std::collections::HashMap;

use glossator_store::canonical::Key;
use glossator_store::change::{Fold, compare, read_change};
use glossator_store::delta::DeltaStream;
use glossator_store::limits::FOLD_ROWS_MAX;
use glossator_store::schema::{Columns, Table};
use glossator_store::snapshot::Located;
use glossator_store::{CommitId, Result, Store};

/// The net difference of two commits in one table, sorted by key; no commit is an empty store.
///
/// The changes along the first parents of both are folded from where they meet. Where those paths
/// do not meet, or touch more rows than memory should hold, the snapshots are compared instead.
pub fn between(
    store: &Store,
    old: Option<CommitId>,
    new: Option<CommitId>,
    table: &'static Table,
) -> Result<DeltaStream<'static>> {
    between_columns(store, old, new, table, Columns::ALL)
}

/// As [`between`], for who looks at these columns and the key alone: others may be null.
pub fn between_columns(
    store: &Store,
    old: Option<CommitId>,
    new: Option<CommitId>,
    table: &'static Table,
    columns: Columns,
) -> Result<DeltaStream<'static>> {
    if old == new {
        return Ok(Box::new(std::iter::empty()));
    }
    let Some((back, forth)) = paths(store, old, new)? else {
        return compared(store, old, new, table);
    };
    let change =
        |commit: &CommitId| -> Result<_> { Ok(store.change(*commit)?.tables.remove(table.name)) };
    if let (true, [only]) = (back.is_empty(), &forth[..]) {
        return match change(only)? {
            Some(change) => read_change(store.objects(), table, &change),
            None => Ok(Box::new(std::iter::empty())),
        };
    }
    let mut steps = Vec::new();
    let mut rows = 0;
    for (commit, inverted) in back.iter().map(|c| (c, true)).chain(forth.iter().map(|c| (c, false)))
    {
        let Some(change) = change(commit)? else { continue };
        rows = change.counts.total().saturating_add(rows);
        if rows > FOLD_ROWS_MAX {
            return compared(store, old, new, table);
        }
        steps.push((change, inverted));
    }
    let mut fold = Fold::reading(table, columns);
    for (change, undo) in steps {
        fold.push(store.objects(), &change, undo)?;
    }
    fold.finish_asking(&|keys| alike(store, (old, new), table, keys))
}

/// Whether rows are the same at both commits, by the digests that the key indices hold.
fn alike(
    store: &Store,
    (old, new): (Option<CommitId>, Option<CommitId>),
    table: &'static Table,
    keys: &[Key<'_>],
) -> Result<Vec<bool>> {
    let locate = |commit| store.snapshot(commit, &[])?.table(table)?.locate(keys.iter().copied());
    let digest = |at: &Option<Located>| at.map(|at| at.digest);
    let (old, new) = (locate(old)?, locate(new)?);
    Ok(old.iter().zip(&new).map(|(old, new)| digest(old) == digest(new)).collect())
}

type Path = Vec<CommitId>;

/// Commits to undo, newest first, and then to do, oldest first; `None` where the first parents of
/// the two never meet.
fn paths(
    store: &Store,
    old: Option<CommitId>,
    new: Option<CommitId>,
) -> Result<Option<(Path, Path)>> {
    // Both walk back in turn, so that neighbours meet after a few steps however long history is.
    let mut seen: [HashMap<CommitId, usize>; 2] = Default::default();
    let mut trails: [Path; 2] = Default::default();
    let mut at = [old, new];
    loop {
        for side in 0..2 {
            let Some(commit) = at[side] else { continue };
            if let Some(&met) = seen[1 - side].get(&commit) {
                trails[1 - side].truncate(met);
                let [back, mut forth] = trails;
                forth.reverse();
                return Ok(Some((back, forth)));
            }
            seen[side].insert(commit, trails[side].len());
            trails[side].push(commit);
            at[side] = store.history.first_parent(commit)?;
        }
        if at == [None, None] {
            // The end of both paths is the empty store, which is common if one began there.
            let [back, mut forth] = trails;
            let one_is_empty = old.is_none() || new.is_none();
            forth.reverse();
            return Ok(one_is_empty.then_some((back, forth)));
        }
    }
}

fn compared(
    store: &Store,
    old: Option<CommitId>,
    new: Option<CommitId>,
    table: &'static Table,
) -> Result<DeltaStream<'static>> {
    let scan = |commit| store.snapshot(commit, &[])?.table(table)?.scan();
    compare(table, scan(old)?, scan(new)?)
}
