//! Merges streams of sorted batches into one, in bounded memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::interleave_record_batch;

use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS, row_bytes};

/// Batches of one schema.
pub type BatchStream<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>;

/// Merges streams whose rows are sorted by their first `key_len` columns (text).
///
/// Rows with equal keys come in the order of the streams.
pub fn merge_sorted<'a>(streams: Vec<BatchStream<'a>>, key_len: usize) -> Result<BatchStream<'a>> {
    if streams.len() <= 1 {
        return Ok(streams.into_iter().next().unwrap_or_else(|| Box::new(std::iter::empty())));
    }
    let mut merge = Merge { cursors: BinaryHeap::new(), pending: Vec::new() };
    for (index, batches) in streams.into_iter().enumerate() {
        let mut cursor = Cursor { index, key_len, batches, batch: None, row: 0, row_bytes: 0 };
        if cursor.load()? {
            merge.cursors.push(cursor);
        }
    }
    Ok(Box::new(merge))
}

/// Sorts the rows of one batch by their first `key_len` columns (text).
pub fn sort_by_key(batch: &RecordBatch, key_len: usize) -> Result<RecordBatch> {
    let keys: Vec<_> = (0..key_len).map(|c| batch.column(c).as_string::<i32>()).collect();
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by(|a, b| {
        keys.iter()
            .map(|key| key.value(*a as usize).cmp(key.value(*b as usize)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    Ok(arrow::compute::take_record_batch(batch, &UInt32Array::from(order))?)
}

struct Cursor<'a> {
    index: usize,
    key_len: usize,
    batches: BatchStream<'a>,
    batch: Option<RecordBatch>,
    row: usize,
    /// Bytes of a row of the batch on average.
    row_bytes: usize,
}

impl Cursor<'_> {
    /// Moves to the first row of the next batch that has one.
    fn load(&mut self) -> Result<bool> {
        self.row = 0;
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.row_bytes = row_bytes(&batch);
                self.batch = Some(batch);
                return Ok(true);
            }
        }
        self.batch = None;
        Ok(false)
    }

    fn part(&self, column: usize) -> &str {
        self.batch.as_ref().map_or("", |batch| {
            let texts = batch.column(column).as_string::<i32>();
            texts.value(self.row)
        })
    }
}

impl Ord for Cursor<'_> {
    /// Reversed: the heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (0..self.key_len)
            .map(|c| other.part(c).cmp(self.part(c)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| other.index.cmp(&self.index))
    }
}

impl PartialOrd for Cursor<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cursor<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cursor<'_> {}

struct Merge<'a> {
    cursors: BinaryHeap<Cursor<'a>>,
    /// Batches that the rows of the next output come from, by stream.
    pending: Vec<RecordBatch>,
}

impl Merge<'_> {
    fn fill(&mut self) -> Result<Option<RecordBatch>> {
        self.pending.clear();
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(BATCH_ROWS);
        // Where each stream's current batch stands in `pending`.
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut bytes = 0;
        while picks.len() < BATCH_ROWS && bytes < BATCH_BYTES_MAX {
            let Some(mut cursor) = self.cursors.pop() else { break };
            let place = match places.iter().find(|(index, _)| *index == cursor.index) {
                Some((_, place)) => *place,
                None => {
                    let Some(batch) = cursor.batch.clone() else { break };
                    self.pending.push(batch);
                    places.push((cursor.index, self.pending.len() - 1));
                    self.pending.len() - 1
                }
            };
            let rows = self.pending[place].num_rows();
            // Take rows of this stream for as long as they come first.
            loop {
                picks.push((place, cursor.row));
                cursor.row += 1;
                bytes += cursor.row_bytes;
                if cursor.row == rows || picks.len() >= BATCH_ROWS || bytes >= BATCH_BYTES_MAX {
                    break;
                }
                if self.cursors.peek().is_some_and(|next| *next > cursor) {
                    break;
                }
            }
            if cursor.row < rows {
                self.cursors.push(cursor);
            } else {
                places.retain(|(index, _)| *index != cursor.index);
                if cursor.load()? {
                    self.cursors.push(cursor);
                }
            }
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.pending.iter().collect();
        Ok(Some(interleave_record_batch(&batches, &picks)?))
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill().transpose()
    }
}
