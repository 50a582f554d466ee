//! Which refs a push moves: what is wanted here, against what a root says.

use gix::ObjectId;

use super::error::{Error, Refusal, Result, Why};
use super::layout::{RemoteRef, Root};
use super::push::{PushRequest, PushedRef};
use crate::history::RefName;
use crate::id::CommitId;
use crate::notes::TRAVELLING;
use crate::redaction::REDACTIONS_REF;
use crate::store::Store;

/// A branch as it shall be there.
#[derive(Debug)]
struct Want {
    name: String,
    new: ObjectId,
    /// Where it was there when it was fetched last.
    seen: Option<ObjectId>,
}

/// Refs of the store as they are when a push begins.
#[derive(Debug)]
pub(super) struct Local {
    branches: Vec<Want>,
    /// Branches that shall go, and where each was there when it was fetched last.
    delete: Vec<(RefName, Option<ObjectId>)>,
    tags: Vec<(String, ObjectId)>,
    notes: Vec<(&'static str, Option<ObjectId>)>,
}

impl Local {
    /// Reads them, once for all tries of a push.
    pub(super) fn read(store: &Store, request: &PushRequest) -> Result<Self> {
        let history = &store.history;
        let seen = |branch: &RefName| -> Result<_> {
            Ok(history.ref_target(&format!("refs/remotes/{}/{branch}", request.remote))?)
        };
        let mut branches = Vec::new();
        for branch in &request.branches {
            let name = format!("refs/heads/{branch}");
            let new = history.ref_target(&name)?;
            let new = new.ok_or_else(|| crate::Error::NoCommit(branch.to_string()))?;
            branches.push(Want { name, new, seen: seen(branch)? });
        }
        let delete = request.delete.iter().map(|branch| Ok((branch.clone(), seen(branch)?)));
        let delete = delete.collect::<Result<_>>()?;
        let mut tags = if request.tags { history.own_refs()? } else { Vec::new() };
        tags.retain(|(name, _)| name.starts_with("refs/tags/"));
        let notes = TRAVELLING.map(|name| Ok((name, history.ref_target(name)?)));
        let notes = notes.into_iter().collect::<Result<_>>()?;
        Ok(Self { branches, delete, tags, notes })
    }

    /// Which refs move, or why none does.
    pub(super) fn moves(
        &self,
        store: &Store,
        root: Option<&Root>,
        force: bool,
    ) -> Result<Vec<PushedRef>> {
        let (mut moves, mut refused) = (Vec::new(), Vec::new());
        for want in &self.branches {
            let theirs = root.and_then(|root| root.refs.get(&want.name));
            match branch(store, theirs, want, force)? {
                Some(Ok(moved)) => moves.push(moved),
                Some(Err(why)) => refused.push(why),
                None => {}
            }
        }
        for (branch, seen) in &self.delete {
            let name = format!("refs/heads/{branch}");
            let theirs = root.and_then(|root| root.refs.get(&name));
            let Some(theirs) = theirs else { return Err(Error::NoBranch(branch.to_string())) };
            if *seen != parse_id(theirs) {
                refused.push(refusal(&name, theirs, Why::LeaseLost));
            } else if !force && !held(store, theirs)? {
                refused.push(refusal(&name, theirs, Why::LastCopy));
            } else {
                let old = Some(theirs.id.clone());
                moves.push(PushedRef { name, old, new: None, forced: true });
            }
        }
        self.tags(store, root, &mut moves, &mut refused)?;
        self.notes(store, root, &mut moves, &mut refused)?;
        if refused.is_empty() { Ok(moves) } else { Err(Error::Refused(refused)) }
    }

    /// Tags of commits that are pushed, or are there.
    fn tags(
        &self,
        store: &Store,
        root: Option<&Root>,
        moves: &mut Vec<PushedRef>,
        refused: &mut Vec<Refusal>,
    ) -> Result<()> {
        let history = &store.history;
        for (name, id) in &self.tags {
            match root.and_then(|root| root.refs.get(name)) {
                Some(theirs) if parse_id(theirs) == Some(*id) => {}
                Some(theirs) => refused.push(refusal(name, theirs, Why::TagExists)),
                None => {
                    let commit = history.peel(*id)?;
                    for want in &self.branches {
                        if history.is_ancestor(commit, CommitId(want.new))? {
                            moves.push(pushed(name, None, *id, false));
                            break;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes move where they follow those that are there: a fetch puts them together. What was
    /// erased there must be erased here before anything is pushed.
    fn notes(
        &self,
        store: &Store,
        root: Option<&Root>,
        moves: &mut Vec<PushedRef>,
        refused: &mut Vec<Refusal>,
    ) -> Result<()> {
        let history = &store.history;
        for (name, ours) in &self.notes {
            let theirs = root.and_then(|root| root.refs.get(*name));
            let old = theirs.and_then(parse_id);
            let follows = match (old, ours) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(old), Some(ours)) if !history.has(&old) || old == *ours => old == *ours,
                (Some(old), Some(ours)) => history.is_ancestor(CommitId(old), CommitId(*ours))?,
            };
            match (follows, ours, theirs) {
                (true, Some(ours), _) if old != Some(*ours) => {
                    moves.push(pushed(name, theirs, *ours, false));
                }
                (false, _, Some(theirs)) if *name == REDACTIONS_REF => {
                    refused.push(refusal(name, theirs, Why::Redacted));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// How a branch moves, or why it does not; `None` where it is there already.
fn branch(
    store: &Store,
    theirs: Option<&RemoteRef>,
    want: &Want,
    force: bool,
) -> Result<Option<std::result::Result<PushedRef, Refusal>>> {
    let history = &store.history;
    let old = theirs.and_then(parse_id);
    if old == Some(want.new) {
        return Ok(None);
    }
    let forward = match old {
        None => true,
        Some(old) => history.has(&old) && history.is_ancestor(CommitId(old), CommitId(want.new))?,
    };
    let why = match (forward, force) {
        (true, _) => None,
        (false, false) => Some(Why::NotForward),
        (false, true) => (want.seen != old).then_some(Why::LeaseLost),
    };
    Ok(Some(match (why, theirs) {
        (Some(why), Some(theirs)) => Err(refusal(&want.name, theirs, why)),
        _ => Ok(pushed(&want.name, theirs, want.new, !forward)),
    }))
}

/// Whether a branch or tag here reaches what a ref is at.
fn held(store: &Store, theirs: &RemoteRef) -> Result<bool> {
    let Some(theirs) = parse_id(theirs) else { return Ok(false) };
    for (_, own) in store.history.own_refs()? {
        if store.history.is_ancestor(CommitId(theirs), store.history.peel(own)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn parse_id(found: &RemoteRef) -> Option<ObjectId> {
    ObjectId::from_hex(found.id.as_bytes()).ok()
}

fn pushed(name: &str, old: Option<&RemoteRef>, new: ObjectId, forced: bool) -> PushedRef {
    let old = old.map(|old| old.id.clone());
    PushedRef { name: name.to_owned(), old, new: Some(new.to_string()), forced }
}

fn refusal(name: &str, theirs: &RemoteRef, why: Why) -> Refusal {
    Refusal {
        name: name.to_owned(),
        theirs: theirs.id.clone(),
        by: theirs.by.clone(),
        at: theirs.at,
        why,
    }
}
