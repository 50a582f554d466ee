//! `gloss prove`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_store::fs::output_file;
use glossator_store::schema::{ANNOTATIONS, Annotations};
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::render::{number, plain};

/// Prove that an annotation was in a commit, to somebody who has only the commit's id
#[derive(Debug, Args)]
#[command(
    after_help = "Example: gloss prove img_01.jpg annotation/7/r1/label v1 -o proof.json\n\n\
    The proof holds the row, the hashes beside its way to the row root, the table's file, the git \
    trees and the commit. `check.py --proof proof.json`, which `gloss audit` writes beside every \
    bundle, checks it without Glossator. It shows no other row. docs/audit.md tells what it shows."
)]
pub(crate) struct ProveArgs {
    /// The item
    item: String,
    /// The annotation of it
    annotation: String,
    /// The commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Write the proof to this file instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(context: &mut Context, args: &ProveArgs) -> Result<u8> {
    let store = context.store()?;
    let commit = resolve(&store, args.revision.as_deref())?;
    let key = (args.item.as_str(), args.annotation.as_str());
    let Some(proof) = store.prove(commit, &ANNOTATIONS, key)? else {
        return Err(unknown(&store, commit, args)?);
    };
    let Some(output) = &args.output else {
        context.json_line(&proof)?;
        return Ok(0);
    };
    let mut file = output_file(&context.path(output))?;
    serde_json::to_writer(&mut file, &proof)?;
    file.write_all(b"\n")?;
    file.persist()?;
    if context.json {
        context.json_line(&proof)?;
        return Ok(0);
    }
    let rows = number(u64::from(proof.segment.rows));
    let (item, annotation) = (plain(&args.item), plain(&args.annotation));
    let out = context.out();
    writeln!(out, "proved {annotation} of {item} in {commit}")?;
    writeln!(out, "  row {} of {rows}, root {}", proof.row.number, proof.segment.root)?;
    writeln!(out, "  in {}", output.display())?;
    Ok(0)
}

/// Says that there is no such row, and which there are.
fn unknown(store: &Store, commit: CommitId, args: &ProveArgs) -> Result<CliError> {
    let snapshot = store.snapshot(Some(commit), &[])?;
    let rows = snapshot.table(&ANNOTATIONS)?;
    let found = rows.locate_item(&args.item)?;
    let (item, short) = (&args.item, commit.short());
    if found.is_empty() {
        return Ok(CliError::input(format!("item `{item}` has no annotation in {short}"))
            .hint("`gloss items` shows the ids of items"));
    }
    let mut error = CliError::input(format!(
        "there is no annotation `{}` of item `{item}` in {short}",
        args.annotation
    ));
    let shown = &found[..found.len().min(ANNOTATIONS_SHOWN_MAX)];
    let batch = rows.fetch(shown)?;
    for row in Annotations::new(&batch.project(&columns())?).iter() {
        error = error.detail(format!("there is `{}`", row.annotation_id));
    }
    Ok(error.hint(format!("`gloss history {item}` shows what became of it")))
}

/// Annotations that an error lists at most.
const ANNOTATIONS_SHOWN_MAX: usize = 10;

fn columns() -> Vec<usize> {
    (0..ANNOTATIONS.columns.len()).collect()
}
