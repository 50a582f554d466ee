//! `gloss commit`

use std::io::Write;

use clap::Args;

use crate::context::Context;
use crate::error::Result;
use crate::render::counts;
use crate::signing::SignArgs;

/// Commit what is staged
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss commit -m \"second round, vendor B\"\n  \
    gloss commit -S -m \"signed with git's user.signingKey\"")]
pub(crate) struct CommitArgs {
    /// The message
    #[arg(short, long, value_name = "MSG")]
    message: String,
    #[command(flatten)]
    signing: SignArgs,
}

pub(crate) fn run(context: &mut Context, args: &CommitArgs) -> Result<u8> {
    context.signing = args.signing.clone();
    let store = context.store()?;
    // Before the commit: what fails after it must not look as if there were none.
    let branch = store.branch()?;
    let made = if store.stage()?.is_empty() {
        let _stage_lock = store.lock_stage()?;
        store.clear_committed_stage()?;
        None
    } else {
        let options =
            context.commit_options(&store, Some(branch.clone()), &args.message, "commit")?;
        store.commit_stage(&options)?
    };
    if context.json {
        context.json_line(&serde_json::json!({ "commit": made }))?;
        return Ok(0);
    }
    match made {
        Some(commit) => {
            writeln!(context.out(), "committed {} on {branch}", commit.short())?;
            for (table, change) in &store.change(commit)?.tables {
                writeln!(context.out(), "  {table}: {}", counts(&change.counts))?;
            }
        }
        None => writeln!(context.out(), "nothing to commit")?,
    }
    Ok(0)
}
