//! Errors of the store.

/// A specialised result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the operating system on a path failed.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On which path.
        path: std::path::PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}
