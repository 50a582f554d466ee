//! Merges streams of sorted batches into one, in bounded memory.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch,
    StringBuilder, UInt32Array, new_null_array,
};
use arrow::array::{ArrayData, MutableArrayData, make_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int32Type};

use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS, row_bytes};

/// Batches of one schema.
pub type BatchStream<'a> = Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>;

/// Some rows of a batch: those whose numbers are told, which rise, or all.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) batch: RecordBatch,
    pub(crate) rows: Option<Vec<u32>>,
}

impl Selected {
    fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.batch.num_rows(), Vec::len)
    }

    /// The number of a selected row in the batch.
    fn number(&self, at: usize) -> usize {
        self.rows.as_ref().map_or(at, |rows| rows[at] as usize)
    }

    /// The selected rows as a batch.
    pub(crate) fn batch(self) -> Result<RecordBatch> {
        let Some(rows) = self.rows else { return Ok(self.batch) };
        match rows.is_empty() {
            true => Ok(self.batch.slice(0, 0)),
            false => gather(
                &[self.batch],
                &rows.into_iter().map(|row| (0, row as usize)).collect::<Vec<_>>(),
            ),
        }
    }
}

/// Batches of one schema of which some rows count.
pub(crate) type SelectedStream<'a> = Box<dyn Iterator<Item = Result<Selected>> + 'a>;

/// Merges streams whose rows are sorted by their first `key_len` columns (text).
///
/// Rows with equal keys come in the order of the streams.
pub fn merge_sorted<'a>(streams: Vec<BatchStream<'a>>, key_len: usize) -> Result<BatchStream<'a>> {
    let all = |batch: Result<RecordBatch>| Ok(Selected { batch: batch?, rows: None });
    let streams = streams.into_iter().map(|stream| Box::new(stream.map(all)) as SelectedStream<'a>);
    merge_selected(streams.collect(), key_len)
}

/// As [`merge_sorted`], of the rows that count.
pub(crate) fn merge_selected<'a>(
    streams: Vec<SelectedStream<'a>>,
    key_len: usize,
) -> Result<BatchStream<'a>> {
    if streams.len() <= 1 {
        let only = streams.into_iter().flatten();
        return Ok(Box::new(only.map(|selected| selected?.batch())));
    }
    let mut merge = Merge { cursors: BinaryHeap::new(), pending: Vec::new() };
    for (index, batches) in streams.into_iter().enumerate() {
        let mut cursor = Cursor { index, key_len, batches, selected: None, row: 0, row_bytes: 0 };
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
    batches: SelectedStream<'a>,
    selected: Option<Selected>,
    /// The current row, among those that are selected.
    row: usize,
    /// Bytes of a row of the batch on average.
    row_bytes: usize,
}

impl Cursor<'_> {
    /// Moves to the first row of the next batch that has one.
    fn load(&mut self) -> Result<bool> {
        self.row = 0;
        for selected in self.batches.by_ref() {
            let selected = selected?;
            if selected.len() > 0 {
                self.row_bytes = row_bytes(&selected.batch);
                self.selected = Some(selected);
                return Ok(true);
            }
        }
        self.selected = None;
        Ok(false)
    }

    /// A part of the key of a selected row.
    fn part(&self, column: usize, row: usize) -> &str {
        self.selected.as_ref().map_or("", |selected| {
            let texts = selected.batch.column(column).as_string::<i32>();
            texts.value(selected.number(row))
        })
    }

    /// How a row compares with the current row of another stream.
    fn order(&self, row: usize, other: &Self) -> Ordering {
        (0..self.key_len)
            .map(|c| self.part(c, row).cmp(other.part(c, other.row)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.index.cmp(&other.index))
    }

    /// The end of the rows from the current one on that come before the next stream's, which is
    /// `most` rows on at most. The current row does.
    fn run(&self, next: Option<&Self>, most: usize) -> usize {
        let end = self.selected.as_ref().map_or(0, Selected::len).min(self.row + most);
        let Some(next) = next else { return end };
        let first = |row: usize| self.order(row, next).is_lt();
        // Twice as far with each step, then back by halves: runs may be long or a single row.
        let (mut low, mut step) = (self.row, 1);
        while low + step < end && first(low + step) {
            low += step;
            step *= 2;
        }
        let mut high = end.min(low + step);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if first(middle) { low = middle } else { high = middle }
        }
        low + 1
    }
}

