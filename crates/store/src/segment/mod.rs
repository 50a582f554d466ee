//! Segments: immutable Parquet files of rows, sorted by key and named by the digest of their bytes.
//!
//! The only module that knows Parquet. A segment of rows holds a table's columns and `_origin`; a
//! segment of old values (`before`) holds the key, old values of the columns that changed,
//! `_origin` and `_changed`.
//!
//! # Guarantees
//! - The same rows, seed and binary give the same bytes, however the rows were cut into batches.
//! - Small segments are checked against their digest before use, large ones before a full scan.
//!
//! # Limitations
//! - A point read of a large segment is checked by the caller, against the digests of the key
//!   index.

mod encoding;
mod merge;
mod pages;
mod read;
mod weight;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub use merge::{BatchStream, merge_sorted, sort_by_key};
pub(crate) use merge::{Selected, SelectedStream, gather, gather_column, merge_selected};
pub use read::{Scan, SegmentReader};
pub(crate) use write::write_empty_rows;
pub use write::{RowEntry, SegmentWriter, WrittenSegment};

use crate::id::Digest;
use crate::schema::{CellType, Table};

/// The column with the segment that first held a row version; null: this segment.
pub const ORIGIN: &str = "_origin";
/// The column of a `before` segment with the numbers of the columns that changed, as `11,13`; null:
/// the row was removed and is whole.
pub const CHANGED: &str = "_changed";
pub(crate) const ORIGIN_FIELD: u16 = 1001;
pub(crate) const CHANGED_FIELD: u16 = 1002;
const SEED_KEY: &str = "glossator.seed";
const TABLE_KEY: &str = "glossator.table";

/// What a segment's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Whole rows.
    Rows,
    /// Old values of changed and removed rows.
    Before,
}

/// A line of `tables/<name>.jsonl` that names a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRef {
    /// The digest of its bytes.
    pub segment: Digest,
    /// Its rows, dead ones included.
    pub rows: u32,
    /// Its length in bytes.
    pub bytes: u64,
    /// The Merkle root over its salted row digests.
    pub root: Digest,
    /// The version of the table's column list.
    pub schema: u32,
}

/// The version of the column lists of format 1.
pub const SCHEMA_VERSION: u32 = 1;

/// The Arrow schema of a segment's batches.
pub fn segment_schema(table: &Table, kind: SegmentKind) -> SchemaRef {
    let mut fields: Vec<Field> = table
        .columns
        .iter()
        .enumerate()
        .map(|(i, c)| {
            let nullable = c.nullable || (kind == SegmentKind::Before && i >= table.key_len);
            numbered(c.name, c.cell.arrow(), nullable, c.number)
        })
        .collect();
    let dict = CellType::Dict.arrow();
    fields.push(numbered(ORIGIN, dict.clone(), true, ORIGIN_FIELD));
    if kind == SegmentKind::Before {
        fields.push(numbered(CHANGED, dict, true, CHANGED_FIELD));
    }
    Arc::new(Schema::new(fields))
}

/// The same columns where any of them may not have been read.
pub(crate) fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn numbered(name: &str, data_type: DataType, nullable: bool, number: u16) -> Field {
    let metadata = HashMap::from([("PARQUET:field_id".to_owned(), number.to_string())]);
    Field::new(name, data_type, nullable).with_metadata(metadata)
}
