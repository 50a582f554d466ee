//! Writes rows in our own columns.

use std::io::Write;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use glossator_store::schema::{
    ANNOTATIONS, CellType, ColumnView, ITEMS, REVIEWS, SOURCES, SUBMISSIONS, Table,
};

use super::cell::write_time;
use super::json;
use super::mapping::own;
use crate::{Error, ExportOptions, Loss, Place, Result, View};

/// Rows of one row group of an exported Parquet file.
const ROW_GROUP_ROWS_MAX: usize = 131_072;
/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes rows of any table as JSON objects: columns in order, nulls left out, floats in their
/// shortest form, times as RFC 3339 with microseconds, JSON columns nested, bytes hexadecimal.
#[derive(Debug)]
pub struct JsonRows<'a> {
    table: &'static Table,
    columns: Vec<ColumnView<'a>>,
}

impl<'a> JsonRows<'a> {
    /// Views a batch of a table; an error where a column is of no type of the schema.
    pub fn new(table: &'static Table, batch: &'a RecordBatch) -> Result<Self> {
        let columns = batch.columns().iter().map(|c| ColumnView::new(c)).collect::<Option<_>>();
        match columns {
            Some(columns) => Ok(Self { table, columns }),
            None => Err(Error::stored(Place::file(table.name), "the batch is of another table")),
        }
    }

