//! `gloss cherry-pick`

use clap::Args;
use glossator_store::merging::{MergeKind, Merging};

use super::merge::RuleArg;
use crate::context::{Context, head, resolve};
use crate::error::Result;
use crate::merging::{Show, abort, attempt, check_idle, go_on};
use crate::signing::SignArgs;

/// Make the change of one commit again, on the branch you are on
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss cherry-pick vendor-b~1\n  gloss cherry-pick --continue\n\n\
    The change is against the commit's first parent. What does not fit is a conflict, as in \
    `gloss merge`."
)]
pub(crate) struct CherryPickArgs {
    /// The commit
    #[arg(value_name = "REV", required_unless_present_any = ["go_on", "abort"])]
    revision: Option<String>,
    /// Decide conflicts by this rule; of several, the first that says something
    #[arg(long = "strategy", value_name = "RULE")]
    rules: Vec<RuleArg>,
    /// Show what it would mean, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Commit what waited for its conflicts to be decided
    #[arg(long = "continue", conflicts_with_all = ["revision", "abort", "dry_run"])]
    go_on: bool,
    /// Forget what is under way
    #[arg(long, conflicts_with_all = ["revision", "dry_run"])]
    abort: bool,
    #[command(flatten)]
    signing: SignArgs,
}

pub(crate) fn run(context: &mut Context, args: &CherryPickArgs) -> Result<u8> {
    context.signing = args.signing.clone();
    let rules: Vec<_> = args.rules.iter().map(|rule| (*rule).into()).collect();
    if args.abort {
        return abort(context);
    }
    if args.go_on {
        return go_on(context, &rules);
    }
    let store = context.store()?;
    let branch = store.branch()?;
    let _lock = store.lock_stage()?;
    check_idle(&store)?;
    let theirs = resolve(&store, args.revision.as_deref())?;
    let picked = store.history.commit(theirs)?;
    let merging = Merging {
        id: glossator_store::random_name()?,
        kind: MergeKind::CherryPick,
        branch: branch.to_string(),
        name: args.revision.clone().unwrap_or_default(),
        base: picked.parents.first().copied(),
        ours: head(&store)?,
        theirs,
        message: format!("{}\n\n(cherry picked from commit {theirs})", picked.body()),
        strict: false,
        decisions: Vec::new(),
    };
    let show = if args.dry_run { Show::Rows } else { Show::Nothing };
    attempt(context, &store, merging, &rules, (show, &[]))
}
