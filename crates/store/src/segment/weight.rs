//! What rows of a segment take in memory, as its page index says.

use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use crate::limits::{PAGE_BYTES_MAX, WRITE_BYTES_MAX};

/// Decoded bytes of rows, taken from the pages that they are in.
#[derive(Debug, Clone, Default)]
pub(super) struct Weights {
    /// By column: the first row of each page, and the bytes of a cell in it.
    columns: Vec<Vec<(u64, usize)>>,
}

impl Weights {
    pub(super) fn new(metadata: &ParquetMetaData) -> Self {
        let mut columns = vec![Vec::new(); metadata.file_metadata().schema_descr().num_columns()];
        let mut start = 0_u64;
        for (at, group) in metadata.row_groups().iter().enumerate() {
            for (column, pages) in columns.iter_mut().enumerate().take(group.num_columns()) {
                chunk_pages(metadata, (at, group), column, start, pages);
            }
            start = start.saturating_add(number(group.num_rows()));
        }
        Self { columns }
    }

    /// Bytes that a row takes, about.
    pub(super) fn of(&self, row: u32) -> usize {
        let cell = |pages: &Vec<(u64, usize)>| {
            let page = pages.partition_point(|(first, _)| *first <= u64::from(row));
            pages.get(page.saturating_sub(1)).map_or(0, |page| page.1)
        };
        self.columns.iter().map(cell).fold(0, usize::saturating_add)
    }
}

/// The pages of one column in one row group whose first row is `start`.
fn chunk_pages(
    metadata: &ParquetMetaData,
    (at, group): (usize, &RowGroupMetaData),
    column: usize,
    start: u64,
    pages: &mut Vec<(u64, usize)>,
) {
    let rows = number(group.num_rows()).max(1);
    let index = metadata.offset_index().and_then(|groups| groups.get(at)?.get(column));
    let sizes = index.and_then(|index| index.unencoded_byte_array_data_bytes());
    let (Some(index), Some(sizes)) = (index, sizes) else {
        let mean = number(group.column(column).uncompressed_size()) / rows;
        return pages.push((start, usize::try_from(mean).unwrap_or(usize::MAX)));
    };
    let firsts: Vec<u64> =
        index.page_locations().iter().map(|p| number(p.first_row_index)).collect();
    for (page, (first, bytes)) in firsts.iter().zip(sizes).enumerate() {
        let end = firsts.get(page + 1).copied().unwrap_or(rows);
        let bytes = usize::try_from(*bytes).unwrap_or(0);
        // Beyond what our pages of small cells hold, any of its rows may be the large one.
        let small = bytes <= PAGE_BYTES_MAX + WRITE_BYTES_MAX;
        let count = usize::try_from(end.saturating_sub(*first)).unwrap_or(1).max(1);
        pages.push((start.saturating_add(*first), if small { bytes / count } else { bytes }));
    }
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::Store;
    use crate::delta::Counts;
    use crate::fs::Disk;
    use crate::intake::{Intake, IntakeOptions, Intaken};
    use crate::schema::{ITEMS, ItemRow, ItemsBuilder};
    use crate::store::Layer;

    const LARGE: usize = 40;
    const SMALL: usize = 3_000;

    fn name(row: usize) -> String {
        format!("item-{row:05}")
    }

    /// 40 items of 1 MiB each with small ones around them.
    fn take(store: &Store, below: &[Layer], width: i64) -> Intaken {
        let snapshot = store.snapshot(None, below).unwrap();
        let mut intake = Intake::new(&snapshot, IntakeOptions::default());
        let mut builder = ItemsBuilder::default();
        for row in 0..LARGE + SMALL {
            let length = if (1_000..1_000 + LARGE).contains(&row) { 1 << 20 } else { 10 };
            let data = format!("\"{row:05}{}\"", "x".repeat(length));
            let (item, data) = (name(row), Some(data.as_str()));
            builder.push(&ItemRow {
                item_id: &item,
                data,
                width: Some(width),
                ..Default::default()
            });
        }
        intake.rows(&ITEMS, builder.finish()).unwrap();
        intake.finish().unwrap()
    }

    #[test]
    fn a_batch_of_live_rows_is_bounded_by_bytes_and_the_rest_of_them_comes_after() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::init(&Disk::default(), dir.path()).unwrap();
        let first = take(&store, &[], 1).layers;
        let snapshot = store.snapshot(None, &first).unwrap();
        let table = snapshot.table(&ITEMS).unwrap();
        let located = |rows: std::ops::Range<usize>| {
            let names: Vec<String> = rows.map(name).collect();
            let keys = names.iter().map(|name| (name.as_str(), ""));
            table.locate(keys).unwrap().into_iter().flatten().collect::<Vec<_>>()
        };
        // 32 MiB hold about 32 of them; small ones in the same page take part of a page's mean.
        let room = table.fetch_max(&located(1_000..1_000 + LARGE)).unwrap();
        assert!((25..=34).contains(&room), "{room} rows");
        let small = located(0..900);
        assert_eq!(table.fetch_max(&small).unwrap(), 900);
        let second = take(&store, &first, 2);
        let all = (LARGE + SMALL) as u64;
        assert_eq!(second.counts["items"], Counts { changed: all, ..Counts::default() });
    }
}
