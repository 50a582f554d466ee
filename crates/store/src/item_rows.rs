//! The rows of items that are asked for in rising order: looked up one by one, or out of one scan.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::limits::LOOK_UP_ROWS;
use crate::schema::Columns;
use crate::segment::{BatchStream, SegmentKind, nullable, segment_schema, sort_by_key};
use crate::snapshot::TableSnapshot;

/// Items whose rows are asked for, and held, together.
pub(crate) const ITEMS_TOGETHER: usize = 256;

/// Reads a table by item.
pub(crate) struct ItemRows<'a> {
    table: &'a TableSnapshot,
    scan: Option<SortedRows>,
    schema: SchemaRef,
}

impl<'a> ItemRows<'a> {
    /// Reads in the way that costs less where rows of about `asked` items will be asked for.
    pub(crate) fn new(table: &'a TableSnapshot, asked: u64) -> Result<Self> {
        Self::reading(table, asked, Columns::ALL)
    }

    /// The same; a scan reads some columns only, and the others are null.
    pub(crate) fn reading(table: &'a TableSnapshot, asked: u64, read: Columns) -> Result<Self> {
        let mut schema = segment_schema(table.table, SegmentKind::Rows);
        let scan = match asked.saturating_mul(LOOK_UP_ROWS) >= table.state.rows() {
            true => {
                if read != Columns::ALL {
                    schema = nullable(&schema);
                }
                Some(SortedRows::new(table.scan_columns(read)?)?)
            }
            false => None,
        };
        Ok(Self { table, scan, schema })
    }

    /// The live rows of these items in order of their keys, with `_origin`. Items rise, also from
    /// call to call; the last one may be asked for again.
    pub(crate) fn of(&mut self, items: &[&str]) -> Result<RecordBatch> {
        if let Some(scan) = &mut self.scan {
            let mut parts: Vec<Part> = Vec::new();
            for item in items {
                for part in scan.take(item)? {
                    match parts.last_mut() {
                        Some(last) if (last.number, last.end) == (part.number, part.start) => {
                            last.end = part.end;
                        }
                        _ => parts.push(part.clone()),
                    }
                }
            }
            let slice = |part: &Part| part.batch.slice(part.start, part.end - part.start);
            let rows: Vec<RecordBatch> = parts.iter().map(slice).collect();
            return Ok(match &rows[..] {
                [only] => only.clone(),
                rows => concat_batches(&self.schema, rows)?,
            });
        }
        let mut located = Vec::new();
        for item in items {
            located.extend(self.table.locate_item(item)?);
        }
        sort_by_key(&self.table.fetch(&located)?, self.table.table.key_len)
    }
}

/// Cuts rows that are sorted by item into slices of whole items, as many as are held together.
pub(crate) fn item_slices(rows: &RecordBatch) -> Vec<(Vec<&str>, RecordBatch)> {
    let ids = rows.column(0).as_string::<i32>();
    let mut slices = Vec::new();
    let (mut items, mut start) = (Vec::new(), 0);
    for row in 0..ids.len() {
        if items.last().copied() == Some(ids.value(row)) {
            continue;
        }
        if items.len() == ITEMS_TOGETHER {
            slices.push((std::mem::take(&mut items), rows.slice(start, row - start)));
            start = row;
        }
        items.push(ids.value(row));
    }
    if !items.is_empty() {
        slices.push((items, rows.slice(start, ids.len() - start)));
    }
    slices
}

/// Rows of a batch of a scan.
#[derive(Clone)]
struct Part {
    batch: RecordBatch,
    /// Of the batch in the scan.
    number: usize,
    start: usize,
    end: usize,
}

/// A scan with a place in it.
struct SortedRows {
    batches: BatchStream<'static>,
    batch: Option<RecordBatch>,
    number: usize,
    row: usize,
    /// The item that was asked for last, and its rows.
    last: (String, Vec<Part>),
}

impl SortedRows {
    fn new(mut batches: BatchStream<'static>) -> Result<Self> {
        let batch = batches.next().transpose()?;
        Ok(Self { batches, batch, number: 0, row: 0, last: Default::default() })
    }

    fn take(&mut self, item: &str) -> Result<&[Part]> {
        if self.last.0 == item {
            return Ok(&self.last.1);
        }
        self.last = (item.to_owned(), Vec::new());
        while let Some(batch) = &self.batch {
            let ids = batch.column(0).as_string::<i32>();
            let end_of = |from: usize, before: &dyn Fn(&str) -> bool| {
                (from..ids.len()).find(|&row| !before(ids.value(row))).unwrap_or(ids.len())
            };
            let start = end_of(self.row, &|id| id < item);
            self.row = end_of(start, &|id| id == item);
            if start < self.row {
                let (batch, number, end) = (batch.clone(), self.number, self.row);
                self.last.1.push(Part { batch, number, start, end });
            }
            if self.row < ids.len() {
                break;
            }
            (self.batch, self.row) = (self.batches.next().transpose()?, 0);
            self.number += 1;
        }
        Ok(&self.last.1)
    }
}
