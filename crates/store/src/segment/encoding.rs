//! How the columns of a segment are encoded and compressed, by the rows that it begins with.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::write::parquet_error;
use super::{SEED_KEY, TABLE_KEY};
use crate::error::Result;
use crate::id::Digest;
use crate::limits::{
    PAGE_BYTES_MAX, PAGE_ROWS_MAX, PLAIN_BYTES_MAX, ROW_GROUP_BYTES_MAX, ROW_GROUP_ROWS_MAX,
};
use crate::schema::{CellType, Column, ColumnView, Table};

/// Ids and numbers take less room at level 1 than at 3; see `docs/benchmarks.md`.
const ZSTD_LEVEL: i32 = 1;

/// A short segment gets the time for a search that does find more, but in random ids.
const ZSTD_LEVEL_SHORT: i32 = 9;

/// Encoded bytes of a column below which it is not compressed.
const TINY_BYTES_MAX: usize = 512;

/// Front coding pays where a key shares this many bytes with the key before, on average. Random
/// ids share less than one, and the lengths of what they share cost more than they save.
const SHARED_BYTES_MIN: usize = 2;

/// The encoding of a key column, by the rows that a segment begins with.
fn key_encoding(keys: &StringArray) -> Encoding {
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let pairs = keys.len().saturating_sub(1);
    let total: usize = (0..pairs).map(|row| shared(keys.value(row), keys.value(row + 1))).sum();
    match total < pairs * SHARED_BYTES_MIN {
        true => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        false => Encoding::DELTA_BYTE_ARRAY,
    }
}

/// The path of a column's values in the file.
fn leaf_path(column: &Column) -> ColumnPath {
    match column.cell {
        CellType::Floats | CellType::Texts => list_path(column.name),
        _ => ColumnPath::from(column.name),
    }
}

fn list_path(name: &str) -> ColumnPath {
    ColumnPath::from(vec![name.to_owned(), "list".to_owned(), "element".to_owned()])
}

/// Whether a column is so small that what compresses and unpacks it costs more than its bytes.
fn is_tiny(cells: &ArrayRef) -> bool {
    let bits = |distinct: usize| distinct.next_power_of_two().trailing_zeros() as usize;
    let bytes = match ColumnView::new(cells) {
        Some(ColumnView::Dict(cells, values)) => {
            let used: HashSet<i32> = cells.keys().iter().flatten().collect();
            let values: usize = used.iter().map(|key| values.value(*key as usize).len() + 4).sum();
            values + (cells.len() - cells.null_count()) * bits(used.len()) / 8
        }
        Some(ColumnView::Bool(cells)) => cells.len() / 8,
        Some(ColumnView::List(lists)) => {
            lists.values().to_data().get_slice_memory_size().unwrap_or(TINY_BYTES_MAX)
        }
        _ if cells.null_count() == cells.len() => 0,
        _ => cells.to_data().get_slice_memory_size().unwrap_or(TINY_BYTES_MAX),
    };
    bytes < TINY_BYTES_MAX
}

/// Whether a dictionary of a column's values pays. Numbers that seem apart in the first rows may
/// come again in a `long` segment: of these only short ones go without.
fn repeats(cell: CellType, first: &ArrayRef, long: bool) -> bool {
    let numbers = |numbers: &Float64Array| {
        let distinct: HashSet<u64> = numbers.iter().flatten().map(f64::to_bits).collect();
        distinct.len() * 2 <= numbers.len() - numbers.null_count()
    };
    match ColumnView::new(first) {
        Some(ColumnView::Float(all)) if !long => numbers(all),
        Some(ColumnView::List(lists)) if !long && cell == CellType::Floats => {
            lists.values().as_primitive_opt().is_none_or(numbers)
        }
        Some(ColumnView::Text(texts)) => {
            let distinct: HashSet<&str> = texts.iter().flatten().collect();
            distinct.len() * 2 <= texts.len() - texts.null_count()
        }
        _ => true,
    }
}

/// Whether times take less room as differences packed to bits than as they are and compressed:
/// times in no order have differences as long as themselves.
fn packs(times: &ArrayRef) -> bool {
    let Some(ColumnView::Time(times)) = ColumnView::new(times) else { return true };
    let known: Vec<i64> = times.iter().flatten().collect();
    let steps = || known.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let (Some(least), Some(most)) = (steps().min(), steps().max()) else { return true };
    let bits = 64 - most.wrapping_sub(least).leading_zeros() as usize;
    let plain: Vec<u8> = known.iter().flat_map(|time| time.to_le_bytes()).collect();
    zstd::bulk::compress(&plain, ZSTD_LEVEL)
        .is_ok_and(|bytes| known.len() * bits / 8 <= bytes.len())
}

fn zstd(level: i32) -> Result<Compression> {
    Ok(Compression::ZSTD(ZstdLevel::try_new(level).map_err(parquet_error)?))
}

/// How a segment is written that begins with these rows, of so many canonical bytes; `long` where
/// more follow.
pub(super) fn properties(
    table: &Table,
    seed: Option<&[u8; 32]>,
    first: &RecordBatch,
    bytes: usize,
    long: bool,
) -> Result<WriterProperties> {
    let compression = match bytes {
        // Of a few rows each page is tiny: a decoder for each costs more than what it unpacks.
        0..=PLAIN_BYTES_MAX => Compression::UNCOMPRESSED,
        _ if long => zstd(ZSTD_LEVEL)?,
        _ => zstd(ZSTD_LEVEL_SHORT)?,
    };
    let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let mut facts = vec![entry(TABLE_KEY, table.name.to_owned())];
    facts.extend(seed.map(|seed| entry(SEED_KEY, Digest(*seed).to_string())));
    let mut properties = WriterProperties::builder()
        .set_created_by("glossator".to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_dictionary_page_size_limit(PAGE_BYTES_MAX)
        // Page borders are looked for once a mini-batch.
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(facts));
    for (column, keys) in table.columns[..table.key_len].iter().zip(first.columns()) {
        let path = ColumnPath::from(column.name);
        let encoding = key_encoding(keys.as_string::<i32>());
        if encoding == Encoding::DELTA_LENGTH_BYTE_ARRAY && bytes > PLAIN_BYTES_MAX {
            properties = properties.set_column_compression(path.clone(), zstd(ZSTD_LEVEL)?);
        }
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::Page)
            .set_column_encoding(path, encoding);
    }
    for (column, cells) in table.columns.iter().zip(first.columns()).skip(table.key_len) {
        if !repeats(column.cell, cells, long) {
            properties = properties.set_column_dictionary_enabled(leaf_path(column), false);
        }
    }
    for (field, cells) in first.schema().fields().iter().zip(first.columns()) {
        if !long && is_tiny(cells) {
            let path = match field.data_type() {
                DataType::List(_) => list_path(field.name()),
                _ => ColumnPath::from(field.name().as_str()),
            };
            properties = properties.set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    let times = table.columns.iter().zip(first.columns()).filter(|c| c.0.cell == CellType::Time);
    for (column, cells) in times {
        let path = ColumnPath::from(column.name);
        properties = properties.set_column_dictionary_enabled(path.clone(), false);
        if long || packs(cells) {
            properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}
