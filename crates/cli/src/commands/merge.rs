//! `gloss merge`

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glossator_lineage::between;
use glossator_lineage::merge::Rule;
use glossator_store::merging::{MergeKind, Merging};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::merging::{Pins, Report, Show, abort, attempt, check_idle, go_on, show_pins};
use crate::protect::hold_commit;
use crate::render::plain;
use crate::signing::SignArgs;

/// Merge another branch into the one you are on
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss merge vendor-b\n  gloss merge vendor-b --dry-run\n  \
    gloss merge vendor-b --strategy reviewed --strategy newest\n  gloss merge --continue\n\n\
    Rows merge by key: what one side alone did is taken, what both did alike is taken once. Rows \
    that both changed in different ways are conflicts, and so are two answers of one person to one \
    question. With conflicts the exit code is 1 and nothing is committed: `gloss conflicts` lists \
    them, `gloss resolve` decides them, `gloss merge --continue` ends the merge.")]
pub(crate) struct MergeArgs {
    /// The branch, or another revision
    #[arg(value_name = "BRANCH", required_unless_present_any = ["go_on", "abort"])]
    revision: Option<String>,
    /// Decide conflicts by this rule; of several, the first that says something
    #[arg(long = "strategy", value_name = "RULE")]
    rules: Vec<RuleArg>,
    /// Let no rows that both sides changed fit together by themselves
    #[arg(long)]
    strict: bool,
    /// Make a merge commit even where moving the branch forward would do
    #[arg(long)]
    no_ff: bool,
    /// Show what it would mean, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// And how good the labels are, before and after; reads the whole table
    #[arg(long, requires = "dry_run")]
    quality: bool,
    /// And what it would mean for what this lock file pins; runs that are recorded are told anyway
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    pin: Vec<PathBuf>,
    /// The message of the merge commit
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Commit the merge whose conflicts are decided
    #[arg(long = "continue", conflicts_with_all = ["revision", "abort", "dry_run", "strict"])]
    go_on: bool,
    /// Forget the merge that is under way
    #[arg(long, conflicts_with_all = ["revision", "dry_run", "strict"])]
    abort: bool,
    #[command(flatten)]
    signing: SignArgs,
}

/// A rule as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RuleArg {
    /// Our row
    Ours,
    /// Their row
    Theirs,
    /// The row that was changed last
    Newest,
    /// The row that was accepted or fixed in review
    Reviewed,
    /// The row made under the later version of the policy
    NewerPolicy,
    /// Both answers, or the row that one side removed
    Union,
    /// The box between two boxes of one label
    MeanBox,
    /// Each column by itself
    PerColumn,
    /// Both answers of one person to one question
    Repeats,
}

impl From<RuleArg> for Rule {
    fn from(rule: RuleArg) -> Self {
        match rule {
            RuleArg::Ours => Self::Ours,
            RuleArg::Theirs => Self::Theirs,
            RuleArg::Newest => Self::Newest,
            RuleArg::Reviewed => Self::Reviewed,
            RuleArg::NewerPolicy => Self::NewerPolicy,
            RuleArg::Union => Self::Union,
            RuleArg::MeanBox => Self::MeanBox,
            RuleArg::PerColumn => Self::PerColumn,
            RuleArg::Repeats => Self::Repeats,
        }
    }
}

pub(crate) fn run(context: &mut Context, args: &MergeArgs) -> Result<u8> {
    context.signing = args.signing.clone();
    let rules: Vec<Rule> = args.rules.iter().map(|rule| Rule::from(*rule)).collect();
    if args.abort {
        return abort(context);
    }
    if args.go_on {
        return go_on(context, &rules);
    }
    let store = context.store()?;
    let name = args.revision.clone().unwrap_or_default();
    let theirs = resolve(&store, Some(&name))?;
    let request = Request {
        name,
        theirs,
        rules: &rules,
        strict: args.strict,
        no_ff: args.no_ff,
        show: match (args.dry_run, args.quality) {
            (false, _) => Show::Nothing,
            (true, false) => Show::Rows,
            (true, true) => Show::Quality,
        },
        message: args.message.clone(),
        pins: &args.pin,
    };
    merge_in(context, &store, &request)
}

