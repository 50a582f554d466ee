//! Whole Parquet batches that need no work a row: columns cast, joined and checked at once.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, ListArray,
    PrimitiveArray, RecordBatch, StringArray, StringBuilder, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, TimeUnit, TimestampMicrosecondType,
};
use glossator_store::schema::{ANNOTATIONS, CellType, ColumnView};

use super::cell::{Cell, Times, is_time};
use super::json;
use super::mapping::{Use, own};
use super::rows::{ID_BYTES_MAX, ORIGINS, Plan, STATUSES};
use super::shape;
use super::source::{Source, micros, shortest};

/// Numbers of a box, whose kind needs no look at a row.
const BOX_NUMBERS: usize = 4;

/// Whether batches of this plan may become rows column by column.
pub(super) fn is_plain(plan: &Plan) -> bool {
    let given = |used| plan.uses.contains(&used);
    let parts = plan.uses.iter().filter(|u| matches!(u, Use::Part(_))).count();
    plan.is_plain()
        && given(Use::Own(own::ANNOTATION))
        && (given(Use::Own(own::KIND)) && parts == 0 || parts == BOX_NUMBERS)
        && !(given(Use::Own(own::EXTRA)) && plan.uses.iter().any(is_extra))
        && plan.uses.iter().all(|u| {
            matches!(u, Use::Own(_) | Use::Label | Use::Part(0..BOX_NUMBERS)) || is_extra(u)
        })
}

fn is_extra(used: &Use) -> bool {
    matches!(used, Use::Extra | Use::ExtraPerson)
}

/// A batch as rows, or `None` where a row needs to be looked at. Columns are in the order of the
/// plan; `extra` is made of those that are absent.
pub(super) fn rows(
    plan: &Plan,
    batch: &[Option<ArrayRef>],
    extra: Option<ArrayRef>,
) -> Option<RecordBatch> {
    let rows = batch.iter().flatten().next()?.len();
    let mut columns = Vec::with_capacity(ANNOTATIONS.columns.len());
    for (own, column) in ANNOTATIONS.columns.iter().enumerate() {
        let used = if own == own::LABEL { Use::Label } else { Use::Own(own) };
        let array = match plan.uses.iter().position(|u| *u == used) {
            Some(at) => {
                let array = typed(&mapped(plan, at, batch[at].as_ref()?)?, column.cell)?;
                holds(own, &array).then_some(array)?
            }
            None if own == own::EXTRA && plan.uses.iter().any(is_extra) => extra.clone()?,
            None => absent(plan, own, batch, rows)?,
        };
        if !column.nullable && array.null_count() > 0 {
            return None;
        }
        columns.push(array);
    }
    let geometry = &columns[own::GEOMETRY];
    holds(own::GEOMETRY, geometry).then_some(())?;
    shaped(&columns[own::KIND], geometry).then_some(())?;
    RecordBatch::try_new(ANNOTATIONS.arrow(), columns).ok()
}

/// A column with the words of `--value` replaced.
fn mapped(plan: &Plan, column: usize, array: &ArrayRef) -> Option<ArrayRef> {
    let words = plan.words(column);
    if words.is_empty() {
        return Some(array.clone());
    }
    let replaced = |texts: &StringArray| -> StringArray {
        let replace = |word| words.get(word).map_or(word, String::as_str);
        texts.iter().map(|text| text.map(replace)).collect()
    };
    match array.as_dictionary_opt::<Int32Type>() {
        Some(dict) => {
            let values = replaced(dict.values().as_string_opt::<i32>()?);
            Some(Arc::new(dict.with_values(Arc::new(values))))
        }
        None => Some(Arc::new(replaced(array.as_string_opt::<i32>()?))),
    }
}

/// A column in our type, where that loses nothing.
fn typed(array: &ArrayRef, cell: CellType) -> Option<ArrayRef> {
    let same = match (array.data_type(), cell) {
        (DataType::Utf8, CellType::Text | CellType::Json | CellType::Dict)
        | (DataType::Dictionary(..), CellType::Dict)
        | (DataType::Boolean, CellType::Bool)
        | (DataType::Float64, CellType::Float)
        | (DataType::Int64, CellType::Int)
        | (DataType::Int32, CellType::Int32)
        | (DataType::Binary, CellType::Bytes) => true,
        (DataType::List(inner), CellType::Floats) => inner.data_type() == &DataType::Float64,
        (DataType::List(inner), CellType::Texts) => inner.data_type() == &DataType::Utf8,
        (DataType::Float32, CellType::Float) => return Some(Arc::new(shortest(array))),
        (DataType::Timestamp(unit, _), CellType::Time) if *unit != TimeUnit::Nanosecond => {
            let micros = micros(array, *unit, &mut Times::default()).ok()?;
            let times = micros.reinterpret_cast::<TimestampMicrosecondType>();
            return Some(Arc::new(times.with_timezone("UTC")));
        }
        _ => false,
    };
    if same && array.data_type() == &cell.arrow() {
        return Some(array.clone());
    }
    same.then(|| cast(array, &cell.arrow()).ok()).flatten()
}

/// A column that no single column of the file fills.
fn absent(plan: &Plan, own: usize, batch: &[Option<ArrayRef>], rows: usize) -> Option<ArrayRef> {
    let column = &ANNOTATIONS.columns[own];
    let parts = plan.uses.contains(&Use::Part(0));
    let word = match own {
        own::SOURCE => plan.source.as_str(),
        own::ANNOTATOR => "unknown",
        own::ORIGIN => "human",
        own::FIELD => plan.field(),
        own::STATUS => "submitted",
        own::KIND if parts => "bbox",
        own::UNIT if parts => "px",
        own::GEOMETRY if parts => return boxes(plan, batch, rows),
        own::NEGATIVE | own::GOLD => return Some(Arc::new(BooleanArray::from(vec![false; rows]))),
        _ if column.nullable => return Some(new_null_array(&column.cell.arrow(), rows)),
        _ => return None,
    };
    if column.cell == CellType::Dict {
        return Some(constant(word, rows));
    }
    cast(&StringArray::from(vec![word; rows]), &column.cell.arrow()).ok()
}

