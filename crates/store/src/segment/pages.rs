//! Pages of segments that are held in memory, unpacked with one zstd context for all.
//!
//! The Parquet reader makes two contexts for every column, which takes longer than a short column.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;

thread_local! {
    static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Bytes of a page at most: what the format of pages itself can say.
const PAGE_BYTES_MAX: usize = i32::MAX as usize;

/// Values of a column chunk at most: more than the cells of a row group have elements.
const VALUES_MAX: u64 = 1 << 26;

/// All row groups of a file that is held in memory.
pub(super) struct Held {
    bytes: Arc<Bytes>,
    metadata: Arc<ParquetMetaData>,
}

impl Held {
    /// `None` where a column is packed in a way that only the Parquet reader knows.
    pub(super) fn new(bytes: Bytes, metadata: &Arc<ParquetMetaData>) -> Option<Self> {
        let known = |chunk: &ColumnChunkMetaData| {
            matches!(chunk.compression(), Compression::UNCOMPRESSED | Compression::ZSTD(_))
        };
        let known = metadata.row_groups().iter().all(|group| group.columns().iter().all(known));
        known.then(|| Self { bytes: Arc::new(bytes), metadata: metadata.clone() })
    }
}

impl RowGroups for Held {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let (bytes, metadata) = (self.bytes.clone(), self.metadata.clone());
        Ok(Box::new(Chunks { bytes, metadata, column, group: 0 }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// A column's pages, row group by row group.
struct Chunks {
    bytes: Arc<Bytes>,
    metadata: Arc<ParquetMetaData>,
    column: usize,
    group: usize,
}

impl Chunks {
    fn pages(&self, group: &RowGroupMetaData) -> Result<Pages> {
        let chunk = group.column(self.column);
        let index = self.metadata.offset_index().and_then(|all| all.get(self.group));
        let places = index.and_then(|columns| columns.get(self.column));
        let places = places.map(|pages| pages.page_locations.clone());
        let rows = usize::try_from(group.num_rows())?;
        let packed = chunk.compression() != Compression::UNCOMPRESSED;
        let chunk_values = chunk.num_values();
        let bytes_max = usize::try_from(chunk.uncompressed_size())?.min(PAGE_BYTES_MAX);
        let chunk = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let pages = SerializedPageReader::new(self.bytes.clone(), &chunk.build()?, rows, places)?;
        let values_left = u64::try_from(chunk_values)?.min(VALUES_MAX);
        Ok(Pages { pages, packed, bytes_max, values_left })
    }
}

impl Iterator for Chunks {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let pages = self.pages(self.metadata.row_groups().get(self.group)?);
        self.group += 1;
        Some(pages.map(|pages| Box::new(pages) as _))
    }
}

impl PageIterator for Chunks {}

/// The pages of one column chunk.
struct Pages {
    /// Gives pages as they stand in the file.
    pages: SerializedPageReader<Bytes>,
    packed: bool,
    /// What all pages take when they are unpacked.
    bytes_max: usize,
    /// Values that further pages may hold: a few bytes can stand for billions.
    values_left: u64,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = page.as_ref().filter(|page| page.is_data_page()) {
            let left = self.values_left.checked_sub(u64::from(page.num_values()));
            let more = || ParquetError::General("pages hold more values than their column".into());
            self.values_left = left.ok_or_else(more)?;
        }
        if !self.packed {
            return Ok(page);
        }
        page.map(|mut page| {
            let max = self.bytes_max;
            match &mut page {
                Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => {
                    *buf = unpacked(buf, 0, max)?;
                }
                Page::DataPageV2 {
                    buf,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed,
                    ..
                } => {
                    if std::mem::take(is_compressed) {
                        // Levels stand before the values, and are never packed.
                        let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                        *buf = unpacked(buf, levels, max)?;
                    }
                }
            }
            Ok(page)
        })
        .transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

/// A page of which all but the first bytes are a zstd frame. An empty page is empty.
fn unpacked(page: &Bytes, from: usize, bytes_max: usize) -> Result<Bytes> {
    let damaged = |what: &str| ParquetError::General(format!("a page that {what}"));
    let (levels, frame) =
        page.split_at_checked(from).ok_or_else(|| damaged("is shorter than its levels"))?;
    if frame.is_empty() {
        return Ok(page.clone());
    }
    let bytes = match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(bytes)) => usize::try_from(bytes)?,
        // A writer need not say it.
        Ok(None) => bytes_max,
        Err(_) => return Err(damaged("is no zstd frame")),
    };
    if bytes > bytes_max {
        return Err(damaged("is larger than its column"));
    }
    // What it says of itself need not be so, and must not end the process.
    let mut unpacked: Vec<u8> = Vec::new();
    unpacked.try_reserve_exact(bytes).map_err(|_| damaged("is larger than memory"))?;
    ZSTD.with_borrow_mut(|zstd| {
        let zstd = match zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new()?),
        };
        zstd.decompress_to_buffer(frame, &mut unpacked)
    })?;
    if levels.is_empty() {
        return Ok(unpacked.into());
    }
    Ok([levels, &unpacked].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame that says it holds so many bytes, and ends at once.
    fn lying(bytes: u64) -> Bytes {
        // Magic, a header with eight bytes of length, the length, an empty last block.
        [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &bytes.to_le_bytes(), &[1, 0, 0]].concat().into()
    }

    #[test]
    fn a_page_that_says_too_much_is_an_error() {
        for bytes in [1 << 40, u64::MAX - 2, 1 << 33] {
            assert!(unpacked(&lying(bytes), 0, PAGE_BYTES_MAX).is_err(), "{bytes}");
        }
        assert!(unpacked(&lying(100), 0, 99).is_err());
        assert!(unpacked(&Bytes::from_static(b"no frame"), 0, 99).is_err());
        assert!(unpacked(&Bytes::from_static(b"abc"), 4, 99).is_err());
    }

    #[test]
    fn levels_stand_before_what_is_unpacked() {
        let frame = zstd::bulk::compress(b"values", 1).unwrap();
        let page = Bytes::from([&b"levels"[..], &frame].concat());
        assert_eq!(unpacked(&page, 6, 6).unwrap(), &b"levelsvalues"[..]);
        assert_eq!(unpacked(&page.slice(6..), 0, 6).unwrap(), &b"values"[..]);
        assert_eq!(unpacked(&Bytes::new(), 0, 6).unwrap(), Bytes::new());
    }
}
