//! Errors of the store: what a caller can act on, with the object inside and the source kept.

use std::path::PathBuf;

use crate::id::CommitId;

/// A specialised result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One row that two commits changed in different ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowConflict {
    /// The table.
    pub table: &'static str,
    /// The row's key: one or two texts.
    pub key: Vec<String>,
}

/// Why a call on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call of the operating system on a path failed.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Something was replaced, and the system could not say that this lasts.
    #[error("{what}, but it may be undone by a loss of power")]
    Unsure {
        /// What was done.
        what: String,
        /// Why it is not certain.
        #[source]
        source: std::io::Error,
    },
    /// What was staged is committed, and is still staged.
    #[error("commit {commit} is made, but the stage could not be emptied")]
    StageKept {
        /// The commit.
        commit: CommitId,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The note of a commit has no room for more.
    #[error("the note of commit {0} is full")]
    NoteFull(CommitId),
    /// No store was found.
    #[error("no store at or above `{0}`")]
    NoStore(PathBuf),
    /// There is a store already.
    #[error("a store is already at `{0}`")]
    StoreExists(PathBuf),
    /// The store was written by a newer version.
    #[error("the store needs `{feature}`, which this version cannot read")]
    NewerFormat {
        /// The unknown feature or format version.
        feature: String,
    },
    /// An object is missing, or its bytes are not what its name says.
    #[error("object `{object}` is damaged: {what}")]
    Damaged {
        /// The object: a digest, a git id, or a path inside the store.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// An object was left at a remote by a clone of the history, and cannot be had now.
    #[error("object `{object}` is not here, and cannot be fetched from {from}: {why}")]
    NotLent {
        /// Its digest.
        object: String,
        /// The address of the remote.
        from: String,
        /// What went wrong.
        why: String,
    },
    /// A revision names no commit.
    #[error("no commit is named `{0}`")]
    NoCommit(String),
    /// A revision is a prefix of several ids.
    #[error("`{0}` names several commits")]
    AmbiguousRevision(String),
    /// A ref name is not `[a-z0-9._-]`, or differs from another only by case.
    #[error("`{name}` cannot be a name: {why}")]
    BadName {
        /// The name.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A ref that was to be made is there already.
    #[error("`{0}` exists already")]
    RefExists(String),
    /// Rows that were promised in order came otherwise; the import begins again without that.
    #[error("the rows are not in order of their keys")]
    OutOfOrder,
    /// A ref was moved by somebody else.
    #[error("`{name}` moved from {expected} to {found}")]
    RefMoved {
        /// The ref.
        name: String,
        /// What it was expected to be, or `nothing`.
        expected: String,
        /// What it is, or `nothing`.
        found: String,
    },
    /// Another program holds git's lock file of a ref.
    #[error("`{0}` is held by another program")]
    RefLocked(PathBuf),
    /// Git's configuration and environment do not say who commits.
    #[error("nobody is named as the author of commits")]
    NoIdentity,
    /// Rows were changed by another commit in the meantime.
    #[error("{} row(s) were changed{} in the meantime", conflicts.len(), by(head))]
    Conflict {
        /// The rows.
        conflicts: Vec<RowConflict>,
        /// The commit on which they are otherwise, none where there is no commit yet.
        head: Option<CommitId>,
    },
    /// Rows that may not be stored: a duplicate key, an id that is too long, a NaN.
    #[error("table `{table}`: {what}")]
    BadRows {
        /// The table.
        table: &'static str,
        /// What is wrong, with the row's key.
        what: String,
    },
    /// An import states a row twice.
    #[error("table `{table}`: the key stands twice in the import: `{item}` `{key}`")]
    RepeatedKey {
        /// The table.
        table: &'static str,
        /// The first part of the key.
        item: String,
        /// The second part.
        key: String,
    },
    /// Most items of a file stand under another source of its format.
    #[error("{items} item(s) of this file stand under the source `{name}` already")]
    OtherSource {
        /// That source.
        name: String,
        /// How many items.
        items: u64,
    },
    /// A submission has the id of a stored one, and is another.
    #[error(
        "submission `{submission}` of item `{item}` is another one than the one stored under \
         that id: {member} {theirs} instead of {ours}"
    )]
    OtherProject {
        /// The item.
        item: String,
        /// The submission.
        submission: String,
        /// The member that tells.
        member: &'static str,
        /// What is stored.
        ours: String,
        /// What the file says.
        theirs: String,
    },
    /// A branch is protected, and its labels would not pass.
    #[error("`{branch}` is protected, and its labels would not pass")]
    Refused {
        /// The branch.
        branch: String,
        /// What is not reached, in words.
        why: Vec<String>,
    },
    /// A branch takes only signed commits.
    #[error("`{branch}` takes only commits with a good signature")]
    NotSigned {
        /// The branch.
        branch: String,
        /// Which commit has none, and why.
        why: String,
    },
    /// What signs did not sign.
    #[error("cannot sign: {0}")]
    Signing(String),
    /// The stage does not fit what was asked.
    #[error("{0}")]
    Stage(String),
    /// Git history could not be read or encoded.
    #[error("git history: {what}")]
    Git {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file of the user's, or the private files, does not read as it should.
    #[error("`{path}`: {what}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

fn by(head: &Option<CommitId>) -> String {
    head.map(|commit| format!(" by commit {commit}")).unwrap_or_default()
}

impl Error {
    /// Wraps an error of gix.
    pub(crate) fn git(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Git { what: what.into(), source: Some(source.into()) }
    }

    /// The error as one that came too late: something is done, and may not last.
    pub(crate) fn unsure(self, what: String) -> Self {
        match self {
            Self::Io { source, .. } => Self::Unsure { what, source },
            other => other,
        }
    }

    /// An object that is damaged.
    pub(crate) fn damaged(object: impl ToString, what: impl ToString) -> Self {
        Self::Damaged { object: object.to_string(), what: what.to_string() }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::damaged("batch", error)
    }
}

/// Adds the path and the action to an [`std::io::Error`].
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}
