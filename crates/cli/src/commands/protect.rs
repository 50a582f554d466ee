//! `gloss protect`

use std::io::Write;

use clap::Args;
use glossator_store::history::RefName;
use glossator_store::protect::Protected;

use super::check::known_gate;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Let a branch move only where its labels pass gates, or by signed commits
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss protect main --gate alpha=0.8 --gate items=100\n  \
    gloss protect main --gates\n  gloss protect main --signed\n  \
    gloss protect main --off\n  gloss protect\n\n\
    Commits, merges, pulls and pushes that move the branch are refused where its labels would not \
    pass these gates and those of its policies, and where they bring labels that no policy knows. \
    Of this copy of the store alone: others have gates of their own. With --signed every commit \
    that the branch takes must have a good signature of somebody whom git's configuration knows \
    (gpg.ssh.allowedSignersFile, or the keyring of gpg).")]
pub(crate) struct ProtectArgs {
    /// The branch; without one, protected branches are listed
    branch: Option<String>,
    /// What must be reached, as in `gloss check`
    #[arg(long, value_name = "[FIELD:]MEASURE=NUMBER", requires = "branch")]
    gate: Vec<String>,
    /// What its policies ask (`[gates]` in policy.toml), and nothing more
    #[arg(long, requires = "branch", conflicts_with = "gate")]
    gates: bool,
    /// Take only commits with a good signature
    #[arg(long, requires = "branch")]
    signed: bool,
    /// Protect it no more
    #[arg(long, requires = "branch", conflicts_with_all = ["gate", "gates", "signed"])]
    off: bool,
}

pub(crate) fn run(context: &mut Context, args: &ProtectArgs) -> Result<u8> {
    let store = context.store()?;
    let _lock = store.lock_stage()?;
    let mut protected = store.protected()?;
    if let Some(branch) = &args.branch {
        let branch: RefName = branch.parse()?;
        if args.gate.is_empty() && !args.gates && !args.signed && !args.off {
            return Err(CliError::input(
                "say what must be reached, `--gates`, `--signed` or `--off`",
            )
            .hint(format!("for instance `gloss protect {branch} --gate alpha=0.8`")));
        }
        for gate in &args.gate {
            known_gate(gate)?;
        }
        protected.branches.remove(branch.as_str());
        protected.signed.remove(branch.as_str());
        if !args.gate.is_empty() || args.gates {
            protected.branches.insert(branch.to_string(), args.gate.clone());
        }
        if args.signed {
            protected.signed.insert(branch.to_string());
        }
        store.protect(&protected)?;
    }
    if context.json {
        let Protected { signed, branches } = protected;
        context.json_line(&serde_json::json!({ "branches": branches, "signed": signed }))?;
        return Ok(0);
    }
    let mut rules = protected.branches;
    for own in rules.values_mut().filter(|own| own.is_empty()) {
        own.push("gates of its policies".to_owned());
    }
    for branch in protected.signed {
        rules.entry(branch).or_default().push("signed".to_owned());
    }
    if rules.is_empty() {
        writeln!(context.out(), "no branch is protected")?;
    }
    for (branch, rules) in &rules {
        writeln!(context.out(), "{branch}  {}", rules.join(", "))?;
    }
    Ok(0)
}
