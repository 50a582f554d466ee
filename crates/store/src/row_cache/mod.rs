//! The row cache: one droppable file a segment that holds its rows one by one, so that a few rows
//! of a large segment can be read without decoding the Parquet pages around them.
//!
//! A file is the rows one after the other, then where each ends (8 bytes a row, little endian),
//! then a trailer. A row is its system columns (their length as a varint, the cells, and where
//! there are any a check of 8 bytes), then its canonical bytes. A row that is too long, or that its
//! canonical bytes do not tell to the bit, has no bytes here and is read from the segment.
//!
//! # Guarantees
//! - Canonical bytes are checked against the digest that the key index holds of the row, system
//!   columns against their check: a damaged row is none, never a wrong one.

mod decode;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use arrow::array::{Array, RecordBatch};

pub(crate) use decode::RowsBuilder;

use crate::canonical::{Rows, get_varint, padded_digest, put_varint};
use crate::error::{Error, IoContext, Result};
use crate::fs::{Disk, TempFile, Work};
use crate::id::Digest;
use crate::schema::{CellType, ColumnView, Table};
use crate::segment::{CHANGED_FIELD, ORIGIN_FIELD, SegmentRef};

const MAGIC: &[u8; 8] = b"glossrw1";
/// Magic, number of rows, digest of the segment, check.
const TRAILER_BYTES: usize = 8 + 8 + 32 + 16;
const CHECK_BYTES: usize = 8;
/// Bytes of a row that is kept here at most.
const ROW_BYTES_MAX: usize = 16 << 10;
/// Rows between two that are wanted which are read along rather than passed over.
const GAP_ROWS_MAX: u32 = 8;
/// Rows that are read in one go at most.
const RUN_ROWS_MAX: usize = 1_024;

/// Writes the rows of a segment that is being written.
#[derive(Debug)]
#[must_use]
pub struct RowCacheWriter {
    out: BufWriter<TempFile>,
    ends: Vec<u8>,
    at: u64,
    floats: Vec<usize>,
    cells: Vec<u8>,
    head: Vec<u8>,
}

/// A column that a segment has besides the table's, by its field number.
pub type SystemColumn<'a> = (u16, ColumnView<'a>);

/// The system columns of a segment's batch that say anything.
pub fn system_columns<'a>(table: &Table, batch: &'a RecordBatch) -> Vec<SystemColumn<'a>> {
    let columns = batch.columns().iter().skip(table.columns.len());
    let numbered = [ORIGIN_FIELD, CHANGED_FIELD].into_iter().zip(columns);
    numbered
        .filter(|(_, column)| column.null_count() < column.len())
        .filter_map(|(number, column)| Some((number, ColumnView::new(column)?)))
        .collect()
}

impl RowCacheWriter {
    /// Starts a file in the directory of the caches.
    pub fn new(disk: &Disk, dir: &Path, table: &Table) -> Result<Self> {
        let is_float = |cell| matches!(cell, CellType::Float | CellType::Floats);
        let floats = (0..table.columns.len()).filter(|&c| is_float(table.columns[c].cell));
        Ok(Self {
            out: BufWriter::with_capacity(1 << 18, disk.temp(dir)?),
            ends: Vec::new(),
            at: 0,
            floats: floats.collect(),
            cells: Vec::new(),
            head: Vec::new(),
        })
    }

    /// Appends a row: its system columns, canonical bytes (none of a long row) and the first half
    /// of its digest.
    pub fn push(
        &mut self,
        rows: &Rows<'_>,
        system: &[SystemColumn<'_>],
        row: usize,
        canonical: Option<&[u8]>,
        digest: &[u8; 16],
    ) -> Result<()> {
        // Canonical bytes have +0 for −0.
        let signed_zero = |value: f64| value == 0.0 && value.is_sign_negative();
        let inexact = self.floats.iter().any(|&column| {
            let column = rows.column(column);
            column.float(row).is_some_and(signed_zero)
                || column.floats(row).is_some_and(|all| all.iter().any(|v| signed_zero(*v)))
        });
        if let Some(canonical) = canonical.filter(|row| row.len() <= ROW_BYTES_MAX && !inexact) {
            let mut cells = std::mem::take(&mut self.cells);
            cells.clear();
            for (number, column) in system {
                if let Some(text) = column.text(row) {
                    put_varint(&mut cells, u64::from(*number));
                    put_varint(&mut cells, text.len() as u64);
                    cells.extend_from_slice(text.as_bytes());
                }
            }
            self.head.clear();
            put_varint(&mut self.head, cells.len() as u64);
            if !cells.is_empty() {
                self.head.extend_from_slice(&cells);
                self.head.extend_from_slice(&check(digest, &cells));
            }
            self.cells = cells;
            self.out.write_all(&self.head).at("write", "row cache")?;
            self.out.write_all(canonical).at("write", "row cache")?;
            self.at += (self.head.len() + canonical.len()) as u64;
        }
        self.ends.extend_from_slice(&self.at.to_le_bytes());
        Ok(())
    }

    /// Gives the file its name: it holds the rows of this segment.
    pub fn publish(mut self, path: &Path, segment: &Digest) -> Result<()> {
        let rows = (self.ends.len() / 8) as u64;
        self.out.write_all(&self.ends).at("write", path)?;
        self.out.write_all(&trailer(segment, rows)).at("write", path)?;
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error);
        file.at("write", path)?.publish(path)
    }
}

