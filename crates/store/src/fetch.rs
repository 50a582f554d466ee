//! Reads located rows: from the row cache, else from the Parquet pages that hold them.

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, interleave_record_batch};

use crate::canonical::Rows;
use crate::error::{Error, Result};
use crate::row_cache::{RowCache, RowsBuilder};
use crate::segment::segment_schema;
use crate::snapshot::{Located, TableSnapshot, with_origin};

/// Of a segment, the cache is asked for at most one row in so many: beyond that, decoding pages
/// costs less.
const CACHED_SHARE_MIN: usize = 4;
/// Segments up to this many rows are always asked from the cache: to open them costs more.
const CACHED_WHOLE_ROWS: usize = 1 << 13;

/// A row that was read: the batch that it stands in, and its place.
type Pick = (usize, usize);

impl TableSnapshot {
    /// Reads located rows in the order asked for: the table's columns and `_origin`, filled in.
    ///
    /// Each row is checked against the digest that the index holds of it.
    pub fn fetch(&self, wanted: &[Located]) -> Result<RecordBatch> {
        let schema = segment_schema(self.table, self.kind);
        if wanted.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_unstable_by_key(|&i| (wanted[i].segment, wanted[i].row));
        // The first batch is what the caches gave.
        let mut cached = RowsBuilder::new(self.table, self.kind);
        let mut batches = Vec::new();
        let mut picks: Vec<Pick> = vec![(0, 0); wanted.len()];
        for part in order.chunk_by(|a, b| wanted[*a].segment == wanted[*b].segment) {
            let left = self.fetch_cached(wanted, part, &mut cached, &mut picks)?;
            if !left.is_empty() {
                let batch = self.fetch_decoded(wanted, &left, batches.len() + 1, &mut picks)?;
                batches.push(batch);
            }
        }
        batches.insert(0, cached.finish()?);
        if batches.len() == 1 && picks.iter().enumerate().all(|(at, pick)| pick.1 == at) {
            return Ok(batches.swap_remove(0));
        }
        let references: Vec<&RecordBatch> = batches.iter().collect();
        Ok(interleave_record_batch(&references, &picks)?)
    }

    /// Takes rows of one segment, in order of their numbers, from its cache. Returns those that are
    /// not there.
    fn fetch_cached(
        &self,
        wanted: &[Located],
        part: &[usize],
        cached: &mut RowsBuilder,
        picks: &mut [Pick],
    ) -> Result<Vec<usize>> {
        let segment = wanted[part[0]].segment;
        let line = self.cached(segment);
        let rows = line.rows as usize;
        if rows > CACHED_WHOLE_ROWS && part.len() > rows / CACHED_SHARE_MIN {
            return Ok(part.to_vec());
        }
        let path = crate::rows_path(&self.index_dir, &line.segment);
        let Some(cache) = RowCache::open(&self.disk, &path, &line)? else {
            return Ok(part.to_vec());
        };
        let numbers: Vec<_> = part.iter().map(|&i| (wanted[i].row, wanted[i].digest)).collect();
        let mut here = vec![false; part.len()];
        let origin = self.segment(segment).to_string();
        let read = cache.read(&self.disk.work, &numbers, &mut |at, row| {
            let place = cached.rows();
            if cached.push(&row, &origin).is_some() {
                picks[part[at]] = (0, place);
                here[at] = true;
            }
        });
        // What a cache does not give, for whatever reason, the segment does.
        drop(read);
        Ok(part.iter().zip(here).filter(|(_, here)| !here).map(|(at, _)| *at).collect())
    }

    /// Decodes rows of one segment, in order of their numbers.
    fn fetch_decoded(
        &self,
        wanted: &[Located],
        part: &[usize],
        place: usize,
        picks: &mut [Pick],
    ) -> Result<RecordBatch> {
        let segment = wanted[part[0]].segment;
        let mut numbers: Vec<u32> = part.iter().map(|&i| wanted[i].row).collect();
        numbers.dedup();
        let read: Vec<_> = self.reader(segment)?.rows(&numbers)?.collect::<Result<_>>()?;
        let batch = concat_batches(&segment_schema(self.table, self.kind), &read)?;
        if batch.num_rows() != numbers.len() {
            return Err(Error::damaged(self.segment(segment), "rows are missing from it"));
        }
        let rows = Rows::new(self.table, &batch)?;
        let mut scratch = Vec::new();
        for &i in part {
            // The numbers were read back in order.
            let row = numbers.partition_point(|&n| n < wanted[i].row);
            if rows.digest(row, &mut scratch).0[..16] != wanted[i].digest {
                let what = format!("row {} is not what its index says", wanted[i].row);
                return Err(Error::damaged(self.segment(segment), what));
            }
            picks[i] = (place, row);
        }
        drop(rows);
        with_origin(&self.segment(segment), self.table.columns.len(), batch)
    }
}
