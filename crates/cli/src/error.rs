//! The one place where errors become an exit code, a message and hints.

use std::process::ExitCode;

use glossator_formats::Error as FormatError;
use glossator_store::Error as StoreError;
use glossator_store::remote::{Error as RemoteError, Why};

use crate::render::plain;

/// A specialised result.
pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

/// What kind of failure it is: this fixes the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A check that the user asked for failed; conflicts.
    Check = 1,
    /// The user's input or arguments.
    Input = 2,
    /// The store is damaged.
    Damaged = 3,
    /// Something outside: the disk, the network.
    Outside = 4,
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
    /// Lines under the message: what it speaks of, one by one.
    details: Vec<String>,
    hints: Vec<String>,
    /// Whoever reads our output left: no failure.
    broken_pipe: bool,
}

impl CliError {
    /// The user's input is at fault.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message.into())
    }

    fn new(kind: Kind, message: String) -> Self {
        Self { kind, message, details: Vec::new(), hints: Vec::new(), broken_pipe: false }
    }

    /// Something outside is at fault: the disk, whoever reads the output.
    pub(crate) fn outside(message: impl Into<String>) -> Self {
        Self { kind: Kind::Outside, ..Self::input(message) }
    }

    /// A check that was asked for failed.
    pub(crate) fn check(message: impl Into<String>) -> Self {
        Self { kind: Kind::Check, ..Self::input(message) }
    }

    /// What went wrong, in a sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Adds a next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn of(kind: Kind, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            message.push_str(": ");
            message.push_str(&error.to_string());
            source = error.source();
        }
        Self::new(kind, message)
    }

    /// Adds a line under the message.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Names the file at fault, where the input is.
    pub(crate) fn of_file(mut self, name: &str) -> Self {
        if self.kind == Kind::Input {
            self.message = format!("{name}: {}", self.message);
        }
        self
    }

    /// The error as an exporter passes it through.
    pub(crate) fn into_format(self) -> FormatError {
        FormatError::Usage { what: self.message, hint: self.hints.into_iter().next() }
    }

    /// Prints the failure and gives its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        use std::io::Write;
        if self.broken_pipe {
            return ExitCode::SUCCESS;
        }
        let mut text = format!("error: {}\n", plain(&self.message));
        for detail in &self.details {
            text.push_str(&format!("  {}\n", plain(detail)));
        }
        for hint in &self.hints {
            text.push_str(&format!("hint: {}\n", plain(hint)));
        }
        // Where stderr is gone there is nobody to tell.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        ExitCode::from(self.kind as u8)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        let broken_pipe = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { broken_pipe, ..Self::of(Kind::Outside, &error) }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        use StoreError as E;
        use std::io::ErrorKind as Io;
        let kind = match &error {
            E::Io { .. }
            | E::RefLocked(_)
            | E::Unsure { .. }
            | E::StageKept { .. }
            | E::NotLent { .. } => Kind::Outside,
            E::Damaged { .. } | E::Git { .. } => Kind::Damaged,
            E::Conflict { .. } | E::RefMoved { .. } | E::Refused { .. } | E::NotSigned { .. } => {
                Kind::Check
            }
            _ => Kind::Input,
        };
        let made = Self::of(kind, &error);
        match &error {
            E::Io { source, .. }
                if matches!(source.kind(), Io::ReadOnlyFilesystem | Io::PermissionDenied) =>
            {
                made.hint("run it as somebody who may do that, where files can be written")
            }
            E::NoStore(_) => made.hint("make one with `gloss init`"),
            E::StoreExists(_) => made.hint("nothing was changed"),
            E::NewerFormat { .. } => made.hint("use a newer version of gloss"),
            E::Damaged { .. } => made.hint("run `gloss verify` to see what else is damaged"),
            E::NotLent { .. } => made.hint(
                "this is a clone of the history: `gloss fetch --rows` brings all rows while the \
                 remote can be reached",
            ),
            E::NoCommit(_) => made.hint("`gloss log` and `gloss branch` list what there is"),
            E::AmbiguousRevision(_) => made.hint("give more digits of the id"),
            E::RefExists(_) => made.hint("choose another name, or delete that one with `-d` first"),
            E::BadRows { .. } | E::RepeatedKey { .. } => {
                made.hint("mend these rows in the file and run the command again")
            }
            E::OtherSource { name, .. } => made
                .hint(format!("if it is a new version of that file, add `--source {name}`"))
                .hint("if it is another source, name it with `--source`"),
            E::OtherProject { .. } => made
                .hint("the file is of another project with equal numbers: name it with `--source`"),
            E::RefMoved { .. } => made.hint("run the command again"),
            E::Refused { branch, why } => {
                let mut made = made;
                made.details.extend(why.iter().cloned());
                made.hint("commit to another branch: `gloss switch -c NAME`")
                    .hint(format!("or change the gates: `gloss protect {branch} --help`"))
            }
            E::NotSigned { why, .. } => made
                .detail(why.clone())
                .hint("sign with `-S`, or always with `git config --global commit.gpgSign true`")
                .hint("`gloss verify --signatures` tells of every commit")
                .hint("git's `gpg.ssh.allowedSignersFile` names the file of known SSH keys"),
            E::Signing(_) => made
                .hint(
                    "for an SSH key: `git config --global gpg.format ssh` and \
                     `git config --global user.signingKey ~/.ssh/id_ed25519.pub`",
                )
                .hint("or leave the signature out with `--no-sign`"),
            E::RefLocked(path) => made.hint(format!(
                "wait for the other program; if none runs, remove `{}`",
                path.display()
            )),
            E::Unsure { .. } => made
                .hint(
                    "see to the disk, then look with `gloss status` and `gloss log` what is there",
                )
                .hint("the command can be run again: what is done already changes nothing"),
            E::StageKept { .. } => made.hint("empty it with `gloss restore --staged`"),
            E::NoIdentity => made
                .hint(
                    "set GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and \
                       GIT_COMMITTER_EMAIL",
                )
                .hint("or run `git config --global user.name NAME` and `user.email ADDRESS`"),
            E::Conflict { conflicts, .. } => {
                let mut made = made;
                for conflict in conflicts.iter().take(10) {
                    let key = conflict.key.join("` `");
                    made.details.push(format!("{} `{key}`", conflict.table));
                }
                if conflicts.len() > 10 {
                    made.details.push(format!("and {} more", conflicts.len() - 10));
                }
                made.hint("import or edit again on top of the new head")
            }
            _ => made,
        }
    }
}

