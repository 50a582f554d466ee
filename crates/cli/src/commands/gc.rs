//! `gloss gc`

use std::io::Write;

use clap::Args;

use crate::context::Context;
use crate::error::Result;

/// Remove objects that nothing refers to
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss gc --dry-run")]
pub(crate) struct GcArgs {
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(context: &mut Context, _args: &GcArgs) -> Result<u8> {
    let _ = context.store()?;
    writeln!(context.out(), "not yet")?;
    Ok(0)
}
