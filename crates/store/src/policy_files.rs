//! Files of policies and rights in the tree of a commit. What they say is `lineage`'s.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::id::CommitId;
use crate::store::Store;

/// The file in the tree of what a branch relabels.
pub const RELABEL_FILE: &str = "relabel.toml";

/// The directory of policies in the tree.
pub const POLICIES_DIR: &str = "policies/";
/// The directory of rights records in the tree.
pub const RIGHTS_DIR: &str = "rights/";

impl Store {
    /// The files of all policies at a commit, by their paths in the tree.
    ///
    /// # Errors
    /// Where the tree, or one of them, cannot be read.
    pub fn policy_files(&self, commit: CommitId) -> Result<BTreeMap<String, Vec<u8>>> {
        self.files_in(commit, POLICIES_DIR)
    }

    /// The rights records at a commit, by their paths in the tree.
    ///
    /// # Errors
    /// As [`Store::policy_files`].
    pub fn rights_files(&self, commit: CommitId) -> Result<BTreeMap<String, Vec<u8>>> {
        self.files_in(commit, RIGHTS_DIR)
    }

    fn files_in(&self, commit: CommitId, dir: &str) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        for (path, plain) in self.history.paths(commit)? {
            if plain
                && path.starts_with(dir)
                && let Some(bytes) = self.history.file(commit, &path)?
            {
                found.insert(path, bytes);
            }
        }
        Ok(found)
    }
}
