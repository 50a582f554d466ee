//! Reads segments: whole, or single rows by their numbers.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowGroups, RowSelection,
};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};

use super::pages::Held;
use super::weight::Weights;
use super::{SEED_KEY, SegmentKind, SegmentRef, TABLE_KEY, nullable, segment_schema};
use crate::error::{Error, IoContext, Result};
use crate::fs::Work;
use crate::guard::guarded;
use crate::id::Digest;
use crate::limits::{BATCH_BYTES_MAX, OBJECT_BYTES_WHOLE_MAX, batch_rows};
use crate::objects::Objects;
use crate::schema::{Columns, Table};

/// What is said of bytes that the decoder cannot take.
const UNREADABLE: &str = "its bytes are no readable Parquet";

/// An open segment.
#[derive(Debug, Clone)]
pub struct SegmentReader {
    table: &'static Table,
    line: SegmentRef,
    objects: Objects,
    schema: SchemaRef,
    source: Source,
    metadata: ArrowReaderMetadata,
    weights: Weights,
}

impl SegmentReader {
    /// Opens a segment and reads its footer. Small ones are read whole and checked.
    pub fn open(
        objects: &Objects,
        table: &'static Table,
        kind: SegmentKind,
        line: &SegmentRef,
    ) -> Result<Self> {
        let stated = objects.redacted(&line.segment).map_or(line.bytes, |stored| stored.bytes);
        let source = if stated <= OBJECT_BYTES_WHOLE_MAX {
            Work::add(&objects.disk.work.segment_bytes_read, stated as usize);
            let bytes = objects.read(&line.segment)?;
            if bytes.len() as u64 != stated {
                let what = format!("it has {} bytes instead of {stated}", bytes.len());
                return Err(Error::damaged(line.segment, what));
            }
            Source::Bytes(bytes.into())
        } else {
            let file = objects.open(&line.segment)?;
            let len = file.metadata().at("read", objects.path(&line.segment))?.len();
            if len != stated {
                let what = format!("it has {len} bytes instead of {stated}");
                return Err(Error::damaged(line.segment, what));
            }
            Source::File(Arc::new(file), len, objects.disk.work.clone())
        };
        let damaged = |e: parquet::errors::ParquetError| Error::damaged(line.segment, e);
        let schema = segment_schema(table, kind);
        let options = ArrowReaderOptions::new()
            .with_schema(schema.clone())
            .with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata = guarded(|| ArrowReaderMetadata::load(&source, options))
            .ok_or_else(|| Error::damaged(line.segment, UNREADABLE))?
            .map_err(damaged)?;
        let file = metadata.metadata().file_metadata();
        if file.num_rows() != i64::from(line.rows) {
            let what = format!("it has {} rows instead of {}", file.num_rows(), line.rows);
            return Err(Error::damaged(line.segment, what));
        }
        let weights = Weights::new(metadata.metadata());
        let (line, objects) = (line.clone(), objects.clone());
        let reader = Self { table, line, objects, schema, source, metadata, weights };
        if reader.fact(TABLE_KEY) != Some(table.name) {
            let what = format!("it is none of `{}`", table.name);
            return Err(Error::damaged(reader.line.segment, what));
        }
        Ok(reader)
    }

    /// The line that names it.
    pub fn line(&self) -> &SegmentRef {
        &self.line
    }

    /// The seed of its row salts.
    pub fn seed(&self) -> Result<[u8; 32]> {
        self.fact(SEED_KEY)
            .and_then(|text| text.parse::<Digest>().ok())
            .map(|digest| digest.0)
            .ok_or_else(|| Error::damaged(self.line.segment, "it has no seed"))
    }

    fn fact(&self, key: &str) -> Option<&str> {
        let facts = self.metadata.metadata().file_metadata().key_value_metadata()?;
        facts.iter().find(|fact| fact.key == key)?.value.as_deref()
    }

    /// Reads every row in order, after checking the bytes of a large segment.
    pub fn scan(&self) -> Result<Scan> {
        self.scan_columns(Columns::ALL)
    }

    /// As [`scan`](Self::scan), but only the key, `_changed` and these columns are decoded; any
    /// other is null throughout.
    pub fn scan_columns(&self, columns: Columns) -> Result<Scan> {
        if matches!(self.source, Source::File(..)) {
            self.objects.check(&self.line.segment)?;
        }
        self.read(None, columns)
    }

    /// Reads the rows with these numbers, which must rise.
    pub fn rows(&self, numbers: &[u32]) -> Result<Scan> {
        if let Some(beyond) = numbers.last().filter(|last| **last >= self.line.rows) {
            let what = format!("its index names row {beyond} of {}", self.line.rows);
            return Err(Error::damaged(self.line.segment, what));
        }
        let ranges = numbers.iter().map(|&n| n as usize..n as usize + 1);
        let selection = RowSelection::from_consecutive_ranges(ranges, self.line.rows as usize);
        self.read(Some(selection), Columns::ALL)
    }

    /// Bytes that a decoded row takes, about.
    pub(crate) fn row_bytes_of(&self, row: u32) -> usize {
        self.weights.of(row)
    }

