//! Parquet columns of any type as cells.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray,
    StringArray, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use glossator_store::schema::{CellType, ColumnView};

use super::cell::{Cell, Times};
use super::json;

/// How deep lists and structs of a Parquet column may be nested.
const DEPTH_MAX: usize = 64;

/// A Parquet column, cheap to read as cells.
pub(super) enum Source {
    Null,
    Text(StringArray),
    /// Numbers that no other variant holds, and nested values, as JSON text.
    Json(StringArray),
    Int(Int64Array),
    Float(Float64Array),
    Bool(BooleanArray),
    /// Microseconds since 1970 UTC.
    Time(Int64Array),
    Floats(ListArray),
    Bytes(BinaryArray),
}

impl Source {
    /// Reads a column of any type that Parquet files have.
    pub(super) fn new(array: &ArrayRef, times: &mut Times) -> Result<Self, String> {
        let to = |to: &DataType| cast(array, to).map_err(|e: ArrowError| e.to_string());
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean().clone()),
            DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Self::Json(to(&DataType::Utf8)?.as_string().clone())
            }
            t if t.is_integer() => Self::Int(to(&DataType::Int64)?.as_primitive().clone()),
            DataType::Float32 => Self::Float(shortest(array)),
            t if t.is_floating() => Self::Float(to(&DataType::Float64)?.as_primitive().clone()),
            DataType::Timestamp(unit, _) => Self::Time(micros(array, *unit, times)?),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => {
                Self::Bytes(to(&DataType::Binary)?.as_binary().clone())
            }
            DataType::List(field) if *field.data_type() == DataType::Float64 => {
                // a list with a null among its numbers has no form of ours
                match to(&CellType::Floats.arrow()) {
                    Ok(list) => Self::Floats(list.as_list().clone()),
                    Err(_) => Self::Json(nested(array)?),
                }
            }
            t if t.is_nested() => Self::Json(nested(array)?),
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Dictionary(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_) => Self::Text(to(&DataType::Utf8)?.as_string().clone()),
            other => return Err(format!("its type {other} cannot be imported")),
        })
    }

    /// The cell of a row.
    pub(super) fn cell(&self, row: usize) -> Cell<'_> {
        let null = match self {
            Self::Null => true,
            Self::Text(a) | Self::Json(a) => a.is_null(row),
            Self::Int(a) | Self::Time(a) => a.is_null(row),
            Self::Float(a) => a.is_null(row),
            Self::Bool(a) => a.is_null(row),
            Self::Floats(a) => a.is_null(row),
            Self::Bytes(a) => a.is_null(row),
        };
        if null {
            return Cell::Null;
        }
        match self {
            Self::Null => Cell::Null,
            Self::Text(a) => Cell::Text(a.value(row)),
            Self::Json(a) => Cell::Json(a.value(row)),
            Self::Int(a) => Cell::Int(a.value(row)),
            Self::Float(a) => Cell::Float(a.value(row)),
            Self::Bool(a) => Cell::Bool(a.value(row)),
            Self::Time(a) => Cell::Time(a.value(row)),
            Self::Floats(a) => ColumnView::List(a).floats(row).map_or(Cell::Null, Cell::Floats),
            Self::Bytes(a) => Cell::Bytes(a.value(row)),
        }
    }
}

/// 32-bit floats as the 64-bit floats of the same shortest decimal: 0.1 stays 0.1, as it does where
/// the same table comes as CSV or JSON.
pub(super) fn shortest(array: &ArrayRef) -> Float64Array {
    array.as_primitive::<Float32Type>().unary::<_, Float64Type>(widen)
}

/// The 64-bit float of a 32-bit float's shortest decimal.
fn widen(value: f32) -> f64 {
    // Most are short decimals: the quotient of two exact integers is rounded as a parser rounds.
    let mut scale = 1.0;
    for _ in 0..7 {
        let scaled = (f64::from(value) * scale).round();
        let decimal = scaled / scale;
        if decimal as f32 == value && scaled.abs() < 1e7 {
            return decimal;
        }
        scale *= 10.0;
    }
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Timestamps of any unit as microseconds; one without a zone is taken as UTC.
pub(super) fn micros(
    array: &ArrayRef,
    unit: TimeUnit,
    times: &mut Times,
) -> Result<Int64Array, String> {
    let widen = |values: &Int64Array, by: i64| {
        let scale =
            |v: i64| v.checked_mul(by).ok_or_else(|| ArrowError::ComputeError(v.to_string()));
        values.try_unary::<_, Int64Type, _>(scale).map_err(|e| format!("time out of range: {e}"))
    };
    match unit {
        TimeUnit::Second => {
            widen(&array.as_primitive::<TimestampSecondType>().reinterpret_cast(), 1_000_000)
        }
        TimeUnit::Millisecond => {
            widen(&array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(), 1_000)
        }
        TimeUnit::Microsecond => {
            Ok(array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast())
        }
        TimeUnit::Nanosecond => {
            let values: Int64Array =
                array.as_primitive::<TimestampNanosecondType>().reinterpret_cast();
            times.cut += values.iter().flatten().filter(|v| v % 1_000 != 0).count() as u64;
            Ok(values.unary(|v| v.div_euclid(1_000)))
        }
    }
}

/// A nested column as JSON text.
fn nested(array: &ArrayRef) -> Result<StringArray, String> {
    let mut texts = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        texts.push(match array.is_null(row) {
            true => None,
            false => {
                let mut out = String::new();
                write_value(array, row, &mut out, 0)?;
                Some(out)
            }
        });
    }
    Ok(texts.into_iter().collect())
}

/// Appends one value of an array as JSON.
fn write_value(array: &ArrayRef, row: usize, out: &mut String, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("it is nested deeper than {DEPTH_MAX} levels"));
    }
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    let list = match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
        DataType::Map(..) => Some(Arc::new(array.as_map().value(row)) as ArrayRef),
        _ => None,
    };
    if let Some(list) = list {
        out.push('[');
        for i in 0..list.len() {
            out.push_str(if i > 0 { "," } else { "" });
            write_value(&list, i, out, depth + 1)?;
        }
        out.push(']');
        return Ok(());
    }
    if let Some(object) = array.as_any().downcast_ref::<StructArray>() {
        out.push('{');
        for (i, (name, column)) in object.column_names().iter().zip(object.columns()).enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            json::quote(name, out);
            out.push(':');
            write_value(column, row, out, depth + 1)?;
        }
        out.push('}');
        return Ok(());
    }
    let one = array.slice(row, 1);
    Source::new(&one, &mut Times::default())?.cell(0).write_json(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::widen;

    fn by_text(value: f32) -> f64 {
        value.to_string().parse().unwrap()
    }

    proptest! {
        #[test]
        fn a_float_widens_to_its_shortest_decimal(bits: u32, cents in -10_000_000_i32..10_000_000) {
            let float = f32::from_bits(bits);
            prop_assume!(float.is_finite());
            prop_assert_eq!(widen(float).to_bits(), by_text(float).to_bits());
            for scale in [1.0, 10.0, 100.0, 1_000.0, 1e6] {
                let short = cents as f32 / scale;
                prop_assert_eq!(widen(short).to_bits(), by_text(short).to_bits());
            }
        }
    }
}
