//! Pull: fetch, then move the branch forward if it only has to.

use super::error::{Error, Result};
use super::fetch::FetchReport;
use super::{Progress, Remote};
use crate::history::{Expected, Identity, RefMove};
use crate::id::CommitId;
use crate::store::Store;

/// What a pull did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PullReport {
    /// What was fetched.
    pub fetched: FetchReport,
    /// The branch.
    pub branch: String,
    /// Where it was.
    pub old: Option<CommitId>,
    /// Where it is: the same where there was nothing new.
    pub new: Option<CommitId>,
}

/// Whether a branch may move from a commit to another one.
pub type Allow<'a> = &'a dyn Fn(&str, Option<CommitId>, CommitId) -> crate::Result<()>;

impl Remote {
    /// Fetches, and moves the branch of `HEAD` forward to the remote's, unless `allow` refuses.
    ///
    /// # Errors
    /// [`Error::Diverged`] where both have commits of their own: it was fetched, and the branch is
    /// as it was.
    pub fn pull(
        &self,
        store: &Store,
        name: &str,
        who: &Identity,
        allow: Allow<'_>,
        progress: &dyn Progress,
    ) -> Result<PullReport> {
        let branch = store.branch()?;
        let fetched = self.fetch(store, name, who, progress)?;
        let history = &store.history;
        let theirs = history.ref_target(&format!("refs/remotes/{name}/{branch}"))?;
        let theirs = theirs.ok_or_else(|| Error::NoBranch(branch.to_string()))?;
        let theirs = history.peel(theirs)?;
        let own = format!("refs/heads/{branch}");
        let mut lock = history.lock(&store.lock_path())?;
        let old = history.ref_target(&own)?.map(CommitId);
        let report =
            |new| PullReport { fetched: fetched.clone(), branch: branch.to_string(), old, new };
        if let Some(old) = old {
            if history.is_ancestor(theirs, old)? {
                return Ok(report(Some(old)));
            }
            let (ahead, behind) = history.apart(old, theirs)?;
            if ahead > 0 {
                return Err(Error::Diverged { branch: branch.to_string(), ahead, behind });
            }
        }
        allow(branch.as_str(), old, theirs)?;
        let why = format!("pull {name}: fast-forward");
        let change = RefMove {
            name: &own,
            expected: Expected::commit(old),
            new: Some(theirs.0),
            who,
            why: &why,
        };
        history.move_ref(&mut lock, &change)?;
        Ok(report(Some(theirs)))
    }
}
