//! `gloss hard`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_quality::report::{ConfusedPair, HardItem};
use glossator_store::id::CommitId;
use serde::Serialize;

use crate::answers::at;
use crate::context::Context;
use crate::error::Result;
use crate::measure::{MeasureArgs, measured};
use crate::render::quality::{confused, items};
use crate::tasks::{Chosen, write};

/// List the items that people agree on least, and labels that they take for each other
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss hard\n  gloss hard v1 -n 100 --field topic -o tasks.json\n\n\
    Items by the entropy of their label's posterior in Dawid and Skene's model, then by agreement. \
    The file is for Label Studio: these items as tasks without answers. CAUSE is `item` where \
    people whose answers to such items are equal in two pairs of three did not agree on this \
    one, and `annotators` where those who answered disagree that much anyway."
)]
pub(crate) struct HardArgs {
    /// At this commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// How many items
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    max_count: usize,
    /// Write the items as tasks for Label Studio
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Hard<'r> {
    commit: CommitId,
    hardest: &'r [HardItem],
    confused: &'r [ConfusedPair],
}

pub(crate) fn run(context: &mut Context, args: &HardArgs) -> Result<u8> {
    let store = context.store()?;
    let (commit, snapshot) = at(&store, args.revision.as_deref())?;
    let report = measured(&snapshot, &args.measure, args.max_count)?;
    let found = &report.items;
    if let Some(path) = &args.output {
        let mut chosen = Chosen::default();
        chosen.items.extend(found.hardest.iter().map(|item| item.item.clone()));
        write(&snapshot, &args.measure.answers, &chosen, &context.path(path))?;
    }
    if context.json {
        context.json_line(&Hard { commit, hardest: &found.hardest, confused: &found.confused })?;
        return Ok(0);
    }
    if found.hardest.is_empty() {
        writeln!(context.out(), "there is no item that people disagree on")?;
        return Ok(0);
    }
    items(context.out(), &found.hardest)?;
    confused(context.out(), &found.confused)?;
    if let Some(path) = &args.output {
        context.note(&format!("wrote the items as tasks to {}", path.display()))?;
    }
    Ok(0)
}