/// A dictionary column with one value.
fn constant(word: &str, rows: usize) -> ArrayRef {
    let keys = PrimitiveArray::<Int32Type>::from_value(0, rows);
    Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec![word]))))
}

/// The columns of a file that are best read as dictionaries: ours are.
pub(super) fn dictionaries(plan: &Plan) -> Vec<&str> {
    let is_dict = |used: &Use| match used {
        Use::Own(own) => ANNOTATIONS.columns[*own].cell == CellType::Dict,
        used => *used == Use::Label,
    };
    let named = plan.names.iter().zip(&plan.uses);
    named.filter(|(_, used)| is_dict(used)).map(|(name, _)| name.as_str()).collect()
}

/// Four columns of numbers as one of boxes.
fn boxes(plan: &Plan, batch: &[Option<ArrayRef>], rows: usize) -> Option<ArrayRef> {
    let mut parts = Vec::with_capacity(BOX_NUMBERS);
    for part in 0..BOX_NUMBERS {
        let at = plan.uses.iter().position(|u| *u == Use::Part(part))?;
        let numbers = batch[at].as_ref()?.as_primitive_opt::<Float64Type>()?;
        parts.push((numbers.null_count() == 0).then(|| numbers.values())?);
    }
    let mut numbers = Vec::with_capacity(rows * BOX_NUMBERS);
    for row in 0..rows {
        parts.iter().for_each(|part| numbers.push(part[row]));
    }
    let element = Arc::new(Field::new("element", DataType::Float64, false));
    let ends = OffsetBuffer::from_lengths(std::iter::repeat_n(BOX_NUMBERS, rows));
    let values = Arc::new(Float64Array::from(numbers));
    ListArray::try_new(element, ends, values, None).ok().map(|list| Arc::new(list) as ArrayRef)
}

/// The columns of a batch that are not ours as `extra`.
pub(super) fn extra(plan: &Plan, batch: &RecordBatch) -> Option<ArrayRef> {
    let mut sources = Vec::new();
    for (at, used) in plan.uses.iter().enumerate().filter(|(_, used)| is_extra(used)) {
        let source = Source::new(batch.column(at), &mut Times::default()).ok()?;
        sources.push((&plan.names[at], *used == Use::ExtraPerson, source));
    }
    let mut column = StringBuilder::with_capacity(batch.num_rows(), 1 << 19);
    let mut object = String::new();
    for row in 0..batch.num_rows() {
        object.clear();
        for (name, person, source) in &sources {
            let cell = source.cell(row);
            if cell.is_null() || (!plan.mapping.ours && matches!(cell, Cell::Text(""))) {
                continue;
            }
            if *person && cell.text().is_ok_and(|text| text.contains('@')) {
                return None;
            }
            json::member(&mut object, name);
            cell.write_json(&mut object).ok()?;
        }
        if object.is_empty() {
            column.append_null();
        } else {
            object.push('}');
            column.append_value(&object);
        }
    }
    Some(Arc::new(column.finish()))
}

/// Whether every geometry is of its kind's form, and no box has a negative side.
fn shaped(kinds: &ArrayRef, geometries: &ArrayRef) -> bool {
    let (Some(kinds), Some(list)) = (ColumnView::new(kinds), ColumnView::new(geometries)) else {
        return false;
    };
    (0..geometries.len()).all(|row| match (kinds.text(row), list.floats(row)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(kind), Some(numbers)) => {
            shape::check(kind, numbers).is_ok() && !shape::is_negative(kind, numbers)
        }
    })
}

/// Whether the values of a column need no correction, warning or refusal.
fn holds(own: usize, array: &ArrayRef) -> bool {
    let texts = |check: &dyn Fn(&str) -> bool| {
        let Some(view) = ColumnView::new(array) else { return false };
        match view {
            ColumnView::Dict(_, values) => values.iter().flatten().all(check),
            _ => (0..array.len()).all(|row| view.text(row).is_none_or(check)),
        }
    };
    match own {
        own::ITEM => texts(&|id| !id.is_empty() && id.len() <= ID_BYTES_MAX),
        own::ANNOTATION => texts(&|id| id.len() <= ID_BYTES_MAX),
        own::ANNOTATOR => texts(&|name| !name.is_empty() && !name.contains('@')),
        own::KIND | own::FIELD => texts(&|word| !word.is_empty()),
        own::STATUS => texts(&|word| STATUSES.contains(&word)),
        own::ORIGIN => texts(&|word| ORIGINS.contains(&word)),
        own::EXTRA => texts(&|text| {
            text.len() > 2
                && text.starts_with('{')
                && !text.bytes().any(|b| b.is_ascii_whitespace())
                && json::check(text).is_ok()
        }),
        own::CREATED | own::UPDATED => array
            .as_primitive_opt::<TimestampMicrosecondType>()
            .is_some_and(|times| times.iter().flatten().all(is_time)),
        own::GEOMETRY => array.as_list_opt::<i32>().is_some_and(|list| {
            let values = list.values().as_primitive_opt::<Float64Type>();
            values.is_some_and(|v| v.null_count() == 0 && v.values().iter().all(|f| f.is_finite()))
        }),
        _ => match array.as_primitive_opt::<Float64Type>() {
            Some(numbers) => numbers.iter().flatten().all(f64::is_finite),
            None => true,
        },
    }
}
