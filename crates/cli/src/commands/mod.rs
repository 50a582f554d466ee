//! The commands, a file each.

mod annotator;
mod audit;
mod bisect;
mod blame;
mod branch;
pub(crate) mod check;
mod checkout;
mod cherry_pick;
mod clone;
mod commit;
mod compact;
mod compare;
mod completions;
mod conflicts;
mod consensus;
mod convert;
mod demo;
mod diff;
pub(crate) mod export;
mod fetch;
mod gc;
mod hard;
mod history;
pub(crate) mod import;
mod init;
mod items;
mod lineage;
mod log;
mod ls;
mod man;
pub(crate) mod merge;
mod pin;
mod policy;
mod protect;
mod prove;
mod pull;
mod push;
pub(crate) mod quality;
mod recall;
mod redact;
mod relabel;
mod remote;
mod resolve;
mod restore;
mod revert;
mod rights;
mod rm;
mod run;
mod sample;
mod saved;
mod show;
mod signatures;
mod status;
mod switch;
mod tag;
mod trace;
mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Result;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    Import(import::ImportArgs),
    Status(status::StatusArgs),
    Commit(commit::CommitArgs),
    Restore(restore::RestoreArgs),
    Log(log::LogArgs),
    Show(show::ShowArgs),
    Diff(diff::DiffArgs),
    Branch(branch::BranchArgs),
    Switch(switch::SwitchArgs),
    Tag(tag::TagArgs),
    Merge(merge::MergeArgs),
    Conflicts(conflicts::ConflictsArgs),
    Resolve(resolve::ResolveArgs),
    CherryPick(cherry_pick::CherryPickArgs),
    Revert(revert::RevertArgs),
    Protect(protect::ProtectArgs),
    Policy(policy::PolicyArgs),
    Relabel(relabel::RelabelArgs),
    Blame(blame::BlameArgs),
    History(history::HistoryArgs),
    Prove(prove::ProveArgs),
    Audit(audit::AuditArgs),
    Recall(recall::RecallArgs),
    Trace(trace::TraceArgs),
    Lineage(lineage::LineageArgs),
    Ls(ls::LsArgs),
    Items(items::ItemsArgs),
    Rm(rm::RmArgs),
    Export(export::ExportArgs),
    Convert(convert::ConvertArgs),
    Clone(clone::CloneArgs),
    Remote(remote::RemoteArgs),
    Push(push::PushArgs),
    Fetch(fetch::FetchArgs),
    Pull(pull::PullArgs),
    Pin(pin::PinArgs),
    Checkout(checkout::CheckoutArgs),
    Quality(quality::QualityArgs),
    Check(check::CheckArgs),
    Bisect(bisect::BisectArgs),
    Consensus(consensus::ConsensusArgs),
    Hard(hard::HardArgs),
    Sample(sample::SampleArgs),
    Run(run::RunArgs),
    Runs(run::RunsArgs),
    Verify(verify::VerifyArgs),
    Redact(redact::RedactArgs),
    Rights(rights::RightsArgs),
    Gc(gc::GcArgs),
    Compact(compact::CompactArgs),
    Annotator(annotator::AnnotatorArgs),
    Demo(demo::DemoArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// Runs a command and gives its exit code.
pub(crate) fn run(context: &mut Context, command: &Command) -> Result<u8> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Import(args) => import::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::Commit(args) => commit::run(context, args),
        Command::Restore(args) => restore::run(context, args),
        Command::Log(args) => log::run(context, args),
        Command::Show(args) => show::run(context, args),
        Command::Diff(args) => diff::run(context, args),
        Command::Branch(args) => branch::run(context, args),
        Command::Switch(args) => switch::run(context, args),
        Command::Tag(args) => tag::run(context, args),
        Command::Merge(args) => merge::run(context, args),
        Command::Conflicts(args) => conflicts::run(context, args),
        Command::Resolve(args) => resolve::run(context, args),
        Command::CherryPick(args) => cherry_pick::run(context, args),
        Command::Revert(args) => revert::run(context, args),
        Command::Protect(args) => protect::run(context, args),
        Command::Policy(args) => policy::run(context, args),
        Command::Relabel(args) => relabel::run(context, args),
        Command::Blame(args) => blame::run(context, args),
        Command::History(args) => history::run(context, args),
        Command::Prove(args) => prove::run(context, args),
        Command::Audit(args) => audit::run(context, args),
        Command::Recall(args) => recall::run(context, args),
        Command::Trace(args) => trace::run(context, args),
        Command::Lineage(args) => lineage::run(context, args),
        Command::Ls(args) => ls::run(context, args),
        Command::Items(args) => items::run(context, args),
        Command::Rm(args) => rm::run(context, args),
        Command::Export(args) => export::run(context, args),
        Command::Convert(args) => convert::run(context, args),
        Command::Clone(args) => clone::run(context, args),
        Command::Remote(args) => remote::run(context, args),
        Command::Push(args) => push::run(context, args),
        Command::Fetch(args) => fetch::run(context, args),
        Command::Pull(args) => pull::run(context, args),
        Command::Pin(args) => pin::run(context, args),
        Command::Checkout(args) => checkout::run(context, args),
        Command::Quality(args) => quality::run(context, args),
        Command::Check(args) => check::run(context, args),
        Command::Bisect(args) => bisect::run(context, args),
        Command::Consensus(args) => consensus::run(context, args),
        Command::Hard(args) => hard::run(context, args),
        Command::Sample(args) => sample::run(context, args),
        Command::Run(args) => run::run(context, args),
        Command::Runs(args) => run::list(context, args),
        Command::Verify(args) => verify::run(context, args),
        Command::Redact(args) => redact::run(context, args),
        Command::Rights(args) => rights::run(context, args),
        Command::Gc(args) => gc::run(context, args),
        Command::Compact(args) => compact::run(context, args),
        Command::Annotator(args) => annotator::run(context, args),
        Command::Demo(args) => demo::run(context, args),
        Command::Completions(args) => completions::run(context, args),
        Command::Man(args) => man::run(context, args),
    }
}
