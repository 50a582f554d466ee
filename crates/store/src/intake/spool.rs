//! Batches kept aside in bounded memory, and sorted streams of them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use super::order::Ordered;
use crate::error::{IoContext, Result};
use crate::fs::anonymous_temp_file;
use crate::limits::{
    BATCH_BYTES_MAX, INTAKE_BYTES_MAX, RUN_BATCH_BYTES_MAX, SORT_BYTES_MAX, batch_bytes,
    batch_rows, row_bytes,
};
use crate::segment::{BatchStream, merge_sorted};

const TEMP: &str = "temporary file";

/// Batches of one schema in the order in which they came.
pub(super) struct Spool {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
    limit: usize,
    spilled: Option<StreamWriter<BufWriter<File>>>,
    pub(super) rows: u64,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Spool {
    pub(super) fn new(schema: SchemaRef) -> Self {
        let limit = INTAKE_BYTES_MAX;
        Self { schema, batches: Vec::new(), bytes: 0, limit, spilled: None, rows: 0 }
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.bytes += batch_bytes(&batch);
        self.batches.push(batch);
        if self.bytes > self.limit {
            let writer = match &mut self.spilled {
                Some(writer) => writer,
                none => {
                    self.limit = self.limit.min(SORT_BYTES_MAX);
                    none.insert(writer(&self.schema)?)
                }
            };
            for slice in self.batches.drain(..).flat_map(|b| slices(b, BATCH_BYTES_MAX)) {
                writer.write(&slice)?;
            }
            self.bytes = 0;
        }
        Ok(())
    }

    /// Bytes that a sort of the rows may hold. Where all are in memory as it is, sorting takes
    /// little more, but for what their items are renamed to.
    pub(super) fn sort_bytes(&self) -> usize {
        if self.spilled.is_some() { SORT_BYTES_MAX } else { INTAKE_BYTES_MAX / 2 * 3 }
    }

    /// Gives the batches back in order, as often as asked.
    pub(super) fn read(&mut self) -> Result<BatchStream<'static>> {
        let memory = self.batches.clone().into_iter().map(Ok);
        let Some(writer) = &mut self.spilled else { return Ok(Box::new(memory)) };
        writer.flush()?;
        let file = writer.get_ref().get_ref().try_clone().at("read", TEMP)?;
        let len = file.metadata().at("read", TEMP)?.len();
        // Positioned reads: the writer's own cursor must stay at the end.
        let reader = BufReader::new(At { file, at: 0, len });
        let batches = StreamReader::try_new(reader, None)?;
        Ok(Box::new(batches.map(|batch| Ok(batch?)).chain(memory)))
    }
}

struct At {
    file: File,
    at: u64,
    len: u64,
}

