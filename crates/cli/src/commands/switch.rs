//! `gloss switch`

use std::io::Write;

use clap::Args;
use glossator_store::history::RefName;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::protect::hold_new;

/// Go to another branch
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss switch main\n  gloss switch -c relabel")]
pub(crate) struct SwitchArgs {
    /// Make the branch first
    #[arg(short, long)]
    create: bool,
    /// The branch
    branch: String,
    /// Where a new branch begins
    #[arg(value_name = "REV", requires = "create")]
    revision: Option<String>,
}

pub(crate) fn run(context: &mut Context, args: &SwitchArgs) -> Result<u8> {
    let store = context.store()?;
    let _stage_lock = store.lock_stage()?;
    if !store.stage()?.is_empty() {
        return Err(CliError::input("something is staged on this branch")
            .hint("commit it with `gloss commit -m …`, or forget it: `gloss restore --staged`"));
    }
    // Told by the commits of this branch alone.
    store.clear_committed_stage()?;
    let name: RefName = args.branch.parse()?;
    let (_, who) = context.identities(&store)?;
    if args.create {
        let commit = resolve(&store, args.revision.as_deref())?;
        hold_new(&store, name.as_str(), commit)?;
        store.make_ref(false, &name, commit, &who, None)?;
    } else if !store.history.refs(false)?.iter().any(|(branch, _)| branch == name.as_str()) {
        return Err(CliError::input(format!("there is no branch `{name}`"))
            .hint(format!("make it with `gloss switch -c {name}`")));
    }
    store.switch(&name, &who)?;
    if context.json {
        context.json_line(&serde_json::json!({"branch": name.as_str()}))?;
    } else {
        writeln!(context.out(), "on branch {name}")?;
    }
    Ok(0)
}
