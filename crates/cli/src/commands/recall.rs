//! `gloss recall`

use std::io::Write;

use clap::Args;
use glossator_formats::JsonRows;
use glossator_lineage::recall::{Suspect, Touch, rows_of};
use glossator_quality::Aliases;
use glossator_store::schema::{ANNOTATIONS, Annotations, ITEMS};
use glossator_store::{CommitId, Store};
use serde_json::json;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::render::{lines, number, plain, row, table};
use crate::uses::{Holders, Use};

/// Find what somebody or something touched: commits, branches, tags, pins, exports, runs, rows
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss recall --annotator 7\n  \
    gloss recall --source batch-12.json --rows --json\n\n\
    A branch, a pin or a run counts the rows of it that are live in its commit. One with filters, \
    or of final answers, may hold fewer. Pins and runs are found where they were noted in this \
    store: `gloss fetch` brings those of others, `gloss export --record` notes an export.")]
pub(crate) struct RecallArgs {
    #[command(flatten)]
    suspect: SuspectArgs,
    /// Also the rows, as each commit made them
    #[arg(long)]
    rows: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SuspectArgs {
    /// What an annotator decided, by any name that is joined to this one
    #[arg(long, value_name = "ID")]
    annotator: Option<String>,
    /// An item
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// What was decided under a version of a policy, such as vehicles@2
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// What a commit made
    #[arg(long, value_name = "REV")]
    commit: Option<String>,
    /// What came from a file, by its name or its digest, or from a source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
}

pub(crate) fn run(context: &mut Context, args: &RecallArgs) -> Result<u8> {
    let store = context.store()?;
    let aliases = aliases(&store)?;
    let wanted = args.suspect.annotator.as_deref().unwrap_or_default();
    let is = |id: &str| aliases.person(id) == aliases.person(wanted);
    let suspect = match &args.suspect {
        SuspectArgs { annotator: Some(_), .. } => Suspect::Annotator(&is),
        SuspectArgs { item: Some(item), .. } => Suspect::Item(item),
        SuspectArgs { policy: Some(policy), .. } => Suspect::Policy(policy),
        SuspectArgs { commit: Some(revision), .. } => {
            Suspect::Commit(resolve(&store, Some(revision))?)
        }
        SuspectArgs { source: Some(source), .. } => Suspect::Source(source),
        _ => return Err(CliError::input("nothing is recalled")),
    };
    let holders = Holders::new(&store)?;
    let touched = holders.touches(suspect)?;
    if touched.is_empty() {
        return nothing(context, &store, args);
    }
    let uses = holders.of(suspect, &touched)?;
    write_commits(context, &store, &touched)?;
    write_uses(context, &uses)?;
    if args.rows {
        write_rows(context, &store, &touched, suspect)?;
    }
    Ok(0)
}

/// Which ids are names of one person, as the head has it.
pub(super) fn aliases(store: &Store) -> Result<Aliases> {
    let head = store.history.head()?.commit;
    crate::view::aliases(&store.snapshot(head, &[])?)
}

/// Nobody touched it: of an item, names that are nearly the same are offered.
fn nothing(context: &mut Context, store: &Store, args: &RecallArgs) -> Result<u8> {
    if let (Some(item), Some(head)) = (&args.suspect.item, store.history.head()?.commit) {
        let snapshot = store.snapshot(Some(head), &[])?;
        if snapshot.table(&ITEMS)?.locate_item(item)?.is_empty() {
            return Err(crate::nearest::no_item(&snapshot, item)?);
        }
    }
    context.note("no commit has a row of it")?;
    Ok(0)
}

fn write_commits(context: &mut Context, store: &Store, touched: &[Touch]) -> Result<()> {
    let mut shown = table(&["commit", "time", "rows", "message", "files"]);
    for touch in touched {
        let about = store.history.commit(touch.commit)?;
        let time = row::seconds(about.author.seconds, about.author.offset);
        let files: Vec<&str> = touch.files.iter().map(|file| file.name.as_str()).collect();
        if context.json {
            context.json_line(&json!({
                "what": "commit", "commit": touch.commit, "time": time, "rows": touch.rows,
                "message": about.title(), "files": files,
            }))?;
            continue;
        }
        let rows = number(touch.rows);
        let (commit, files) = (touch.commit.short(), files.join(", "));
        shown.add_row([&commit, &time, &rows, about.title(), &files].map(plain));
    }
    if !context.json {
        let (count, many) = (touched.len() as u64, if touched.len() == 1 { "" } else { "s" });
        writeln!(context.out(), "touched by {} commit{many}", number(count))?;
        writeln!(context.out(), "{}", lines(&shown))?;
    }
    Ok(())
}

pub(super) fn write_uses(context: &mut Context, uses: &[Use]) -> Result<()> {
    if context.json {
        return uses.iter().try_for_each(|one| context.json_line(one));
    }
    let mut shown = table(&["what", "name", "commit", "rows", "at", "view"]);
    for one in uses {
        let most = if one.at_most && one.rows > 0 { "at most " } else { "" };
        let cells = [
            one.what,
            &one.name,
            &one.commit.short(),
            &format!("{most}{}", number(one.rows)),
            one.at.as_deref().unwrap_or("-"),
            one.view.as_deref().unwrap_or("-"),
        ];
        shown.add_row(cells.map(plain));
    }
    if uses.is_empty() {
        return Ok(writeln!(context.out(), "\nheld by nothing that is named here")?);
    }
    writeln!(context.out(), "\nheld by {}", number(uses.len() as u64))?;
    Ok(writeln!(context.out(), "{}", lines(&shown))?)
}

/// The rows as each commit made them, a batch at a time.
fn write_rows(
    context: &mut Context,
    store: &Store,
    touched: &[Touch],
    suspect: Suspect<'_>,
) -> Result<()> {
    for Touch { commit, .. } in touched {
        for batch in rows_of(store, *commit, suspect)? {
            let batch = batch?;
            if context.json {
                json_rows(context, *commit, &batch)?;
                continue;
            }
            for one in Annotations::new(&batch).iter() {
                let (item, id, who) =
                    (plain(one.item_id), plain(one.annotation_id), plain(one.annotator_id));
                let value = row::value(&one);
                let short = commit.short();
                writeln!(context.out(), "{short}  {item}  {id}  {who}  {}", plain(&value))?;
            }
        }
    }
    Ok(())
}

fn json_rows(
    context: &mut Context,
    commit: CommitId,
    batch: &arrow::array::RecordBatch,
) -> Result<()> {
    let json = JsonRows::new(&ANNOTATIONS, batch)?;
    let mut line = Vec::new();
    for row in 0..batch.num_rows() {
        line.clear();
        line.extend_from_slice(
            format!("{{\"what\":\"row\",\"commit\":\"{commit}\",\"row\":").as_bytes(),
        );
        json.write(row, &mut line)?;
        line.extend_from_slice(b"}\n");
        context.out().write_all(&line)?;
    }
    Ok(())
}