impl std::io::Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let room = buffer.len().min((self.len - self.at) as usize);
        let read = self.file.read_at(&mut buffer[..room], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn writer(schema: &SchemaRef) -> Result<StreamWriter<BufWriter<File>>> {
    let file = anonymous_temp_file().at("make", TEMP)?;
    Ok(StreamWriter::try_new(BufWriter::new(file), schema)?)
}

/// Rows sorted by their first columns (text), stably.
pub(super) enum Sorted {
    /// All of them, in memory.
    Held(Ordered),
    Merged(BatchStream<'static>),
}

impl Sorted {
    /// The rows in order.
    pub(super) fn stream(self) -> BatchStream<'static> {
        match self {
            Self::Held(rows) => rows.stream(BATCH_BYTES_MAX),
            Self::Merged(rows) => rows,
        }
    }
}

/// Sorts batches by their first `key_len` columns (text), stably, and holds about `limit` bytes.
pub(super) fn sorted(batches: BatchStream<'_>, key_len: usize, limit: usize) -> Result<Sorted> {
    let mut runs: Vec<BatchStream<'static>> = Vec::new();
    let (mut pending, mut bytes) = (Vec::new(), 0);
    for batch in batches {
        for slice in slices(batch?, BATCH_BYTES_MAX) {
            let more = batch_bytes(&slice);
            if !pending.is_empty() && limit.saturating_sub(bytes) < more {
                runs.push(spill(Ordered::new(std::mem::take(&mut pending), key_len))?);
                bytes = 0;
            }
            bytes += more;
            pending.push(slice);
        }
    }
    let last = Ordered::new(pending, key_len);
    if runs.is_empty() {
        return Ok(Sorted::Held(last));
    }
    runs.push(last.stream(BATCH_BYTES_MAX));
    Ok(Sorted::Merged(merge_sorted(runs, key_len)?))
}

/// Parts of a batch that hold at most `bytes`, as far as its rows are of one size.
fn slices(batch: RecordBatch, bytes: usize) -> impl Iterator<Item = RecordBatch> {
    let rows = batch_rows(bytes, row_bytes(&batch));
    (0..batch.num_rows())
        .step_by(rows)
        .map(move |at| batch.slice(at, rows.min(batch.num_rows() - at)))
}

fn spill(run: Ordered) -> Result<BatchStream<'static>> {
    let mut writer = writer(&run.batches[0].schema())?;
    for batch in run.stream(RUN_BATCH_BYTES_MAX) {
        writer.write(&batch?)?;
    }
    let mut file =
        writer.into_inner()?.into_inner().map_err(|e| e.into_error()).at("write", TEMP)?;
    file.rewind().at("read", TEMP)?;
    let batches = StreamReader::try_new(BufReader::new(file), None)?;
    Ok(Box::new(batches.map(|batch| Ok(batch?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ANNOTATIONS, AnnotationRow, Annotations, AnnotationsBuilder};

    /// Batches of rows whose items count down; labels differ, so that dictionaries do too.
    fn batches() -> Vec<RecordBatch> {
        let mut builder = AnnotationsBuilder::default();
        (0..10_u32)
            .map(|batch| {
                for row in 0..50_u32 {
                    let item = format!("{:04}", (batch * 50 + row) * 7919 % 250);
                    let label = format!("label-{}", batch * 3 + row % 5);
                    builder.push(&AnnotationRow {
                        item_id: &item,
                        label: Some(&label),
                        seq: Some((batch * 50 + row) as i32),
                        ..AnnotationRow::default()
                    });
                }
                builder.finish()
            })
            .collect()
    }

    fn facts(stream: BatchStream<'_>) -> Vec<(String, i32, String)> {
        let mut found = Vec::new();
        for batch in stream {
            for row in Annotations::new(&batch.unwrap()).iter() {
                let label = row.label.unwrap().to_owned();
                found.push((row.item_id.to_owned(), row.seq.unwrap(), label));
            }
        }
        found
    }

    #[test]
    fn spilled_batches_come_back_in_order_more_than_once() {
        let mut spool = Spool { limit: 20_000, ..Spool::new(ANNOTATIONS.arrow()) };
        for batch in batches() {
            spool.push(batch).unwrap();
        }
        assert!(spool.spilled.is_some(), "the limit makes it spill");
        let expected = facts(Box::new(batches().into_iter().map(Ok)));
        assert_eq!(facts(spool.read().unwrap()), expected);
        assert_eq!(facts(spool.read().unwrap()), expected);
    }

    #[test]
    fn a_sort_over_spilled_runs_equals_one_in_memory() {
        let mut expected = facts(Box::new(batches().into_iter().map(Ok)));
        // The order within an item is that of the input: seq rises in it.
        expected.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        for limit in [0, 20_000, usize::MAX] {
            let input: BatchStream<'_> = Box::new(batches().into_iter().map(Ok));
            let sorted = sorted(input, 1, limit).unwrap();
            assert_eq!(facts(sorted.stream()), expected, "limit {limit}");
        }
    }
}
