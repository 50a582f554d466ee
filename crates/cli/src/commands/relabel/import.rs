//! `gloss relabel import`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_formats::ImportOptions;
use glossator_store::Snapshot;
use glossator_store::intake::{Intake, Intaken};
use glossator_store::people::People;

use crate::commands::import::sink::{StoreSink, Told};
use crate::commands::import::{ImportArgs as AnyImport, inputs, intake_options, record_file};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::policies;
use crate::relabelling::Relabelling;
use crate::relabelling::answers::Answers;
use crate::relabelling::superseded::supersede;
use crate::render::{number, plain};
use crate::staging::{Outcome, Staging};

/// Take answers in under the new version; the old ones stay, superseded
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss relabel import answers.json\n\n\
    The file is what the tool exports of the tasks that `gloss relabel start` wrote. Each new row \
    names the row that it takes the place of (`parent_id`). Importing a file again changes \
    nothing.")]
pub(super) struct ImportArgs {
    /// Files, perhaps gzipped
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, where it cannot be told
    #[arg(long)]
    format: Option<String>,
    /// Namespace of the ids in the files; relabel:NAME@VERSION where not given
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The message of the commit
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Take the good records and write the bad ones, with reasons, to this file
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// What came in.
struct Came {
    intaken: Intaken,
    people: People,
    told: Told,
    answered: u64,
    superseded: u64,
    left_out: BTreeMap<&'static str, u64>,
}

pub(super) fn run(context: &mut Context, args: &ImportArgs) -> Result<u8> {
    let store = context.store()?;
    let about = Relabelling::of(&store, None)?;
    let message = args.message.clone();
    let message = message.unwrap_or_else(|| format!("Answers for {}", about.record.full_name()));
    let staging = Staging::begin(&store, Some(&message))?;
    let branch = staging.branch().clone();
    let mut came = take(context, args, &about, &staging.snapshot()?)?;
    let outcome = if args.dry_run {
        Outcome::Nothing
    } else {
        store.save_people(&mut came.people)?;
        staging.finish(context, std::mem::take(&mut came.intaken.layers), "relabel")?
    };
    if context.json {
        context.json_line(&serde_json::json!({
            "policy": about.record.policy, "to": about.record.to, "items": came.answered,
            "changes": came.intaken.counts, "superseded": came.superseded,
            "left_out": came.left_out, "warnings": came.told.warnings, "losses": came.told.losses,
            "quarantined": came.told.quarantined, "commit": outcome.commit(),
        }))?;
        return Ok(0);
    }
    let out = context.out();
    writeln!(
        out,
        "answers to {} item(s) under {}",
        number(came.answered),
        about.record.full_name()
    )?;
    for (table, change) in &came.intaken.counts {
        writeln!(out, "  {table}: {}", crate::render::counts(change))?;
    }
    writeln!(out, "{} old row(s) are superseded", number(came.superseded))?;
    for (what, count) in &came.left_out {
        writeln!(out, "left out: {what}: {}", number(*count))?;
    }
    for (what, count) in &came.told.warnings {
        writeln!(out, "warning: {}: {}", plain(what), number(*count))?;
    }
    for (what, count) in &came.told.losses {
        writeln!(out, "not kept: {}: {}", plain(what), number(*count))?;
    }
    if came.told.quarantined > 0 {
        writeln!(out, "{} bad records were set aside", number(came.told.quarantined))?;
    }
    match outcome {
        Outcome::Committed(commit) => {
            writeln!(out, "committed {} on {branch}", commit.short())?;
            writeln!(out, "see `gloss relabel status`")?;
        }
        _ if args.dry_run => writeln!(out, "nothing was changed (--dry-run)")?,
        _ => writeln!(out, "nothing changed")?,
    }
    Ok(0)
}

/// Reads the files into a change of the branch.
fn take(
    context: &Context,
    args: &ImportArgs,
    about: &Relabelling<'_>,
    snapshot: &Snapshot<'_>,
) -> Result<Came> {
    let files = inputs(context, &args.files, args.format.as_deref())?;
    let source = args.source.clone();
    let source = source.unwrap_or_else(|| format!("relabel:{}", about.record.full_name()));
    let options = ImportOptions { source: Some(source), ..ImportOptions::default() };
    let first = files.first().map(|(_, importer)| *importer);
    let intake = Intake::new(snapshot, intake_options(&AnyImport::default(), first));
    let quarantine = args.quarantine.as_ref().map(|path| context.path(path));
    let people = snapshot.store().people()?;
    let mut sink = StoreSink::new(intake, people, quarantine, context.interactive())?;
    sink.know(policies::of(snapshot)?);
    let (mut answered, mut left_out) =
        (std::collections::BTreeSet::new(), BTreeMap::<&'static str, u64>::new());
    for (input, importer) in &files {
        sink.begin(input.name());
        let mut answers = Answers::new(&mut sink, about);
        let report = importer.import(input, &options, &mut answers)?;
        answered.append(&mut answers.answered);
        for (what, count) in std::mem::take(&mut answers.left_out) {
            *left_out.entry(what).or_default() += count;
        }
        record_file(&mut sink, input, *importer, &report, None)?;
    }
    let (mut intaken, people, told) = sink.finish()?;
    if answered.is_empty() {
        return Err(CliError::input("none of the items that were asked for is answered").hint(
            "export the tasks that `gloss relabel start` wrote, as JSON, with their answers",
        ));
    }
    let above = snapshot.above(&intaken.layers)?;
    let (layer, superseded) = supersede(&above, &about.work, &answered)?;
    intaken.layers.push(layer);
    Ok(Came { intaken, people, told, answered: answered.len() as u64, superseded, left_out })
}
