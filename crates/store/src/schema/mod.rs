//! The label model: six tables of flat rows, described once.
//!
//! A [`Table`] is generic (a name, numbered columns, a key). `tables.rs` lists the columns of each
//! table in one place and derives from that list a borrowed row struct, a batch builder and a
//! typed view over a [`RecordBatch`](arrow::array::RecordBatch).
//!
//! # Guarantees
//! - A column number is never reused and a column is never retyped; new columns are nullable.
//! - Batches of one table always have the same Arrow schema, with dictionary columns as
//!   `Dictionary(Int32, Utf8)`.
//!
//! # Limitations
//! - Dictionaries are an in-memory form: on disk every value is a string.

mod cells;
mod tables;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

pub use cells::{ColumnBuilder, ColumnView};
pub use tables::{
    ANNOTATIONS, ANNOTATORS, AnnotationRow, Annotations, AnnotationsBuilder, AnnotatorRow,
    Annotators, AnnotatorsBuilder, ITEMS, ItemRow, Items, ItemsBuilder, REVIEWS, ReviewRow,
    Reviews, ReviewsBuilder, SOURCES, SUBMISSIONS, SourceRow, Sources, SourcesBuilder,
    SubmissionRow, Submissions, SubmissionsBuilder, TABLES,
};

/// The status of an answer that another took the place of.
pub const SUPERSEDED: &str = "superseded";

/// A set of a table's columns, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns(pub(crate) u64);

impl Columns {
    /// Every column.
    pub const ALL: Self = Self(u64::MAX);
    /// None but the key, which is always read.
    pub const KEY: Self = Self(0);

    /// The columns of these names that the table has.
    pub fn named(table: &Table, names: &[&str]) -> Self {
        names.iter().filter_map(|name| table.column(name)).collect()
    }

    /// These, and the segment that first held the row: `_origin`.
    #[must_use]
    pub fn with_origin(self, table: &Table) -> Self {
        Self(self.0 | (1 << table.columns.len()))
    }

    /// Whether a column is among them.
    pub fn has(self, column: usize) -> bool {
        (self.0 >> column) & 1 == 1
    }
}

impl FromIterator<usize> for Columns {
    fn from_iter<I: IntoIterator<Item = usize>>(columns: I) -> Self {
        Self(columns.into_iter().fold(0, |all, column| all | (1 << column)))
    }
}

/// The type of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellType {
    /// UTF-8 text, mostly distinct.
    Text,
    /// UTF-8 text with few distinct values; a dictionary in memory.
    Dict,
    /// UTF-8 JSON text, kept to the letter.
    Json,
    /// True or false.
    Bool,
    /// 64-bit float; never NaN or infinite.
    Float,
    /// 64-bit signed integer.
    Int,
    /// 32-bit signed integer.
    Int32,
    /// Microseconds since 1970-01-01 UTC.
    Time,
    /// A list of 64-bit floats.
    Floats,
    /// A list of UTF-8 strings.
    Texts,
    /// Bytes.
    Bytes,
}

impl CellType {
    /// The Arrow type of a column of this type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Dict => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Bool => DataType::Boolean,
            Self::Float => DataType::Float64,
            Self::Int => DataType::Int64,
            Self::Int32 => DataType::Int32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Floats => {
                DataType::List(Arc::new(Field::new("element", DataType::Float64, false)))
            }
            Self::Texts => DataType::List(Arc::new(Field::new("element", DataType::Utf8, false))),
            Self::Bytes => DataType::Binary,
        }
    }
}

/// One column: its permanent number, name, type and whether a cell may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The permanent field number, from 1; canonical rows are ordered by it.
    pub number: u16,
    /// The name, as users, SQL and pandas see it.
    pub name: &'static str,
    /// The type of its cells.
    pub cell: CellType,
    /// Whether a cell may be null.
    pub nullable: bool,
}

/// A table: its name, columns in order of their numbers, and how many leading columns are the key.
#[derive(Debug)]
pub struct Table {
    /// The name, also the stem of `tables/<name>.jsonl`.
    pub name: &'static str,
    /// The columns; `columns[i].number == i + 1` in format 1.
    pub columns: &'static [Column],
    /// The first `key_len` columns are the key (1 or 2); the first of them is the item where
    /// there are two.
    pub key_len: usize,
}

impl Table {
    /// Finds the table of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        TABLES.into_iter().find(|t| t.name == name)
    }

    /// The index of the column of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The Arrow schema of this table's batches.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns
                .iter()
                .map(|c| Field::new(c.name, c.cell.arrow(), c.nullable))
                .collect::<Vec<_>>(),
        ))
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Table {}
