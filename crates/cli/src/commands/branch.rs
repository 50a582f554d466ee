//! `gloss branch`

use std::io::Write;

use clap::Args;
use glossator_store::history::RefName;
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::protect::hold_new;
use crate::render::plain;

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
    /// Delete the branch, where the one you are on has its commits
    #[arg(short, long, requires = "name", conflicts_with = "revision")]
    delete: bool,
    /// Delete it in any case
    #[arg(short = 'D', long, requires = "name", conflicts_with_all = ["revision", "delete"])]
    force_delete: bool,
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
                let about = store.history.commit(commit)?;
                let title = plain(about.title());
                writeln!(context.out(), "{mark} {name}  {} {title}", commit.short())?;
            }
        }
        return Ok(0);
    };
    let name: RefName = name.parse()?;
    let (_, who) = context.identities(&store)?;
    let (word, commit) = if args.delete || args.force_delete {
        if head.branch.as_ref() == Some(&name) {
            return Err(CliError::input(format!("`{name}` is the branch you are on"))
                .hint("switch to another branch first"));
        }
        let commit = store.history.resolve(&format!("refs/heads/{name}"))?;
        if args.delete && !reaches(&store, head.commit, commit)? {
            return Err(CliError::input(format!(
                "branch `{name}` has commits that the one you are on does not have"
            ))
            .hint(format!("delete it with them: `gloss branch -D {name}`")));
        }
        store.delete_ref(false, &name, &who)?;
        ("deleted", commit)
    } else {
        let commit = resolve(&store, args.revision.as_deref())?;
        hold_new(&store, name.as_str(), commit)?;
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

/// Whether a commit is another, or has it among its ancestors.
fn reaches(store: &Store, from: Option<CommitId>, commit: CommitId) -> Result<bool> {
    let Some(from) = from else { return Ok(false) };
    for ancestor in store.history.walk(from)? {
        if ancestor? == commit {
            return Ok(true);
        }
    }
    Ok(false)
}
