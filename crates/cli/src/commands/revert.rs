//! `gloss revert`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;
use glossator_lineage::merge::Files;
use glossator_store::change::read_change;
use glossator_store::delta::DeltaStream;
use glossator_store::schema::{ANNOTATIONS, REVIEWS, SUBMISSIONS, Table};
use glossator_store::{CommitId, Made, Stage, Store, Transaction};

use crate::context::{Context, head, resolve};
use crate::error::{CliError, Result};
use crate::render::counts;
use crate::signing::SignArgs;

/// Undo a commit by a new one
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss revert main~1\n\n\
    Labels, submissions, reviews and policies go back; what is known of items, sources and \
    annotators stays. \
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
    let files = policy_files(&store, base, commit)?;
    let made = if files.is_empty() {
        let stage = Stage::new(Some(base), vec![layer])?;
        context.commit(&store, store.branch()?, &stage, &message, "revert")?
    } else {
        let options = context.commit_options(&store, None, &message, "revert")?;
        store.commit_on(Some(base), &Made { files: &files, ..Made::of(&layer) }, &options)?
    };
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

/// The files of policies that a commit changed, as they were before it.
fn policy_files(store: &Store, head: CommitId, commit: CommitId) -> Result<Files> {
    let before = store.history.first_parent(commit)?;
    let before = before.map_or(Ok(BTreeMap::new()), |parent| store.policy_files(parent))?;
    let (after, now) = (store.policy_files(commit)?, store.policy_files(head)?);
    let mut files = Files::new();
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let (was, made, is) = (before.get(path), after.get(path), now.get(path));
        if was == made || is == was {
            continue;
        }
        if is != made {
            return Err(CliError::check(format!("`{path}` was changed again since")).hint(
                "revert the later versions of the policy first, the newest before the others",
            ));
        }
        files.push((path.clone(), was.cloned()));
    }
    Ok(files)
}
