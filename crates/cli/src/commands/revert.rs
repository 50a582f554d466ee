//! `gloss revert`

use std::io::Write;

use clap::Args;
use glossator_store::change::read_change;
use glossator_store::delta::DeltaStream;
use glossator_store::schema::{ANNOTATIONS, REVIEWS, SUBMISSIONS, Table};
use glossator_store::{Stage, Transaction};

use crate::context::{Context, head, resolve};
use crate::error::Result;
use crate::render::counts;
use crate::signing::SignArgs;

/// Undo a commit by a new one
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss revert main~1\n\n\
    Labels, submissions and reviews go back; what is known of items, sources and annotators stays. \
    Rows that were changed again since are not overwritten: the revert is refused and names them.")]
pub(crate) struct RevertArgs {
    /// The commit to undo
    #[arg(value_name = "REV")]
    revision: String,
    /// The message
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    #[command(flatten)]
    signing: SignArgs,
}

pub(crate) fn run(context: &mut Context, args: &RevertArgs) -> Result<u8> {
    context.signing = args.signing.clone();
    let store = context.store()?;
    let _writing = store.writing()?;
    let commit = resolve(&store, Some(&args.revision))?;
    let base = head(&store)?;
    let record = store.change(commit)?;
    let snapshot = store.snapshot(Some(base), &[])?;
    let mut transaction = Transaction::new(&snapshot);
    for (name, change) in &record.tables {
        let decided = [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS];
        let Some(table) = Table::by_name(name).filter(|table| decided.contains(table)) else {
            continue;
        };
        let deltas = read_change(store.objects(), table, change)?;
        let inverse: DeltaStream<'_> = Box::new(deltas.map(|delta| delta?.inverted()));
        transaction.apply(table, inverse)?;
    }
    let layer = transaction.finish()?;
    let title = store.history.commit(commit)?.title().to_owned();
    let message = args
        .message
        .clone()
        .unwrap_or_else(|| format!("Revert \"{title}\"\n\nThis undoes commit {commit}."));
    let stage = Stage::new(Some(base), vec![layer])?;
    let made = context.commit(&store, store.branch()?, &stage, &message, "revert")?;
    if context.json {
        context.json_line(&serde_json::json!({ "commit": made, "reverted": commit }))?;
        return Ok(0);
    }
    match made {
        Some(made) => {
            writeln!(context.out(), "reverted {} by {}", commit.short(), made.short())?;
            let change = store.change(made)?.counts("annotations");
            writeln!(context.out(), "  annotations: {}", counts(&change))?;
        }
        None => writeln!(context.out(), "nothing left to undo")?,
    }
    Ok(0)
}
