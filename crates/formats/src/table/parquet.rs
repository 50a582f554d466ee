//! Imports Parquet.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use glossator_store::schema::CellType;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::columnar;
use super::each::Each;
use super::output::BATCH_ROWS_MAX;
use super::rows::{Record, take};
use super::source::Source;
use super::{Begun, begin, end, repeated};
use crate::{Error, ImportOptions, ImportReport, Input, Place, Result, Sink};

/// Reads the batches of a file.
pub(super) struct Batches {
    file: String,
    reader: ParquetRecordBatchReader,
    /// The names of the columns.
    pub(super) header: Vec<String>,
}

/// Runs a piece of the decoder, which panics on some damaged files instead of returning an error.
fn guarded<T, E: std::fmt::Display>(
    file: &str,
    read: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    let what = match glossator_store::guard::guarded(read) {
        Some(Ok(read)) => return Ok(read),
        Some(Err(error)) => format!("the Parquet file is damaged or cut off: {error}"),
        None => "the Parquet file is damaged: its pages cannot be decoded".to_owned(),
    };
    Err(Error::input(Place::file(file), what).hint("write or copy the file again"))
}

impl Batches {
    /// Opens a file.
    pub(super) fn open(input: &Input) -> Result<Self> {
        // the types of the writer's program are not needed, only those of Parquet
        Self::with(input, ArrowReaderOptions::new().with_skip_arrow_metadata(true))
    }

    /// Opens the file again, to read these columns as dictionaries where they hold text.
    fn with_dictionaries(self, input: &Input, names: &[&str]) -> Result<Self> {
        let schema = arrow::array::RecordBatchReader::schema(&self.reader);
        let fields: Vec<FieldRef> = schema
            .fields()
            .iter()
            .map(|field| match field.data_type() {
                DataType::Utf8 if names.contains(&field.name().as_str()) => {
                    let dict = CellType::Dict.arrow();
                    Arc::new(field.as_ref().clone().with_data_type(dict))
                }
                _ => field.clone(),
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        Self::with(input, ArrowReaderOptions::new().with_schema(schema))
    }

    fn with(input: &Input, options: ArrowReaderOptions) -> Result<Self> {
        let (file, opened) = (input.name(), input.open_raw()?);
        let reader = guarded(&file, || {
            ParquetRecordBatchReaderBuilder::try_new_with_options(opened, options)?
                .with_batch_size(BATCH_ROWS_MAX)
                .build()
        })?;
        let schema = arrow::array::RecordBatchReader::schema(&reader);
        let header: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        if let Some(name) = repeated(&header) {
            let what = format!("two columns are called `{name}`");
            return Err(Error::input(Place::file(file), what).hint("rename one of them"));
        }
        Ok(Self { file, reader, header })
    }

    /// The next batch.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        guarded(&self.file, || self.reader.next().transpose())
    }
}

/// Imports a Parquet file.
pub(super) fn import(
    input: &Input,
    options: &ImportOptions,
    sink: &mut dyn Sink,
) -> Result<ImportReport> {
    let mut batches = Batches::open(input)?;
    let header = batches.header.clone();
    let each = options.each.as_deref().map(Each::parse).transpose()?;
    let Begun { plan, mut out, length } = begin(input, options, &header, true, each, sink)?;
    let plain = columnar::is_plain(&plan);
    if plain {
        batches = batches.with_dictionaries(input, &columnar::dictionaries(&plan))?;
    }
    let mut records = 0;
    while let Some(batch) = batches.next()? {
        let whole = || {
            let columns: Vec<_> = batch.columns().iter().cloned().map(Some).collect();
            columnar::rows(&plan, &columns, columnar::extra(&plan, &batch))
        };
        if let Some(rows) = plain.then(whole).flatten() {
            let first = records + 1;
            records += rows.num_rows() as u64;
            out.batch(rows, &(first..=records).collect::<Vec<u64>>())?;
            continue;
        }
        let sources = columns(input, &batch, &mut out.times)?;
        for row in 0..batch.num_rows() {
            records += 1;
            let cells: Vec<_> = sources.iter().map(|source| source.cell(row)).collect();
            let place = Place::path(input.name(), format!("row {records}"));
            let record = Record { cells: &cells, line: records, raw: None };
            take(&plan, &mut out, &record, &place)?;
        }
    }
    out.finish()?;
    end(input, length, &plan, records)
}

/// The columns of a batch as sources of cells.
pub(super) fn columns(
    input: &Input,
    batch: &RecordBatch,
    times: &mut super::cell::Times,
) -> Result<Vec<Source>> {
    let schema = batch.schema();
    let named = batch.columns().iter().zip(schema.fields());
    named
        .map(|(array, field)| {
            Source::new(array, times).map_err(|reason| {
                let what = format!("the column `{}` cannot be read: {reason}", field.name());
                Error::input(Place::file(input.name()), what)
                    .hint("leave it out, or write it as text or numbers")
            })
        })
        .collect()
}