    /// Appends one row as an object, without a line end.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        let mut first = true;
        for (index, column) in self.table.columns.iter().enumerate() {
            if self.columns.get(index).is_none_or(|view| view.is_null(row)) {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(column.name.as_bytes());
            out.extend_from_slice(b"\":");
            self.write_value(row, index, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends one cell as a JSON value.
    pub fn write_value(&self, row: usize, column: usize, out: &mut Vec<u8>) -> Result<()> {
        let (Some(view), Some(about)) = (self.columns.get(column), self.table.columns.get(column))
        else {
            return Err(Error::stored(Place::file(self.table.name), "there is no such column"));
        };
        if view.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match about.cell {
            CellType::Text | CellType::Dict => {
                json::quote_bytes(view.text(row).unwrap_or_default(), out);
            }
            // white space between its parts could break the line
            CellType::Json => {
                out.extend_from_slice(json::compact(view.text(row).unwrap_or("null")).as_bytes())
            }
            CellType::Time => {
                out.push(b'"');
                self.plain(row, column, out)?;
                out.push(b'"');
            }
            CellType::Bytes => {
                out.push(b'"');
                self.plain(row, column, out)?;
                out.push(b'"');
            }
            _ => self.plain(row, column, out)?,
        }
        Ok(())
    }

    /// Appends a cell as plain text: what a CSV cell holds.
    fn plain(&self, row: usize, column: usize, out: &mut Vec<u8>) -> Result<()> {
        let view = &self.columns[column];
        // writing to a Vec cannot fail
        let _ = match self.table.columns[column].cell {
            CellType::Text | CellType::Dict | CellType::Json => {
                out.write_all(view.text(row).unwrap_or_default().as_bytes())
            }
            CellType::Bool => write!(out, "{}", view.bool(row).unwrap_or_default()),
            CellType::Float => write!(out, "{:?}", view.float(row).unwrap_or_default()),
            CellType::Int | CellType::Int32 => {
                write!(out, "{}", view.int(row).unwrap_or_default())
            }
            CellType::Time => {
                return write_time(view.int(row).unwrap_or_default(), out)
                    .map_err(|e| Error::stored(Place::file(self.table.name), e));
            }
            CellType::Floats => {
                out.push(b'[');
                for (i, value) in view.floats(row).unwrap_or_default().iter().enumerate() {
                    out.extend_from_slice(if i > 0 { b"," } else { b"" });
                    let _ = write!(out, "{value:?}");
                }
                out.write_all(b"]")
            }
            CellType::Texts => {
                out.push(b'[');
                for (i, text) in view.texts(row).unwrap_or_default().iter().enumerate() {
                    out.extend_from_slice(if i > 0 { b"," } else { b"" });
                    json::quote_bytes(text, out);
                }
                out.write_all(b"]")
            }
            CellType::Bytes => {
                let bytes = view.bytes(row).unwrap_or_default();
                bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
            }
        };
        Ok(())
    }
}

fn io(source: std::io::Error) -> Error {
    Error::Io { file: "the export".to_owned(), source }
}

/// Calls `each` with the batches to export.
fn batches(
    view: &dyn View,
    options: &ExportOptions,
    each: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    for batch in view.rows(&ANNOTATIONS)? {
        let batch = batch?;
        let Some(source) = &options.source else {
            each(batch)?;
            continue;
        };
        let sources = ColumnView::new(batch.column(own::SOURCE));
        let kept: BooleanArray = (0..batch.num_rows())
            .map(|row| Some(sources.as_ref().and_then(|s| s.text(row)) == Some(source)))
            .collect();
        let filtered = filter_record_batch(&batch, &kept)
            .map_err(|e| Error::stored(Place::file(ANNOTATIONS.name), e.to_string()))?;
        each(filtered)?;
    }
    Ok(())
}

/// What a table of annotations does not carry: the rows of the other tables.
pub(super) fn losses(view: &dyn View) -> Result<Vec<Loss>> {
    let mut losses = Vec::new();
    for table in [&SUBMISSIONS, &REVIEWS, &ITEMS, &SOURCES] {
        let mut count = 0;
        for batch in view.rows(table)? {
            count += batch?.num_rows() as u64;
        }
        if count > 0 {
            losses.push(Loss { kind: format!("rows of `{}`", table.name), count });
        }
    }
    Ok(losses)
}

/// Writes JSON Lines.
pub(super) fn json_lines(
    view: &dyn View,
    options: &ExportOptions,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES * 2);
    batches(view, options, &mut |batch| {
        let rows = JsonRows::new(&ANNOTATIONS, &batch)?;
        for row in 0..batch.num_rows() {
            rows.write(row, &mut buffer)?;
            buffer.push(b'\n');
            if buffer.len() > BUFFER_BYTES {
                out.write_all(&buffer).map_err(io)?;
                buffer.clear();
            }
        }
        Ok(())
    })?;
    out.write_all(&buffer).map_err(io)
}

/// Writes CSV or TSV: null is an empty cell, empty text is `""`.
pub(super) fn delimited(
    view: &dyn View,
    options: &ExportOptions,
    out: &mut (dyn Write + Send),
    delimiter: u8,
) -> Result<()> {
    let names: Vec<&str> = ANNOTATIONS.columns.iter().map(|c| c.name).collect();
    let mut buffer = names.join(&char::from(delimiter).to_string()).into_bytes();
    buffer.push(b'\n');
    let mut cell = Vec::new();
    batches(view, options, &mut |batch| {
        let rows = JsonRows::new(&ANNOTATIONS, &batch)?;
        for row in 0..batch.num_rows() {
            for index in 0..ANNOTATIONS.columns.len() {
                if index > 0 {
                    buffer.push(delimiter);
                }
                if !rows.columns[index].is_null(row) {
                    cell.clear();
                    rows.plain(row, index, &mut cell)?;
                    push_cell(&cell, delimiter, &mut buffer);
                }
            }
            buffer.push(b'\n');
            if buffer.len() > BUFFER_BYTES {
                out.write_all(&buffer).map_err(io)?;
                buffer.clear();
            }
        }
        Ok(())
    })?;
    out.write_all(&buffer).map_err(io)
}

/// Appends a cell, quoted where it is empty or holds what ends a cell.
fn push_cell(cell: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let special = |b: &u8| [delimiter, b'"', b'\n', b'\r'].contains(b);
    if !cell.is_empty() && !cell.iter().any(special) {
        out.extend_from_slice(cell);
        return;
    }
    out.push(b'"');
    for byte in cell {
        out.push(*byte);
        if *byte == b'"' {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

/// The schema of an exported Parquet file: ours, with strings for dictionaries.
fn parquet_schema() -> Arc<Schema> {
    let fields = ANNOTATIONS.columns.iter().map(|column| {
        let arrow = match column.cell {
            CellType::Dict => DataType::Utf8,
            cell => cell.arrow(),
        };
        Field::new(column.name, arrow, column.nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Writes Parquet: the same rows give the same bytes, however they are cut into batches.
pub(super) fn parquet(
    view: &dyn View,
    options: &ExportOptions,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| io(std::io::Error::other(e.to_string()));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_created_by("glossator".to_owned())
        .build();
    let writing =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let schema = parquet_schema();
    let mut writer =
        ArrowWriter::try_new_with_options(out, schema.clone(), writing).map_err(|e| failed(&e))?;
    let (mut waiting, mut rows) = (Vec::new(), 0);
    let mut flush = |waiting: &mut Vec<RecordBatch>, rows: &mut usize, all: bool| {
        while *rows >= ROW_GROUP_ROWS_MAX || (all && *rows > 0) {
            let joined = concat_batches(&schema, waiting.iter()).map_err(|e| failed(&e))?;
            let group = joined.slice(0, ROW_GROUP_ROWS_MAX.min(*rows));
            writer.write(&group).map_err(|e| failed(&e))?;
            *rows -= group.num_rows();
            *waiting = vec![joined.slice(group.num_rows(), *rows)];
        }
        Ok(())
    };
    batches(view, options, &mut |batch| {
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(c, f)| match c.data_type() {
            DataType::Dictionary(..) => cast(c, f.data_type()),
            _ => Ok(c.clone()),
        });
        let columns: Result<_, _> = columns.collect();
        let plain = columns.and_then(|columns| RecordBatch::try_new(schema.clone(), columns));
        rows += batch.num_rows();
        waiting.push(plain.map_err(|e| failed(&e))?);
        flush(&mut waiting, &mut rows, false)
    })?;
    flush(&mut waiting, &mut rows, true)?;
    writer.close().map_err(|e| failed(&e))?;
    Ok(())
}
