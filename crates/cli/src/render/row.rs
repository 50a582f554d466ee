//! One annotation in a line.

use glossator_store::schema::{AnnotationRow, ColumnView};

use super::shortened;

/// Characters of a value at most.
const VALUE_CHARS_MAX: usize = 60;

/// What an annotation says: its label and value.
pub(crate) fn value(row: &AnnotationRow<'_>) -> String {
    let mut parts = Vec::new();
    if row.negative {
        parts.push("not".to_owned());
    }
    parts.extend(row.label.map(str::to_owned));
    if let Some(geometry) = row.geometry {
        parts.push(floats(geometry));
        parts.extend(row.unit.map(str::to_owned));
    }
    parts.extend(row.frame.map(|frame| format!("frame {frame}")));
    parts.extend(row.number.map(|number| number.to_string()));
    parts.extend(row.text.map(|text| format!("{text:?}")));
    if let Some(refs) = &row.refs {
        parts.push(refs.join(" → "));
    }
    if let Some(mask) = row.mask {
        parts.push(format!("mask of {} bytes", mask.len()));
    }
    shortened(&parts.join(" "), VALUE_CHARS_MAX)
}

fn floats(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(8).map(|v| short_float(*v)).collect();
    let more = if values.len() > 8 { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

fn short_float(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    rounded.to_string()
}

/// One cell as text; `-` for null.
pub(crate) fn cell(view: &ColumnView<'_>, row: usize) -> String {
    if view.is_null(row) {
        return "-".to_owned();
    }
    let text = match view {
        ColumnView::Text(_) | ColumnView::Dict(..) => view.text(row).unwrap_or_default().to_owned(),
        ColumnView::Bool(_) => view.bool(row).unwrap_or_default().to_string(),
        ColumnView::Float(_) => view.float(row).map(|v| v.to_string()).unwrap_or_default(),
        ColumnView::Time(_) => view.int(row).map(time).unwrap_or_default(),
        ColumnView::Int(_) | ColumnView::Int32(_) => {
            view.int(row).map(|v| v.to_string()).unwrap_or_default()
        }
        ColumnView::List(_) => match (view.floats(row), view.texts(row)) {
            (Some(values), _) => floats(values),
            (None, Some(texts)) => format!("[{}]", texts.join(", ")),
            (None, None) => String::new(),
        },
        ColumnView::Bytes(_) => format!("{} bytes", view.bytes(row).unwrap_or_default().len()),
    };
    shortened(&text, VALUE_CHARS_MAX)
}

/// Microseconds since 1970 as RFC 3339.
pub(crate) fn time(microseconds: i64) -> String {
    jiff::Timestamp::from_microsecond(microseconds)
        .map_or_else(|_| microseconds.to_string(), |time| time.to_string())
}

/// Seconds since 1970 at an offset, as RFC 3339 with that offset.
pub(crate) fn seconds(seconds: i64, offset: i32) -> String {
    let at = jiff::Timestamp::from_second(seconds);
    let zone = jiff::tz::Offset::from_seconds(offset);
    match (at, zone) {
        (Ok(at), Ok(zone)) => at.display_with_offset(zone).to_string(),
        _ => seconds.to_string(),
    }
}