/// The check of a row's system columns.
fn check(digest: &[u8; 16], system: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(digest).update(system);
    let mut out = [0; CHECK_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    out
}

fn trailer(segment: &Digest, rows: u64) -> [u8; TRAILER_BYTES] {
    let mut out = [0; TRAILER_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..16].copy_from_slice(&rows.to_le_bytes());
    out[16..48].copy_from_slice(&segment.0);
    let sum = Digest::of(&out[..48]);
    out[48..].copy_from_slice(&sum.0[..16]);
    out
}

/// An open row cache.
#[derive(Debug)]
pub(crate) struct RowCache {
    file: File,
    /// Where the rows end and their places begin.
    ends: u64,
}

/// A row as it stands in the cache.
pub(crate) struct CachedRow<'a> {
    pub(crate) system: &'a [u8],
    pub(crate) canonical: &'a [u8],
}

impl RowCache {
    /// Opens the cache of a segment; `None` where there is none, or not of this segment.
    pub(crate) fn open(disk: &Disk, path: &Path, line: &SegmentRef) -> Result<Option<Self>> {
        let file = match disk.open(path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            done => done?,
        };
        let facts = file.metadata().at("read", path)?;
        let tail = u64::from(line.rows) * 8 + TRAILER_BYTES as u64;
        let Some(ends) = facts.len().checked_sub(tail).filter(|_| facts.is_file()) else {
            return Ok(None);
        };
        let mut found = [0; TRAILER_BYTES];
        file.read_exact_at(&mut found, facts.len() - TRAILER_BYTES as u64).at("read", path)?;
        let whole = found == trailer(&line.segment, u64::from(line.rows));
        Ok(whole.then_some(Self { file, ends }))
    }

    /// The bytes that a row has here; `None` where it has to be read from the segment.
    pub(crate) fn bytes_of(&self, row: u32) -> Option<usize> {
        let mut places = [0; 16];
        // The first row begins where nothing ends.
        let skip = if row == 0 { 8 } else { 0 };
        let from = self.ends + (u64::from(row) * 8).saturating_sub(8);
        self.file.read_exact_at(&mut places[skip..], from).ok()?;
        let (start, end) = places.split_at(8);
        let place = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        let bytes = usize::try_from(place(end)?.checked_sub(place(start)?)?).ok()?;
        (bytes > 0 && bytes <= 2 * ROW_BYTES_MAX).then_some(bytes)
    }

    /// Reads rows whose numbers rise, each with the first half of its digest. `each` is given the
    /// place of those that are here and whole.
    pub(crate) fn read(
        &self,
        work: &Work,
        wanted: &[(u32, [u8; 16])],
        each: &mut dyn FnMut(usize, CachedRow<'_>),
    ) -> std::io::Result<()> {
        let mut at = 0;
        let mut bytes = Vec::new();
        while at < wanted.len() {
            let near = |pair: &[(u32, [u8; 16])]| pair[1].0 - pair[0].0 <= GAP_ROWS_MAX;
            let run = &wanted[at..wanted.len().min(at + RUN_ROWS_MAX)];
            let len = 1 + run.windows(2).take_while(|pair| near(pair)).count();
            self.run(work, &run[..len], &mut bytes, &mut |place, row| each(at + place, row))?;
            at += len;
        }
        Ok(())
    }

    /// Reads rows that lie close together.
    fn run(
        &self,
        work: &Work,
        wanted: &[(u32, [u8; 16])],
        bytes: &mut Vec<u8>,
        each: &mut dyn FnMut(usize, CachedRow<'_>),
    ) -> std::io::Result<()> {
        let (first, last) = (wanted[0].0, wanted[wanted.len() - 1].0);
        let mut places = vec![0; (last - first + 2) as usize * 8];
        // The first row begins where nothing ends.
        let skip = if first == 0 { 8 } else { 0 };
        let from = self.ends + (u64::from(first) * 8).saturating_sub(8);
        self.file.read_exact_at(&mut places[skip..], from)?;
        let (places, _) = places.as_chunks::<8>();
        let place = |row: u32| u64::from_le_bytes(places[(row - first) as usize]);
        let (start, end) = (place(first), place(last + 1));
        let rows = u64::from(last - first) + 1;
        let room = rows * (ROW_BYTES_MAX as u64 * 2);
        if end > self.ends || end < start || end - start > room {
            return Ok(());
        }
        bytes.resize((end - start) as usize, 0);
        self.file.read_exact_at(bytes, start)?;
        for (at, (row, digest)) in wanted.iter().enumerate() {
            let (from, to) = (place(*row), place(*row + 1));
            let range = from.checked_sub(start).zip(to.checked_sub(start));
            let range = range.map(|(from, to)| Range { start: from as usize, end: to as usize });
            let row = range.and_then(|range| bytes.get(range)).and_then(|b| checked(b, digest));
            if let Some(row) = row {
                Work::add(&work.rows_read, 1);
                each(at, row);
            }
        }
        Ok(())
    }
}

/// The parts of a row, where they are what was written.
fn checked<'a>(bytes: &'a [u8], digest: &[u8; 16]) -> Option<CachedRow<'a>> {
    let mut at = 0;
    let len = usize::try_from(get_varint(bytes, &mut at)?).ok()?;
    let (system, mut canonical) = bytes.get(at..)?.split_at_checked(len)?;
    if !system.is_empty() {
        let (sum, rest) = canonical.split_first_chunk::<CHECK_BYTES>()?;
        if *sum != check(digest, system) {
            return None;
        }
        canonical = rest;
    }
    (padded_digest(canonical).0[..16] == *digest).then_some(CachedRow { system, canonical })
}
