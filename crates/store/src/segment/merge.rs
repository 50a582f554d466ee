//! Merges streams of sorted batches into one, in bounded memory.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, DictionaryArray, Int32Builder, RecordBatch,
    StringBuilder, UInt32Array, new_null_array,
};
use arrow::compute::{concat, interleave};
use arrow::datatypes::{DataType, Int32Type};

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
        Ok(Some(gather(&self.pending, &picks)?))
    }
}

/// Runs this long on average are copied whole rather than row by row.
const RUN_ROWS_MIN: usize = 16;

/// The rows that `picks` name: batch and row.
pub(crate) fn gather(batches: &[RecordBatch], picks: &[(usize, usize)]) -> Result<RecordBatch> {
    let schema = batches[0].schema();
    let runs: Vec<&[(usize, usize)]> =
        picks.chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1).collect();
    let whole = picks.len() >= runs.len() * RUN_ROWS_MIN;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        let parts: Vec<&dyn Array> =
            batches.iter().map(|batch| batch.column(at).as_ref()).collect();
        let nulls = parts.iter().all(|part| part.null_count() == part.len());
        columns.push(if nulls || !whole || matches!(field.data_type(), DataType::Dictionary(..)) {
            gather_column(&parts, picks)?
        } else {
            let slices: Vec<ArrayRef> =
                runs.iter().map(|run| parts[run[0].0].slice(run[0].1, run.len())).collect();
            concat(&slices.iter().map(AsRef::as_ref).collect::<Vec<_>>())?
        });
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The cells that `picks` name, of which there is at least one: part and row.
pub(crate) fn gather_column(parts: &[&dyn Array], picks: &[(usize, usize)]) -> Result<ArrayRef> {
    let data_type = parts[picks[0].0].data_type();
    Ok(if parts.iter().all(|part| part.null_count() == part.len()) {
        new_null_array(data_type, picks.len())
    } else if let DataType::Dictionary(..) = data_type {
        gather_dictionary(parts, picks)?
    } else {
        interleave(parts, picks)?
    })
}

/// As [`interleave`], but each value of each dictionary is looked at once, not once a row.
fn gather_dictionary(parts: &[&dyn Array], picks: &[(usize, usize)]) -> Result<ArrayRef> {
    let parts: Vec<&DictionaryArray<Int32Type>> =
        parts.iter().map(|part| part.as_dictionary()).collect();
    let mut places: HashMap<&str, i32> = HashMap::new();
    // The new key of each value of each part; made when it is first needed.
    let mut renamed: Vec<Vec<i32>> =
        parts.iter().map(|part| vec![-1; part.values().len()]).collect();
    let mut values = StringBuilder::new();
    let mut keys = Int32Builder::with_capacity(picks.len());
    for (part, row) in picks {
        let Some(key) = parts[*part].key(*row) else {
            keys.append_null();
            continue;
        };
        let new = &mut renamed[*part][key];
        if *new < 0 {
            let value = parts[*part].values().as_string::<i32>().value(key);
            *new = *places.entry(value).or_insert_with(|| {
                values.append_value(value);
                values.len() as i32 - 1
            });
        }
        keys.append_value(*new);
    }
    Ok(Arc::new(DictionaryArray::try_new(keys.finish(), Arc::new(values.finish()))?))
}

impl Iterator for Merge<'_> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill().transpose()
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::{cast, interleave_record_batch};
    use proptest::prelude::*;

    use super::*;
    use crate::schema::{ANNOTATIONS, AnnotationRow, AnnotationsBuilder};

    fn batch(labels: &[Option<u8>]) -> RecordBatch {
        let mut builder = AnnotationsBuilder::default();
        for (row, label) in labels.iter().enumerate() {
            let (item, label) = (format!("i{row}"), label.map(|label| format!("l{label}")));
            builder.push(&AnnotationRow {
                item_id: &item,
                label: label.as_deref(),
                geometry: (row % 3 > 0).then_some(&[1.0, 2.0]),
                ..AnnotationRow::default()
            });
        }
        builder.finish()
    }

    proptest! {
        #[test]
        fn gathered_rows_are_those_that_arrow_interleaves(
            batches in prop::collection::vec(
                prop::collection::vec(prop::option::of(0..5_u8), 1..60), 1..4),
            picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..80),
            run in 1..40_usize,
        ) {
            let batches: Vec<RecordBatch> = batches.iter().map(|labels| batch(labels)).collect();
            let picks: Vec<(usize, usize)> = picks
                .iter()
                .flat_map(|(pick, _)| {
                    let place = pick.index(batches.len());
                    let start = pick.index(batches[place].num_rows());
                    let end = (start + run).min(batches[place].num_rows());
                    (start..end).map(move |row| (place, row))
                })
                .collect();
            let expected =
                interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &picks).unwrap();
            let found = gather(&batches, &picks).unwrap();
            for (column, field) in ANNOTATIONS.arrow().fields().iter().enumerate() {
                // Dictionaries may hold their values in another order.
                let plain = |array: &ArrayRef| match field.data_type() {
                    DataType::Dictionary(_, value) => cast(array, value).unwrap(),
                    _ => array.clone(),
                };
                prop_assert_eq!(&plain(found.column(column)), &plain(expected.column(column)));
            }
        }
    }
}