impl Ord for Cursor<'_> {
    /// Reversed: the heap gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.order(other.row, self)
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
            let Some(selected) = &cursor.selected else { break };
            let place = match places.iter().find(|(index, _)| *index == cursor.index) {
                Some((_, place)) => *place,
                None => {
                    self.pending.push(selected.batch.clone());
                    places.push((cursor.index, self.pending.len() - 1));
                    self.pending.len() - 1
                }
            };
            let room = (BATCH_BYTES_MAX - bytes).div_ceil(cursor.row_bytes);
            let end = cursor.run(self.cursors.peek(), room.min(BATCH_ROWS - picks.len()));
            picks.extend((cursor.row..end).map(|row| (place, selected.number(row))));
            bytes += (end - cursor.row) * cursor.row_bytes;
            let more = end < selected.len();
            cursor.row = end;
            if more {
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
const RUN_ROWS_MIN: usize = 4;

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
            let data: Vec<ArrayData> = parts.iter().map(|part| part.to_data()).collect();
            let mut cells = MutableArrayData::new(data.iter().collect(), false, picks.len());
            for run in &runs {
                cells.try_extend(run[0].0, run[0].1, run[0].1 + run.len())?;
            }
            make_array(cells.freeze())
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
    let mut rename = |part: usize, key: usize| {
        let new = &mut renamed[part][key];
        if *new < 0 {
            let value = parts[part].values().as_string::<i32>().value(key);
            *new = *places.entry(value).or_insert_with(|| {
                values.append_value(value);
                values.len() as i32 - 1
            });
        }
        *new
    };
    let nulls = parts.iter().any(|part| part.null_count() > 0);
    let keys = if nulls {
        let key = |pick: &(usize, usize)| Some(rename(pick.0, parts[pick.0].key(pick.1)?));
        Int32Array::from_iter(picks.iter().map(key))
    } else {
        let all: Vec<&[i32]> = parts.iter().map(|part| &part.keys().values()[..]).collect();
        let key = |pick: &(usize, usize)| rename(pick.0, all[pick.0][pick.1] as usize);
        Int32Array::from_iter_values(picks.iter().map(key))
    };
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values.finish()))?))
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

    /// A batch with one row a key.
    fn keyed(keys: &[(u8, usize)]) -> RecordBatch {
        let mut builder = AnnotationsBuilder::default();
        for (key, stream) in keys {
            let (item, label) = (format!("i{key:03}"), stream.to_string());
            builder.push(&AnnotationRow {
                item_id: &item,
                label: Some(&label),
                ..AnnotationRow::default()
            });
        }
        builder.finish()
    }

    proptest! {
        #[test]
        fn merged_rows_are_the_selected_ones_sorted(
            streams in prop::collection::vec(
                prop::collection::vec((any::<u8>(), any::<bool>()), 0..200), 1..6),
            cut in 1..50_usize,
        ) {
            let mut expected: Vec<(u8, usize)> = Vec::new();
            let mut parts: Vec<SelectedStream<'_>> = Vec::new();
            for (number, rows) in streams.iter().enumerate() {
                let mut rows = rows.clone();
                rows.sort_unstable();
                expected.extend(rows.iter().filter(|row| row.1).map(|row| (row.0, number)));
                let batches: Vec<Result<Selected>> = rows
                    .chunks(cut)
                    .map(|rows| {
                        let all: Vec<_> = rows.iter().map(|row| (row.0, number)).collect();
                        let kept = (0..rows.len()).filter(|at| rows[*at].1).map(|at| at as u32);
                        Ok(Selected { batch: keyed(&all), rows: Some(kept.collect()) })
                    })
                    .collect();
                parts.push(Box::new(batches.into_iter()));
            }
            // Stable: of equal keys the earlier stream comes first.
            expected.sort();
            let mut found = Vec::new();
            for batch in merge_selected(parts, 1).unwrap() {
                let batch = batch.unwrap();
                let rows = crate::schema::Annotations::new(&batch);
                for row in 0..batch.num_rows() {
                    let key = rows.item_id(row)[1..].parse::<u8>().unwrap();
                    found.push((key, rows.label(row).unwrap().parse::<usize>().unwrap()));
                }
            }
            prop_assert_eq!(found, expected);
        }
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
