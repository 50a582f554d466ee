//! `gloss history`

use std::io::Write;

use clap::Args;
use glossator_lineage::history;
use glossator_store::schema::ANNOTATIONS;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::render::diff::{DiffPrinter, write_json};
use crate::render::{plain, row};

/// Show what became of an item, or of one annotation, newest first
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss history img_01.jpg")]
pub(crate) struct HistoryArgs {
    /// The item
    item: String,
    /// Only this annotation of it
    annotation: Option<String>,
    /// Up to this commit
    #[arg(long, value_name = "REV")]
    at: Option<String>,
}

pub(crate) fn run(context: &mut Context, args: &HistoryArgs) -> Result<u8> {
    let store = context.store()?;
    let tip = resolve(&store, args.at.as_deref())?;
    let mut found = false;
    for event in history(&store, tip, &ANNOTATIONS, &args.item, args.annotation.as_deref())? {
        let event = event?;
        let deltas = event.deltas;
        let about = store.history.commit(event.commit)?;
        let time = row::seconds(about.author.seconds, about.author.offset);
        if context.json {
            let mut lines = Vec::new();
            for delta in &deltas {
                write_json(&mut lines, delta)?;
            }
            let rows: Vec<Box<serde_json::value::RawValue>> =
                serde_json::Deserializer::from_slice(&lines)
                    .into_iter()
                    .collect::<Result<_, _>>()?;
            context.json_line(&serde_json::json!({
                "commit": event.commit,
                "author": {"name": about.author.name, "email": about.author.email},
                "time": time,
                "message": about.body(),
                "rows": rows,
            }))?;
        } else {
            if found {
                writeln!(context.out())?;
            }
            let (name, title) = (plain(&about.author.name), plain(about.title()));
            writeln!(context.out(), "{} {time} {name}: {title}", event.commit.short())?;
            let mut printer = DiffPrinter::default();
            for delta in &deltas {
                printer.write(context.out(), delta)?;
            }
        }
        found = true;
    }
    if !found {
        let what = match &args.annotation {
            Some(annotation) => format!("annotation `{annotation}` of item `{}`", args.item),
            None => format!("item `{}`", args.item),
        };
        return Err(CliError::input(format!("no commit touched {what}"))
            .hint("`gloss items` and `gloss ls` show the ids"));
    }
    Ok(0)
}
