//! The Glossator store: git history, Parquet rows, content-addressed objects.
pub mod canonical;
pub mod change;
pub mod compaction;
pub mod delta;
pub mod error;
mod fetch;
pub mod fs;
pub mod gc;
pub mod geometry;
pub mod guard;
pub mod history;
pub mod id;
pub mod intake;
mod item_rows;
pub mod items;
pub mod key_index;
pub mod limits;
pub mod merging;
pub mod notes;
pub mod objects;
pub mod origins;
pub mod people;
pub mod policy_files;
pub mod proof;
pub mod protect;
pub mod redaction;
pub mod remote;
pub mod removal;
pub mod reviews;
pub mod row_cache;
pub mod schema;
pub mod segment;
pub mod signing;
pub mod snapshot;
pub mod stage;
pub mod store;
mod temp_store;
pub mod transaction;
pub mod verify;
pub mod whole_items;

pub use error::{Error, Result, RowConflict};
pub use id::{CommitId, Digest};
pub use proof::Proof;
pub use stage::Stage;
pub use store::{Layer, Snapshot, Store};
pub use temp_store::TempStore;
pub use transaction::{CommitOptions, Made, Transaction};

/// The place of a segment's key index.
pub(crate) fn index_path(dir: &std::path::Path, segment: &Digest) -> std::path::PathBuf {
    dir.join(format!("{segment}.idx"))
}

/// Random bytes from the operating system.
pub(crate) fn random_bytes() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Error::Io {
        action: "read random bytes from",
        path: "the operating system".into(),
        source: e.into(),
    })?;
    Ok(bytes)
}

/// A random name of 32 hex digits.
///
/// # Errors
/// Where the system has no random bytes.
pub fn random_name() -> Result<String> {
    Ok(Digest(random_bytes()?).to_string()[..32].to_owned())
}

/// The place of a segment's row cache.
pub(crate) fn rows_path(dir: &std::path::Path, segment: &Digest) -> std::path::PathBuf {
    dir.join(format!("{segment}.rows"))
}

/// The place of an items segment's alias index.
pub(crate) fn alias_path(dir: &std::path::Path, segment: &Digest) -> std::path::PathBuf {
    dir.join(format!("{segment}.aliases"))
}
