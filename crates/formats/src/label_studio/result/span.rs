//! Spans of text, HTML and dialogue, of sound and of time series.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Reading, Row, Scene, image, labelled};
use crate::json::{float, number};
use crate::label_studio::Check;

pub(super) fn read(reading: &Reading<'_>, base: Row, scene: &mut Scene) -> Check<Vec<Row>> {
    let labels = reading.region_labels()?;
    let value = reading.value;
    let on_image = ["x", "points", "rle"].iter().any(|member| value.contains_key(*member));
    let row = match reading.type_name {
        "labels" if on_image => image::shape(reading, base, scene)?,
        "timeserieslabels" | "timeseries" => series(reading, base)?,
        "hypertextlabels" | "hypertext" | "richtext" => in_document(reading, base)?,
        "paragraphlabels" | "paragraphs" => in_dialogue(reading, base)?,
        _ => plain(reading, base, scene)?,
    };
    if let Some(&[start, end]) = row.geometry.as_deref()
        && end < start
    {
        scene.odd.push(("spans that end before they start", reading.path.to_owned()));
    }
    Ok(labelled(row, labels))
}

fn text(reading: &Reading<'_>) -> Option<String> {
    reading.value.get("text").and_then(Value::as_str).map(str::to_owned)
}

fn span(base: Row, geometry: Option<Vec<f64>>, text: Option<String>) -> Row {
    let unit = geometry.is_some().then_some(Cow::Borrowed("codepoint"));
    Row { kind: Cow::Borrowed("span"), geometry, unit, text, ..base }
}

/// A span of plain text, or of sound: both are `labels` with a start and an end.
fn plain(reading: &Reading<'_>, base: Row, scene: &Scene) -> Check<Row> {
    let geometry = vec![reading.float("start")?, reading.float("end")?];
    let text = text(reading);
    let broken = geometry.iter().any(|f| f.fract() != 0.0);
    let sound = match reading.type_name {
        "audio" => true,
        "text" => false,
        _ => reading.value.contains_key("channel") || broken || (scene.plays && text.is_none()),
    };
    if sound {
        let (kind, unit) = (Cow::Borrowed("time_span"), Some(Cow::Borrowed("second")));
        return Ok(Row { kind, geometry: Some(geometry), unit, text, ..base });
    }
    Ok(span(base, Some(geometry), text))
}

/// A stretch of a series, in the series' own unit; times as text stay in `extra`.
fn series(reading: &Reading<'_>, base: Row) -> Check<Row> {
    let stated = ["start", "end"].map(|member| reading.value.get(member));
    let geometry = match stated {
        [Some(Value::String(_)), _] | [_, Some(Value::String(_))] => None,
        _ => Some(vec![reading.float("start")?, reading.float("end")?]),
    };
    let unit = Some(Cow::Borrowed("value"));
    Ok(Row { kind: Cow::Borrowed("time_span"), geometry, unit, ..base })
}

/// A span of HTML: its offsets in the whole text where they are given, else only its XPaths.
fn in_document(reading: &Reading<'_>, base: Row) -> Check<Row> {
    let geometry = global_offsets(reading);
    Ok(span(base, geometry, text(reading)))
}

fn global_offsets(reading: &Reading<'_>) -> Option<Vec<f64>> {
    let offsets = reading.value.get("globalOffsets")?.as_object()?;
    Some(vec![float(offsets.get("start")?)?, float(offsets.get("end")?)?])
}

/// A span of a dialogue. One within a paragraph has that paragraph in its target, `dialogue[3]`.
fn in_dialogue(reading: &Reading<'_>, base: Row) -> Check<Row> {
    if let Some(geometry) = global_offsets(reading) {
        return Ok(span(base, Some(geometry), text(reading)));
    }
    let offsets = ["startOffset", "endOffset"].map(|m| reading.value.get(m).and_then(float));
    let paragraph = |member| reading.value.get(member).and_then(Value::as_str);
    let (Some(first), Some(last)) = (paragraph("start"), paragraph("end")) else {
        return Ok(span(base, None, text(reading)));
    };
    match (offsets, &base.target) {
        ([Some(start), Some(end)], Some(target)) if first == last && is_index(first) => {
            let target = Some(format!("{target}[{first}]"));
            let base = Row { target, ..base.clone() };
            Ok(span(base, Some(vec![start, end]), text(reading)))
        }
        _ => Ok(span(base, None, text(reading))),
    }
}

fn is_index(text: &str) -> bool {
    !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Splits `dialogue[3]` into the target and the paragraph.
pub(super) fn paragraph(target: &str) -> Option<(&str, &str)> {
    let (name, index) = target.strip_suffix(']')?.rsplit_once('[')?;
    is_index(index).then_some((name, index))
}

pub(super) fn render(
    row: &Row,
    type_name: &str,
    value: &mut Map<String, Value>,
    scene: &mut Scene,
) {
    if !matches!(&*row.kind, "span" | "time_span") {
        return image::render(row, value, scene);
    }
    let mut insert = |name: &str, of: Value| value.insert(name.to_owned(), of);
    let ends = match row.geometry.as_deref() {
        Some(&[start, end]) => Some((start, end)),
        Some(_) => {
            scene.lost.push(format!("geometry that does not fit kind `{}`", row.kind));
            None
        }
        None => None,
    };
    let within = row.target.as_deref().and_then(paragraph);
    match (type_name, ends, within) {
        (_, None, _) => {}
        ("paragraphlabels" | "paragraphs", Some((start, end)), Some((_, index))) => {
            insert("start", Value::from(index));
            insert("end", Value::from(index));
            insert("startOffset", number(start));
            insert("endOffset", number(end));
        }
        (
            "hypertextlabels" | "hypertext" | "richtext" | "paragraphlabels" | "paragraphs",
            Some((start, end)),
            _,
        ) => {
            insert("globalOffsets", json!({"start": number(start), "end": number(end)}));
        }
        ("timeserieslabels" | "timeseries", Some((start, end)), _) => {
            insert("start", number(start));
            insert("end", number(end));
            insert("instant", Value::Bool(start == end));
        }
        (_, Some((start, end)), _) => {
            insert("start", number(start));
            insert("end", number(end));
        }
    }
    if let Some(text) = &row.text {
        insert("text", Value::from(text.as_str()));
    }
}
