//! `gloss import`

mod keys;
mod reading;
mod repeats;
mod signed;
pub(crate) mod sink;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_formats::{
    Error as FormatError, ImportOptions, ImportReport, Importer, Input, importers, read_partial,
};
use glossator_store::change::SourceFile;
use glossator_store::intake::{Intake, IntakeOptions, Intaken};
use glossator_store::schema::{SOURCES, Sources};
use glossator_store::{Digest, Error as StoreError, Snapshot};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::policies;
use crate::render::{counts, number, plain};
use crate::signing::SignArgs;
use crate::staging::{Outcome, Staging};
pub(crate) use reading::Reading;
use signed::Batch;
use sink::StoreSink;

/// Options that say how whole rows are read: an edit by key would ignore them.
const ONLY_WHOLE_ROWS: [&str; 12] = [
    "signed_by",
    "gold",
    "append",
    "prune",
    "map",
    "each",
    "time_unit",
    "value",
    "source",
    "images",
    "policy",
    "quarantine",
];

/// Read labels from files and stage them
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:\n  \
    gloss import export.json -m \"first round\"\n  \
    gloss import answers.csv --map item=question --map annotator=worker --gold gold.csv\n  \
    gloss import edited.parquet --update --base v1 -m \"fix boxes\"\n  \
    gloss import batch.csv --signed-by batch.csv.sig -m \"seventh batch\"\n  \
    gloss import changed.parquet --remove-keys gone.parquet -m \"second round\"\n\n\
    What an import means is decided by ids: rows that are there already are compared, and only \
    what differs is staged. Importing a file twice changes nothing.")]
pub(crate) struct ImportArgs {
    /// Files, perhaps gzipped
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, where it cannot be told: label-studio, coco, labelme-xml, csv, tsv,
    /// jsonl, parquet
    #[arg(long)]
    format: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Commit at once with this message; the stage is not touched
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Take answers of sources without submissions as further answers, not as new versions
    #[arg(long)]
    append: bool,
    /// Also remove what complete files no longer have
    #[arg(long)]
    prune: bool,
    /// Change only the columns that the files have, by item_id and annotation_id
    #[arg(long, group = "edit", conflicts_with_all = ONLY_WHOLE_ROWS)]
    update: bool,
    /// Remove the annotations whose keys the files have
    #[arg(long, group = "edit", conflicts_with_all = ONLY_WHOLE_ROWS)]
    remove: bool,
    /// Also remove the annotations whose keys this file has, in the same change
    #[arg(long, value_name = "FILE", conflicts_with_all = ["update", "remove", "prune"])]
    remove_keys: Option<PathBuf>,
    /// The commit that the edited rows were exported from: later changes are not overwritten
    #[arg(long, value_name = "REV", requires = "edit")]
    base: Option<String>,
    /// The signature of whoever delivered the file, made with `ssh-keygen -Y sign -n gloss-batch`;
    /// one for each file. It is kept with the commit
    #[arg(long, value_name = "SIGNATURE")]
    signed_by: Vec<PathBuf>,
    /// Whose keys are known, as `ssh-keygen` has it; else git's `gpg.ssh.allowedSignersFile`
    #[arg(long, value_name = "FILE", requires = "signed_by")]
    allowed_signers: Option<PathBuf>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    signing: SignArgs,
}

/// What an import made, as `--json` prints it.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Report {
    sources: Vec<String>,
    pub(super) rows: std::collections::BTreeMap<&'static str, u64>,
    changes: std::collections::BTreeMap<&'static str, glossator_store::delta::Counts>,
    pub(super) warnings: std::collections::BTreeMap<String, u64>,
    pub(super) losses: std::collections::BTreeMap<String, u64>,
    pub(super) quarantined: u64,
    /// Who signed the files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signed: Vec<signed::Told>,
    commit: Option<String>,
    staged: bool,
}

