//! `gloss pin`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_lineage::records::Made;
use glossator_store::CommitId;
use glossator_store::Store;
use glossator_store::fs::output_file;
use glossator_store::remote::RemoteEntry;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::network::entry_of;
use crate::pin::{Lock, LockView, write};
use crate::records::{NewRecord, note};
use crate::render::{number, plain};
use crate::view::ViewName;

/// Write a lock file that gives the same rows on any machine
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss pin v1 --format parquet --view labels\n  \
    gloss pin --check\n\n\
    The lock file goes into the git of the code: `gloss checkout gloss.lock -o data/` then gives \
    the same rows on every machine, or fails. The commit must have been pushed. People are left \
    out. The commit is noted as pinned: `gloss runs --all` lists it, and the next push takes the \
    note along.")]
pub(crate) struct PinArgs {
    /// The commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// The format: label-studio, coco, csv, tsv, jsonl, parquet
    #[arg(long, default_value = "jsonl")]
    format: String,
    /// Which rows
    #[arg(long, value_enum, default_value = "rows")]
    view: ViewName,
    /// The remote that has it: `origin`, or the only one, where none is given
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// The lock file
    #[arg(short, long, value_name = "PATH", default_value = "gloss.lock")]
    output: PathBuf,
    /// Make what the lock file says anew and compare; write nothing
    #[arg(long, conflicts_with_all = ["revision", "format", "view", "remote"])]
    check: bool,
    #[command(flatten)]
    filters: Filters,
}

pub(crate) fn run(context: &mut Context, args: &PinArgs) -> Result<u8> {
    let path = context.path(&args.output);
    if args.check {
        return check(context, &path);
    }
    let store = context.store()?;
    let commit = resolve(&store, args.revision.as_deref())?;
    let (name, RemoteEntry { url, .. }) = entry_of(&store, args.remote.as_deref())?;
    if !is_pushed(&store, &name, commit)? {
        return Err(CliError::input(format!("commit {commit} was not pushed to `{name}`"))
            .hint(format!("push it, so that others can have it: `gloss push {name}`")));
    }
    let view = LockView::new(args.view == ViewName::Labels, &args.format, &args.filters)?;
    let mut lock = Lock::new(&url, &store, commit, view);
    lock.digest = write(&store, commit, &lock.view, &mut std::io::sink())?;
    let mut file = output_file(&path)?;
    file.write_all(lock.render()?.as_bytes())?;
    file.persist()?;
    // A lock file in another repository cannot be found from here: what is noted can.
    let new = NewRecord {
        made: Made::Pin,
        name: None,
        metrics: None,
        view: &lock.view,
        rows: Some(lock.digest.rows),
        output: lock.digest.output,
    };
    match context.identities(&store) {
        Ok(_) => drop(note(context, &store, commit, new)?),
        Err(_) => {
            context.note("the pin is not noted on the commit: git does not say who you are")?
        }
    }
    if context.json {
        context.json_line(&serde_json::json!({"file": path, "lock": lock}))?;
        return Ok(0);
    }
    let rows = number(lock.digest.annotations);
    let file = path.display().to_string();
    writeln!(
        context.out(),
        "pinned {} with {rows} annotations in {}",
        commit.short(),
        plain(&file)
    )?;
    Ok(0)
}

/// Whether a branch of a remote, as it was seen last, has a commit.
fn is_pushed(store: &Store, remote: &str, commit: CommitId) -> Result<bool> {
    for (_, tip) in store.history.remote_branches(remote)? {
        if store.history.is_ancestor(commit, tip)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes what a lock file says anew from the store, and compares.
pub(crate) fn check(context: &mut Context, path: &std::path::Path) -> Result<u8> {
    let lock = Lock::read(path)?;
    let store = context.store()?;
    if lock.store_id != store.facts().store_id {
        return Err(CliError::input("the lock is of another store")
            .hint(format!("its store is at {}", lock.remote)));
    }
    let commit = store.history.resolve(&lock.commit.to_string())?;
    let found = write(&store, commit, &lock.view, &mut std::io::sink())?;
    let differs = lock.differs(&found);
    if context.json {
        let line = serde_json::json!({"ok": differs.is_none(), "differs": differs});
        context.json_line(&line)?;
        return Ok(u8::from(differs.is_some()));
    }
    match differs {
        None => writeln!(context.out(), "{} gives what was pinned", commit.short())?,
        Some(what) => return Err(CliError::check(what).hint("make the lock anew: `gloss pin`")),
    }
    Ok(0)
}
