//! `gloss import --update` and `--remove`: rows by their keys.

use arrow::array::{RecordBatch, StringArray};
use glossator_formats::{Input, read_partial};
use glossator_store::Snapshot;
use glossator_store::intake::{Edit, Edits};
use glossator_store::people::People;
use glossator_store::schema::{ANNOTATIONS, ColumnView};

use super::{ImportArgs, Made, Report, repeats};
use crate::context::{Context, resolve};
use crate::error::{CliError, Result};

/// Keys that a message names, at most.
const SHOWN_MAX: usize = 10;

pub(super) fn edit(context: &Context, args: &ImportArgs, snapshot: &Snapshot<'_>) -> Result<Made> {
    let store = snapshot.store();
    let base = match &args.base {
        Some(revision) => Some(store.snapshot(Some(resolve(store, Some(revision))?), &[])?),
        None => None,
    };
    let edit = if args.remove { Edit::Remove } else { Edit::Update };
    let mut edits = Edits::new(snapshot, base.as_ref(), edit);
    let mut people = store.people()?;
    let mut read = 0;
    let inputs: Vec<Input> = args.files.iter().map(|file| Input::new(context.path(file))).collect();
    let format = args.format.as_deref();
    for input in &inputs {
        read_partial(input, format, &mut |columns, batch, _| {
            read += batch.num_rows() as u64;
            Ok(edits.push(columns, without_addresses(columns, batch, &mut people)?)?)
        })?;
    }
    let (intaken, refused) =
        edits.finish().map_err(|error| repeats::told_of_edit(error, &inputs, format))?;
    check_missing(&refused.missing)?;
    let mut warnings = std::collections::BTreeMap::new();
    if !refused.changed_since.is_empty() {
        let shown: Vec<&str> =
            refused.changed_since.iter().take(SHOWN_MAX).map(String::as_str).collect();
        let text = format!("changed since the base, left alone: {}", shown.join(", "));
        warnings.insert(text, refused.changed_since.len() as u64);
    }
    Ok(Made {
        report: Report {
            sources: Vec::new(),
            rows: [(ANNOTATIONS.name, read)].into(),
            changes: intaken.counts.clone(),
            warnings,
            losses: Default::default(),
            quarantined: 0,
            signed: Vec::new(),
            commit: None,
            staged: false,
        },
        intaken,
        people,
        notes: Vec::new(),
    })
}

/// Refuses keys of no annotation.
pub(super) fn check_missing(missing: &[String]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(listed("there is no annotation", missing)
        .hint("`gloss ls` shows the keys; new rows come in without `--update`"))
}

/// An address never becomes an annotator's id in a row.
fn without_addresses(
    columns: &[usize],
    batch: RecordBatch,
    people: &mut People,
) -> glossator_store::Result<RecordBatch> {
    let annotator = ANNOTATIONS.column("annotator_id");
    let Some(at) = columns.iter().position(|column| Some(*column) == annotator) else {
        return Ok(batch);
    };
    let Some(ids) = ColumnView::new(batch.column(at)) else { return Ok(batch) };
    let named: StringArray = (0..batch.num_rows())
        .map(|row| {
            let id = ids.text(row)?;
            Some(if id.contains('@') {
                people.identify(None, Some(id), None)
            } else {
                id.to_owned()
            })
        })
        .collect();
    let mut all = batch.columns().to_vec();
    all[at] = arrow::compute::cast(&named, batch.column(at).data_type())?;
    Ok(RecordBatch::try_new(batch.schema(), all)?)
}

fn listed(what: &str, keys: &[String]) -> CliError {
    let shown: Vec<&str> = keys.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let more = keys.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    CliError::input(format!("{what}: {}{more}", shown.join(", ")))
}