pub(crate) fn run(context: &mut Context, args: &ImportArgs) -> Result<u8> {
    args.signing.only_with(args.message.as_deref())?;
    context.signing = args.signing.clone();
    let store = context.store()?;
    let batches = signed::check(context, &store, args)?;
    let staging = Staging::begin(&store, args.message.as_deref())?;
    let branch = staging.branch().clone();
    let mut made = {
        let snapshot = staging.snapshot()?;
        if args.update || args.remove {
            keys::edit(context, args, &snapshot)?
        } else {
            read_signed(context, args, &snapshot, &batches)?
        }
    };
    made.report.signed = batches.iter().map(|batch| batch.told.clone()).collect();
    for note in &made.notes {
        context.note(note)?;
    }
    if args.dry_run {
        return finish(context, &made.report, "nothing was staged (--dry-run)");
    }
    // Before the rows: whoever they name is known by then.
    store.save_people(&mut made.people)?;
    let text = match staging.finish(context, made.intaken.layers, "import")? {
        Outcome::Nothing => "nothing changed".to_owned(),
        Outcome::Staged => {
            made.report.staged = true;
            "staged; commit with `gloss commit -m …`".to_owned()
        }
        Outcome::Committed(commit) => {
            made.report.commit = Some(commit.to_string());
            format!("committed {} on {}", commit.short(), branch)
        }
    };
    finish(context, &made.report, &text)
}

/// What was taken, before it is staged or committed.
pub(super) struct Made {
    pub(super) intaken: Intaken,
    pub(super) people: glossator_store::people::People,
    pub(super) report: Report,
    /// How the columns of tables were read.
    pub(super) notes: Vec<String>,
}

fn finish(context: &mut Context, report: &Report, text: &str) -> Result<u8> {
    if context.json {
        context.json_line(report)?;
        return Ok(0);
    }
    let out = context.out();
    for signed in &report.signed {
        writeln!(out, "{}", plain(&signed.text()))?;
    }
    for source in &report.sources {
        writeln!(out, "source {}", plain(source))?;
    }
    for (table, change) in &report.changes {
        let rows = report.rows.get(table).copied().unwrap_or_default();
        writeln!(out, "{table:<12} {:>9} read   {}", number(rows), counts(change))?;
    }
    for (what, count) in &report.warnings {
        writeln!(out, "warning: {}: {}", plain(what), number(*count))?;
    }
    for (what, count) in &report.losses {
        writeln!(out, "not kept: {}: {}", plain(what), number(*count))?;
    }
    if report.losses.is_empty() && !report.rows.is_empty() {
        writeln!(out, "nothing was lost")?;
    }
    if report.quarantined > 0 {
        writeln!(out, "{} bad records were set aside", number(report.quarantined))?;
    }
    writeln!(out, "{text}")?;
    Ok(0)
}

impl ImportArgs {
    /// An import of whole rows from these files, and nothing else.
    pub(super) fn of(files: Vec<PathBuf>, format: Option<String>, reading: Reading) -> Self {
        Self { files, format, reading, ..Self::default() }
    }
}

/// Reads the files into a change.
pub(super) fn read(context: &Context, args: &ImportArgs, snapshot: &Snapshot<'_>) -> Result<Made> {
    read_signed(context, args, snapshot, &[])
}

fn read_signed(
    context: &Context,
    args: &ImportArgs,
    snapshot: &Snapshot<'_>,
    batches: &[Batch],
) -> Result<Made> {
    // Gold rows and removals are of the same keys as the files' own rows.
    let in_order = args.reading.gold.is_none() && args.remove_keys.is_none();
    match intake(context, args, snapshot, batches, in_order)? {
        Some(made) => Ok(made),
        None => Ok(intake(context, args, snapshot, batches, false)?.ok_or(StoreError::OutOfOrder)?),
    }
}

/// Files with the importers that read them.
pub(super) fn inputs(
    context: &Context,
    files: &[PathBuf],
    format: Option<&str>,
) -> Result<Vec<(Input, &'static dyn Importer)>> {
    let open = |file: &PathBuf| {
        let input = Input::new(context.path(file));
        let importer = importer(&input, format)?;
        Ok((input, importer))
    };
    files.iter().map(open).collect()
}

