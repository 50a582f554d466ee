//! `gloss relabel`

mod finish;
mod import;
mod plan;
mod report;
mod start;
mod status;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::Result;

/// Label again what a new version of a policy makes void, on a branch of its own
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss relabel plan --to vehicles@3\n  \
    gloss relabel start --to vehicles@3 -o tasks.json\n  gloss relabel import answers.json\n  \
    gloss relabel status\n  gloss relabel report\n  gloss relabel finish")]
pub(crate) struct RelabelArgs {
    #[command(subcommand)]
    command: RelabelCommand,
}

#[derive(Debug, Subcommand)]
enum RelabelCommand {
    Plan(plan::PlanArgs),
    Start(start::StartArgs),
    Status(status::StatusArgs),
    Import(import::ImportArgs),
    Report(report::ReportArgs),
    Finish(finish::FinishArgs),
}

pub(crate) fn run(context: &mut Context, args: &RelabelArgs) -> Result<u8> {
    match &args.command {
        RelabelCommand::Plan(args) => plan::run(context, args),
        RelabelCommand::Start(args) => start::run(context, args),
        RelabelCommand::Status(args) => status::run(context, args),
        RelabelCommand::Import(args) => import::run(context, args),
        RelabelCommand::Report(args) => report::run(context, args),
        RelabelCommand::Finish(args) => finish::run(context, args),
    }
}
