//! `gloss run record` and `gloss runs`

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use glossator_store::history::code_commit;
use glossator_store::notes::Notes;
use glossator_store::{CommitId, Digest, random_name};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::pin::Lock;
use crate::render::{number, plain};

/// Characters of the name of a run, of a metric and of its value at most.
const NAME_CHARS_MAX: usize = 200;

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
#[command(after_help = "Examples:\n  gloss runs\n  gloss runs v1 --json")]
pub(crate) struct RunsArgs {
    /// The commit; all, where none is given
    #[arg(value_name = "REV")]
    revision: Option<String>,
}

/// A line of a note. Filters of the view stay out: they may name items and people, and what is in
/// git cannot be erased.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Tells two records apart that say the same.
    id: String,
    name: String,
    /// RFC 3339, UTC.
    at: String,
    metrics: Map<String, Value>,
    /// The view's rows, `rows` or `labels`.
    view: String,
    /// The writer, `jsonl@1`.
    writer: String,
    rows: Digest,
    output: Digest,
    /// The commit of the code around the store.
    code_commit: Option<String>,
}

/// A record with its commit, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Noted {
    commit: CommitId,
    #[serde(flatten)]
    record: Record,
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
    check_name("the name", &args.name)?;
    let (_, who) = context.identities(&store)?;
    let at = jiff::Timestamp::from_second(who.seconds)
        .map_err(|e| CliError::input(format!("the date of the committer: {e}")))?;
    let around = store.root().parent().unwrap_or(store.root());
    let record = Record {
        id: random_name()?,
        name: args.name.clone(),
        at: at.to_string(),
        metrics: metrics(&args.metric)?,
        view: lock.view.rows.clone(),
        writer: lock.view.writer.clone(),
        rows: lock.digest.rows,
        output: lock.digest.output,
        code_commit: code_commit(around),
    };
    store.append_note(Notes::Runs, lock.commit, &serde_json::to_string(&record)?, &who)?;
    let noted = Noted { commit: lock.commit, record };
    if context.json {
        context.json_line(&noted)?;
    } else {
        let (name, commit) = (plain(&args.name), lock.commit.short());
        writeln!(context.out(), "recorded {name} on {commit}")?;
    }
    Ok(0)
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let chars = name.chars().count();
    if name.trim().is_empty() || chars > NAME_CHARS_MAX || name.contains(char::is_control) {
        return Err(CliError::input(format!(
            "{what} of a run has 1 to {NAME_CHARS_MAX} characters in one line"
        ))
        .hint("for example `--name baseline --metric f1=0.83`"));
    }
    Ok(())
}

/// `f1=0.83`: a number where it reads as one of JSON, else a text.
fn metrics(texts: &[String]) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for text in texts {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            CliError::input(format!("`{text}` is not of the form NAME=VALUE"))
                .hint("for example `--metric f1=0.83`")
        })?;
        check_name("a metric", name)?;
        check_name("a value", value)?;
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
    let (mut runs, mut others) = (Vec::new(), 0u64);
    for (commit, line) in store.notes(Notes::Runs, of)? {
        match serde_json::from_str(&line) {
            Ok(record) => runs.push(Noted { commit, record }),
            Err(_) => others += 1,
        }
    }
    // The newest last, as a log of what happened; equal times in one order everywhere.
    runs.sort_by(|a, b| (&a.record.at, &a.record.id).cmp(&(&b.record.at, &b.record.id)));
    runs.dedup_by(|a, b| (&a.record.id, a.commit) == (&b.record.id, b.commit));
    for noted in &runs {
        if context.json {
            context.json_line(noted)?;
            continue;
        }
        let Noted { commit, record } = noted;
        let mut line =
            format!("{}  {}  {}", commit.short(), plain(&record.at), plain(&record.name));
        for (name, value) in &record.metrics {
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
