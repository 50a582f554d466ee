//! What every command works with: the directory, the store, and where output goes.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::PathBuf;

use glossator_store::fs::Disk;
use glossator_store::history::{Identity, RefName, code_commit, identities};
use glossator_store::{CommitId, CommitOptions, Snapshot, Stage, Store};

use crate::error::{CliError, Result};
use crate::render::plain;
use crate::signing::SignArgs;

/// The surroundings of a command.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where gloss runs.
    pub directory: PathBuf,
    /// Whether to print JSON.
    pub json: bool,
    /// Who commits where git does not say: for the demo only.
    pub fallback: Option<Identity>,
    /// Whether commits are signed.
    pub signing: SignArgs,
    out: BufWriter<Stdout>,
}

impl Context {
    pub(crate) fn new(directory: Option<PathBuf>, json: bool) -> Self {
        Self {
            directory: directory.unwrap_or_else(|| PathBuf::from(".")),
            json,
            fallback: None,
            signing: SignArgs::default(),
            out: BufWriter::with_capacity(1 << 16, io::stdout()),
        }
    }

    /// A path that the user named, seen from where gloss runs.
    pub(crate) fn path(&self, path: &std::path::Path) -> PathBuf {
        if self.directory == std::path::Path::new(".") {
            path.to_owned()
        } else {
            self.directory.join(path)
        }
    }

    /// The store at or above the directory.
    pub(crate) fn store(&self) -> Result<Store> {
        if !self.directory.is_dir() {
            let dir = self.directory.display();
            return Err(CliError::input(format!("there is no directory `{dir}`"))
                .hint("check what `-C` says"));
        }
        Ok(Store::discover(&disk(), &self.directory)?)
    }

    /// Standard output.
    pub(crate) fn out(&mut self) -> &mut (impl Write + Send + use<>) {
        &mut self.out
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn json_line(&mut self, value: &impl serde::Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// A note that is no result: to standard error, not with `--json`.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        self.out.flush()?;
        if !self.json {
            // A note that nobody reads must not end a command half-way.
            let _ = writeln!(io::stderr().lock(), "{}", plain(text));
        }
        Ok(())
    }

    /// Whether somebody watches.
    pub(crate) fn interactive(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    /// Who commits: author and committer.
    pub(crate) fn identities(&self, store: &Store) -> Result<(Identity, Identity)> {
        let around = store.root().parent().unwrap_or(store.root());
        match identities(around, store.history.dir()) {
            Err(glossator_store::Error::NoIdentity) if self.fallback.is_some() => {
                let mut who = self.fallback.clone().ok_or(glossator_store::Error::NoIdentity)?;
                who.seconds = jiff::Timestamp::now().as_second();
                Ok((who.clone(), who))
            }
            done => Ok(done?),
        }
    }

    /// Commits layers to a branch; `None` where they change nothing.
    pub(crate) fn commit(
        &self,
        store: &Store,
        branch: RefName,
        stage: &Stage,
        message: &str,
        action: &str,
    ) -> Result<Option<CommitId>> {
        let options = self.commit_options(store, Some(branch), message, action)?;
        Ok(store.commit(stage.base, &stage.layers, &options)?)
    }

    /// Who commits what, on which branch; none: the one that `HEAD` names.
    pub(crate) fn commit_options<'o>(
        &self,
        store: &Store,
        branch: Option<RefName>,
        message: &'o str,
        action: &'o str,
    ) -> Result<CommitOptions<'o>> {
        if message.trim().is_empty() {
            return Err(CliError::input("the message is empty").hint("give one with `-m`"));
        }
        let (author, committer) = self.identities(store)?;
        let signer = self.signing.signer(store, &committer, |config| config.commits)?;
        let around = store.root().parent().unwrap_or(store.root());
        Ok(CommitOptions {
            branch,
            message,
            author,
            committer,
            code_commit: code_commit(around),
            action,
            stage: None,
            signer,
            guards: crate::policies::GUARDS,
        })
    }
}

/// The commit of `HEAD`, or an error that says that there is none yet.
pub(crate) fn head(store: &Store) -> Result<CommitId> {
    store.history.head()?.commit.ok_or_else(|| {
        CliError::input("there is no commit yet").hint("import something: `gloss import FILE -m …`")
    })
}

/// The commit that a revision names, `HEAD` where none is given.
pub(crate) fn resolve(store: &Store, revision: Option<&str>) -> Result<CommitId> {
    match revision {
        None | Some("HEAD" | "@") => head(store),
        Some(revision) => crate::nearest::resolve(store, revision),
    }
}

/// The tables at a revision, or at `HEAD`, where there may be no commit yet.
pub(crate) fn snapshot<'s>(store: &'s Store, revision: Option<&str>) -> Result<Snapshot<'s>> {
    let commit = match revision {
        None => store.history.head()?.commit,
        some => Some(resolve(store, some)?),
    };
    Ok(store.snapshot(commit, &[])?)
}

/// The disk. `GLOSS_NO_CACHES` is for jobs that import, push and go: nobody looks rows up there.
fn disk() -> Disk {
    match std::env::var_os("GLOSS_NO_CACHES") {
        Some(value) if !value.is_empty() => Disk::default().without_caches(),
        _ => Disk::default(),
    }
}
