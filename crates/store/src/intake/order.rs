//! Rows in the order of their keys, put together only when they are read.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};

use crate::error::Result;
use crate::limits::{batch_rows, row_bytes};
use crate::segment::{BatchStream, gather};

/// Where a row lies: its batch, and its place in that.
pub(super) type Pick = (usize, usize);

/// Rows of batches that are held, in the order of their first columns (text); rows with equal keys
/// are in the order of the batches.
pub(super) struct Ordered {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) picks: Vec<Pick>,
}

/// Rows of a batch that follow each other and have one key.
struct Run {
    /// The bytes of the key behind those that all keys begin with.
    word: u64,
    batch: usize,
    row: usize,
    rows: usize,
}

impl Ordered {
    pub(super) fn new(batches: Vec<RecordBatch>, key_len: usize) -> Self {
        let keys: Vec<Vec<&StringArray>> = batches
            .iter()
            .map(|batch| (0..key_len).map(|c| batch.column(c).as_string::<i32>()).collect())
            .collect();
        let same = same_bytes(keys.iter().map(|keys| keys[0]));
        let mut runs: Vec<Run> = Vec::new();
        for (batch, keys) in keys.iter().enumerate() {
            for row in 0..keys[0].len() {
                match runs.last_mut() {
                    Some(run)
                        if row > 0 && keys.iter().all(|k| k.value(row) == k.value(row - 1)) =>
                    {
                        run.rows += 1;
                    }
                    _ => {
                        runs.push(Run { word: word(keys[0].value(row), same), batch, row, rows: 1 })
                    }
                }
            }
        }
        let part = |run: &Run, c: usize| keys[run.batch][c].value(run.row);
        runs.sort_unstable_by(|a, b| {
            let rest = || (0..key_len).map(|c| part(a, c).cmp(part(b, c))).find(|o| o.is_ne());
            let place = || (a.batch, a.row).cmp(&(b.batch, b.row));
            a.word.cmp(&b.word).then_with(|| rest().unwrap_or_else(place))
        });
        let rows = |run: Run| (run.row..run.row + run.rows).map(move |row| (run.batch, row));
        let picks = runs.into_iter().flat_map(rows).collect();
        drop(keys);
        Self { batches, picks }
    }

    /// The rows in order, in batches of at most so many bytes, as far as rows are of one size.
    pub(super) fn stream(self, bytes: usize) -> BatchStream<'static> {
        let rows = batch_rows(bytes, self.batches.iter().map(row_bytes).max().unwrap_or_default());
        let mut at = 0;
        Box::new(std::iter::from_fn(move || {
            let picks = &self.picks[at..self.picks.len().min(at + rows)];
            at += picks.len();
            (!picks.is_empty()).then(|| self.gather(picks))
        }))
    }

    /// The rows that some of the picks name.
    pub(super) fn gather(&self, picks: &[Pick]) -> Result<RecordBatch> {
        gather(&self.batches, picks)
    }
}

/// With how many bytes all texts begin alike.
fn same_bytes<'a>(columns: impl Iterator<Item = &'a StringArray>) -> usize {
    let mut texts = columns.flat_map(|column| (0..column.len()).map(|row| column.value(row)));
    let Some(first) = texts.next().map(str::as_bytes) else { return 0 };
    texts.fold(first.len(), |same, text| {
        let pairs = first[..same].iter().zip(text.as_bytes());
        pairs.take_while(|(a, b)| a == b).count()
    })
}

/// Eight bytes of a text as a number that sorts as they do; a text that ends before sorts first or
/// is equal.
fn word(text: &str, from: usize) -> u64 {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let mut bytes = [0; 8];
    let len = rest.len().min(8);
    bytes[..len].copy_from_slice(&rest[..len]);
    u64::from_be_bytes(bytes)
}
