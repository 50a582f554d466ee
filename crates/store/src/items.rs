//! An item of several sources: one row, and what each further source says of it otherwise.
//!
//! The columns of an item say what the source that first named it said; a further source fills in
//! what was null. Where it says something else, that stands in the row's `extra`, as the member
//! [`SOURCES_MEMBER`]: source name → column → value. So each source gets back what it gave.

use arrow::array::RecordBatch;
use serde_json::{Map, Number, Value};

use crate::error::Result;
use crate::schema::{CellType, ColumnView, ITEMS, ItemRow, Items, ItemsBuilder};

/// The member of an item's `extra` with what further sources say.
pub const SOURCES_MEMBER: &str = "~sources";

/// A cell as JSON; `None` for null.
pub(crate) fn cell(cell: CellType, view: &ColumnView<'_>, row: usize) -> Option<Value> {
    match cell {
        CellType::Text | CellType::Dict => view.text(row).map(Value::from),
        CellType::Json => {
            let text = view.text(row)?;
            Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
        }
        CellType::Bool => view.bool(row).map(Value::from),
        CellType::Float => view.float(row).and_then(Number::from_f64).map(Value::Number),
        CellType::Int | CellType::Int32 | CellType::Time => view.int(row).map(Value::from),
        CellType::Floats => view.floats(row).map(|v| v.iter().map(|v| Value::from(*v)).collect()),
        CellType::Texts => view.texts(row).map(|v| v.into_iter().map(Value::from).collect()),
        CellType::Bytes => None,
    }
}

/// Items as one source gave them: where it is not the first that named an item, its own words are
/// laid over, and it stands as the item's source.
pub fn seen_by(batch: &RecordBatch, source: &str) -> Result<RecordBatch> {
    let rows = batch.project(&(0..ITEMS.columns.len()).collect::<Vec<_>>())?;
    let rows = Items::new(&rows);
    let mut builder = ItemsBuilder::default();
    for row in rows.iter() {
        let extra = row.extra.filter(|extra| extra.contains(SOURCES_MEMBER));
        match extra.and_then(|extra| serde_json::from_str::<Map<String, Value>>(extra).ok()) {
            None => builder.push(&row),
            Some(mut extra) => {
                let said = extra.shift_remove(SOURCES_MEMBER).unwrap_or_default();
                match said.get(source).and_then(Value::as_object) {
                    Some(said) => overlaid(&mut builder, &row, said, source),
                    None => {
                        let own = (!extra.is_empty()).then(|| Value::Object(extra).to_string());
                        builder.push(&ItemRow { extra: own.as_deref(), ..row });
                    }
                }
            }
        }
    }
    Ok(builder.finish())
}

fn overlaid(
    builder: &mut ItemsBuilder,
    row: &ItemRow<'_>,
    said: &Map<String, Value>,
    source: &str,
) {
    let text = |name: &str| said.get(name).and_then(Value::as_str);
    let int = |name: &str| said.get(name).and_then(Value::as_i64);
    let json = |name: &str| said.get(name).map(Value::to_string);
    let (data, extra) = (json("data"), json("extra"));
    builder.push(&ItemRow {
        item_id: row.item_id,
        aliases: row.aliases.clone(),
        source: Some(source),
        uri: text("uri").or(row.uri),
        media_type: text("media_type").or(row.media_type),
        data: data.as_deref().or(row.data),
        width: int("width").or(row.width),
        height: int("height").or(row.height),
        duration: said.get("duration").and_then(Value::as_f64).or(row.duration),
        digest: text("digest").or(row.digest),
        group_id: text("group_id").or(row.group_id),
        split: text("split").or(row.split),
        rights: text("rights").or(row.rights),
        // What only one source can have is that source's, or nobody's.
        seq: int("seq").and_then(|seq| i32::try_from(seq).ok()),
        extra: extra.as_deref(),
    });
}
