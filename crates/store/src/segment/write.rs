//! Writes a segment: Parquet bytes, their digest, and the row digests that the key index needs.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::{SCHEMA_VERSION, SegmentKind, SegmentRef, segment_schema};
use crate::canonical::{RootBuilder, RowDigests, Rows, Salts, leaves};
use crate::error::{Error, Result};
use crate::fs::Disk;
use crate::id::Digest;
use crate::key_index::{KeyHasher, KeyIndex, KeyRange};
use crate::limits::{BATCH_ROWS, ROW_GROUP_CANONICAL_BYTES_MAX, WRITE_BYTES_MAX};
use crate::objects::{ObjectWriter, Objects};
use crate::row_cache::{RowCacheWriter, system_columns};
use crate::schema::Table;

/// What the key index holds of a row: hashes of its key and its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowEntry {
    /// Hash of the item (or only) id.
    pub item: u64,
    /// Fingerprint of the whole key.
    pub key: [u8; 12],
    /// The row number in the segment.
    pub row: u32,
    /// The first 16 bytes of the row's digest.
    pub digest: [u8; 16],
}

/// A segment that was written and is durable.
#[derive(Debug)]
pub struct WrittenSegment {
    /// Its line.
    pub line: SegmentRef,
    /// The first and the last key.
    range: Option<KeyRange>,
    caches: Option<Caches>,
}

/// What finds the rows of a segment again.
struct Caches {
    /// An entry a row, in row order.
    entries: Vec<RowEntry>,
    hasher: KeyHasher,
    rows: RowCacheWriter,
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl WrittenSegment {
    /// Writes what finds its rows again, where it was to be kept: the key index and the row cache.
    pub fn write_caches(self, disk: &Disk, dir: &Path) -> Result<()> {
        let Some(Caches { entries, rows, .. }) = self.caches else { return Ok(()) };
        let segment = &self.line.segment;
        let path = crate::index_path(dir, segment);
        KeyIndex::write(disk, &path, segment, entries, self.range.as_ref())?;
        rows.publish(&crate::rows_path(dir, segment), segment)
    }
}

/// Writes one segment from batches that come sorted by key.
pub struct SegmentWriter {
    table: &'static Table,
    kind: SegmentKind,
    schema: SchemaRef,
    output: SharedOutput,
    seed: [u8; 32],
    /// Begun with the first rows, which decide how keys are encoded.
    parquet: Option<ArrowWriter<SharedOutput>>,
    pending: Pending,
    /// Canonical bytes of the rows written to the current row group.
    group_bytes: usize,
    salts: Salts,
    root: RootBuilder,
    rows: u32,
    first_key: Option<(String, String)>,
    last_key: Option<(String, String)>,
    caches: Option<Caches>,
    /// Of the rows that came last: its memory is used again.
    found: RowDigests,
}

/// Slices of rows that are handed on as one batch, and what these rows are.
#[derive(Default)]
struct Pending {
    slices: Vec<RecordBatch>,
    rows: usize,
    /// Their canonical bytes.
    bytes: usize,
}

impl std::fmt::Debug for SegmentWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentWriter").field("table", &self.table.name).finish_non_exhaustive()
    }
}

/// The object behind a Parquet writer, which wants to own its output.
#[derive(Clone)]
struct SharedOutput(Arc<Mutex<Option<ObjectWriter>>>);

