//! `gloss export`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_formats::{ExportOptions, Exporter, exporters};
use glossator_lineage::records::Made;
use glossator_quality::{LeftOut, Method};
use glossator_store::fs::output_file;
use glossator_store::{Digest, Snapshot};

use crate::context::{Context, snapshot};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::pin::{Hashing, LockView};
use crate::policies::AsOf;
use crate::records::{NewRecord, check_name, note};
use crate::render::{number, plain};
use crate::rights::{UseArgs, refuse};
use crate::view::{SnapshotView, ViewName, only_source};

/// Write labels to a file of any format
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss export --format label-studio -o tasks.json\n  \
    gloss export --format parquet --view labels --at v1 -o train.parquet\n\n\
    `--view labels` leaves out predictions, drafts, skipped, superseded and rejected rows. Where \
    several people answered, the answer that most gave is final; ties are listed and left out.")]
pub(crate) struct ExportArgs {
    /// The format: label-studio, coco, csv, tsv, jsonl, parquet
    #[arg(long)]
    format: String,
    /// At this commit
    #[arg(long, value_name = "REV")]
    at: Option<String>,
    /// Where to write; standard output where not given
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Which rows
    #[arg(long, value_enum, default_value = "rows")]
    view: ViewName,
    /// Leave names and e-mail addresses of annotators out
    #[arg(long)]
    without_people: bool,
    /// Note on the commit that it was exported, under this name: `gloss recall` finds it
    #[arg(long, value_name = "NAME", requires = "output")]
    record: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    as_of: AsOf,
    #[command(flatten)]
    wanted: UseArgs,
}

/// Notes on the commit that it was exported, where that is asked for.
fn record(
    context: &Context,
    args: &ExportArgs,
    snapshot: &Snapshot<'_>,
    output: Digest,
) -> Result<()> {
    let (Some(name), Some(commit)) = (args.record.as_deref(), snapshot.commit) else {
        return Ok(());
    };
    let view = LockView::new(args.view == ViewName::Labels, &args.format, &args.filters)?;
    let new = NewRecord {
        made: Made::Export,
        name: Some(name),
        metrics: None,
        view: &view,
        // A second pass over the rows for a digest that nobody asked for would double the cost.
        rows: None,
        output,
    };
    note(context, snapshot.store(), commit, new).map(drop)
}

/// The exporter of a format.
pub(crate) fn exporter(format: &str) -> Result<&'static dyn Exporter> {
    exporters().iter().copied().find(|e| e.name() == format).ok_or_else(|| {
        let names: Vec<&str> = exporters().iter().map(|e| e.name()).collect();
        CliError::input(format!("there is no format `{format}` to write"))
            .hint(format!("formats: {}", names.join(", ")))
    })
}

/// What final answers left out, for people.
pub(super) fn left_out(left_out: &LeftOut) -> String {
    let mut text = String::new();
    for (reason, count) in &left_out.by_reason {
        text.push_str(&format!("left out: {reason}: {count}\n"));
    }
    for (item, field) in &left_out.ties {
        text.push_str(&format!("tie: {} {}\n", plain(item), plain(field)));
    }
    let more = left_out.tie_count.saturating_sub(left_out.ties.len() as u64);
    if more > 0 {
        text.push_str(&format!("and {more} more ties\n"));
    }
    text
}

pub(crate) fn run(context: &mut Context, args: &ExportArgs) -> Result<u8> {
    let exporter = exporter(&args.format)?;
    if let Some(name) = &args.record {
        check_name("the name of an export", name)?;
    }
    let store = context.store()?;
    let snapshot = snapshot(&store, args.at.as_deref())?;
    refuse(&snapshot, &args.filters, &args.wanted)?;
    let people = if args.without_people { None } else { Some(store.people()?) };
    let mapping = args.as_of.mapping(&snapshot)?;
    let view = SnapshotView {
        snapshot: &snapshot,
        filters: &args.filters,
        mapping: &mapping,
        people: people.as_ref(),
        seen_by: only_source(&snapshot, exporter.name(), &args.filters)?,
        labels: (args.view == ViewName::Labels).then(Method::default),
        left_out: Default::default(),
    };
    let options = ExportOptions {
        without_people: args.without_people,
        source: match &args.filters.source[..] {
            [one] => Some(one.clone()),
            _ => None,
        },
    };
    let losses = match &args.output {
        Some(path) => {
            let path = context.path(path);
            let mut file = output_file(&path)?;
            let mut hashing = Hashing::new(&mut file);
            let losses = exporter.export(&view, &options, &mut hashing)?;
            let output = hashing.digest();
            file.persist()?;
            record(context, args, &snapshot, output)?;
            losses
        }
        None => exporter.export(&view, &options, context.out())?,
    };
    let mut report = String::new();
    for loss in &losses {
        report.push_str(&format!("not carried: {}: {}\n", plain(&loss.kind), number(loss.count)));
    }
    if view.labels.is_some() {
        report.push_str(&left_out(&view.left_out.borrow()));
    }
    if losses.is_empty() {
        report.push_str("nothing was lost\n");
    }
    // A report is no result: the file or standard output is.
    context.flush()?;
    if context.json && args.output.is_some() {
        let losses: std::collections::BTreeMap<&str, u64> =
            losses.iter().map(|loss| (loss.kind.as_str(), loss.count)).collect();
        let left_out = view.left_out.borrow().by_reason.clone();
        context.json_line(&serde_json::json!({"losses": losses, "left_out": left_out}))?;
    } else {
        write!(std::io::stderr().lock(), "{report}")?;
    }
    Ok(0)
}