impl From<FormatError> for CliError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Store(error) => error.into(),
            FormatError::Input { ref hint, .. } | FormatError::Usage { ref hint, .. } => {
                let made = Self::of(Kind::Input, &error);
                match hint {
                    Some(hint) => made.hint(hint.clone()),
                    None => made,
                }
            }
            FormatError::Io { ref source, .. } => {
                use std::io::ErrorKind as Io;
                let of_input = matches!(
                    source.kind(),
                    Io::NotFound
                        | Io::NotADirectory
                        | Io::IsADirectory
                        | Io::PermissionDenied
                        | Io::InvalidData
                        | Io::InvalidInput
                        | Io::UnexpectedEof
                );
                let broken_pipe = source.kind() == Io::BrokenPipe;
                let kind = if of_input { Kind::Input } else { Kind::Outside };
                let made = Self { broken_pipe, ..Self::of(kind, &error) };
                match of_input {
                    true => made.hint("check the path, and that the file is whole"),
                    false => made,
                }
            }
        }
    }
}

impl From<RemoteError> for CliError {
    fn from(error: RemoteError) -> Self {
        use RemoteError as E;
        let kind = match &error {
            E::Store(_) => match error {
                E::Store(inner) => return inner.into(),
                _ => Kind::Outside,
            },
            E::Refused(_) | E::Diverged { .. } => Kind::Check,
            E::Damaged { .. } => Kind::Damaged,
            E::Request { .. } | E::Busy(_) | E::Unknown { .. } => Kind::Outside,
            _ => Kind::Input,
        };
        let mut made = Self::of(kind, &error);
        match &error {
            E::BadUrl { .. } => {
                made.hint("write s3://bucket/prefix, gs://bucket/prefix or file:///directory")
            }
            E::BadName(_) => {
                made.hint("`gloss remote list` lists them, `gloss remote add` adds one")
            }
            E::RowsLeft(_) => made.hint("fetch them first: `gloss fetch --rows`"),
            E::Request { .. } => made.hint(
                "check the address, the endpoint (AWS_ENDPOINT_URL) and the network; \
                 `gloss remote check` asks the place itself",
            ),
            E::Denied { .. } => made.hint(
                "check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, \
                 or GOOGLE_APPLICATION_CREDENTIALS",
            ),
            E::Empty(_) => made.hint("push to it first: `gloss remote add`, then `gloss push`"),
            E::NoBranch(_) => made.hint("`gloss branch` and `gloss fetch` tell what there is"),
            E::NoCommit(_) => made.hint("push it from a store that has it"),
            E::Newer(_) => made.hint("use a newer version of gloss"),
            E::OtherStore { .. } => made.hint("push to another prefix, or clone that store"),
            E::InUse(_) => made.hint("choose a prefix that nothing else uses"),
            E::Unsafe(_) => made.hint("use another store, or a directory: file:///…"),
            E::Damaged { .. } => {
                made.hint("nothing was changed here; push again from a store that is whole")
            }
            E::Refused(refused) => {
                made.details.extend(refused.iter().map(ToString::to_string));
                let has = |why| refused.iter().any(|one| one.why == why);
                if has(Why::NotForward) {
                    made = made.hint("take them in first: `gloss pull`");
                }
                if has(Why::LeaseLost) {
                    made = made.hint("look at them first: `gloss fetch`");
                }
                if has(Why::Redacted) {
                    made = made.hint("erase them here too: `gloss fetch`");
                }
                if has(Why::LastCopy) {
                    made = made.hint(
                        "keep them first: `gloss branch NAME REMOTE/BRANCH`; or remove them with \
                         `--force`",
                    );
                }
                if has(Why::TagExists) {
                    made = made.hint("give your tag another name, or push with `--no-tags`");
                }
                made
            }
            E::Busy(_) => made.hint("run the command again"),
            E::Unknown { .. } => made
                .hint("run the command again: what is there already is not pushed twice")
                .hint("`gloss fetch` tells where the branch is"),
            E::Diverged { branch, .. } => made
                .hint(format!("see what they did: `gloss diff {branch} <remote>/{branch}`"))
                .hint(format!("merge it: `gloss merge <remote>/{branch}`")),
            E::Store(_) => made,
        }
    }
}

impl From<arrow::error::ArrowError> for CliError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::of(Kind::Damaged, &error)
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        match error.io_error_kind() {
            Some(kind) => std::io::Error::from(kind).into(),
            None => Self::of(Kind::Damaged, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// A rename inside the store that fails is not the user's fault, whatever the call says.
    #[test]
    fn a_failed_call_on_the_store_is_outside_and_one_on_an_input_is_not() {
        let store = |kind: ErrorKind| {
            let path = "objects/tmp-1".into();
            CliError::from(StoreError::Io { action: "rename", path, source: kind.into() }).kind
        };
        let input = |kind: ErrorKind| {
            CliError::from(FormatError::Io { file: "a.csv".to_owned(), source: kind.into() }).kind
        };
        for (kind, of_input) in [
            (ErrorKind::NotFound, Kind::Input),
            (ErrorKind::PermissionDenied, Kind::Input),
            (ErrorKind::NotADirectory, Kind::Input),
            (ErrorKind::StorageFull, Kind::Outside),
            (ErrorKind::Other, Kind::Outside),
        ] {
            assert_eq!(store(kind), Kind::Outside, "{kind}");
            assert_eq!(input(kind), of_input, "{kind}");
        }
    }
}
