//! Canonical bytes back to columns.

use arrow::array::{ArrayRef, RecordBatch};

use super::CachedRow;
use crate::canonical::get_varint;
use crate::error::Result;
use crate::schema::{CellType, ColumnBuilder, Table};
use crate::segment::{CHANGED_FIELD, ORIGIN_FIELD, SegmentKind, segment_schema};

/// The value of a cell.
enum Cell<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Bool(bool),
    Float(f64),
    Int(i64),
    Floats(&'a [[u8; 8]]),
    Texts(Vec<&'a str>),
}

/// Builds a batch of a segment's columns from rows of its cache.
pub(crate) struct RowsBuilder {
    table: &'static Table,
    kind: SegmentKind,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl RowsBuilder {
    pub(crate) fn new(table: &'static Table, kind: SegmentKind) -> Self {
        let cells = table.columns.iter().map(|column| column.cell);
        let system = match kind {
            SegmentKind::Rows => 1,
            SegmentKind::Before => 2,
        };
        let cells = cells.chain(std::iter::repeat_n(CellType::Dict, system));
        Self { table, kind, columns: cells.map(ColumnBuilder::new).collect(), rows: 0 }
    }

    /// The rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends a row, whose origin is `origin` where it states none. `None` where the bytes are no
    /// row of the table: then nothing was appended.
    pub(crate) fn push(&mut self, row: &CachedRow<'_>, origin: &str) -> Option<()> {
        let mut cells: Vec<Option<Cell<'_>>> = Vec::new();
        cells.resize_with(self.columns.len(), || None);
        cells[self.table.columns.len()] = Some(Cell::Text(origin));
        let mut at = 0;
        while at < row.canonical.len() {
            let number = usize::try_from(get_varint(row.canonical, &mut at)?).ok()?;
            let index = number.checked_sub(1)?;
            let column = self.table.columns.get(index)?;
            cells[index] = Some(cell(column.cell, row.canonical, &mut at)?);
        }
        let mut at = 0;
        while at < row.system.len() {
            let index = match u16::try_from(get_varint(row.system, &mut at)?).ok()? {
                ORIGIN_FIELD => self.table.columns.len(),
                CHANGED_FIELD => self.table.columns.len() + 1,
                _ => return None,
            };
            *cells.get_mut(index)? = Some(cell(CellType::Dict, row.system, &mut at)?);
        }
        for (builder, cell) in self.columns.iter_mut().zip(cells) {
            append(builder, cell);
        }
        self.rows += 1;
        Some(())
    }

    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        Ok(RecordBatch::try_new(segment_schema(self.table, self.kind), columns)?)
    }
}

fn cell<'a>(kind: CellType, bytes: &'a [u8], at: &mut usize) -> Option<Cell<'a>> {
    let eight = |at: &mut usize| {
        let value = bytes.get(*at..)?.first_chunk::<8>()?;
        *at += 8;
        Some(*value)
    };
    Some(match kind {
        CellType::Text | CellType::Dict | CellType::Json => Cell::Text(text(bytes, at)?),
        CellType::Bytes => Cell::Bytes(sized(bytes, at)?),
        CellType::Bool => {
            *at += 1;
            Cell::Bool(*bytes.get(*at - 1)? != 0)
        }
        CellType::Float => Cell::Float(f64::from_le_bytes(eight(at)?)),
        CellType::Int | CellType::Int32 | CellType::Time => {
            Cell::Int(i64::from_le_bytes(eight(at)?))
        }
        CellType::Floats => {
            let count = usize::try_from(get_varint(bytes, at)?).ok()?;
            let all = bytes.get(*at..)?.get(..count.checked_mul(8)?)?;
            *at += all.len();
            Cell::Floats(all.as_chunks::<8>().0)
        }
        CellType::Texts => {
            let count = get_varint(bytes, at)?;
            Cell::Texts((0..count).map(|_| text(bytes, at)).collect::<Option<_>>()?)
        }
    })
}

fn text<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a str> {
    std::str::from_utf8(sized(bytes, at)?).ok()
}

fn sized<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let len = usize::try_from(get_varint(bytes, at)?).ok()?;
    let value = bytes.get(*at..)?.get(..len)?;
    *at += len;
    Some(value)
}

fn append(builder: &mut ColumnBuilder, cell: Option<Cell<'_>>) {
    match (builder, cell) {
        (ColumnBuilder::Text(b), Some(Cell::Text(v))) => b.append_value(v),
        (ColumnBuilder::Dict(b), Some(Cell::Text(v))) => b.append_value(v),
        (ColumnBuilder::Bytes(b), Some(Cell::Bytes(v))) => b.append_value(v),
        (ColumnBuilder::Bool(b), Some(Cell::Bool(v))) => b.append_value(v),
        // Old values that are not stated: a builder of whole rows has no null here.
        (ColumnBuilder::Bool(b), _) => b.append_null(),
        (ColumnBuilder::Float(b), Some(Cell::Float(v))) => b.append_value(v),
        (ColumnBuilder::Int(b), Some(Cell::Int(v))) => b.append_value(v),
        (ColumnBuilder::Int32(b), Some(Cell::Int(v))) => b.append_value(v as i32),
        (ColumnBuilder::Time(b), Some(Cell::Int(v))) => b.append_value(v),
        (ColumnBuilder::Floats(b), Some(Cell::Floats(v))) => {
            v.iter().for_each(|v| b.values().append_value(f64::from_le_bytes(*v)));
            b.append(true);
        }
        (ColumnBuilder::Texts(b), Some(Cell::Texts(v))) => {
            v.iter().for_each(|v| b.values().append_value(v));
            b.append(true);
        }
        (builder, _) => builder.null(),
    }
}
