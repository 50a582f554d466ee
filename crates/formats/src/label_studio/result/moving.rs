//! Regions of several moments: a video box with its key frames, a label on ranges of frames.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{PART, Reading, Row, Scene, labelled};
use crate::json::{self, number, residual, restore};
use crate::label_studio::Check;

/// The member of `value` that lists the moments.
fn moments(type_name: &str) -> &'static str {
    if type_name == "timelinelabels" { "ranges" } else { "sequence" }
}

pub(super) fn read(reading: &Reading<'_>, base: Row, scene: &mut Scene) -> Check<Vec<Row>> {
    let member = moments(reading.type_name);
    let labels = reading.region_labels()?;
    let parts = match reading.value.get(member) {
        Some(Value::Array(parts)) => parts,
        None => return Err(reading.fault(member, format!("`{member}` is missing"))),
        Some(other) => {
            let what = format!("expected a list, found {}", json::type_name(other));
            return Err(reading.fault(member, what));
        }
    };
    let kind = if member == "ranges" { "time_span" } else { "bbox" };
    if parts.is_empty() {
        return Ok(labelled(Row { kind: Cow::Borrowed(kind), ..base }, labels));
    }
    let mut rows = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let path = format!("{}.{member}[{i}]", reading.path);
        let Some(map) = part.as_object() else {
            let what = format!("expected an object, found {}", json::type_name(part));
            return Err(reading.fault(&format!("{member}[{i}]"), what));
        };
        // Faults name the part by its own path.
        let part_reading = Reading { value: map, path: &path, ..*reading };
        let mut row = if member == "ranges" {
            range(&part_reading, base.clone())?
        } else {
            key_frame(&part_reading, base.clone(), scene)?
        };
        if let Some(rest) = residual(&render_part(&row), part) {
            row.extra.insert(PART.to_owned(), rest);
        }
        rows.extend(labelled(row, labels.clone()));
    }
    Ok(rows)
}

fn key_frame(reading: &Reading<'_>, base: Row, scene: &mut Scene) -> Check<Row> {
    let box_ = ["x", "y", "width", "height"].map(|member| reading.float(member));
    let [x, y, width, height] = box_;
    let mut geometry = vec![x?, y?, width?, height?];
    if geometry[2] <= 0.0 || geometry[3] <= 0.0 {
        let odd = "boxes without area (width or height is zero or negative)";
        scene.odd.push((odd, reading.path.to_owned()));
    }
    let rotation = match reading.value.get("rotation") {
        None | Some(Value::Null) => 0.0,
        Some(value) => reading.as_float("rotation", value)?,
    };
    if rotation != 0.0 {
        geometry.push(rotation);
    }
    let kind = if rotation == 0.0 { "bbox" } else { "rotated_bbox" };
    Ok(Row {
        kind: Cow::Borrowed(kind),
        geometry: Some(geometry),
        unit: Some(Cow::Borrowed("percent")),
        frame: Some(frame(reading, "frame")?),
        ..base
    })
}

fn range(reading: &Reading<'_>, base: Row) -> Check<Row> {
    let ends = [frame(reading, "start")?, frame(reading, "end")?];
    Ok(Row {
        kind: Cow::Borrowed("time_span"),
        geometry: Some(ends.iter().map(|&f| f as f64).collect()),
        unit: Some(Cow::Borrowed("frame")),
        ..base
    })
}

fn frame(reading: &Reading<'_>, member: &str) -> Check<i64> {
    reading
        .value
        .get(member)
        .and_then(Value::as_i64)
        .ok_or_else(|| reading.fault(member, format!("`{member}` must be a whole number")))
}

fn render_part(row: &Row) -> Value {
    let geometry = row.geometry.as_deref().unwrap_or_default();
    if let Some(frame) = row.frame {
        let mut part = json!({"frame": frame, "enabled": true});
        for (i, name) in ["x", "y", "width", "height", "rotation"].into_iter().enumerate() {
            part[name] = number(geometry.get(i).copied().unwrap_or_default());
        }
        return part;
    }
    match geometry {
        &[start, end] => json!({"start": number(start), "end": number(end)}),
        _ => json!({}),
    }
}

pub(super) fn render(
    rows: &[&Row],
    type_name: &str,
    value: &mut Map<String, Value>,
    scene: &mut Scene,
) {
    let label = rows.first().and_then(|row| row.label.as_ref());
    let same = rows.iter().filter(|row| row.label.as_ref() == label && row.is_part());
    let parts: Vec<Value> = same
        .map(|row| {
            let rest = row.extra.get(PART).cloned().unwrap_or_else(|| json!({}));
            restore(render_part(row), &rest)
        })
        .collect();
    if rows.iter().any(|row| row.is_part() && row.geometry.is_none()) {
        scene.lost.push("key frames without geometry".to_owned());
    }
    value.insert(moments(type_name).to_owned(), Value::Array(parts));
}

/// Splits a group of moments into results: one where every label has the same moments, else one a
/// label.
pub(in crate::label_studio) fn split(group: Vec<usize>, rows: &[Row]) -> Vec<Vec<usize>> {
    let mut by_label: Vec<Vec<usize>> = Vec::new();
    for index in group {
        match by_label.iter_mut().find(|known| rows[known[0]].label == rows[index].label) {
            Some(known) => known.push(index),
            None => by_label.push(vec![index]),
        }
    }
    let moments = |of: &[usize]| -> Vec<(Option<i64>, Option<Vec<f64>>)> {
        of.iter().map(|&i| (rows[i].frame, rows[i].geometry.clone())).collect()
    };
    match by_label.split_first() {
        Some((first, others)) if others.iter().all(|o| moments(o) == moments(first)) => {
            let mut all: Vec<usize> = by_label.concat();
            all.sort_unstable();
            vec![all]
        }
        _ => by_label,
    }
}
