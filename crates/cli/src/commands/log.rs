//! `gloss log`

use std::collections::HashMap;
use std::io::Write;

use clap::Args;
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::error::Result;
use crate::render::commit::{self, CommitJson};
use crate::render::{counts, plain};

/// Show commits, newest first, and what each changed
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss log\n  gloss log --oneline -n 10 v1")]
pub(crate) struct LogArgs {
    /// Where to begin
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// How many commits at most
    #[arg(short = 'n', long, value_name = "N")]
    max_count: Option<usize>,
    /// A line a commit
    #[arg(long)]
    oneline: bool,
}

pub(crate) fn run(context: &mut Context, args: &LogArgs) -> Result<u8> {
    let store = context.store()?;
    let tip = resolve(&store, args.revision.as_deref())?;
    let names = names(&store)?;
    let no_names = Vec::new();
    for (at, id) in store.history.walk(tip)?.enumerate() {
        if args.max_count.is_some_and(|most| at >= most) {
            break;
        }
        let id = id?;
        let commit = store.history.commit(id)?;
        let record = store.change(id)?;
        if context.json {
            context.json_line(&CommitJson::new(&commit, &record, None))?;
            continue;
        }
        let refs = names.get(&id).unwrap_or(&no_names);
        let out = context.out();
        if args.oneline {
            let change = counts(&record.counts("annotations"));
            let refs =
                if refs.is_empty() { String::new() } else { format!(" ({})", refs.join(", ")) };
            writeln!(out, "{}{refs} {}  [{change}]", id.short(), plain(commit.title()))?;
            continue;
        }
        if at > 0 {
            writeln!(out)?;
        }
        commit::write(out, &store, &commit, &record, refs, false)?;
    }
    Ok(0)
}

/// Branches and tags by commit, the branch of `HEAD` first.
pub(super) fn names(store: &Store) -> Result<HashMap<CommitId, Vec<String>>> {
    let mut names: HashMap<CommitId, Vec<String>> = HashMap::new();
    let head = store.history.head()?;
    for (name, id) in store.history.refs(false)? {
        let entry = names.entry(id).or_default();
        if head.branch.as_ref().is_some_and(|branch| branch.as_str() == name) {
            entry.insert(0, format!("HEAD -> {name}"));
        } else {
            entry.push(name);
        }
    }
    for (name, id) in store.history.refs(true)? {
        names.entry(id).or_default().push(format!("tag: {name}"));
    }
    Ok(names)
}
