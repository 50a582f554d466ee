//! A table that is read beside the annotations, item by item.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch};
use glossator_store::Result;
use glossator_store::schema::Table;
use glossator_store::segment::BatchStream;

/// Rows sorted by item, of which only those with a value in one column are of interest.
pub(super) struct Beside<'a> {
    batches: BatchStream<'a>,
    /// The column that says which batches are worth a look.
    column: usize,
    batch: Option<RecordBatch>,
    row: usize,
}

impl<'a> Beside<'a> {
    pub(super) fn new(batches: BatchStream<'a>, table: &Table, column: &str) -> Self {
        Self { batches, column: table.column(column).unwrap_or(0), batch: None, row: 0 }
    }

    /// Gives the rows of an item; items must be asked for in rising order.
    pub(super) fn of(
        &mut self,
        item: &str,
        each: &mut dyn FnMut(&RecordBatch, Range<usize>),
    ) -> Result<()> {
        loop {
            let Some(batch) = &self.batch else {
                let Some(batch) = self.batches.next().transpose()? else { return Ok(()) };
                if batch.column(self.column).null_count() < batch.num_rows() {
                    (self.batch, self.row) = (Some(batch), 0);
                }
                continue;
            };
            let ids = batch.column(0).as_string::<i32>();
            while self.row < ids.len() && ids.value(self.row) < item {
                self.row += 1;
            }
            let start = self.row;
            while self.row < ids.len() && ids.value(self.row) == item {
                self.row += 1;
            }
            if self.row > start {
                each(batch, start..self.row);
            }
            if self.row < ids.len() {
                return Ok(());
            }
            self.batch = None;
        }
    }
}
