//! `gloss lineage`

use std::collections::HashSet;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glossator_lineage::life::{Life, life};
use glossator_lineage::records::records;
use glossator_lineage::standards::{Told, openlineage, prov};
use glossator_store::fs::output_file;
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::croissant;
use crate::error::{CliError, Result};
use crate::post::Posts;
use crate::render::{number, plain};

/// Write the history of labels in the words of a standard
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss lineage --format prov-turtle v1..main -o history.ttl\n  \
    gloss lineage --format openlineage --to http://localhost:5000/api/v1/lineage\n  \
    gloss lineage --format prov-json --item img_01.jpg\n  \
    gloss lineage --format croissant v1 -o labels.json\n\n\
    prov-json and prov-turtle are W3C PROV, openlineage is run events, one a line. A revision \
    means it and everything before it, A..B what B has and A has not; pins, exports and runs of \
    these commits are told, too.\n\
    croissant describes the labels at one commit: beside FILE it writes their rows as CSV, each \
    with the commit, the annotator and the file that it came from."
)]
pub(crate) struct LineageArgs {
    /// In which words
    #[arg(long, value_enum)]
    format: Format,
    /// A revision, or A..B
    #[arg(value_name = "RANGE")]
    range: Option<String>,
    /// Every version of an item's annotations, and the commits that touched it alone; PROV
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// Where to write; standard output where not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Send each OpenLineage event to this address; a key is taken from OPENLINEAGE_API_KEY
    #[arg(long, value_name = "URL", conflicts_with = "output")]
    to: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// W3C PROV as PROV-JSON
    ProvJson,
    /// W3C PROV-O as Turtle
    ProvTurtle,
    /// OpenLineage run events
    Openlineage,
    /// Croissant 1.1 and the rows as CSV
    Croissant,
}

pub(crate) fn run(context: &mut Context, args: &LineageArgs) -> Result<u8> {
    let store = context.store()?;
    if args.format == Format::Croissant {
        return croissant(context, &store, args);
    }
    let mut commits = range(&store, args.range.as_deref())?;
    let item = match &args.item {
        None => None,
        Some(_) if args.format == Format::Openlineage => {
            return Err(CliError::input("openlineage tells of commits, not of one item")
                .hint("ask for it in PROV: `--format prov-json`"));
        }
        Some(item) => Some((item.clone(), of_item(&store, item, &mut commits)?)),
    };
    let known: HashSet<CommitId> = commits.iter().copied().collect();
    let (mut records, _) = records(&store, None)?;
    records.retain(|noted| known.contains(&noted.commit));
    let told = Told { store: &store, commits, records, item };
    let write = |out: &mut dyn Write| match args.format {
        Format::ProvJson => prov::write_json(&told, out),
        Format::ProvTurtle => prov::write_turtle(&told, out),
        Format::Openlineage | Format::Croissant => openlineage::write(&told, out),
    };
    if let Some(url) = &args.to {
        if args.format != Format::Openlineage {
            return Err(CliError::input("only openlineage events are sent")
                .hint("write the others to a file: `-o FILE`"));
        }
        let mut posts = Posts::new(url)?;
        write(&mut posts)?;
        posts.flush()?;
        let sent = posts.sent;
        if context.json {
            context.json_line(&serde_json::json!({"sent": sent}))?;
        } else {
            writeln!(context.out(), "sent {} events", number(sent))?;
        }
        return Ok(0);
    }
    let Some(path) = &args.output else {
        write(context.out())?;
        return Ok(0);
    };
    let mut file = BufWriter::new(output_file(&context.path(path))?);
    write(&mut file)?;
    file.into_inner().map_err(|e| e.into_error())?.persist()?;
    let (commits, records) = (told.commits.len() as u64, told.records.len() as u64);
    if context.json {
        let line = serde_json::json!({"file": path, "commits": commits, "records": records});
        context.json_line(&line)?;
    } else {
        let (commits, records) = (number(commits), number(records));
        let path = path.display().to_string();
        let told = format!("told of {commits} commits and {records} pins, exports and runs");
        writeln!(context.out(), "{told} in {}", plain(&path))?;
    }
    Ok(0)
}

/// The life of an item, and of some commits those that touched it.
fn of_item(store: &Store, item: &str, commits: &mut Vec<CommitId>) -> Result<Life> {
    let Some(tip) = commits.last().copied() else {
        return Err(CliError::input("there is no commit in the range"));
    };
    let told = life(store, tip, item)?;
    if told.deeds.is_empty() {
        return Err(crate::nearest::no_item(&store.snapshot(Some(tip), &[])?, item)?);
    }
    let touched: HashSet<&CommitId> = told.commits.iter().collect();
    commits.retain(|commit| touched.contains(commit));
    Ok(told)
}

/// The commits of `A..B`, or of a revision and everything before it, the oldest first.
fn range(store: &Store, text: Option<&str>) -> Result<Vec<CommitId>> {
    let (from, to) = match text.and_then(|text| text.split_once("..")) {
        Some((from, to)) => {
            let named = |text: &str| resolve(store, (!text.is_empty()).then_some(text));
            (Some(named(from)?), named(to)?)
        }
        None => (None, resolve(store, text)?),
    };
    let tips: Vec<CommitId> = from.into_iter().chain([to]).collect();
    let origins = store.origins(&tips)?;
    let hidden = from.map(|from| origins.reached(from)).unwrap_or_default();
    let mut commits = origins.order(&[to]);
    commits.retain(|commit| !hidden.contains(commit));
    Ok(commits)
}

fn croissant(context: &mut Context, store: &Store, args: &LineageArgs) -> Result<u8> {
    if args.item.is_some() {
        return Err(CliError::input("croissant describes all labels, not those of one item")
            .hint("ask for it in PROV: `--format prov-json`"));
    }
    if args.range.as_deref().is_some_and(|range| range.contains("..")) {
        return Err(CliError::input("croissant describes the labels at one commit, not a range")
            .hint("name a revision: `gloss lineage --format croissant v1 -o labels.json`"));
    }
    let Some(path) = &args.output else {
        return Err(CliError::input("croissant writes two files, and needs a name for them")
            .hint("give one: `-o labels.json`; the rows go to `labels.csv` beside it"));
    };
    let commit = resolve(store, args.range.as_deref())?;
    let path = context.path(path);
    let data = path.with_extension("csv");
    if data == path {
        return Err(CliError::input("the description may not end in `.csv`: the rows do")
            .hint("name it `labels.json`"));
    }
    let rows = croissant::write(store, commit, &path, &data)?;
    if context.json {
        let line = serde_json::json!({"file": path, "data": data, "rows": rows});
        context.json_line(&line)?;
    } else {
        let (path, data) = (path.display().to_string(), data.display().to_string());
        let (rows, path, data) = (number(rows), plain(&path), plain(&data));
        writeln!(
            context.out(),
            "described {rows} annotations in {path}, and wrote them to {data}"
        )?;
    }
    Ok(0)
}
