//! Gates of protected branches: asked when a branch is about to move.

use glossator_store::transaction::Moving;
use glossator_store::{CommitId, Error, Layer, Snapshot, Store};

use crate::commands::check::{Asked, failures, of_policies, typed};
use crate::error::Result;
use crate::measure::{HARDEST, MeasureArgs, measured};
use crate::policies::all;

/// Refuses a commit with which the labels of a protected branch would not pass.
pub(crate) fn hold_gates(store: &Store, moving: &Moving<'_>) -> glossator_store::Result<()> {
    let branch = moving.name.strip_prefix("refs/heads/").unwrap_or(moving.name);
    let Some(gates) = gates_of(store, branch, moving.head)? else { return Ok(()) };
    let layer = Layer { tables: moving.record.tables.clone(), ..Layer::default() };
    let after = store.snapshot(moving.head, std::slice::from_ref(&layer))?;
    hold(branch, &gates, &after)
}

/// Refuses to move a protected branch to a commit whose labels do not pass.
pub(crate) fn hold_commit(
    store: &Store,
    branch: &str,
    commit: CommitId,
) -> glossator_store::Result<()> {
    let branches = store.history.refs(false)?;
    let head = branches.into_iter().find(|(name, _)| name == branch).map(|(_, commit)| commit);
    let Some(gates) = gates_of(store, branch, head)? else { return Ok(()) };
    hold(branch, &gates, &store.snapshot(Some(commit), &[])?)
}

/// What a protected branch asks: its own gates and those of the policies that it has now, whatever
/// becomes of these. `None` where nothing is asked.
fn gates_of(
    store: &Store,
    branch: &str,
    head: Option<CommitId>,
) -> glossator_store::Result<Option<Vec<Asked>>> {
    let Some(own) = store.protected()?.branches.remove(branch) else { return Ok(None) };
    let asked = || -> Result<Vec<Asked>> {
        let mut asked = typed(&own)?;
        if let Some(head) = head {
            asked.extend(of_policies(all(store, head)?.values())?);
        }
        Ok(asked)
    };
    let asked = asked().map_err(|e| refused(branch, vec![e.message().to_owned()]))?;
    Ok((!asked.is_empty()).then_some(asked))
}

fn refused(branch: &str, why: Vec<String>) -> Error {
    Error::Refused { branch: branch.to_owned(), why }
}

fn hold(branch: &str, gates: &[Asked], after: &Snapshot<'_>) -> glossator_store::Result<()> {
    let report = measured(after, &MeasureArgs::default(), HARDEST);
    let failed = report.and_then(|report| failures(gates, &report));
    match failed {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(refused(branch, failed)),
        Err(error) => Err(refused(branch, vec![error.message().to_owned()])),
    }
}
