//! Clone: a new store that is a copy of a remote's.

use std::path::Path;

use super::config::{RemoteConfig, RemoteEntry};
use super::error::{Error, Result};
use super::fetch::FetchReport;
use super::{Progress, Remote, block_on};
use crate::fs::Disk;
use crate::history::{Identity, RefName};
use crate::store::Store;

/// What to clone.
#[derive(Debug, Clone, Copy)]
pub struct CloneRequest<'a> {
    /// What the remote is called in the new store.
    pub name: &'a str,
    /// The branch to begin on; none: the one that the remote names.
    pub branch: Option<&'a RefName>,
    /// Whether large objects of rows stay there: each comes when it is first read.
    pub rows_stay: bool,
    /// Whether who the annotators are comes as well, and is pushed there later.
    pub with_people: bool,
}

/// Makes a store in `dir/.gloss` with everything that a remote has. Gives the branch that it is on,
/// too.
///
/// # Errors
/// Where anything fails there is no store, and the same call goes on with what came.
pub fn clone_store(
    disk: &Disk,
    dir: &Path,
    remote: &Remote,
    request: &CloneRequest<'_>,
    who: &Identity,
    progress: &dyn Progress,
) -> Result<(Store, RefName, FetchReport)> {
    let CloneRequest { name, branch, rows_stay, with_people } = *request;
    let Some(read) = block_on(remote.read_root())? else {
        return Err(Error::Empty(remote.address.clone()));
    };
    let root = read.root;
    let has = |branch: &RefName| root.refs.contains_key(&format!("refs/heads/{branch}"));
    let branch = match branch {
        Some(branch) if has(branch) => branch.clone(),
        Some(branch) => return Err(Error::NoBranch(branch.to_string())),
        None => {
            let first = root.refs.keys().find_map(|name| name.strip_prefix("refs/heads/"));
            let head: RefName = root.head.parse()?;
            match first {
                _ if has(&head) => head,
                Some(first) => first.parse()?,
                // Its history is elsewhere: a store without a commit.
                None => head,
            }
        }
    };
    let mut report = FetchReport::default();
    let store = Store::init_as(disk, dir, root.store_id.clone(), &branch, |store| {
        RemoteConfig::change(store, |config| {
            // From an earlier try.
            config.remotes.remove(name);
            let url = remote.address.clone();
            config.add(name, RemoteEntry { url, checked: false, rows_stay, with_people })
        })?;
        report = remote.fetch(store, name, who, progress)?;
        let theirs = store.history.ref_target(&format!("refs/remotes/{name}/{branch}"))?;
        store.track(&format!("refs/heads/{branch}"), theirs, who, "clone")?;
        Ok::<_, Error>(())
    })?;
    // Opened anew, it knows where its rows are.
    let store = if rows_stay { Store::open(disk, store.root())? } else { store };
    Ok((store, branch, report))
}