    /// Bytes of a decoded row on average, in the row group where rows are the largest.
    ///
    /// A large cell that many rows have is encoded once: what pages say of their bytes before
    /// encoding counts where it is more.
    fn row_bytes(&self) -> usize {
        let metadata = self.metadata.metadata();
        let decoded = |group: usize, column: usize| {
            let pages = metadata.offset_index()?.get(group)?.get(column)?;
            let bytes = pages.unencoded_byte_array_data_bytes()?;
            Some(bytes.iter().fold(0_i64, |sum, bytes| sum.saturating_add(*bytes)))
        };
        let mean = |(at, group): (usize, &RowGroupMetaData)| {
            let bytes = group.columns().iter().enumerate().map(|(column, chunk)| {
                chunk.uncompressed_size().max(decoded(at, column).unwrap_or(0))
            });
            bytes.fold(0, i64::saturating_add) / group.num_rows().max(1)
        };
        let most = metadata.row_groups().iter().enumerate().map(mean).max();
        usize::try_from(most.unwrap_or(0)).unwrap_or(0)
    }

    fn read(&self, selection: Option<RowSelection>, columns: Columns) -> Result<Scan> {
        let damaged = |e: parquet::errors::ParquetError| Error::damaged(self.line.segment, e);
        let (mut schema, mut absent) = (self.schema.clone(), Vec::new());
        let mut mask = ProjectionMask::all();
        if columns != Columns::ALL {
            let (key_len, changed) = (self.table.key_len, self.table.columns.len() + 1);
            let read = |at: &usize| *at < key_len || *at == changed || columns.has(*at);
            let (present, others) = (0..schema.fields().len()).partition::<Vec<usize>, _>(read);
            mask = ProjectionMask::roots(self.metadata.parquet_schema(), present);
            (schema, absent) = (nullable(&schema), others);
        }
        let batches = guarded(|| self.batches(selection, mask))
            .ok_or_else(|| Error::damaged(self.line.segment, UNREADABLE))?
            .map_err(damaged)?;
        let work = self.objects.disk.work.clone();
        Ok(Scan { segment: self.line.segment, schema, absent, batches, work, failed: false })
    }

    fn batches(
        &self,
        selection: Option<RowSelection>,
        mask: ProjectionMask,
    ) -> ParquetResult<ParquetRecordBatchReader> {
        let rows = batch_rows(BATCH_BYTES_MAX, self.row_bytes());
        let (metadata, schema) = (self.metadata.metadata(), self.metadata.parquet_schema());
        if let Source::Bytes(bytes) = &self.source
            && let Some(held) = Held::new(bytes.clone(), metadata)
        {
            let fields = Some(self.schema.fields());
            let levels = parquet_to_arrow_field_levels(schema, mask, fields)?;
            let rows = rows.min(held.num_rows().max(1));
            return ParquetRecordBatchReader::try_new_with_row_groups(
                &levels, &held, rows, selection,
            );
        }
        let (source, metadata) = (self.source.clone(), self.metadata.clone());
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata)
            .with_batch_size(rows)
            .with_projection(mask);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        builder.build()
    }
}

/// Batches of a segment.
#[derive(Debug)]
pub struct Scan {
    segment: Digest,
    schema: SchemaRef,
    /// Columns that are not read, rising.
    absent: Vec<usize>,
    batches: ParquetRecordBatchReader,
    work: Arc<Work>,
    failed: bool,
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = match guarded(|| self.batches.next()) {
            Some(None) => return None,
            Some(Some(Ok(batch))) => batch,
            Some(Some(Err(e))) => {
                self.failed = true;
                return Some(Err(Error::damaged(self.segment, e)));
            }
            None => {
                self.failed = true;
                return Some(Err(Error::damaged(self.segment, UNREADABLE)));
            }
        };
        Work::add(&self.work.rows_read, batch.num_rows());
        let mut columns = batch.columns().to_vec();
        for &at in &self.absent {
            let data_type = self.schema.field(at).data_type();
            columns.insert(at, new_null_array(data_type, batch.num_rows()));
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns);
        Some(batch.map_err(|e| Error::damaged(self.segment, e)))
    }
}

/// Where a segment's bytes come from: memory, or positioned reads of a file.
#[derive(Debug, Clone)]
enum Source {
    Bytes(bytes::Bytes),
    File(Arc<File>, u64, Arc<Work>),
}

impl Length for Source {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, len, _) => *len,
        }
    }
}

impl ChunkReader for Source {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(ChunkReader::get_read(bytes, start)?),
            Self::File(file, _, work) => {
                Box::new(io::BufReader::new(FileFrom(file.clone(), start, work.clone())))
            }
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<bytes::Bytes> {
        match self {
            Self::Bytes(bytes) => ChunkReader::get_bytes(bytes, start, length),
            Self::File(file, len, work) => {
                if start.checked_add(length as u64).is_none_or(|end| end > *len) {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, start)?;
                Work::add(&work.segment_bytes_read, length);
                Ok(buffer.into())
            }
        }
    }
}

/// Reads a shared file from an offset, without moving a cursor that others use.
struct FileFrom(Arc<File>, u64, Arc<Work>);

impl Read for FileFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Work::add(&self.2.segment_bytes_read, read);
        Ok(read)
    }
}
