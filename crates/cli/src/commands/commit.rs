//! `gloss commit`

use std::io::Write;

use clap::Args;

use crate::context::Context;
use crate::error::Result;
use crate::render::counts;

/// Commit what is staged
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss commit -m \"second round, vendor B\"")]
pub(crate) struct CommitArgs {
    /// The message
    #[arg(short, long, value_name = "MSG")]
    message: String,
}

pub(crate) fn run(context: &mut Context, args: &CommitArgs) -> Result<u8> {
    let store = context.store()?;
    let _stage_lock = store.lock_stage()?;
    let _writing = store.writing()?;
    let stage = store.stage()?;
    let made = if stage.is_empty() {
        None
    } else {
        context.commit(&store, store.branch()?, &stage, &args.message, "commit")?
    };
    // Layers that came to nothing have been dealt with as well.
    store.clear_stage()?;
    if context.json {
        context.json_line(&serde_json::json!({ "commit": made }))?;
        return Ok(0);
    }
    match made {
        Some(commit) => {
            let record = store.change(commit)?;
            let branch = store.branch()?;
            let out = context.out();
            writeln!(out, "committed {} on {branch}", commit.short())?;
            for (table, change) in &record.tables {
                writeln!(out, "  {table}: {}", counts(&change.counts))?;
            }
        }
        None => writeln!(context.out(), "nothing to commit")?,
    }
    Ok(0)
}
