//! Where a key stands that an import states twice. The first reading keeps no place of a row, so
//! the files are read again, in error only.

use arrow::array::RecordBatch;
use glossator_formats::{BadRecord, Result as FormatResult};
use glossator_formats::{ImportOptions, Importer, Input, Person, Place, Sink, read_partial};
use glossator_store::Error as StoreError;
use glossator_store::schema::{ANNOTATIONS, ColumnView, Table};

use crate::error::CliError;

/// Places that a message names, at most.
const PLACES_MAX: usize = 10;

/// The failure of an intake, with the files and where in them a repeated key stands.
pub(super) fn told(
    error: StoreError,
    inputs: &[(Input, &'static dyn Importer)],
    options: &ImportOptions,
) -> CliError {
    let mut finder = Finder::of(&error);
    let searched = if finder.key.is_some() { inputs } else { &[] };
    for (input, importer) in searched {
        finder.begin(input, importer.name() == "parquet");
        // The first reading told what is wrong; this one has only places to add.
        let _ = importer.import(input, options, &mut finder);
    }
    let names: Vec<String> =
        inputs.iter().map(|(input, _)| format!("`{}`", input.name())).collect();
    let error = CliError::from(error).of_file(&names.join(", "));
    finder.places.into_iter().fold(error, CliError::detail)
}

/// The same for an edit by key.
pub(super) fn told_of_edit(error: StoreError, inputs: &[Input], format: Option<&str>) -> CliError {
    let mut finder = Finder::of(&error);
    let searched = if finder.key.is_some() { inputs } else { &[] };
    for input in searched {
        finder.begin(input, false);
        let _ = read_partial(input, format, &mut |_, batch, lines| {
            finder.look(&batch, lines);
            Ok(())
        });
    }
    finder.places.into_iter().fold(error.into(), CliError::detail)
}

/// Looks for a key among the rows of a file.
struct Finder {
    key: Option<(String, String)>,
    file: String,
    /// Whether rows are numbered, since the format has no lines.
    numbered: bool,
    lines: Vec<u64>,
    places: Vec<String>,
}

impl Finder {
    fn of(error: &StoreError) -> Self {
        let key = match error {
            StoreError::RepeatedKey { table, item, key } if *table == ANNOTATIONS.name => {
                Some((item.clone(), key.clone()))
            }
            _ => None,
        };
        Self { key, file: String::new(), numbered: false, lines: Vec::new(), places: Vec::new() }
    }

    fn begin(&mut self, input: &Input, numbered: bool) {
        (self.file, self.numbered) = (input.name(), numbered);
        self.lines.clear();
    }

    /// Looks at rows whose first two columns are the key.
    fn look(&mut self, rows: &RecordBatch, lines: &[u64]) {
        let Some((item, id)) = &self.key else { return };
        let [items, ids, ..] = rows.columns() else { return };
        let (Some(items), Some(ids)) = (ColumnView::new(items), ColumnView::new(ids)) else {
            return;
        };
        for (row, line) in lines.iter().enumerate().take(rows.num_rows()) {
            let found = items.text(row) == Some(item) && ids.text(row) == Some(id);
            if found && self.places.len() < PLACES_MAX {
                let place = match self.numbered {
                    true => Place::path(&self.file, format!("row {line}")),
                    false => Place::line(&self.file, *line),
                };
                self.places.push(place.to_string());
            }
        }
    }
}

impl Sink for Finder {
    fn lines(&mut self, lines: &[u64]) {
        self.lines = lines.to_vec();
    }

    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> FormatResult<()> {
        if table == &ANNOTATIONS {
            let lines = std::mem::take(&mut self.lines);
            self.look(&rows, &lines);
        }
        Ok(())
    }

    fn person(&mut self, person: &Person<'_>) -> FormatResult<String> {
        Ok(person.id.unwrap_or("unknown").to_owned())
    }

    fn bad(&mut self, _record: BadRecord) -> FormatResult<()> {
        Ok(())
    }

    fn warn(&mut self, _kind: &str, _place: &Place) {}

    fn lost(&mut self, _kind: &str, _place: &Place) {}
}
