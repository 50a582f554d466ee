//! `gloss status`

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use glossator_store::delta::Counts;

use crate::context::Context;
use crate::error::Result;
use crate::render::{counts, plain};

/// Show the branch and what is staged
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss status")]
pub(crate) struct StatusArgs {}

pub(crate) fn run(context: &mut Context, _args: &StatusArgs) -> Result<u8> {
    let store = context.store()?;
    let head = store.history.head()?;
    let stage = store.stage()?;
    let mut staged: BTreeMap<&str, Counts> = BTreeMap::new();
    for layer in &stage.layers {
        for (table, change) in &layer.tables {
            *staged.entry(table).or_default() += change.counts;
        }
    }
    let branch = head.branch.as_ref().map(ToString::to_string);
    let merging = store.merging()?;
    if context.json {
        let mut told = serde_json::json!({
            "branch": branch,
            "commit": head.commit,
            "staged": staged,
            "stage_base": stage.layers.first().and(stage.base),
        });
        if let Some(merging) = &merging {
            told["merging"] = serde_json::json!({
                "theirs": merging.theirs,
                "into": merging.branch,
                "decided": merging.decisions.len(),
            });
        }
        context.json_line(&told)?;
        return Ok(0);
    }
    let out = context.out();
    match (&branch, head.commit) {
        (Some(branch), Some(commit)) => writeln!(out, "on branch {branch} at {}", commit.short())?,
        (Some(branch), None) => writeln!(out, "on branch {branch}, no commit yet")?,
        (None, commit) => {
            let at = commit.map(|c| c.short()).unwrap_or_default();
            writeln!(out, "on no branch, at {at}")?;
        }
    }
    if let Some(merging) = &merging {
        let (name, into) = (plain(&merging.name), &merging.branch);
        writeln!(out, "a merge of {name} into {into} is under way: see `gloss conflicts`")?;
    }
    if staged.is_empty() {
        writeln!(out, "nothing staged")?;
    } else {
        writeln!(out, "staged:")?;
        for (table, change) in &staged {
            writeln!(out, "  {table}: {}", counts(change))?;
        }
        writeln!(out, "commit with `gloss commit -m …`, or forget with `gloss restore --staged`")?;
    }
    Ok(0)
}
