//! Annotations sorted by item, cut so that no item is in two batches.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS, batch_bytes};
use crate::schema::{ANNOTATIONS, Annotations};
use crate::segment::BatchStream;

/// Batches of whole items: a full batch (by rows or bytes) each, but for the last.
///
/// The rows of one item are held in memory together.
pub struct WholeItems<'a> {
    rows: BatchStream<'a>,
    waiting: Vec<RecordBatch>,
    done: bool,
}

impl std::fmt::Debug for WholeItems<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WholeItems").field("done", &self.done).finish_non_exhaustive()
    }
}

impl<'a> WholeItems<'a> {
    /// Reads batches of `annotations` that are sorted by item.
    pub fn new(rows: BatchStream<'a>) -> Self {
        Self { rows, waiting: Vec::new(), done: false }
    }

    fn next_items(&mut self) -> Result<Option<RecordBatch>> {
        let mut bytes: usize = self.waiting.iter().map(batch_bytes).sum();
        loop {
            let held: usize = self.waiting.iter().map(RecordBatch::num_rows).sum();
            let full = held >= BATCH_ROWS || bytes >= BATCH_BYTES_MAX;
            if (full && self.holds_whole_item()) || (self.done && held > 0) {
                let all = concat_batches(&ANNOTATIONS.arrow(), &self.waiting)?;
                let cut = if self.done { held } else { last_item_start(&all) };
                if cut > 0 {
                    self.waiting.clear();
                    if cut < held {
                        self.waiting.push(all.slice(cut, held - cut));
                    }
                    return Ok(Some(all.slice(0, cut)));
                }
            }
            if self.done {
                return Ok(None);
            }
            match self.rows.next() {
                Some(batch) => {
                    let batch = batch?;
                    bytes += batch_bytes(&batch);
                    self.waiting.push(batch);
                }
                None => self.done = true,
            }
        }
    }

    /// Whether the rows that wait are of more than one item.
    fn holds_whole_item(&self) -> bool {
        let mut filled = self.waiting.iter().filter(|batch| batch.num_rows() > 0);
        let Some(first) = filled.next() else { return false };
        let last = filled.next_back().unwrap_or(first);
        let (rows, last_rows) = (Annotations::new(first), Annotations::new(last));
        rows.item_id(0) != last_rows.item_id(last.num_rows() - 1)
    }
}

impl Iterator for WholeItems<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_items().transpose()
    }
}

/// Where the rows of the last item begin.
fn last_item_start(batch: &RecordBatch) -> usize {
    let rows = Annotations::new(batch);
    let last = batch.num_rows().saturating_sub(1);
    (0..=last).rev().find(|&row| rows.item_id(row) != rows.item_id(last)).map_or(0, |row| row + 1)
}
