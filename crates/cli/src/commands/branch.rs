//! `gloss branch`

use std::io::Write;

use clap::Args;
use glossator_store::history::RefName;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};

/// List, make or delete branches
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss branch\n  gloss branch relabel v1\n  \
    gloss branch -d relabel")]
pub(crate) struct BranchArgs {
    /// The branch to make
    name: Option<String>,
    /// Where it begins
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Delete the branch
    #[arg(short, long, requires = "name", conflicts_with = "revision")]
    delete: bool,
}

pub(crate) fn run(context: &mut Context, args: &BranchArgs) -> Result<u8> {
    let store = context.store()?;
    let head = store.history.head()?;
    let Some(name) = &args.name else {
        let branches = store.history.refs(false)?;
        for (name, commit) in branches {
            let current = head.branch.as_ref().is_some_and(|branch| branch.as_str() == name);
            if context.json {
                let line =
                    serde_json::json!({"branch": name, "commit": commit, "current": current});
                context.json_line(&line)?;
            } else {
                let mark = if current { '*' } else { ' ' };
                let title = store.history.commit(commit)?.title().to_owned();
                writeln!(context.out(), "{mark} {name}  {} {title}", commit.short())?;
            }
        }
        return Ok(0);
    };
    let name: RefName = name.parse()?;
    let (_, who) = context.identities(&store)?;
    let (word, commit) = if args.delete {
        if head.branch.as_ref() == Some(&name) {
            return Err(CliError::input(format!("`{name}` is the branch you are on"))
                .hint("switch to another branch first"));
        }
        let commit = store.history.resolve(&format!("refs/heads/{name}"))?;
        store.delete_ref(false, &name, &who)?;
        ("deleted", commit)
    } else {
        let commit = resolve(&store, args.revision.as_deref())?;
        store.make_ref(false, &name, commit, &who, None)?;
        ("made", commit)
    };
    if context.json {
        let line = serde_json::json!({"branch": name.as_str(), "commit": commit, "done": word});
        context.json_line(&line)?;
    } else {
        writeln!(context.out(), "{word} branch {name} at {}", commit.short())?;
    }
    Ok(0)
}
