//! Regions of an image, in percent of its width and height.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Reading, Row, Scene, labelled};
use crate::json::{self, number};
use crate::label_studio::Check;

pub(super) fn read(reading: &Reading<'_>, base: Row, scene: &mut Scene) -> Check<Vec<Row>> {
    let labels = reading.region_labels()?;
    let base = shape(reading, base, scene)?;
    Ok(labelled(base, labels))
}

/// Reads whatever shape `value` holds.
pub(super) fn shape(reading: &Reading<'_>, base: Row, scene: &mut Scene) -> Check<Row> {
    let value = reading.value;
    let percent = Some(Cow::Borrowed("percent"));
    let row = |kind, geometry| Row {
        kind: Cow::Borrowed(kind),
        geometry: Some(geometry),
        unit: percent,
        ..base.clone()
    };
    let name = reading.type_name;
    if name.starts_with("brush") || (name == "labels" && value.contains_key("rle")) {
        let mask = value.get("rle").and_then(bytes);
        return Ok(Row { kind: Cow::Borrowed("mask"), mask, ..base });
    }
    if name.starts_with("polygon") || (name == "labels" && value.contains_key("points")) {
        let (kind, geometry) = polygon(reading, scene)?;
        return Ok(row(kind, geometry));
    }
    let (x, y) = (reading.float("x")?, reading.float("y")?);
    if name.starts_with("ellipse") || (name == "labels" && value.contains_key("radiusX")) {
        let (rx, ry) = (reading.float("radiusX")?, reading.float("radiusY")?);
        return Ok(row("ellipse", vec![x, y, rx, ry, rotation(reading)?]));
    }
    if name.starts_with("keypoint") || (name == "labels" && !value.contains_key("height")) {
        return Ok(row("keypoints", vec![x, y, 2.0]));
    }
    let (width, height) = (reading.float("width")?, reading.float("height")?);
    if width <= 0.0 || height <= 0.0 {
        let odd = "boxes without area (width or height is zero or negative)";
        scene.odd.push((odd, reading.path.to_owned()));
    }
    Ok(match rotation(reading)? {
        0.0 => row("bbox", vec![x, y, width, height]),
        degrees => row("rotated_bbox", vec![x, y, width, height, degrees]),
    })
}

fn rotation(reading: &Reading<'_>) -> Check<f64> {
    match reading.value.get("rotation") {
        None | Some(Value::Null) => Ok(0.0),
        Some(value) => reading.as_float("rotation", value),
    }
}

fn polygon(reading: &Reading<'_>, scene: &mut Scene) -> Check<(&'static str, Vec<f64>)> {
    let points = match reading.value.get("points") {
        Some(Value::Array(points)) => points,
        None => return Err(reading.fault("points", "`points` is missing")),
        Some(other) => {
            let what = format!("expected a list of points, found {}", json::type_name(other));
            return Err(reading.fault("points", what));
        }
    };
    let open = reading.value.get("closed") == Some(&Value::Bool(false));
    let mut geometry = if open { Vec::new() } else { vec![1.0, points.len() as f64] };
    for (i, point) in points.iter().enumerate() {
        let member = format!("points[{i}]");
        match point.as_array().map(Vec::as_slice) {
            Some([x, y]) => {
                geometry.push(reading.as_float(&member, x)?);
                geometry.push(reading.as_float(&member, y)?);
            }
            _ => return Err(reading.fault(&member, "expected a point `[x, y]`")),
        }
    }
    if points.len() < 3 && !open {
        scene.odd.push(("polygons of fewer than 3 points", reading.path.to_owned()));
    }
    Ok((if open { "polyline" } else { "polygon" }, geometry))
}

/// The bytes of a brush's run-length encoding, where all of them are bytes.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let byte = |v: &Value| v.as_u64().and_then(|n| u8::try_from(n).ok());
    value.as_array()?.iter().map(byte).collect()
}

pub(super) fn render(row: &Row, value: &mut Map<String, Value>, scene: &mut Scene) {
    let mut members = |names: &[&str], numbers: &[f64]| {
        for (name, &float) in names.iter().zip(numbers) {
            value.insert((*name).to_owned(), number(float));
        }
    };
    match (&*row.kind, row.geometry.as_deref()) {
        ("bbox", Some(box_ @ [_, _, _, _])) => {
            members(&["x", "y", "width", "height"], box_);
            members(&["rotation"], &[0.0]);
        }
        ("rotated_bbox", Some(box_ @ [_, _, _, _, _])) => {
            members(&["x", "y", "width", "height", "rotation"], box_);
        }
        ("ellipse", Some(ellipse @ [_, _, _, _, _])) => {
            members(&["x", "y", "radiusX", "radiusY", "rotation"], ellipse);
        }
        ("keypoints", Some(point @ [_, _, _])) => members(&["x", "y"], point),
        ("polygon", Some([rings, count, points @ ..])) => {
            let count = (*count as usize).saturating_mul(2).min(points.len());
            if *rings != 1.0 {
                scene.lost.push("rings of a polygon after its first".to_owned());
            }
            value.insert("points".to_owned(), pairs(&points[..count]));
            value.insert("closed".to_owned(), Value::Bool(true));
        }
        ("polyline", Some(points)) => {
            value.insert("points".to_owned(), pairs(points));
            value.insert("closed".to_owned(), Value::Bool(false));
        }
        ("mask", _) => {
            value.insert("format".to_owned(), Value::from("rle"));
            if let Some(mask) = &row.mask {
                let list = || Value::from(mask.as_slice());
                value.insert("rle".to_owned(), if scene.masked { true.into() } else { list() });
            }
        }
        (_, None) => {}
        (kind, Some(_)) => scene.lost.push(format!("geometry that does not fit kind `{kind}`")),
    }
}

fn pairs(points: &[f64]) -> Value {
    points.chunks_exact(2).map(|p| Value::from_iter(p.iter().map(|&f| number(f)))).collect()
}
