//! A store in a temporary directory, for rows that pass through.

use crate::error::{Error, Result};
use crate::fs::Disk;
use crate::store::Store;

/// A store that vanishes when it is dropped.
#[derive(Debug)]
pub struct TempStore {
    /// The store.
    pub store: Store,
    _dir: tempfile::TempDir,
}

impl TempStore {
    /// Makes an empty one.
    ///
    /// # Errors
    /// Where the directory of temporary files takes none.
    pub fn empty(disk: &Disk) -> Result<Self> {
        Self::new(disk, crate::random_name()?, |_| Ok(()))
    }

    /// Makes one of that name, which `fill` is given first.
    pub(crate) fn new<E: From<Error>>(
        disk: &Disk,
        store_id: String,
        fill: impl FnOnce(&Store) -> Result<(), E>,
    ) -> Result<Self, E> {
        let dir = tempfile::tempdir().map_err(|source| Error::Io {
            action: "make a directory in",
            path: std::env::temp_dir(),
            source,
        })?;
        let branch = "main".parse()?;
        let store = Store::init_as(disk, dir.path(), store_id, &branch, fill)?;
        Ok(Self { store, _dir: dir })
    }
}
