//! `gloss show`

use std::io::Write;

use clap::Args;
use glossator_store::change::read_change;
use glossator_store::schema::Table;

use crate::context::{Context, resolve};
use crate::error::Result;
use crate::render::commit::{self, CommitJson};
use crate::render::diff::DiffPrinter;

/// Show a commit: what it changed, by whom, and the rows
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss show main~1 --rows 20")]
pub(crate) struct ShowArgs {
    /// The commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// How many changed rows to show
    #[arg(long, value_name = "N", default_value_t = 50)]
    rows: usize,
}

pub(crate) fn run(context: &mut Context, args: &ShowArgs) -> Result<u8> {
    let store = context.store()?;
    let id = resolve(&store, args.revision.as_deref())?;
    let about = store.history.commit(id)?;
    let record = store.change(id)?;
    if context.json {
        let meta = store.meta(&record)?;
        context.json_line(&CommitJson::new(&about, &record, Some(&meta)))?;
        return Ok(0);
    }
    let refs = super::log::names(&store)?.remove(&id).unwrap_or_default();
    commit::write(context.out(), &store, &about, &record, &refs, true)?;
    let mut left = args.rows;
    for (name, change) in &record.tables {
        let Some(table) = Table::by_name(name).filter(|t| t.name == "annotations") else {
            continue;
        };
        let total = change.counts.total();
        let mut printer = DiffPrinter::default();
        writeln!(context.out())?;
        for delta in read_change(store.objects(), table, change)? {
            if left == 0 {
                break;
            }
            let mut delta = delta?;
            delta.changes.truncate(left);
            left -= delta.changes.len();
            printer.write(context.out(), &delta)?;
        }
        if total > args.rows as u64 {
            let more = crate::render::number(total - args.rows as u64);
            writeln!(
                context.out(),
                "and {more} more; `gloss diff {0}^ {0}` shows all",
                id.short()
            )?;
        }
    }
    Ok(0)
}
