//! `gloss diff`

use clap::Args;
use glossator_lineage::{Stat, between_columns};
use glossator_store::Store;
use glossator_store::delta::DeltaStream;
use glossator_store::schema::{ANNOTATIONS, Columns, TABLES, Table};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::render::diff::{DiffPrinter, write_json};
use crate::render::stat;

/// Compare two commits, or HEAD with what is staged
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss diff                  HEAD to the stage\n  \
    gloss diff v1               v1 to HEAD\n  gloss diff main relabel --stat")]
pub(crate) struct DiffArgs {
    /// The old commit
    #[arg(value_name = "A")]
    old: Option<String>,
    /// The new commit
    #[arg(value_name = "B")]
    new: Option<String>,
    /// Counts by label, annotator, policy and status, and which labels became which
    #[arg(long)]
    stat: bool,
    /// Another table than annotations
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Exit with 1 where there are differences
    #[arg(long)]
    exit_code: bool,
}

pub(crate) fn run(context: &mut Context, args: &DiffArgs) -> Result<u8> {
    let store = context.store()?;
    let chosen = match &args.table {
        Some(name) => Table::by_name(name).ok_or_else(|| {
            let names: Vec<&str> = TABLES.iter().map(|t| t.name).collect();
            CliError::input(format!("there is no table `{name}`"))
                .hint(format!("tables: {}", names.join(", ")))
        })?,
        None => &ANNOTATIONS,
    };
    let mut differs = false;
    if args.stat {
        let tables: Vec<&'static Table> =
            if args.table.is_some() { vec![chosen] } else { TABLES.to_vec() };
        let mut total = Stat::default();
        for table in tables {
            for delta in deltas(&store, args, table, Stat::columns(table))? {
                differs = true;
                total.add(&delta?)?;
            }
        }
        if context.json {
            context.json_line(&total)?;
        } else {
            stat::write(context.out(), &total)?;
        }
        return Ok(u8::from(differs && args.exit_code));
    }
    let mut printer = DiffPrinter::default();
    for delta in deltas(&store, args, chosen, Columns::ALL)? {
        let delta = delta?;
        differs |= !delta.changes.is_empty();
        if context.json {
            write_json(context.out(), &delta)?;
        } else {
            printer.write(context.out(), &delta)?;
        }
    }
    Ok(u8::from(differs && args.exit_code))
}

/// The difference that was asked for, of which at least these columns are read.
fn deltas(
    store: &Store,
    args: &DiffArgs,
    table: &'static Table,
    columns: Columns,
) -> Result<DeltaStream<'static>> {
    let Some(old) = &args.old else {
        let stage = store.stage()?;
        return Ok(store.snapshot(stage.base, &[])?.net_of_layers(&stage.layers, table)?);
    };
    let old = resolve(store, Some(old))?;
    let new = resolve(store, args.new.as_deref())?;
    Ok(between_columns(store, Some(old), Some(new), table, columns)?)
}
