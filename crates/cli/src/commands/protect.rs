//! `gloss protect`

use std::io::Write;

use clap::Args;
use glossator_store::history::RefName;

use super::check::known_gate;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Let a branch move only where its labels pass gates
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss protect main --gate alpha=0.8 --gate items=100\n  \
    gloss protect main --gates\n  gloss protect main --off\n  gloss protect\n\n\
    Commits, merges, pulls and pushes that move the branch are refused where its labels would not \
    pass these gates and those of its policies. Of this copy of the store alone: others have gates \
    of their own. Labels that a policy does not know are `strict`'s to refuse.")]
pub(crate) struct ProtectArgs {
    /// The branch; without one, protected branches are listed
    branch: Option<String>,
    /// What must be reached, as in `gloss check`
    #[arg(long, value_name = "[FIELD:]MEASURE=NUMBER", requires = "branch")]
    gate: Vec<String>,
    /// What its policies ask (`[gates]` in policy.toml), and nothing more
    #[arg(long, requires = "branch", conflicts_with = "gate")]
    gates: bool,
    /// Protect it no more
    #[arg(long, requires = "branch", conflicts_with_all = ["gate", "gates"])]
    off: bool,
}

pub(crate) fn run(context: &mut Context, args: &ProtectArgs) -> Result<u8> {
    let store = context.store()?;
    let _lock = store.lock_stage()?;
    let mut protected = store.protected()?;
    if let Some(branch) = &args.branch {
        let branch: RefName = branch.parse()?;
        if args.gate.is_empty() && !args.off && !args.gates {
            return Err(CliError::input("say what must be reached, `--gates`, or `--off`")
                .hint(format!("for instance `gloss protect {branch} --gate alpha=0.8`")));
        }
        for gate in &args.gate {
            known_gate(gate)?;
        }
        match args.off {
            true => drop(protected.branches.remove(branch.as_str())),
            false => drop(protected.branches.insert(branch.to_string(), args.gate.clone())),
        }
        store.protect(&protected)?;
    }
    if context.json {
        context.json_line(&serde_json::json!({ "branches": protected.branches }))?;
        return Ok(0);
    }
    if protected.branches.is_empty() {
        writeln!(context.out(), "no branch is protected")?;
    }
    for (branch, gates) in &protected.branches {
        let own = if gates.is_empty() { "gates of its policies".into() } else { gates.join(", ") };
        writeln!(context.out(), "{branch}  {own}")?;
    }
    Ok(0)
}
