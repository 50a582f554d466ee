//! Files of policies, merged one by one.

use std::collections::{BTreeMap, BTreeSet};

use glossator_store::change::{Resolution, resolve};
use glossator_store::merging::Take;
use glossator_store::{CommitId, Result, Store};

use super::Sides;

/// A file that both sides changed, in different ways; none is a file that is gone.
#[derive(Debug, Clone, Copy)]
pub struct FileConflict<'a> {
    /// Its path in the tree.
    pub path: &'a str,
    /// As it was where both sides parted.
    pub base: Option<&'a [u8]>,
    /// Our file.
    pub ours: Option<&'a [u8]>,
    /// Their file.
    pub theirs: Option<&'a [u8]>,
}

/// Decides a conflict of files, or leaves it open.
pub type DecideFile<'d> = dyn FnMut(&FileConflict<'_>) -> Option<Take> + 'd;

/// Paths with what stands there; `None` is a file that is gone.
pub type Files = Vec<(String, Option<Vec<u8>>)>;

/// The files of policies that become another one on our side, and how many conflicts are open.
///
/// # Errors
/// Where a tree cannot be read.
pub fn merge_files(
    store: &Store,
    sides: Sides,
    decide: &mut DecideFile<'_>,
) -> Result<(Files, u64)> {
    let read = |commit: Option<CommitId>| -> Result<BTreeMap<String, Vec<u8>>> {
        commit.map_or(Ok(BTreeMap::new()), |commit| store.policy_files(commit))
    };
    let [base, ours, theirs] =
        [read(sides.base)?, read(Some(sides.ours))?, read(Some(sides.theirs))?];
    let paths: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
    let (mut files, mut open) = (Vec::new(), 0);
    for path in paths {
        let [was, own, other] = [&base, &ours, &theirs].map(|side| side.get(path));
        let take = match resolve(was, other, own) {
            Resolution::Apply => Some(Take::Theirs),
            Resolution::Drop => Some(Take::Ours),
            Resolution::Conflict if was == other => Some(Take::Ours),
            Resolution::Conflict => {
                let [base, ours, theirs] = [was, own, other].map(|file| file.map(Vec::as_slice));
                decide(&FileConflict { path, base, ours, theirs })
                    .filter(|take| *take != Take::Both)
            }
        };
        match take {
            None => open += 1,
            Some(Take::Theirs) => files.push((path.clone(), other.cloned())),
            Some(_) => {}
        }
    }
    Ok((files, open))
}
