//! `gloss run record` and `gloss runs`

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use glossator_lineage::records::{Made, Noted, records};
use serde_json::{Map, Number, Value};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::pin::Lock;
use crate::records::{NewRecord, check_name, note};
use crate::render::{number, plain};

/// Record that a training run used a pinned commit
#[derive(Debug, Args)]
#[command(
    after_help = "Example: gloss run record --pin gloss.lock --name baseline --metric f1=0.83"
)]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Note on the pinned commit that a run used it
    #[command(after_help = "Example: gloss run record --pin gloss.lock --name baseline \
        --metric f1=0.83 --metric loss=0.41\n\n\
        A line of JSON in a git note on the commit: `gloss runs` lists them, and so does \
        `git notes --ref=gloss-runs show COMMIT` in `.gloss/git`. No label moves.")]
    Record(RecordArgs),
}

#[derive(Debug, Args)]
struct RecordArgs {
    /// The lock file that the run used
    #[arg(long, value_name = "PATH", default_value = "gloss.lock")]
    pin: PathBuf,
    /// What the run is called
    #[arg(long)]
    name: String,
    /// What came of it: a number, or a word
    #[arg(long, value_name = "NAME=VALUE")]
    metric: Vec<String>,
}

/// List the runs that used a commit
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss runs\n  gloss runs v1 --json\n  gloss runs --all")]
pub(crate) struct RunsArgs {
    /// The commit; all, where none is given
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Pins and recorded exports as well
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(context: &mut Context, args: &RunArgs) -> Result<u8> {
    let What::Record(args) = &args.what;
    let lock = Lock::read(&context.path(&args.pin))?;
    let store = context.store()?;
    if lock.store_id != store.facts().store_id {
        return Err(CliError::input("the lock is of another store")
            .hint(format!("its store is at {}", lock.remote)));
    }
    if store.history.resolve(&lock.commit.to_string()).is_err() {
        return Err(CliError::input(format!("the pinned commit {} is not here", lock.commit))
            .hint("get it with `gloss fetch`"));
    }
    check_name("the name of a run", &args.name)?;
    let new = NewRecord {
        made: Made::Run,
        name: Some(&args.name),
        metrics: Some(metrics(&args.metric)?),
        view: &lock.view,
        rows: Some(lock.digest.rows),
        output: lock.digest.output,
    };
    let noted = note(context, &store, lock.commit, new)?;
    if context.json {
        context.json_line(&noted)?;
    } else {
        let (name, commit) = (plain(&args.name), lock.commit.short());
        writeln!(context.out(), "recorded {name} on {commit}")?;
    }
    Ok(0)
}

/// `f1=0.83`: a number where it reads as one of JSON, else a text.
fn metrics(texts: &[String]) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for text in texts {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            CliError::input(format!("`{text}` is not of the form NAME=VALUE"))
                .hint("for example `--metric f1=0.83`")
        })?;
        check_name("a metric of a run", name)?;
        check_name("a value of a run", value)?;
        let value = match serde_json::from_str::<Number>(value) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(value.to_owned()),
        };
        if found.insert(name.to_owned(), value).is_some() {
            return Err(CliError::input(format!("the metric `{name}` is given twice"))
                .hint("give each metric once"));
        }
    }
    Ok(found)
}

pub(crate) fn list(context: &mut Context, args: &RunsArgs) -> Result<u8> {
    let store = context.store()?;
    let of = args.revision.as_deref().map(|rev| resolve(&store, Some(rev))).transpose()?;
    let (mut found, others) = records(&store, of)?;
    if !args.all {
        found.retain(|noted| noted.record.made == Made::Run);
    }
    for noted in &found {
        if context.json {
            context.json_line(noted)?;
            continue;
        }
        let Noted { commit, record } = noted;
        let what = if args.all { format!("{:6}  ", record.made.word()) } else { String::new() };
        let (short, at, title) = (commit.short(), plain(&record.at), noted.title());
        let mut line = format!("{short}  {at}  {what}{}", plain(&title));
        for (name, value) in record.metrics.iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            line.push_str(&format!("  {}={}", plain(name), plain(&text)));
        }
        writeln!(context.out(), "{line}")?;
    }
    if others > 0 {
        context.note(&format!("{} lines of notes are no records of runs", number(others)))?;
    }
    Ok(0)
}