impl Write for SharedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut guard = self.0.lock().map_err(|_| io::ErrorKind::BrokenPipe)?;
        guard.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SegmentWriter {
    /// Starts a segment. `seed` must be random: it salts the row digests.
    pub fn new(
        objects: &Objects,
        table: &'static Table,
        kind: SegmentKind,
        seed: [u8; 32],
    ) -> Result<Self> {
        let schema = segment_schema(table, kind);
        let output = SharedOutput(Arc::new(Mutex::new(Some(objects.writer()?))));
        Ok(Self {
            table,
            kind,
            pending: Pending::default(),
            group_bytes: 0,
            schema,
            output,
            seed,
            parquet: None,
            salts: Salts::new(&seed),
            root: RootBuilder::default(),
            rows: 0,
            first_key: None,
            last_key: None,
            caches: None,
            found: RowDigests::default(),
        })
    }

    /// Keeps the rows and where they are in caches as well: called before any row comes.
    pub fn keep_rows(&mut self, rows: RowCacheWriter) {
        let (entries, hasher) = (Vec::new(), KeyHasher::default());
        self.caches = Some(Caches { entries, hasher, rows });
    }

    /// Says which key came last in the segment before: the rows of this one come after it.
    pub fn after(&mut self, key: Option<(String, String)>) {
        self.last_key = key;
    }

    /// The key of the last row.
    pub fn last_key(&self) -> Option<(String, String)> {
        self.last_key.clone()
    }

    /// The rows so far.
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Appends rows: the table's columns, then `_origin` and `_changed` where present (else null).
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.complete(batch)?;
        let rows = Rows::new(self.table, &batch)?;
        let system = system_columns(self.table, &batch);
        let mut start = 0;
        let mut found = std::mem::take(&mut self.found);
        rows.digests(&mut found);
        self.root.extend(leaves(&mut self.salts, &found.digests));
        for (row, digest) in found.digests.iter().enumerate() {
            let (item, key) = rows.key(row);
            self.check_order(item, key)?;
            if let Some(caches) = &mut self.caches {
                let digest = crate::snapshot::short(digest);
                caches.rows.push(&rows, &system, row, found.canonical(row), &digest)?;
                let (item, key) = caches.hasher.hash(item, key);
                caches.entries.push(RowEntry { item, key, row: self.rows, digest });
            }
            self.rows += 1;
            if self.first_key.is_none() {
                self.first_key = Some((item.to_owned(), key.to_owned()));
            }
            self.pending.rows += 1;
            self.pending.bytes += found.lens[row];
            // Cut by what the rows are, whatever came in: page borders follow from it.
            if self.pending.rows == BATCH_ROWS || self.pending.bytes > WRITE_BYTES_MAX {
                self.pending.slices.push(batch.slice(start, row + 1 - start));
                start = row + 1;
                self.write_pending(true)?;
            }
        }
        if start < rows.len() {
            self.pending.slices.push(batch.slice(start, rows.len() - start));
        }
        self.found = found;
        Ok(())
    }

    fn check_order(&mut self, item: &str, key: &str) -> Result<()> {
        if let Some((last_item, last_key)) = &mut self.last_key {
            let order = (last_item.as_str(), last_key.as_str()).cmp(&(item, key));
            if order != std::cmp::Ordering::Less {
                let what = if order.is_eq() { "the key stands twice" } else { "keys out of order" };
                return Err(Error::BadRows {
                    table: self.table.name,
                    what: format!("{what}: `{item}` `{key}`"),
                });
            }
            item.clone_into(last_item);
            key.clone_into(last_key);
        } else {
            self.last_key = Some((item.to_owned(), key.to_owned()));
        }
        Ok(())
    }

    fn complete(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        for field in &self.schema.fields()[columns.len().min(self.schema.fields().len())..] {
            columns.push(new_null_array(field.data_type(), batch.num_rows()));
        }
        columns.truncate(self.schema.fields().len());
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    /// Hands the rows that are held to Parquet as one batch; `long` where more may follow.
    fn write_pending(&mut self, long: bool) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.rows == 0 {
            return Ok(());
        }
        let batch = match &pending.slices[..] {
            [only] => only.clone(),
            slices => concat_batches(&self.schema, slices)?,
        };
        let parquet = match &mut self.parquet {
            Some(parquet) => parquet,
            none => none.insert(parquet(
                self.table,
                Some(&self.seed),
                &self.output,
                &batch,
                pending.bytes,
                long,
            )?),
        };
        parquet.write(&batch).map_err(parquet_error)?;
        // Parquet begins row groups on its own account too.
        let before = match parquet.in_progress_rows() {
            rows if rows > pending.rows => self.group_bytes,
            _ => 0,
        };
        self.group_bytes = before + pending.bytes;
        if self.group_bytes > ROW_GROUP_CANONICAL_BYTES_MAX {
            parquet.flush().map_err(parquet_error)?;
            self.group_bytes = 0;
        }
        Ok(())
    }

    /// Finishes the file and makes it durable. `None` where no row was written.
    pub fn finish(mut self) -> Result<Option<WrittenSegment>> {
        if self.rows == 0 {
            return Ok(None);
        }
        debug_assert!(self.kind == SegmentKind::Rows || self.kind == SegmentKind::Before);
        self.write_pending(false)?;
        let Some(parquet) = self.parquet else { return Ok(None) };
        parquet.close().map_err(parquet_error)?;
        let object = self.output.0.lock().ok().and_then(|mut guard| guard.take());
        let Some(object) = object else {
            return Err(Error::damaged("segment", "its writer was lost"));
        };
        let (segment, bytes) = object.finish()?;
        let line = SegmentRef {
            segment,
            rows: self.rows,
            bytes,
            root: self.root.finish(),
            schema: SCHEMA_VERSION,
        };
        let range = self.first_key.zip(self.last_key).map(|(first, last)| KeyRange { first, last });
        Ok(Some(WrittenSegment { line, range, caches: self.caches }))
    }
}

/// Starts the Parquet file of a segment that begins with these rows.
fn parquet(
    table: &Table,
    seed: Option<&[u8; 32]>,
    output: &SharedOutput,
    first: &RecordBatch,
    bytes: usize,
    long: bool,
) -> Result<ArrowWriter<SharedOutput>> {
    let options = ArrowWriterOptions::new()
        .with_properties(super::encoding::properties(table, seed, first, bytes, long)?)
        .with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(output.clone(), first.schema(), options)
        .map_err(parquet_error)
}

