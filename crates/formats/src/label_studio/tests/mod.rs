//! Tests of the format, on the tool's own files and on ours.

#![allow(clippy::disallowed_macros, reason = "a test says why it skips")]

mod bad;
mod edits;
mod forms;
mod kinds;
mod trips;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use glossator_store::schema::{
    ANNOTATIONS, Annotations, AnnotationsBuilder, ITEMS, REVIEWS, SOURCES, SUBMISSIONS, TABLES,
    Table,
};
use serde_json::Value;

use super::LabelStudio;
use crate::collect::Collected;
use crate::{ExportOptions, Exporter, ImportOptions, Importer, Input, Result, Sink, View, json};

/// Our own samples.
fn own() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/label-studio")).into()
}

/// Exports of a live server.
fn live() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/label-studio-live")).into()
}

/// Files of the tool's test suites; `None`, with the reason printed, where they are not there.
fn suites() -> Option<PathBuf> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fmt-labelstudio");
    let path = PathBuf::from(path);
    if path.is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// The task files in a folder and its folders.
fn task_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if (name.ends_with(".json") || name.ends_with(".json.gz"))
                && name != "JSON_MIN.json"
                && !["project.json", "formats.json", "import_response.json"].contains(&name)
                && folder.file_name().unwrap() != "webhook"
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    Input::new(path).open().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn value(path: &Path) -> Value {
    json::parse(&text(path)).unwrap()
}

fn import_into(path: &Path, sink: &mut dyn Sink) -> Result<String> {
    let report = LabelStudio.import(&Input::new(path), &ImportOptions::default(), sink)?;
    Ok(report.source)
}

fn import(path: &Path) -> Collected {
    let mut rows = Collected::default();
    import_into(path, &mut rows).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    rows
}

/// A file `tasks.json` with that text.
fn file_of(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = tempfile::Builder::new()
        .prefix("tasks")
        .rand_bytes(0)
        .suffix(".json")
        .tempfile_in(folder.path())
        .unwrap();
    file.write_all(bytes).unwrap();
    let (_, path) = file.keep().unwrap();
    (folder, path)
}

fn import_text(text: &str) -> Result<Collected> {
    let (_folder, path) = file_of(text.as_bytes());
    let mut rows = Collected::default();
    import_into(&path, &mut rows)?;
    Ok(rows)
}

fn export_with(view: &dyn View, options: &ExportOptions) -> (Value, Vec<(String, u64)>) {
    let mut out = Vec::new();
    let losses = LabelStudio.export(view, options, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let losses = losses.into_iter().map(|loss| (loss.kind, loss.count)).collect();
    (json::parse(&text).unwrap(), losses)
}

fn export(view: &dyn View) -> Value {
    let (value, losses) = export_with(view, &ExportOptions::default());
    assert_eq!(losses, []);
    value
}

/// The rows with some of their annotations changed, or left out where `edit` says false.
fn edited(
    rows: &Collected,
    mut edit: impl FnMut(&mut glossator_store::schema::AnnotationRow<'_>) -> bool,
) -> Collected {
    let mut out = Collected::default();
    out.people.clone_from(&rows.people);
    for table in [&ITEMS, &SUBMISSIONS, &REVIEWS, &SOURCES] {
        put(&mut out, table, rows.table(table));
    }
    let batch = rows.table(&ANNOTATIONS);
    let mut builder = AnnotationsBuilder::default();
    for mut row in Annotations::new(&batch).iter() {
        if edit(&mut row) {
            builder.push(&row);
        }
    }
    put(&mut out, &ANNOTATIONS, builder.finish());
    out
}

/// A sink that keeps bad records instead of stopping.
fn quarantined() -> Collected {
    let mut rows = Collected::default();
    rows.quarantine = true;
    rows
}

/// Adds rows of a table.
fn put(rows: &mut Collected, table: &'static Table, batch: RecordBatch) {
    Sink::rows(rows, table, batch).unwrap();
}

/// Every cell of a table as text.
fn cells(rows: &Collected, table: &'static Table) -> Vec<String> {
    use glossator_store::schema::ColumnView;
    let batch = rows.table(table);
    let mut out = Vec::new();
    for column in batch.columns() {
        let column = ColumnView::new(column).unwrap();
        for row in 0..batch.num_rows() {
            out.extend(column.text(row).map(str::to_owned));
            out.extend(column.texts(row).into_iter().flatten().map(str::to_owned));
        }
    }
    out
}

fn all_cells(rows: &Collected) -> Vec<String> {
    TABLES.into_iter().flat_map(|table| cells(rows, table)).collect()
}
