//! `gloss pull`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::commands::{fetch, pin};
use crate::context::Context;
use crate::error::Result;
use crate::network::{Bar, entry_of, open, who};
use crate::pin::Lock;

/// Fetch, and move the branch you are on forward to the remote's
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss pull\n  gloss pull --locked\n\n\
    A branch that has commits of its own beside those of the remote is left as it is.")]
pub(crate) struct PullArgs {
    /// The remote: `origin`, or the only one, where none is given
    remote: Option<String>,
    /// Move no branch: fetch, and check that the lock file's commit gives what was pinned
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "gloss.lock"
    )]
    locked: Option<PathBuf>,
}

pub(crate) fn run(context: &mut Context, args: &PullArgs) -> Result<u8> {
    let store = context.store()?;
    let (name, entry) = entry_of(&store, args.remote.as_deref())?;
    let remote = open(context, &entry.url)?;
    let who = who(context, &store);
    if let Some(lock) = &args.locked {
        let path = context.path(lock);
        // What it says first: one that does not read asks nothing of the network.
        Lock::read(&path)?;
        {
            let bar = Bar::new(context);
            remote.fetch(&store, &name, &who, &bar)?;
        }
        return pin::check(context, &path);
    }
    let report = {
        let bar = Bar::new(context);
        remote.pull(&store, &name, &who, &bar)?
    };
    if context.json {
        context.json_line(&report)?;
        return Ok(0);
    }
    fetch::show(context, &report.fetched)?;
    let branch = &report.branch;
    let short = |id: glossator_store::CommitId| id.short();
    match (report.old.map(short), report.new.map(short)) {
        (old, new) if old == new => writeln!(context.out(), "{branch} has everything")?,
        (Some(old), Some(new)) => writeln!(context.out(), "{branch}  {old} → {new}")?,
        (_, new) => writeln!(context.out(), "{branch}  new at {}", new.unwrap_or_default())?,
    }
    Ok(0)
}