/// Reads the files into a change. With `in_order`, rows are not kept aside: `None` where they would
/// have to be.
fn intake(
    context: &Context,
    args: &ImportArgs,
    snapshot: &Snapshot<'_>,
    batches: &[Batch],
    in_order: bool,
) -> Result<Option<Made>> {
    let store = snapshot.store();
    let mut options = args.reading.options(context)?;
    let inputs = inputs(context, &args.files, args.format.as_deref())?;
    let intake_options = IntakeOptions {
        in_order,
        ..intake_options(args, inputs.first().map(|(_, importer)| *importer))
    };
    let quarantine = args.reading.quarantine.as_ref().map(|path| context.path(path));
    let mut intake = Intake::new(snapshot, intake_options);
    if args.reading.source.is_none() && args.reading.images.is_none() {
        intake.refuse_items_of(other_coco_sources(snapshot, &inputs)?);
    }
    let mut sink = StoreSink::new(intake, store.people()?, quarantine, context.interactive())?;
    sink.know(policies::of(snapshot)?);
    if let Some(policy) = &args.reading.policy {
        let (name, version) = policies::named(policy)?;
        sink.made_under(format!("{name}@{version}"));
    }
    let mut sources = Vec::new();
    let (mut field, mut notes) = (None, Vec::new());
    if let (true, Some(source)) = (args.prune, &args.reading.source) {
        sink.complete(source);
    }
    for (at, (input, importer)) in inputs.iter().enumerate() {
        if is_table(*importer) && options.source.is_none() {
            options.source = only_table_source(snapshot)?;
        }
        sink.begin(input.name());
        let report = match importer.import(input, &options, &mut sink) {
            Err(FormatError::Store(StoreError::OutOfOrder)) => return Ok(None),
            done => done?,
        };
        if args.prune && args.reading.source.is_none() && report.records == 0 {
            return Err(CliError::input(format!(
                "`{}` has no record, so `--prune` cannot tell whose rows to remove",
                input.name()
            ))
            .hint("name the source whose rows shall go: `--source NAME --prune`"));
        }
        notes.extend(record(&mut sink, input, *importer, &report, batches.get(at))?);
        field = field.or_else(|| answer_column(&report.mapping));
        sources.push(report.source);
    }
    if let Some(gold) = &args.reading.gold {
        let input = Input::new(context.path(gold));
        let importer = importer(&input, None)?;
        let source = sources.first().cloned();
        let mut options = ImportOptions { gold: true, source, ..options.clone() };
        // Gold answers the same question, whatever its column is called.
        let unmapped = !options.map.iter().any(|(ours, _)| ours == "field");
        if let Some(field) = field.filter(|_| unmapped) {
            options.map.push(("field".to_owned(), vec![format!("={field}")]));
        }
        let report = importer.import(&input, &options, &mut sink)?;
        notes.extend(record(&mut sink, &input, importer, &report, None)?);
    }
    if let Some(file) = &args.remove_keys {
        read_partial(&Input::new(context.path(file)), None, &mut |_, rows, _| sink.remove(&rows))?;
    }
    sources.sort();
    sources.dedup();
    let (intaken, people, mut told) =
        sink.finish().map_err(|error| repeats::told(error, &inputs, &options))?;
    if args.prune && told.quarantined > 0 {
        return Err(CliError::input(format!(
            "{} bad record(s) were set aside, so the files are not complete, and `--prune` would \
             remove their rows",
            told.quarantined
        ))
        .hint("mend the records, or import without `--prune`"));
    }
    keys::check_missing(&intaken.missing)?;
    told.gold_without_answers(&intaken);
    Ok(Some(Made {
        report: Report {
            sources,
            rows: intaken.rows.clone(),
            changes: intaken.counts.clone(),
            warnings: told.warnings,
            losses: told.losses,
            quarantined: told.quarantined,
            signed: Vec::new(),
            commit: None,
            staged: false,
        },
        intaken,
        people,
        notes,
    }))
}

/// The column that holds a table's answers, by whose name the field is called.
fn answer_column(mapping: &[(String, String)]) -> Option<String> {
    if mapping.iter().any(|(ours, _)| ours == "field") {
        return None;
    }
    let answers = ["label", "text", "number"];
    let named = |name: &&str| mapping.iter().find(|(ours, _)| ours == name);
    answers.iter().find_map(named).map(|(_, theirs)| theirs.clone())
}

/// What the format knows of the tool's own members; files of one import are of one format.
pub(super) fn intake_options(
    args: &ImportArgs,
    importer: Option<&'static dyn Importer>,
) -> IntakeOptions {
    let (append, prune, keep_ours) = (args.append, args.prune, true);
    let known = IntakeOptions { append, prune, keep_ours, ..Default::default() };
    match importer.map(Importer::name) {
        Some("label-studio") => IntakeOptions {
            volatile: |table| find("label-studio").map_or(&[][..], |i| i.volatile(table)),
            unique: |table| find("label-studio").and_then(|i| i.unique(table)),
            ..known
        },
        Some("coco") => IntakeOptions {
            volatile: |table| find("coco").map_or(&[][..], |i| i.volatile(table)),
            ..known
        },
        _ => known,
    }
}

