//! Why work with a remote failed.

use std::fmt;

/// A specialised result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A ref that a push would not move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `refs/heads/main`.
    pub name: String,
    /// What the remote has.
    pub theirs: String,
    /// Who moved it there.
    pub by: String,
    /// When, in seconds since 1970 UTC, as that machine's clock said.
    pub at: i64,
    /// Why it is not moved.
    pub why: Why,
}

/// Why a ref is not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The remote has commits that the pushed ones do not follow.
    NotForward,
    /// A tag is there, and is another one.
    TagExists,
    /// With force: it is not what was fetched last.
    LeaseLost,
    /// Rows were erased there that may be here still.
    Redacted,
    /// It was to be removed, and no branch or tag here holds its commits.
    LastCopy,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (short, by) = (self.theirs.get(..10).unwrap_or_default(), &self.by);
        let name = self.name.strip_prefix("refs/heads/").unwrap_or(&self.name);
        let what = match self.why {
            Why::NotForward => "commits that are not in what is pushed",
            Why::TagExists => "another target",
            Why::LeaseLost => "other commits than were fetched last",
            Why::Redacted => "rows were erased there since",
            Why::LastCopy => "commits that no branch or tag here holds",
        };
        write!(f, "`{name}` is at {short} there, moved by {by}: {what}")
    }
}

/// Why a call on a remote failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no address of a remote.
    #[error("`{url}` is no address of a remote: {why}")]
    BadUrl {
        /// The text, without what may be secret.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// No remote has that name, or one has it already.
    #[error("{0}")]
    BadName(String),
    /// Rows would be lost that a clone of the history left at a remote.
    #[error("{0}")]
    RowsLeft(String),
    /// A request failed, and nothing was done.
    #[error("cannot {action} `{key}`: {why}")]
    Request {
        /// A verb.
        action: &'static str,
        /// The key, or the address.
        key: String,
        /// What the store said, in a line.
        why: String,
    },
    /// The remote does not accept the credentials.
    #[error("the remote refuses to {action} `{key}`: {why}")]
    Denied {
        /// A verb.
        action: &'static str,
        /// The key.
        key: String,
        /// What it says.
        why: String,
    },
    /// Nothing was pushed there yet.
    #[error("nothing was pushed to `{0}` yet")]
    Empty(String),
    /// A ref that was asked for is not there.
    #[error("the remote has no branch `{0}`")]
    NoBranch(String),
    /// A commit is not there.
    #[error("the remote has no commit {0}")]
    NoCommit(String),
    /// It was written by a newer version.
    #[error("the remote needs `{0}`, which this version cannot read")]
    Newer(String),
    /// It holds another store.
    #[error("the remote holds the store {theirs}, and this is {ours}")]
    OtherStore {
        /// The id of the local store.
        ours: String,
        /// The id of the one there.
        theirs: String,
    },
    /// It holds something else.
    #[error("`{0}` is there, which is of no store: the prefix is in use")]
    InUse(String),
    /// It does not keep what is needed for several to push.
    #[error("the remote is not safe to push to: {0}")]
    Unsafe(String),
    /// What it gave is damaged, or is not what it should be.
    #[error("`{object}` of the remote is damaged: {what}")]
    Damaged {
        /// The key, digest or git id.
        object: String,
        /// What is wrong.
        what: String,
    },
    /// Nothing was pushed: refs moved.
    #[error("nothing was pushed: {} ref(s) of the remote are elsewhere", .0.len())]
    Refused(Vec<Refusal>),
    /// Others pushed all the time; nothing of this push is in.
    #[error("nothing was pushed: others pushed {0} times meanwhile")]
    Busy(u32),
    /// Whether the push is in cannot be told.
    #[error("it is not known whether the push arrived (attempt {attempt})")]
    Unknown {
        /// What to look for in the remote's root.
        attempt: String,
        /// What went wrong last.
        #[source]
        source: Box<Error>,
    },
    /// The branch and the remote's have both moved.
    #[error("`{branch}` and the remote's have diverged: {ahead} commit(s) here, {behind} there")]
    Diverged {
        /// The branch.
        branch: String,
        /// Commits that only the branch has.
        ahead: usize,
        /// Commits that only the remote's has.
        behind: usize,
    },
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] crate::Error),
}

impl Error {
    pub(super) fn damaged(object: impl ToString, what: impl ToString) -> Self {
        Self::Damaged { object: object.to_string(), what: what.to_string() }
    }

    pub(super) fn request(action: &'static str, key: &str, source: object_store::Error) -> Self {
        use object_store::Error as E;
        let (key, why) = (key.to_owned(), explain(&source));
        match source {
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                Self::Denied { action, key, why }
            }
            // What is refused comes as an error of no kind where the status is another one.
            _ if DENIALS.contains(&why.as_str()) => Self::Denied { action, key, why },
            _ => Self::Request { action, key, why },
        }
    }

    /// Whether a request got an answer that will not change by asking again.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}

/// Whether there is no such object; a bucket that is missing is another matter.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && explain(error) != "NoSuchBucket"
}

/// Codes of S3 for credentials that it does not take.
const DENIALS: [&str; 9] = [
    "AccessDenied",
    "AccountProblem",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// Characters of what a server says that are shown at most.
const SAID_CHARS_MAX: usize = 300;

/// What a server says, in a line: its code, where it sends a page of XML, or the innermost cause.
/// The errors of the client repeat the whole of it at each step.
fn explain(error: &object_store::Error) -> String {
    let text = error.to_string();
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    if let Some((code, _)) = code {
        return code.chars().take(SAID_CHARS_MAX).collect();
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string().lines().next().unwrap_or_default().chars().take(SAID_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Error {
        let source = text.to_owned().into();
        let error = object_store::Error::Generic { store: "S3", source };
        Error::request("read", "root", error)
    }

    #[test]
    fn an_expired_token_is_a_refusal_and_a_busy_server_is_not() {
        let denied = said("400: <Error><Code>ExpiredToken</Code><Message>…</Message></Error>");
        assert!(denied.is_denied(), "{denied}");
        assert_eq!(denied.to_string(), "the remote refuses to read `root`: ExpiredToken");
        let busy = said("503: <Error><Code>SlowDown</Code></Error>");
        assert!(!busy.is_denied());
        assert_eq!(busy.to_string(), "cannot read `root`: SlowDown");
        // A page is a line.
        let page = said(&format!("first\n{}", "more\n".repeat(1_000)));
        assert_eq!(page.to_string(), "cannot read `root`: first");
        assert!(said(&"x".repeat(10_000)).to_string().len() < 400);
    }
}
