//! Notes as git has them: a history of its own, whose tree has a file for each noted commit.

use super::History;
use crate::error::Result;
use crate::id::CommitId;

impl History {
    /// The noted commits of a notes tree, with the paths of their notes. Git spreads many over
    /// directories of two digits; the same commit may then stand at several paths.
    pub(crate) fn noted(&self, notes: CommitId) -> Result<Vec<(CommitId, String)>> {
        let mut found = Vec::new();
        for (path, plain) in self.paths(notes)? {
            let name = path.replace('/', "");
            if let (true, Ok(id)) = (plain, gix::ObjectId::from_hex(name.as_bytes())) {
                found.push((CommitId(id), path));
            }
        }
        found.sort();
        Ok(found)
    }
}
