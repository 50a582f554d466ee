//! `gloss completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::context::Context;
use crate::error::Result;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss completions bash > /etc/bash_completion.d/gloss")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(context: &mut Context, args: &CompletionsArgs) -> Result<u8> {
    let mut command = crate::args::Args::command();
    clap_complete::generate(args.shell, &mut command, "gloss", context.out());
    Ok(0)
}
