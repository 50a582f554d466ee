//! One column's builder and view: what the row structs of every table are made of.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder,
    DictionaryArray, Float64Array, Float64Builder, Int32Array, Int32Builder, Int64Array,
    Int64Builder, ListArray, ListBuilder, StringArray, StringBuilder, StringDictionaryBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, TimestampMicrosecondType};
use std::sync::Arc;

use super::CellType;
use crate::canonical::float_bits;

/// A read-only column of any [`CellType`], cheap to index by row.
#[derive(Debug, Clone, Copy)]
pub enum ColumnView<'a> {
    /// [`CellType::Text`] and [`CellType::Json`].
    Text(&'a StringArray),
    /// [`CellType::Dict`]: the keys and their values.
    Dict(&'a DictionaryArray<Int32Type>, &'a StringArray),
    /// [`CellType::Bool`].
    Bool(&'a BooleanArray),
    /// [`CellType::Float`].
    Float(&'a Float64Array),
    /// [`CellType::Int`].
    Int(&'a Int64Array),
    /// [`CellType::Int32`].
    Int32(&'a Int32Array),
    /// [`CellType::Time`].
    Time(&'a TimestampMicrosecondArray),
    /// [`CellType::Floats`] and [`CellType::Texts`]: the list and its values.
    List(&'a ListArray),
    /// [`CellType::Bytes`].
    Bytes(&'a BinaryArray),
}

impl<'a> ColumnView<'a> {
    /// Views an array, or returns `None` where its type is none of [`CellType`]'s.
    pub fn new(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Dictionary(..) => {
                let dict = array.as_dictionary_opt::<Int32Type>()?;
                Self::Dict(dict, dict.values().as_string_opt::<i32>()?)
            }
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Float64 => Self::Float(array.as_primitive()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Timestamp(..) => {
                Self::Time(array.as_primitive_opt::<TimestampMicrosecondType>()?)
            }
            DataType::List(_) => Self::List(array.as_list()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            _ => return None,
        })
    }

    /// Whether the cell is null.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(a) => a.is_null(row),
            Self::Dict(a, _) => a.is_null(row),
            Self::Bool(a) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Int(a) => a.is_null(row),
            Self::Int32(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::List(a) => a.is_null(row),
            Self::Bytes(a) => a.is_null(row),
        }
    }

    /// The text of a text, dictionary or JSON cell.
    #[inline]
    pub fn text(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Text(a) => (!a.is_null(row)).then(|| a.value(row)),
            Self::Dict(a, values) => {
                (!a.is_null(row)).then(|| values.value(a.keys().value(row) as usize))
            }
            _ => None,
        }
    }

    /// Where the value of a dictionary cell stands in its dictionary.
    pub fn dict_key(&self, row: usize) -> Option<usize> {
        match self {
            Self::Dict(a, _) => a.key(row),
            _ => None,
        }
    }

    /// The value of a boolean cell.
    pub fn bool(&self, row: usize) -> Option<bool> {
        match self {
            Self::Bool(a) => (!a.is_null(row)).then(|| a.value(row)),
            _ => None,
        }
    }

    /// The value of a float cell.
    pub fn float(&self, row: usize) -> Option<f64> {
        match self {
            Self::Float(a) => (!a.is_null(row)).then(|| a.value(row)),
            _ => None,
        }
    }

    /// The value of an integer cell, or the microseconds of a time cell.
    pub fn int(&self, row: usize) -> Option<i64> {
        match self {
            Self::Int(a) => (!a.is_null(row)).then(|| a.value(row)),
            Self::Int32(a) => (!a.is_null(row)).then(|| i64::from(a.value(row))),
            Self::Time(a) => (!a.is_null(row)).then(|| a.value(row)),
            _ => None,
        }
    }

    /// The value of a 32-bit integer cell.
    pub fn int32(&self, row: usize) -> Option<i32> {
        match self {
            Self::Int32(a) => (!a.is_null(row)).then(|| a.value(row)),
            _ => None,
        }
    }

    /// The values of a list of floats.
    pub fn floats(&self, row: usize) -> Option<&'a [f64]> {
        match self {
            Self::List(a) if !a.is_null(row) => {
                let values: &'a Float64Array = a.values().as_primitive_opt()?;
                let offsets = a.value_offsets();
                values.values().get(offsets[row] as usize..offsets[row + 1] as usize)
            }
            _ => None,
        }
    }

    /// The values of a list of strings.
    pub fn texts(&self, row: usize) -> Option<Vec<&'a str>> {
        match self {
            Self::List(a) if !a.is_null(row) => {
                let values: &'a StringArray = a.values().as_string_opt()?;
                let offsets = a.value_offsets();
                Some((offsets[row]..offsets[row + 1]).map(|i| values.value(i as usize)).collect())
            }
            _ => None,
        }
    }

    /// Whether every number of a column of floats or of lists of floats is finite.
    pub fn is_finite(&self) -> bool {
        let finite = |numbers: &Float64Array| numbers.iter().flatten().all(f64::is_finite);
        match self {
            Self::Float(numbers) => finite(numbers),
            Self::List(lists) => lists.values().as_primitive_opt().is_none_or(finite),
            _ => true,
        }
    }

    /// Whether two cells of one column hold the same value: floats by bits with −0 as +0.
    pub fn same_cell(&self, row: usize, other: &ColumnView<'_>, other_row: usize) -> bool {
        let (null, other_null) = (self.is_null(row), other.is_null(other_row));
        if null || other_null {
            return null && other_null;
        }
        let same_float = |a: f64, b: f64| float_bits(a) == float_bits(b);
        match self {
            Self::Text(_) | Self::Dict(..) => self.text(row) == other.text(other_row),
            Self::Bool(_) => self.bool(row) == other.bool(other_row),
            Self::Float(_) => match (self.float(row), other.float(other_row)) {
                (Some(a), Some(b)) => same_float(a, b),
                _ => false,
            },
            Self::Int(_) | Self::Int32(_) | Self::Time(_) => self.int(row) == other.int(other_row),
            Self::List(_) => match (self.floats(row), other.floats(other_row)) {
                (Some(a), Some(b)) => {
                    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_float(*a, *b))
                }
                (None, None) => self.texts(row) == other.texts(other_row),
                _ => false,
            },
            Self::Bytes(_) => self.bytes(row) == other.bytes(other_row),
        }
    }

    /// The value of a binary cell.
    pub fn bytes(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(a) => (!a.is_null(row)).then(|| a.value(row)),
            _ => None,
        }
    }
}

/// Builds one column of any [`CellType`], a cell at a time.
#[allow(missing_docs, missing_debug_implementations)] // one variant a cell type, as ColumnView
pub enum ColumnBuilder {
    Text(StringBuilder),
    Dict(StringDictionaryBuilder<Int32Type>),
    Bool(BooleanBuilder),
    Float(Float64Builder),
    Int(Int64Builder),
    Int32(Int32Builder),
    Time(TimestampMicrosecondBuilder),
    Floats(ListBuilder<Float64Builder>),
    Texts(ListBuilder<StringBuilder>),
    Bytes(BinaryBuilder),
}

impl ColumnBuilder {
    /// Makes an empty builder.
    pub fn new(cell: CellType) -> Self {
        let element = |t| Arc::new(Field::new("element", t, false));
        match cell {
            CellType::Text | CellType::Json => Self::Text(StringBuilder::new()),
            CellType::Dict => Self::Dict(StringDictionaryBuilder::new()),
            CellType::Bool => Self::Bool(BooleanBuilder::new()),
            CellType::Float => Self::Float(Float64Builder::new()),
            CellType::Int => Self::Int(Int64Builder::new()),
            CellType::Int32 => Self::Int32(Int32Builder::new()),
            CellType::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            CellType::Floats => Self::Floats(
                ListBuilder::new(Float64Builder::new()).with_field(element(DataType::Float64)),
            ),
            CellType::Texts => Self::Texts(
                ListBuilder::new(StringBuilder::new()).with_field(element(DataType::Utf8)),
            ),
            CellType::Bytes => Self::Bytes(BinaryBuilder::new()),
        }
    }

    /// Appends a null, or false to a boolean column (booleans are never null).
    pub fn null(&mut self) {
        match self {
            Self::Text(b) => b.append_null(),
            Self::Dict(b) => b.append_null(),
            Self::Bool(b) => b.append_value(false),
            Self::Float(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Int32(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Floats(b) => b.append_null(),
            Self::Texts(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
        }
    }

    /// Finishes the column and empties the builder.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Dict(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Floats(b) => Arc::new(b.finish()),
            Self::Texts(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
        }
    }
}

/// A Rust value that a column of a fixed [`CellType`] holds; `None` is null.
pub(super) trait Cell<'a>: Sized {
    fn read(column: &ColumnView<'a>, row: usize) -> Self;
    fn push(&self, column: &mut ColumnBuilder);
}

macro_rules! optional_cell {
    ($type:ty, $read:ident, $($variant:ident => |$b:ident, $v:ident| $append:expr),+) => {
        impl<'a> Cell<'a> for Option<$type> {
            #[inline]
            fn read(column: &ColumnView<'a>, row: usize) -> Self {
                column.$read(row)
            }
            #[inline]
            fn push(&self, column: &mut ColumnBuilder) {
                match (self, column) {
                    $((Some($v), ColumnBuilder::$variant($b)) => { $append; })+
                    (_, column) => column.null(),
                }
            }
        }
    };
}

optional_cell!(&'a str, text, Text => |b, v| b.append_value(v), Dict => |b, v| b.append_value(v));
optional_cell!(f64, float, Float => |b, v| b.append_value(*v));
optional_cell!(i64, int, Int => |b, v| b.append_value(*v), Time => |b, v| b.append_value(*v));
optional_cell!(i32, int32, Int32 => |b, v| b.append_value(*v));
optional_cell!(&'a [u8], bytes, Bytes => |b, v| b.append_value(v));
optional_cell!(&'a [f64], floats, Floats => |b, v| {
    b.values().append_slice(v);
    b.append(true)
});
optional_cell!(Vec<&'a str>, texts, Texts => |b, v| {
    v.iter().for_each(|s| b.values().append_value(s));
    b.append(true)
});

impl<'a> Cell<'a> for &'a str {
    #[inline]
    fn read(column: &ColumnView<'a>, row: usize) -> Self {
        column.text(row).unwrap_or_default()
    }
    #[inline]
    fn push(&self, column: &mut ColumnBuilder) {
        Some(*self).push(column);
    }
}

impl<'a> Cell<'a> for bool {
    fn read(column: &ColumnView<'a>, row: usize) -> Self {
        column.bool(row).unwrap_or_default()
    }
    fn push(&self, column: &mut ColumnBuilder) {
        if let ColumnBuilder::Bool(b) = column {
            b.append_value(*self);
        }
    }
}
