//! `gloss pull`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_lineage::merge::Rule;
use glossator_store::remote::Error as RemoteError;

use crate::commands::merge::{Request, RuleArg, merge_in};
use crate::commands::{fetch, pin};
use crate::context::{Context, resolve};
use crate::error::Result;
use crate::merging::Show;
use crate::network::{Bar, entry_of, open, who};
use crate::pin::Lock;
use crate::protect::hold_commit;
use crate::signing::SignArgs;

/// Fetch, and merge the remote's branch into the one you are on
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss pull\n  gloss pull --locked\n\n\
    Where both have commits of their own they are merged, as `gloss merge` does it; with \
    conflicts the exit code is 1, and the branch is as it was. With `--json` it then prints what \
    `gloss merge --json` prints.")]
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
    /// Where both have commits, decide conflicts by this rule; the first that says something
    #[arg(long = "strategy", value_name = "RULE")]
    rules: Vec<RuleArg>,
    #[command(flatten)]
    signing: SignArgs,
}

pub(crate) fn run(context: &mut Context, args: &PullArgs) -> Result<u8> {
    context.signing = args.signing.clone();
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
    let pulled = {
        let bar = Bar::new(context);
        remote.pull(
            &store,
            &name,
            &who,
            &|branch, old, new| hold_commit(&store, branch, old, new),
            &bar,
        )
    };
    let report = match pulled {
        // It was fetched; both sides have commits of their own.
        Err(RemoteError::Diverged { branch, .. }) => {
            let theirs = format!("{name}/{branch}");
            let rules: Vec<Rule> = args.rules.iter().map(|rule| Rule::from(*rule)).collect();
            let request = Request {
                theirs: resolve(&store, Some(&theirs))?,
                name: theirs,
                rules: &rules,
                strict: false,
                no_ff: false,
                show: Show::Nothing,
                message: None,
                pins: &[],
            };
            return merge_in(context, &store, &request);
        }
        done => done?,
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
