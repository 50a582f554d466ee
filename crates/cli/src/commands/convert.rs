//! `gloss convert`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use glossator_formats::{ExportOptions, Exporter, Importer, Input, Loss};
use glossator_lineage::policy::Mapping;
use glossator_quality::{LeftOut, Method};
use glossator_store::TempStore;
use glossator_store::fs::{Disk, output_file};

use super::export::{exporter, left_out};
use super::import::{self, ImportArgs, Reading};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::render::{number, plain};
use crate::view::{SnapshotView, ViewName, only_source};

/// Turn files of one format into a file of another, without a store
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss convert export.json -o rows.jsonl\n  \
    gloss convert answers.csv -o tasks.json --to label-studio --map item=question\n  \
    gloss convert instances.json -o train.parquet --view labels\n\n\
    The same rows as `gloss import` and `gloss export` give. Rows are kept in a temporary \
    directory meanwhile (TMPDIR). The output is there whole, or not at all.")]
pub(crate) struct ConvertArgs {
    /// Files, perhaps gzipped
    #[arg(required = true, value_name = "IN")]
    files: Vec<PathBuf>,
    /// Where to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Format of the files, where it cannot be told: label-studio, coco, labelme-xml, csv, tsv,
    /// jsonl, parquet
    #[arg(long)]
    format: Option<String>,
    /// Format to write, where the name of OUT does not say it
    #[arg(long, value_name = "FORMAT")]
    to: Option<String>,
    /// Which rows
    #[arg(long, value_enum, default_value = "rows")]
    view: ViewName,
    /// Leave names and e-mail addresses of annotators out
    #[arg(long)]
    without_people: bool,
    #[command(flatten)]
    reading: Reading,
}

/// What a conversion did, as `--json` prints it.
#[derive(Debug, serde::Serialize)]
struct Report<'r> {
    file: &'r Path,
    format: &'r str,
    /// Rows that were read, by table.
    rows: &'r BTreeMap<&'static str, u64>,
    warnings: &'r BTreeMap<String, u64>,
    quarantined: u64,
    /// What reading did not keep.
    not_kept: &'r BTreeMap<String, u64>,
    /// What the format that was written cannot carry.
    not_carried: BTreeMap<&'r str, u64>,
    left_out: &'r BTreeMap<&'static str, u64>,
}

pub(crate) fn run(context: &mut Context, args: &ConvertArgs) -> Result<u8> {
    let path = context.path(&args.output);
    let exporter = written(context, args)?;
    let mut file = output_file(&path)?;
    let temp = TempStore::empty(&Disk::default().without_caches())?;
    let reading = args.reading.clone();
    let import = ImportArgs::of(args.files.clone(), args.format.clone(), reading);
    let made = import::read(context, &import, &temp.store.snapshot(None, &[])?)?;
    for note in &made.notes {
        context.note(note)?;
    }
    let snapshot = temp.store.snapshot(None, &made.intaken.layers)?;
    let filters = Filters::default();
    let mapping = Mapping::default();
    let view = SnapshotView {
        snapshot: &snapshot,
        filters: &filters,
        mapping: &mapping,
        people: (!args.without_people).then_some(&made.people),
        seen_by: only_source(&snapshot, exporter.name(), &filters)?,
        labels: (args.view == ViewName::Labels).then(Method::default),
        left_out: Default::default(),
    };
    let options = ExportOptions { without_people: args.without_people, source: None };
    let losses = exporter.export(&view, &options, &mut file)?;
    file.persist()?;
    let out = view.left_out.take();
    let report = Report {
        file: &path,
        format: exporter.name(),
        rows: &made.report.rows,
        warnings: &made.report.warnings,
        quarantined: made.report.quarantined,
        not_kept: &made.report.losses,
        not_carried: by_kind(&losses),
        left_out: &out.by_reason,
    };
    if context.json {
        context.json_line(&report)?;
    } else {
        show(context, &report, view.labels.is_some().then_some(&out))?;
    }
    Ok(0)
}

fn by_kind(losses: &[Loss]) -> BTreeMap<&str, u64> {
    losses.iter().map(|loss| (loss.kind.as_str(), loss.count)).collect()
}

fn show(context: &mut Context, report: &Report<'_>, labels: Option<&LeftOut>) -> Result<()> {
    let out = context.out();
    for (table, rows) in report.rows {
        writeln!(out, "{table:<12} {:>9} read", number(*rows))?;
    }
    for (what, count) in report.warnings {
        writeln!(out, "warning: {}: {}", plain(what), number(*count))?;
    }
    for (what, count) in report.not_kept {
        writeln!(out, "not kept: {}: {}", plain(what), number(*count))?;
    }
    for (what, count) in &report.not_carried {
        writeln!(out, "not carried: {}: {}", plain(what), number(*count))?;
    }
    write!(out, "{}", labels.map(left_out).unwrap_or_default())?;
    if report.not_kept.is_empty() && report.not_carried.is_empty() {
        writeln!(out, "nothing was lost")?;
    }
    if report.quarantined > 0 {
        writeln!(out, "{} bad records were set aside", number(report.quarantined))?;
    }
    let file = report.file.display().to_string();
    writeln!(out, "wrote {} as {}", plain(&file), report.format)?;
    Ok(())
}

/// The format to write: the one asked for, the one that the name says, or of JSON the one that was
/// read.
fn written(context: &Context, args: &ConvertArgs) -> Result<&'static dyn Exporter> {
    if let Some(to) = &args.to {
        return exporter(to);
    }
    let extension = args.output.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "csv" | "tsv" | "jsonl" | "parquet" => return exporter(&extension),
        "json" => {
            let first = args.files.first().map(|file| Input::new(context.path(file)));
            let read = first.map(|file| import::importer(&file, args.format.as_deref()));
            let read = read.transpose()?.map(Importer::name);
            if let Some(name @ ("label-studio" | "coco")) = read {
                return exporter(name);
            }
        }
        _ => {}
    }
    let name = args.output.display();
    Err(CliError::input(format!("`{name}` does not say which format to write"))
        .hint("name it with `--to`: label-studio, coco, csv, tsv, jsonl, parquet"))
}
