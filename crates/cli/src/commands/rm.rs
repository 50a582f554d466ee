//! `gloss rm`

use std::io::Write;

use clap::Args;
use glossator_store::Transaction;
use glossator_store::change::only_old;
use glossator_store::schema::ANNOTATIONS;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::render::counts;
use crate::signing::SignArgs;
use crate::staging::{Outcome, Staging};

/// Remove the annotations that fit, and stage that
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss rm --where annotator=9 --where label=car\n  \
    gloss rm --item img_01.jpg -m \"not ours to keep\"")]
pub(crate) struct RmArgs {
    /// Rows whose column has this value: item, label, annotator, policy, field, status, kind,
    /// origin or source; values of one column are alternatives
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    conditions: Vec<String>,
    /// Commit at once with this message; the stage is not touched
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    signing: SignArgs,
}

pub(crate) fn run(context: &mut Context, args: &RmArgs) -> Result<u8> {
    args.signing.only_with(args.message.as_deref())?;
    context.signing = args.signing.clone();
    let mut filters = args.filters.clone();
    for condition in &args.conditions {
        filters.add(condition)?;
    }
    if filters.is_empty() {
        return Err(CliError::input("nothing says which annotations to remove")
            .hint("give a filter: `gloss rm --where annotator=9`"));
    }
    let store = context.store()?;
    let staging = Staging::begin(&store, args.message.as_deref())?;
    let layer = {
        let snapshot = staging.snapshot()?;
        let gone = filters.rows(&snapshot, &ANNOTATIONS)?;
        let mut transaction = Transaction::new(&snapshot);
        transaction.apply(&ANNOTATIONS, only_old(&ANNOTATIONS, gone))?;
        transaction.finish()?
    };
    let change = layer.tables.get(ANNOTATIONS.name).map(|t| t.counts).unwrap_or_default();
    let made = staging.finish(context, vec![layer], "rm")?;
    if context.json {
        context.json_line(&serde_json::json!({"changes": change, "commit": made.commit()}))?;
        return Ok(0);
    }
    let out = context.out();
    writeln!(out, "annotations: {}", counts(&change))?;
    match made {
        Outcome::Committed(commit) => writeln!(out, "committed {}", commit.short())?,
        Outcome::Nothing => writeln!(out, "nothing fits")?,
        Outcome::Staged => writeln!(out, "staged; commit with `gloss commit -m …`")?,
    }
    Ok(0)
}
