//! Gates and signatures of protected branches: asked when a branch is about to move.

use glossator_store::transaction::Moving;
use glossator_store::{CommitId, Error, Store};

use crate::commands::check::{Asked, failures, of_policies, typed};
use crate::error::Result;
use crate::measure::{HARDEST, MeasureArgs, measured};
use crate::policies::{all, of, unknown, unknown_to};
use crate::signing::checker;

/// Refuses a commit with which the labels of a protected branch would not pass.
pub(crate) fn hold_gates(store: &Store, moving: &Moving<'_>) -> glossator_store::Result<()> {
    let branch = moving.name.strip_prefix("refs/heads/").unwrap_or(moving.name);
    let Some(gates) = gates_of(store, branch, moving.head)? else { return Ok(()) };
    // Of the commit itself: its labels are read as its own policies read them.
    hold(store, branch, &gates, (moving.head, moving.commit))
}

/// Refuses a commit that is not signed on a branch that takes only signed ones.
pub(crate) fn hold_signature(store: &Store, moving: &Moving<'_>) -> glossator_store::Result<()> {
    let branch = moving.name.strip_prefix("refs/heads/").unwrap_or(moving.name);
    hold_signatures(store, branch, moving.head, moving.commit)
}

/// Refuses to move a branch that takes only signed commits to one where any that it has not yet is
/// not signed.
pub(crate) fn hold_signatures(
    store: &Store,
    branch: &str,
    old: Option<CommitId>,
    new: CommitId,
) -> glossator_store::Result<()> {
    if !store.protected()?.signed.contains(branch) {
        return Ok(());
    }
    let checker = checker(store, None)?;
    for commit in store.history.commits_since(old, new)? {
        if let Some(why) = store.signature_fault(&checker, commit?)? {
            return Err(Error::NotSigned { branch: branch.to_owned(), why });
        }
    }
    Ok(())
}

/// Refuses to make a protected branch anew where it could not move to: that would get around it.
pub(crate) fn hold_new(
    store: &Store,
    branch: &str,
    commit: CommitId,
) -> glossator_store::Result<()> {
    // The commits before are older than any rule.
    hold_commit(store, branch, store.history.first_parent(commit)?, commit)
}

/// Refuses to move a protected branch to a commit whose labels do not pass.
pub(crate) fn hold_commit(
    store: &Store,
    branch: &str,
    old: Option<CommitId>,
    commit: CommitId,
) -> glossator_store::Result<()> {
    hold_signatures(store, branch, old, commit)?;
    let Some(gates) = gates_of(store, branch, old)? else { return Ok(()) };
    hold(store, branch, &gates, (old, commit))
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

fn hold(
    store: &Store,
    branch: &str,
    gates: &[Asked],
    (old, new): (Option<CommitId>, CommitId),
) -> glossator_store::Result<()> {
    let after = store.snapshot(Some(new), &[])?;
    let asked = measured(&after, &MeasureArgs::default(), HARDEST);
    let failed = asked.and_then(|report| {
        let mut failed = failures(gates, &report)?;
        let (policies, unknown) = (of(&after)?, unknown(&after)?);
        if !unknown.is_empty() {
            // A version that drops a label comes before its rows are relabelled.
            let before = unknown_to(&policies, &store.snapshot(old, &[])?)?;
            let more = |key, rows: u64| before.get(key).is_none_or(|before| rows > *before);
            let more = unknown.iter().filter(|(key, rows)| more(key, **rows));
            failed.extend(more.map(|((policy, field, label), rows)| {
                format!("`{label}` is no label of `{field}` in {policy}: {rows} row(s)")
            }));
        }
        Ok(failed)
    });
    match failed {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(refused(branch, failed)),
        Err(error) => Err(refused(branch, vec![error.message().to_owned()])),
    }
}
