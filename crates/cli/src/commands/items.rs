//! `gloss items`

use std::io::Write;

use arrow::array::AsArray;
use clap::Args;
use glossator_formats::JsonRows;
use glossator_store::schema::{ANNOTATIONS, ITEMS};

use crate::context::{Context, snapshot};
use crate::error::Result;
use crate::filter::Filters;
use crate::render::plain;

/// List items and how many annotations each has
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss items --at v1")]
pub(crate) struct ItemsArgs {
    /// At this commit
    #[arg(long, value_name = "REV")]
    at: Option<String>,
}

pub(crate) fn run(context: &mut Context, args: &ItemsArgs) -> Result<u8> {
    let store = context.store()?;
    let snapshot = snapshot(&store, args.at.as_deref())?;
    let filters = Filters::default();
    // Both streams are sorted by item: one pass over each.
    let mut annotated = Annotated {
        batches: filters.rows(&snapshot, &ANNOTATIONS)?,
        ids: Vec::new().into_iter(),
        next: None,
    };
    annotated.advance()?;
    for batch in filters.rows(&snapshot, &ITEMS)? {
        let batch = batch?;
        let ids = batch.column(0).as_string::<i32>().clone();
        let json = JsonRows::new(&ITEMS, &batch)?;
        for row in 0..batch.num_rows() {
            let id = ids.value(row);
            while annotated.next.as_deref().is_some_and(|next| next < id) {
                bare(context, &mut annotated)?;
            }
            let mut count = 0_u64;
            if annotated.next.as_deref() == Some(id) {
                count = annotated.count()?;
            }
            if context.json {
                let mut line = Vec::new();
                json.write(row, &mut line)?;
                line.pop();
                line.extend_from_slice(format!(",\"annotations\":{count}}}\n").as_bytes());
                context.out().write_all(&line)?;
            } else {
                writeln!(context.out(), "{}  {count}", plain(id))?;
            }
        }
    }
    while annotated.next.is_some() {
        bare(context, &mut annotated)?;
    }
    Ok(0)
}

/// An item that annotations name and that has no facts of its own.
fn bare(context: &mut Context, annotated: &mut Annotated<'_>) -> Result<()> {
    let id = annotated.next.clone().unwrap_or_default();
    let count = annotated.count()?;
    if context.json {
        context.json_line(&serde_json::json!({"item_id": id, "annotations": count}))
    } else {
        Ok(writeln!(context.out(), "{}  {count}", plain(&id))?)
    }
}

/// Item ids of annotations, in order, with repeats.
struct Annotated<'a> {
    batches: glossator_store::segment::BatchStream<'a>,
    ids: std::vec::IntoIter<String>,
    next: Option<String>,
}

impl Annotated<'_> {
    fn advance(&mut self) -> Result<()> {
        loop {
            if let Some(id) = self.ids.next() {
                self.next = Some(id);
                return Ok(());
            }
            match self.batches.next() {
                Some(batch) => {
                    let batch = batch?;
                    let ids = batch.column(0).as_string::<i32>();
                    let owned: Vec<String> = ids.iter().flatten().map(str::to_owned).collect();
                    self.ids = owned.into_iter();
                }
                None => {
                    self.next = None;
                    return Ok(());
                }
            }
        }
    }

    /// Counts the annotations of the current item and moves behind them.
    fn count(&mut self) -> Result<u64> {
        let item = self.next.clone();
        let mut count = 0;
        while self.next == item {
            count += 1;
            self.advance()?;
        }
        Ok(count)
    }
}
