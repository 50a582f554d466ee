//! `gloss compact`

use std::io::Write;

use clap::Args;
use glossator_store::CommitOptions;

use crate::context::{Context, head};
use crate::error::Result;
use crate::protect::hold_signature;
use crate::render::number;
use crate::signing::SignArgs;

/// Write small and half-dead segments anew, so that reading is fast
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss compact --dry-run\n\n\
    Commits do this by themselves, a little at a time; this does all of it at once, as a commit \
    that changes no row. Earlier commits keep their segments: only the latest is read faster.")]
pub(crate) struct CompactArgs {
    /// Only show the plan
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    signing: SignArgs,
}

const MESSAGE: &str = "Compact the segments";

pub(crate) fn run(context: &mut Context, args: &CompactArgs) -> Result<u8> {
    let store = context.store()?;
    let plan = store.plan_compaction(head(&store)?)?;
    if !context.json {
        let out = context.out();
        for table in &plan {
            writeln!(
                out,
                "{}: {} of {} segments, {} rows; {} dead rows go",
                table.table,
                number(table.rewritten as u64),
                number(table.segments as u64),
                number(table.rows),
                number(table.dead)
            )?;
        }
        // The plan is seen before the work begins.
        context.flush()?;
    }
    let made = if args.dry_run || plan.is_empty() {
        None
    } else {
        context.signing = args.signing.clone();
        let options = context.commit_options(&store, None, MESSAGE, "compact")?;
        // Labels stay what they are: gates are not asked.
        store.compact(&CommitOptions { guards: &[&hold_signature], ..options })?
    };
    if context.json {
        context.json_line(&serde_json::json!({ "commit": made, "tables": plan }))?;
        return Ok(0);
    }
    let out = context.out();
    match made {
        Some(made) => writeln!(out, "compacted by {}", made.short())?,
        None if args.dry_run && !plan.is_empty() => {
            writeln!(out, "nothing was written (--dry-run)")?;
        }
        None => writeln!(out, "nothing to compact")?,
    }
    Ok(0)
}