/// Writes the rows of a segment in which some are empty. Gives the digest and the length.
///
/// It has no seed: what proves its rows stands in an object of its own.
pub(crate) fn write_empty_rows(
    objects: &Objects,
    table: &'static Table,
    kind: SegmentKind,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<(Digest, u64)> {
    let output = SharedOutput(Arc::new(Mutex::new(Some(objects.writer()?))));
    let (schema, mut writer) = (segment_schema(table, kind), None);
    for batch in batches {
        let batch = batch?.with_schema(schema.clone())?;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => {
                let bytes = batch.get_array_memory_size();
                none.insert(parquet(table, None, &output, &batch, bytes, true)?)
            }
        };
        writer.write(&batch).map_err(parquet_error)?;
    }
    if let Some(writer) = writer {
        writer.close().map_err(parquet_error)?;
    }
    match output.0.lock().ok().and_then(|mut guard| guard.take()) {
        Some(object) => object.finish(),
        None => Err(Error::damaged("segment", "its writer was lost")),
    }
}

pub(super) fn parquet_error(error: parquet::errors::ParquetError) -> Error {
    // Errors of the disk come wrapped; give them back as what they are.
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => Error::Io { action: "write", path: "segment".into(), source: *source },
            Err(inner) => Error::damaged("segment", inner),
        },
        other => Error::damaged("segment", other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Disk;
    use crate::schema::{ITEMS, ItemRow, ItemsBuilder};
    use crate::segment::SegmentReader;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    /// 20,000 rows: mostly small, of another size each, and 150 of 300 kB apiece among them.
    fn rows() -> RecordBatch {
        let mut builder = ItemsBuilder::default();
        for row in 0..20_000_usize {
            let large = (9_000..9_100).contains(&row) || row % 400 == 7;
            let len = if large { 300_000 } else { row % 50 };
            let data = format!("\"{row}{}\"", "x".repeat(len));
            let (item, source) = (format!("item-{row:05}"), format!("s{}", row % 3));
            let aliases = (row % 2 == 0).then(|| vec!["a", item.as_str()]);
            builder.push(&ItemRow {
                item_id: &item,
                aliases,
                source: (row % 5 > 0).then_some(source.as_str()),
                data: (row % 7 > 0).then_some(data.as_str()),
                ..ItemRow::default()
            });
        }
        builder.finish()
    }

    fn written(objects: &Objects, all: &RecordBatch, sizes: &[usize]) -> WrittenSegment {
        let mut writer = SegmentWriter::new(objects, &ITEMS, SegmentKind::Rows, [7; 32]).unwrap();
        let (mut at, mut sizes) = (0, sizes.iter().cycle());
        while at < all.num_rows() {
            let rows = (*sizes.next().unwrap()).min(all.num_rows() - at);
            writer.push(&all.slice(at, rows)).unwrap();
            at += rows;
        }
        writer.finish().unwrap().unwrap()
    }

    /// What a read of one row decodes: its pages, and the dictionary of each column chunk.
    #[test]
    fn a_page_of_large_cells_holds_two_writes_at_most_whatever_the_cells() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(Disk::default(), dir.path().join("objects"));
        let line = written(&objects, &rows(), &[usize::MAX]).line;
        let bytes = bytes::Bytes::from(objects.read(&line.segment).unwrap());
        let file = SerializedFileReader::new(bytes).unwrap();
        let (mut largest, mut pages) = (0, 0);
        for group in 0..file.num_row_groups() {
            let group = file.get_row_group(group).unwrap();
            for column in 0..group.num_columns() {
                for page in group.get_column_page_reader(column).unwrap() {
                    largest = largest.max(page.unwrap().buffer().len());
                    pages += 1;
                }
            }
        }
        // 150 cells of 300 kB are 45 MB, of which no page holds more than 2 MiB and one cell.
        assert!((1 << 20..(2 << 20) + 400_000).contains(&largest), "{largest} bytes");
        assert!(pages > 45_000_000 / (2 << 20), "{pages} pages");
    }

    #[test]
    fn a_segment_has_the_same_bytes_however_its_rows_came() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(Disk::default(), dir.path().join("objects"));
        let all = rows();
        let whole = written(&objects, &all, &[usize::MAX]);
        for sizes in [&[8_192][..], &[1_000], &[9_050, 1, 77], &[3, 5_000], &[97]] {
            assert_eq!(written(&objects, &all, sizes).line, whole.line, "batches of {sizes:?}");
        }
        let reader = SegmentReader::open(&objects, &ITEMS, SegmentKind::Rows, &whole.line).unwrap();
        let read: Vec<RecordBatch> = reader.scan().unwrap().map(|batch| batch.unwrap()).collect();
        let schema = segment_schema(&ITEMS, SegmentKind::Rows);
        let read = concat_batches(&schema, &read).unwrap();
        let (read, all) = (Rows::new(&ITEMS, &read).unwrap(), Rows::new(&ITEMS, &all).unwrap());
        assert_eq!(read.len(), all.len());
        assert!((0..all.len()).all(|row| read.differing(row, &all, row).is_empty()));
    }
}