fn find(name: &str) -> Option<&'static dyn Importer> {
    importers().iter().copied().find(|importer| importer.name() == name)
}

/// COCO sources that are not named as one of the files.
fn other_coco_sources(
    snapshot: &Snapshot<'_>,
    inputs: &[(Input, &'static dyn Importer)],
) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if inputs.iter().all(|(_, importer)| importer.name() != "coco") {
        return Ok(found);
    }
    for batch in snapshot.table(&SOURCES)?.scan()? {
        let batch = batch?.project(&(0..SOURCES.columns.len()).collect::<Vec<_>>())?;
        for row in Sources::new(&batch).iter().filter(|row| row.format == "coco") {
            if !inputs.iter().any(|(input, _)| input.stem() == row.source) {
                found.push(row.source.to_owned());
            }
        }
    }
    Ok(found)
}

fn is_table(importer: &dyn Importer) -> bool {
    matches!(importer.name(), "csv" | "tsv" | "jsonl" | "parquet")
}

/// The source that tables were given before, where there is just one.
fn only_table_source(snapshot: &Snapshot<'_>) -> Result<Option<String>> {
    let mut found = Vec::new();
    for batch in snapshot.table(&SOURCES)?.scan()? {
        let batch = batch?;
        for row in Sources::new(&batch).iter().filter(|row| row.format == "table") {
            found.push(row.source.to_owned());
        }
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// Records the file, and the source of a table. Tells how columns were read.
fn record(
    sink: &mut StoreSink<'_>,
    input: &Input,
    importer: &dyn Importer,
    report: &ImportReport,
    batch: Option<&Batch>,
) -> Result<Option<String>> {
    let pairs: Vec<String> =
        report.mapping.iter().map(|(ours, theirs)| format!("{ours}={theirs}")).collect();
    if is_table(importer) {
        sink.table_source(&report.source)?;
    }
    record_file(sink, input, importer, report, batch)?;
    Ok((!pairs.is_empty()).then(|| format!("columns: {}", pairs.join(" "))))
}

/// Records which file was read, and the signature of who delivered it.
pub(super) fn record_file(
    sink: &mut StoreSink<'_>,
    input: &Input,
    importer: &dyn Importer,
    report: &ImportReport,
    batch: Option<&Batch>,
) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut file = input.open_raw()?;
    hasher.update_reader(&mut file)?;
    let digest = Digest::from(hasher.finalize());
    if batch.is_some_and(|batch| batch.digest != digest) {
        return Err(CliError::input(format!("`{}` changed while it was read", input.name()))
            .hint("import it again when nobody writes to it"));
    }
    let name = input.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    sink.file(SourceFile {
        name,
        digest,
        format: importer.name().to_owned(),
        source: report.source.clone(),
        records: report.records,
        signature: batch.map(|batch| batch.signature.clone()),
    });
    Ok(())
}

/// Bytes of a file that detection looks at: a first record with a long text fits.
const HEAD_BYTES: u64 = 4 << 20;

/// The importer of a format, or else the one that knows the file.
pub(super) fn importer(input: &Input, format: Option<&str>) -> Result<&'static dyn Importer> {
    let names: Vec<&str> = importers().iter().map(|i| i.name()).collect();
    if let Some(format) = format {
        return importers().iter().copied().find(|i| i.name() == format).ok_or_else(|| {
            CliError::input(format!("there is no format `{format}`"))
                .hint(format!("formats: {}", names.join(", ")))
        });
    }
    let head = input.head(HEAD_BYTES)?;
    if head.is_empty() {
        return Err(CliError::input(format!("`{}` is empty", input.name()))
            .hint("export it again from the labelling tool"));
    }
    let name = input.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let best = importers()
        .iter()
        .map(|importer| (importer.detect(&name, &head), *importer))
        .filter(|(sure, _)| *sure > 0)
        .max_by_key(|(sure, _)| *sure);
    best.map(|(_, importer)| importer).ok_or_else(|| {
        CliError::input(format!("the format of `{}` cannot be told", input.name()))
            .hint(format!("name it with `--format`: {}", names.join(", ")))
    })
}
