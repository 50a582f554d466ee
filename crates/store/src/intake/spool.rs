//! Batches kept aside in bounded memory, and sorted streams of them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek};

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::error::{IoContext, Result};
use crate::fs::anonymous_temp_file;
use crate::limits::{BATCH_ROWS, SORT_BYTES_MAX};
use crate::segment::{BatchStream, merge_sorted};

const TEMP: &str = "temporary file";

/// Batches of one schema in the order in which they came.
pub(super) struct Spool {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
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
        Self { schema, batches: Vec::new(), bytes: 0, spilled: None, rows: 0 }
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        if self.bytes > SORT_BYTES_MAX {
            let writer = match &mut self.spilled {
                Some(writer) => writer,
                none => none.insert(writer(&self.schema)?),
            };
            for batch in self.batches.drain(..) {
                writer.write(&batch)?;
            }
            self.bytes = 0;
        }
        Ok(())
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

/// Sorts batches by their first `key_len` columns (text), stably, in bounded memory.
pub(super) fn sorted(
    batches: BatchStream<'_>,
    schema: SchemaRef,
    key_len: usize,
) -> Result<BatchStream<'static>> {
    let mut runs: Vec<BatchStream<'static>> = Vec::new();
    let (mut pending, mut bytes) = (Vec::new(), 0);
    for batch in batches {
        let batch = batch?;
        bytes += batch.get_array_memory_size();
        pending.push(batch);
        if bytes > SORT_BYTES_MAX {
            let run = sorted_run(&schema, &pending, key_len)?;
            pending.clear();
            bytes = 0;
            runs.push(spill(&run)?);
        }
    }
    if !pending.is_empty() {
        let run = sorted_run(&schema, &pending, key_len)?;
        runs.push(Box::new(slices(run).map(Ok)));
    }
    merge_sorted(runs, key_len)
}

fn sorted_run(schema: &SchemaRef, batches: &[RecordBatch], key_len: usize) -> Result<RecordBatch> {
    let all = concat_batches(schema, batches)?;
    let keys: Vec<_> = (0..key_len).map(|c| all.column(c).as_string::<i32>()).collect();
    let compare = |a: u32, b: u32| {
        keys.iter()
            .map(|key| key.value(a as usize).cmp(key.value(b as usize)))
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    };
    let rows = all.num_rows() as u32;
    if (1..rows).all(|row| compare(row - 1, row).is_le()) {
        return Ok(all);
    }
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_by(|a, b| compare(*a, *b));
    Ok(take_record_batch(&all, &UInt32Array::from(order))?)
}

fn slices(batch: RecordBatch) -> impl Iterator<Item = RecordBatch> {
    (0..batch.num_rows())
        .step_by(BATCH_ROWS)
        .map(move |at| batch.slice(at, BATCH_ROWS.min(batch.num_rows() - at)))
}

fn spill(run: &RecordBatch) -> Result<BatchStream<'static>> {
    let mut writer = writer(&run.schema())?;
    for slice in slices(run.clone()) {
        writer.write(&slice)?;
    }
    let mut file = writer
        .into_inner()?
        .into_inner()
        .map_err(|e| e.into_error())
        .at("write", TEMP)?;
    file.rewind().at("read", TEMP)?;
    let batches = StreamReader::try_new(BufReader::new(file), None)?;
    Ok(Box::new(batches.map(|batch| Ok(batch?))))
}
