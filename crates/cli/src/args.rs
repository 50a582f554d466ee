//! What was typed.

use std::path::PathBuf;

use clap::Parser;

use crate::commands::Command;

/// Version control for machine-learning labels.
#[derive(Debug, Parser)]
#[command(
    name = "gloss",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done; 1 a check that was asked for failed (differences with \
                  --exit-code, findings, conflicts); 2 the input or the arguments; 3 the store is \
                  damaged; 4 something outside (disk full); 130 interrupted.\n\n\
                  Example: gloss demo"
)]
pub(crate) struct Args {
    /// Run as if started in this directory
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,

    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}
