//! `gloss annotator`

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, Subcommand};
use glossator_store::Stage;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::schema::{
    ANNOTATIONS, ANNOTATORS, Annotations, AnnotatorRow, Annotators, AnnotatorsBuilder,
};

use crate::context::{Context, head, snapshot};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::render::{lines, number, plain, table};

/// List annotators, or join two ids of one
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss annotator list\n  gloss annotator alias p-0f3a… 7")]
pub(crate) struct AnnotatorArgs {
    #[command(subcommand)]
    command: AnnotatorCommand,
}

#[derive(Debug, Subcommand)]
enum AnnotatorCommand {
    /// List annotators and how many annotations each has
    #[command(after_help = "Example: gloss annotator list")]
    List {
        /// At this commit
        #[arg(long, value_name = "REV")]
        at: Option<String>,
    },
    /// Record that one id is another name of a second
    #[command(after_help = "Example: gloss annotator alias p-0f3a2b1c0d9e8f70 7")]
    Alias {
        /// The id that is another name
        alias: String,
        /// The id that it is a name of
        of: String,
    },
}

pub(crate) fn run(context: &mut Context, args: &AnnotatorArgs) -> Result<u8> {
    match &args.command {
        AnnotatorCommand::List { at } => list(context, at.as_deref()),
        AnnotatorCommand::Alias { alias, of } => join(context, alias, of),
    }
}

fn list(context: &mut Context, at: Option<&str>) -> Result<u8> {
    let store = context.store()?;
    let snapshot = snapshot(&store, at)?;
    let filters = Filters::default();
    let mut found: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for batch in filters.rows(&snapshot, &ANNOTATIONS)? {
        let batch = batch?;
        let rows = Annotations::new(&batch);
        for row in 0..rows.len() {
            let id = rows.annotator_id(row);
            match found.get_mut(id) {
                Some(entry) => entry.0 += 1,
                None => drop(found.insert(id.to_owned(), (1, rows.origin(row).to_owned()))),
            }
        }
    }
    let mut aliases: BTreeMap<String, String> = BTreeMap::new();
    for batch in filters.rows(&snapshot, &ANNOTATORS)? {
        let batch = batch?;
        for row in Annotators::new(&batch).iter() {
            found.entry(row.annotator_id.to_owned()).or_default();
            if let Some(of) = row.alias_of {
                aliases.insert(row.annotator_id.to_owned(), of.to_owned());
            }
        }
    }
    let mut shown = table(&["annotator", "origin", "annotations", "alias of"]);
    for (id, (count, origin)) in &found {
        let of = aliases.get(id);
        if context.json {
            context.json_line(&serde_json::json!({
                "annotator_id": id, "origin": origin, "annotations": count, "alias_of": of,
            }))?;
        } else {
            let (count, of) = (number(*count), of.map(String::as_str).unwrap_or_default());
            shown.add_row([id, origin, &count, of].map(plain));
        }
    }
    if !context.json {
        writeln!(context.out(), "{}", lines(&shown))?;
    }
    Ok(0)
}

fn join(context: &mut Context, alias: &str, of: &str) -> Result<u8> {
    let store = context.store()?;
    let _writing = store.writing()?;
    // An address never enters a row.
    let mut people = store.people()?;
    let same = alias == of;
    let (alias, of) =
        (people.identify(Some(alias), None, None), people.identify(Some(of), None, None));
    store.save_people(&mut people)?;
    let (alias, of) = (alias.as_str(), of.as_str());
    if alias == of && !same {
        // Two words for one person: nothing is left to join.
        if context.json {
            context.json_line(&serde_json::json!({ "commit": null }))?;
        } else {
            writeln!(context.out(), "both are {}", plain(of))?;
        }
        return Ok(0);
    }
    if alias == of {
        return Err(CliError::input("an id cannot be another name of itself"));
    }
    let base = head(&store)?;
    let snapshot = store.snapshot(Some(base), &[])?;
    // Following names from the second must not lead back to the first.
    let mut at = of.to_owned();
    for _ in 0..1_000 {
        let found = snapshot.table(&ANNOTATORS)?.locate_item(&at)?;
        let batch = snapshot.table(&ANNOTATORS)?.fetch(&found)?;
        let batch = batch.project(&(0..ANNOTATORS.columns.len()).collect::<Vec<_>>())?;
        let next = Annotators::new(&batch).iter().find_map(|row| row.alias_of.map(str::to_owned));
        match next {
            Some(next) if next == alias => {
                return Err(CliError::input(format!("`{of}` is already a name of `{alias}`")));
            }
            Some(next) => at = next,
            None => break,
        }
    }
    let mut builder = AnnotatorsBuilder::default();
    builder.push(&AnnotatorRow { annotator_id: alias, alias_of: Some(of), extra: None });
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    intake.rows(&ANNOTATORS, builder.finish())?;
    let layers = intake.finish()?.layers;
    // The ids stay out of the message: git text cannot be erased.
    let made = if layers.is_empty() {
        None
    } else {
        let stage = Stage::new(Some(base), layers)?;
        context.commit(&store, store.branch()?, &stage, "Join two annotator ids", "annotator")?
    };
    if context.json {
        context.json_line(&serde_json::json!({ "commit": made }))?;
    } else {
        match made {
            Some(commit) => {
                writeln!(context.out(), "{alias} is {of}; committed {}", commit.short())?;
            }
            None => writeln!(context.out(), "{alias} is {of} already")?,
        }
    }
    Ok(0)
}
