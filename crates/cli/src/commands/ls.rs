//! `gloss ls`

use std::io::Write;

use clap::Args;
use glossator_formats::JsonRows;
use glossator_store::schema::{ANNOTATIONS, Annotations};

use crate::context::{Context, snapshot};
use crate::error::Result;
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::render::{lines, plain, row, table};

/// List annotations, every live row
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss ls --label car --annotator 7\n  \
    gloss ls --at v1 --item img_01.jpg --json")]
pub(crate) struct LsArgs {
    /// At this commit
    #[arg(long, value_name = "REV")]
    at: Option<String>,
    /// How many rows at most
    #[arg(short = 'n', long, value_name = "N")]
    max_count: Option<usize>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    as_of: AsOf,
}

pub(crate) fn run(context: &mut Context, args: &LsArgs) -> Result<u8> {
    let store = context.store()?;
    let snapshot = snapshot(&store, args.at.as_deref())?;
    let mut left = args.max_count.unwrap_or(usize::MAX);
    let mut line = Vec::new();
    let header = ["item", "annotation", "annotator", "kind", "field", "value", "status"];
    let mut first = true;
    let mapping = args.as_of.mapping(&snapshot)?;
    for batch in args.filters.read(&snapshot, &ANNOTATIONS, Some(&mapping))? {
        let batch = batch?;
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        if context.json {
            let json = JsonRows::new(&ANNOTATIONS, &batch)?;
            for row in 0..batch.num_rows() {
                line.clear();
                json.write(row, &mut line)?;
                line.push(b'\n');
                context.out().write_all(&line)?;
            }
        } else if batch.num_rows() > 0 {
            // A table a batch: memory stays bounded, columns line up where people look.
            let mut shown = if first { table(&header) } else { table(&[]) };
            for row in Annotations::new(&batch).iter() {
                let value = row::value(&row);
                let (item, id, who) = (row.item_id, row.annotation_id, row.annotator_id);
                shown.add_row([item, id, who, row.kind, row.field, &value, row.status].map(plain));
            }
            first = false;
            writeln!(context.out(), "{}", lines(&shown))?;
        }
        if left == 0 {
            break;
        }
    }
    Ok(0)
}