/// What is merged, and how.
pub(crate) struct Request<'r> {
    pub name: String,
    pub theirs: CommitId,
    pub rules: &'r [Rule],
    pub strict: bool,
    pub no_ff: bool,
    pub show: Show,
    pub message: Option<String>,
    /// Lock files, for what is only shown.
    pub pins: &'r [PathBuf],
}

/// Merges a commit into the branch of `HEAD`.
pub(crate) fn merge_in(context: &mut Context, store: &Store, request: &Request<'_>) -> Result<u8> {
    let branch = store.branch()?;
    let _lock = store.lock_stage()?;
    check_idle(store)?;
    let (ours, theirs) = (store.history.head()?.commit, request.theirs);
    let base = match ours {
        Some(ours) => parted(store, ours, theirs, &request.name)?,
        None => None,
    };
    let forward = ours.is_none() || (base == ours && !request.no_ff);
    if forward || base == Some(theirs) {
        let result = if base == Some(theirs) { "up-to-date" } else { "fast-forward" };
        let mut report = Report::new(result, branch.as_str(), base, (ours, theirs));
        report.commit = Some(if forward { theirs } else { ours.unwrap_or(theirs) });
        let dry_run = request.show != Show::Nothing;
        let moves = report.result == "fast-forward";
        if moves && !dry_run {
            hold_commit(store, branch.as_str(), ours, theirs)?;
            let (_, who) = context.identities(store)?;
            let why = format!("merge {}: fast-forward", request.name);
            store.fast_forward(&branch, ours, theirs, &who, &why)?;
        }
        if moves && dry_run {
            let mut pins = Pins::open(context, store, request.pins)?;
            for delta in between(store, ours, Some(theirs), &ANNOTATIONS)? {
                pins.see(&ANNOTATIONS, &delta?)?;
            }
            report.pins = Some(pins.touched());
        }
        if context.json {
            context.json_line(&report)?;
            return Ok(0);
        }
        let (name, out) = (plain(&request.name).into_owned(), context.out());
        match (moves, dry_run) {
            (true, true) => writeln!(out, "{branch} would move forward to {}", theirs.short())?,
            (true, false) => {
                let from = ours.map_or("nothing".to_owned(), |ours| ours.short());
                writeln!(out, "{branch}  {from} → {}", theirs.short())?;
            }
            (false, _) => writeln!(out, "{branch} has everything of {name}")?,
        }
        show_pins(out, report.pins.iter().flatten())?;
        return Ok(0);
    }
    let message = request.message.clone();
    let message = message.unwrap_or_else(|| format!("Merge {} into {branch}", request.name));
    let merging = Merging {
        id: glossator_store::random_name()?,
        kind: MergeKind::Merge,
        branch: branch.to_string(),
        name: request.name.clone(),
        base,
        ours: ours.unwrap_or(theirs),
        theirs,
        message,
        strict: request.strict,
        decisions: Vec::new(),
    };
    attempt(context, store, merging, request.rules, (request.show, request.pins))
}

/// The commit where two parted.
fn parted(store: &Store, ours: CommitId, theirs: CommitId, name: &str) -> Result<Option<CommitId>> {
    match store.history.merge_bases(ours, theirs)?[..] {
        [only] => Ok(Some(only)),
        [] => Err(CliError::input(format!("`{name}` shares no history with this branch"))
            .hint("export its labels and import them here, so that rows are paired")),
        [first, ..] => {
            let mut error = CliError::input(format!(
                "`{name}` and this branch were merged into each other, so that no single commit \
                 tells what either changed since"
            ));
            for base in store.history.merge_bases(ours, theirs)? {
                error = error.detail(format!("both come from {}", base.short()));
            }
            Err(error
                .hint(format!("see what they did: `gloss log {name}`"))
                .hint("take single commits of theirs with `gloss cherry-pick`")
                .hint(format!(
                    "or begin a branch where they parted, `gloss branch NAME {}`, and pick both \
                     sides' commits onto it",
                    first.short()
                )))
        }
    }
}
