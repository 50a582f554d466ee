//! Gates of protected branches: asked when a branch is about to move.

use glossator_store::transaction::Moving;
use glossator_store::{CommitId, Error, Snapshot, Store};

use crate::commands::check::failures;
use crate::measure::{HARDEST, MeasureArgs, measured};
use crate::policies::unknown;

/// Refuses a commit with which the labels of a protected branch would not pass.
pub(crate) fn hold_gates(store: &Store, moving: &Moving<'_>) -> glossator_store::Result<()> {
    let branch = moving.name.strip_prefix("refs/heads/").unwrap_or(moving.name);
    let gates = gates_of(store, branch)?;
    if gates.is_empty() {
        return Ok(());
    }
    // Of the commit itself: its labels are read as its own policies read them.
    hold(branch, &gates, &store.snapshot(Some(moving.commit), &[])?)
}

/// Refuses to move a protected branch to a commit whose labels do not pass.
pub(crate) fn hold_commit(
    store: &Store,
    branch: &str,
    commit: CommitId,
) -> glossator_store::Result<()> {
    let gates = gates_of(store, branch)?;
    if gates.is_empty() {
        return Ok(());
    }
    hold(branch, &gates, &store.snapshot(Some(commit), &[])?)
}

fn gates_of(store: &Store, branch: &str) -> glossator_store::Result<Vec<String>> {
    Ok(store.protected()?.branches.remove(branch).unwrap_or_default())
}

fn hold(branch: &str, gates: &[String], after: &Snapshot<'_>) -> glossator_store::Result<()> {
    let refused = |why| Error::Refused { branch: branch.to_owned(), why };
    let asked = measured(after, &MeasureArgs::default(), HARDEST);
    let failed = asked.and_then(|report| {
        let mut failed = failures(gates, &report)?;
        failed.extend(unknown(after)?.into_iter().map(|((policy, field, label), rows)| {
            format!("`{label}` is no label of `{field}` in {policy}: {rows} row(s)")
        }));
        Ok(failed)
    });
    match failed {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(refused(failed)),
        Err(error) => Err(refused(vec![error.message().to_owned()])),
    }
}
