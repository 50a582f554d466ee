//! `gloss restore --staged`

use std::io::Write;

use clap::Args;

use crate::context::Context;
use crate::error::{CliError, Result};

/// Forget what is staged
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss restore --staged")]
pub(crate) struct RestoreArgs {
    /// Forget everything that is staged
    #[arg(long)]
    staged: bool,
}

pub(crate) fn run(context: &mut Context, args: &RestoreArgs) -> Result<u8> {
    if !args.staged {
        return Err(CliError::input("there are no working files to restore")
            .hint("`gloss restore --staged` forgets what is staged")
            .hint("`gloss revert REV` undoes a commit"));
    }
    let store = context.store()?;
    let _stage_lock = store.lock_stage()?;
    let _writing = store.writing()?;
    // Also where it cannot be read: that is when it must go.
    let layers = store.stage().map_or(1, |stage| stage.layers.len());
    store.clear_stage()?;
    if context.json {
        context.json_line(&serde_json::json!({ "forgotten": layers }))?;
    } else if layers == 0 {
        writeln!(context.out(), "nothing was staged")?;
    } else {
        writeln!(context.out(), "forgot what was staged")?;
    }
    Ok(0)
}
