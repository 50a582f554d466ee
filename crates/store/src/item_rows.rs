//! The rows of items that are asked for in rising order: looked up one by one, or out of one scan.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;

use crate::error::Result;
use crate::limits::LOOK_UP_ROWS;
use crate::segment::{BatchStream, SegmentKind, segment_schema, sort_by_key};
use crate::snapshot::TableSnapshot;

/// Items whose rows are asked for, and held, together.
pub(crate) const ITEMS_TOGETHER: usize = 256;

/// Reads a table by item.
pub(crate) struct ItemRows<'a> {
    table: &'a TableSnapshot,
    scan: Option<SortedRows>,
}

impl<'a> ItemRows<'a> {
    /// Reads in the way that costs less where rows of about `asked` items will be asked for.
    pub(crate) fn new(table: &'a TableSnapshot, asked: u64) -> Result<Self> {
        let scan = match asked.saturating_mul(LOOK_UP_ROWS) >= table.state.rows() {
            true => Some(SortedRows::new(table.scan()?)?),
            false => None,
        };
        Ok(Self { table, scan })
    }

    /// The live rows of these items in order of their keys, with `_origin`. Items rise, also from
    /// call to call; the last one may be asked for again.
    pub(crate) fn of(&mut self, items: &[&str]) -> Result<RecordBatch> {
        if let Some(scan) = &mut self.scan {
            let mut rows = Vec::new();
            for item in items {
                rows.extend_from_slice(scan.take(item)?);
            }
            let schema = segment_schema(self.table.table, SegmentKind::Rows);
            return Ok(concat_batches(&schema, &rows)?);
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

/// A scan with a place in it.
struct SortedRows {
    batches: BatchStream<'static>,
    batch: Option<RecordBatch>,
    row: usize,
    /// The item that was asked for last, and its rows.
    last: (String, Vec<RecordBatch>),
}

impl SortedRows {
    fn new(mut batches: BatchStream<'static>) -> Result<Self> {
        let batch = batches.next().transpose()?;
        Ok(Self { batches, batch, row: 0, last: Default::default() })
    }

    fn take(&mut self, item: &str) -> Result<&[RecordBatch]> {
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
                self.last.1.push(batch.slice(start, self.row - start));
            }
            if self.row < ids.len() {
                break;
            }
            (self.batch, self.row) = (self.batches.next().transpose()?, 0);
        }
        Ok(&self.last.1)
    }
}
