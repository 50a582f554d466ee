//! `gloss relabel finish`

use std::io::Write;

use clap::Args;
use glossator_lineage::merge::Rule;
use glossator_store::history::RefName;

use crate::commands::check::{held, of_policies, shown};
use crate::commands::merge::{Request, RuleArg, merge_in};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::measure::{HARDEST, MeasureArgs, measured};
use crate::merging::{Show, check_idle};
use crate::relabelling::Relabelling;
use crate::relabelling::progress::progress;
use crate::render::number;

/// The exit code of what is not done yet.
const REFUSED: u8 = 1;

/// Merge a relabelling, where it covers enough and its labels pass the policy's gates
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss relabel finish\n  \
    gloss relabel finish --strategy newer-policy\n\n\
    `[relabel] coverage` in policy.toml says which share of the items has to be done; all of them \
    where it says nothing. `[gates]` says how good labels have to be. It exits with 1, and changes \
    nothing, where something is missing.")]
pub(super) struct FinishArgs {
    /// Say whether it could be merged, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Decide conflicts by this rule; of several, the first that says something
    #[arg(long = "strategy", value_name = "RULE")]
    rules: Vec<RuleArg>,
    /// The message of the merge commit
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
}

pub(super) fn run(context: &mut Context, args: &FinishArgs) -> Result<u8> {
    let store = context.store()?;
    let about = Relabelling::of(&store, None)?;
    let (branch, into): (RefName, RefName) = (store.branch()?, about.record.into.parse()?);
    if branch == into {
        return Err(CliError::input(format!("the relabelling is merged: this is {into}")));
    }
    let snapshot = store.snapshot(Some(about.head), &[])?;
    let progress = progress(&about, &snapshot)?;
    let least = about.policy.relabel.as_ref().map_or(1.0, |relabel| relabel.coverage);
    let asked = of_policies(std::iter::once(&about.policy))?;
    let gates = match asked.is_empty() {
        true => Vec::new(),
        false => held(&asked, &measured(&snapshot, &MeasureArgs::default(), HARDEST)?)?,
    };
    let covered = progress.coverage >= least;
    let passed = covered && gates.iter().all(|gate| gate.passed);
    if context.json {
        context.json_line(&serde_json::json!({
            "policy": about.record.policy, "to": about.record.to, "branch": branch.as_str(),
            "into": into.as_str(), "items": progress.items, "done": progress.done,
            "coverage": progress.coverage, "coverage_at_least": least, "gates": gates,
            "passed": passed,
        }))?;
    } else {
        let (done, items) = (number(progress.done), number(progress.items));
        let (share, least) = (progress.coverage * 100.0, least * 100.0);
        let out = context.out();
        writeln!(out, "{done} of {items} item(s) done ({share:.1} %, at least {least:.1} %)")?;
        if !gates.is_empty() {
            writeln!(out, "{}", shown(&gates))?;
        }
        if !passed {
            writeln!(out, "not merged into {into}: see what failed, and `gloss relabel status`")?;
        }
    }
    if !passed || args.dry_run {
        return Ok(if passed { 0 } else { REFUSED });
    }
    {
        let _lock = store.lock_stage()?;
        check_idle(&store)?;
    }
    let (_, who) = context.identities(&store)?;
    store.switch(&into, &who)?;
    let rules: Vec<Rule> = args.rules.iter().map(|rule| Rule::from(*rule)).collect();
    let message = args.message.clone();
    let message = message
        .unwrap_or_else(|| format!("Merge {branch}: relabelled for {}", about.record.full_name()));
    let request = Request {
        name: branch.to_string(),
        theirs: about.head,
        rules: &rules,
        strict: false,
        // What the branch says of itself stays on the branch.
        no_ff: true,
        show: Show::Nothing,
        message: Some(message),
        pins: &[],
    };
    merge_in(context, &store, &request).inspect_err(|_| {
        // Refused, as by a protected branch: where it was is where it goes on.
        let _ = store.switch(&branch, &who);
    })
}
