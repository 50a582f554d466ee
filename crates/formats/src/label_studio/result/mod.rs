//! One result of the tool, as rows, and back.
//!
//! A result has a type; types of one family are read and written by one module: `image` (boxes,
//! ellipses, polygons, key points, brush), `span` (text, HTML, dialogue, audio, time series),
//! `moving` (video boxes with key frames, ranges of frames) and `answer` (everything that is not a
//! region, and relations).

mod answer;
mod image;
mod moving;
mod quick;
mod span;

pub(super) use moving::split;
pub(super) use quick::read as read_quickly;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::row::{PART, Row};
use super::{Check, Fault, id_text, python_float};
use crate::json::{self, Member, Node, members};

/// How the types end that carry labels.
const LABELS_SUFFIX: &str = "labels";

/// What results of one submission share.
#[derive(Debug, Default)]
pub(super) struct Scene {
    /// Width and height that regions of images repeat.
    size: Option<(i64, i64)>,
    /// The places of regions that several results share, which per-region answers repeat.
    regions: BTreeMap<String, Option<Map<String, Value>>>,
    /// Whether a mask is written as `true`, to compare what is around it.
    masked: bool,
    /// Whether the item is a sound or film.
    plays: bool,
    /// What is odd but kept, with its path.
    pub odd: Vec<(&'static str, String)>,
    /// What could not be written.
    pub lost: Vec<String>,
}

impl Scene {
    pub fn new(size: Option<(i64, i64)>, plays: bool) -> Self {
        Self { size, plays, ..Self::default() }
    }

    /// Takes the region ids of all results, to know which of them occur again.
    pub fn share<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                self.regions.insert(id.to_owned(), None);
            }
        }
    }

    /// Keeps the place of a region for the answers that share its id: the first one counts.
    pub fn learn_place(&mut self, result: &Value) {
        let region = result.get("id").and_then(Value::as_str);
        if let Some(slot @ None) = region.and_then(|region| self.regions.get_mut(region)) {
            *slot = place(result);
        }
    }

    /// Whether several results have that region.
    pub fn is_shared(&self, region: &str) -> bool {
        !self.regions.is_empty() && self.regions.contains_key(region)
    }

    fn place(&self, row: &Row) -> Option<&Map<String, Value>> {
        self.regions.get(row.region.as_ref()?)?.as_ref()
    }
}

/// Types whose results have a place in the item, by the module that reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Image,
    Span,
    Moving,
    Answer,
    Other,
}

fn family(type_name: &str) -> Family {
    match type_name {
        "rectangle" | "rectanglelabels" | "ellipse" | "ellipselabels" | "polygon"
        | "polygonlabels" | "keypoint" | "keypointlabels" | "brush" | "brushlabels" => {
            Family::Image
        }
        "labels" | "text" | "audio" | "hypertextlabels" | "richtext" | "hypertext"
        | "paragraphlabels" | "paragraphs" | "timeserieslabels" | "timeseries" => Family::Span,
        "videorectangle" | "timelinelabels" => Family::Moving,
        "choices" | "taxonomy" | "textarea" | "rating" | "number" | "datetime" | "pairwise"
        | "ranker" | "relation" => Family::Answer,
        _ => Family::Other,
    }
}

/// The member of `value` that holds the labels of a region's type.
fn labels_member(type_name: &str) -> Option<&str> {
    match type_name {
        "videorectangle" => Some(LABELS_SUFFIX),
        _ => type_name.ends_with(LABELS_SUFFIX).then_some(type_name),
    }
}

/// The type that a row is written as where its `extra` names no other.
fn default_type(row: &Row) -> &str {
    let labelled = row.label.is_some();
    match (&*row.kind, row.unit.as_deref()) {
        ("bbox" | "rotated_bbox", _) if row.frame.is_some() => "videorectangle",
        ("bbox" | "rotated_bbox", _) if labelled => "rectanglelabels",
        ("bbox" | "rotated_bbox", _) => "rectangle",
        ("ellipse", _) if labelled => "ellipselabels",
        ("polygon" | "polyline", _) if labelled => "polygonlabels",
        ("polygon" | "polyline", _) => "polygon",
        ("keypoints", _) if labelled => "keypointlabels",
        ("keypoints", _) => "keypoint",
        ("mask", _) if labelled => "brushlabels",
        ("mask", _) => "brush",
        ("span", _) => "labels",
        ("time_span", Some("frame")) => "timelinelabels",
        ("time_span", Some("second") | None) => "labels",
        ("time_span", _) => "timeserieslabels",
        ("choice", _) => "choices",
        ("text", _) => "textarea",
        ("ranking", _) => "ranker",
        (kind, _) => kind,
    }
}

/// Whether a type can be written for rows of a kind.
fn fits(type_name: &str, kind: &str) -> bool {
    let kinds: &[&str] = match type_name {
        "rectangle" | "rectanglelabels" | "videorectangle" => &["bbox", "rotated_bbox"],
        "ellipse" | "ellipselabels" => &["ellipse"],
        "polygon" | "polygonlabels" => &["polygon", "polyline"],
        "keypoint" | "keypointlabels" => &["keypoints"],
        "brush" | "brushlabels" => &["mask"],
        "labels" => &[
            "span",
            "time_span",
            "bbox",
            "rotated_bbox",
            "ellipse",
            "polygon",
            "polyline",
            "keypoints",
            "mask",
        ],
        "choices" | "taxonomy" => &["choice"],
        "textarea" => &["text"],
        "rating" | "number" => &["number"],
        "ranker" => &["ranking"],
        "text" | "hypertextlabels" | "richtext" | "hypertext" | "paragraphlabels"
        | "paragraphs" => &["span"],
        "audio" | "timeserieslabels" | "timeseries" | "timelinelabels" => &["time_span"],
        "datetime" | "pairwise" | "relation" => return type_name == kind,
        _ => return kind == type_name,
    };
    kinds.contains(&kind)
}

/// The place of the region that a result describes.
fn place(result: &Value) -> Option<Map<String, Value>> {
    let type_name = result.get("type")?.as_str()?;
    if matches!(family(type_name), Family::Answer | Family::Other) {
        return None;
    }
    let mut value = result.get("value")?.as_object()?.clone();
    if let Some(labels) = labels_member(type_name) {
        value.shift_remove(labels);
    }
    Some(value)
}

/// Reads one result. The rows say all of it: `scene` must hold what the export will know.
pub(super) fn read(result: &Value, scene: &mut Scene, path: &str) -> Check<Vec<Row>> {
    let map = result
        .as_object()
        .ok_or_else(|| Fault::new(path, format!("a result is {}", json::type_name(result))))?;
    let type_name =
        text(map, "type", path)?.ok_or_else(|| Fault::new(path, "`type` is missing"))?;
    let base = Row {
        region: id_text(map.get("id").map(Node::from).as_ref(), &format!("{path}.id"))?,
        field: text(map, "from_name", path)?.unwrap_or(type_name).to_owned(),
        target: text(map, "to_name", path)?.map(str::to_owned),
        score: map.get("score").and_then(json::float),
        ..Row::default()
    };
    let empty = Map::new();
    let value = match map.get("value") {
        Some(Value::Object(value)) => value,
        None if type_name == "relation" => &empty,
        None => return Err(Fault::new(path, "`value` is missing")),
        Some(other) => {
            let what = format!("`value` is {}, not an object", json::type_name(other));
            return Err(Fault::new(path, what));
        }
    };
    let value_path = format!("{path}.value");
    let reading = Reading { type_name, result: map, value, at: path, path: &value_path };
    let mut rows = match family(type_name) {
        Family::Image => image::read(&reading, base, scene)?,
        Family::Span => span::read(&reading, base, scene)?,
        Family::Moving => moving::read(&reading, base, scene)?,
        Family::Answer => answer::read(&reading, base)?,
        Family::Other => other(&reading, base)?,
    };
    keep_rest(&mut rows, map, type_name, scene);
    Ok(rows)
}

/// Puts to `extra` what the columns do not say.
fn keep_rest(rows: &mut [Row], source: &Map<String, Value>, type_name: &str, scene: &mut Scene) {
    if let Some(first) = rows.first()
        && default_type(first) != type_name
    {
        let type_name = Value::from(type_name);
        rows.iter_mut().for_each(|row| {
            row.extra.insert("type".to_owned(), type_name.clone());
        });
    }
    let refs: Vec<&Row> = rows.iter().collect();
    // A mask that was read says its list to the letter; it is not built again to see that.
    scene.masked = refs.first().is_some_and(|row| row.mask.is_some());
    let rendered = Value::Object(render(&refs, scene));
    let source = if scene.masked { mask_out(source) } else { members(source) };
    scene.masked = false;
    let rest = json::node_residual(&Node::from(&rendered), &Node::Object(source));
    if let Some(Value::Object(rest)) = rest.map(Value::from) {
        for row in rows {
            row.extra.extend(rest.clone());
        }
    }
}

/// The members of a result with its mask as `true`.
fn mask_out(source: &Map<String, Value>) -> Vec<Member<'_>> {
    let members = source.iter().map(|(name, value)| match (name.as_str(), value) {
        ("value", Value::Object(map)) => {
            ("value".into(), Node::Object(map.iter().map(masked).collect()))
        }
        (name, value) => (name.into(), value.into()),
    });
    members.collect()
}

fn masked<'a>((name, value): (&'a String, &'a Value)) -> Member<'a> {
    let node = match value {
        Value::Array(_) if name == "rle" => Node::Bool(true),
        value => value.into(),
    };
    (name.as_str().into(), node)
}

/// Writes results in order: regions first, because per-region answers repeat their place.
pub(super) fn write_all(groups: &[Vec<&Row>], scene: &mut Scene) -> Vec<Value> {
    let answers =
        |rows: &[&Row]| rows.first().is_some_and(|row| family(default_type(row)) == Family::Answer);
    scene.share(groups.iter().filter_map(|rows| rows.first()?.region.as_deref()));
    let mut out = vec![Value::Null; groups.len()];
    for pass in [false, true] {
        for (slot, rows) in out.iter_mut().zip(groups) {
            if answers(rows) != pass {
                continue;
            }
            *slot = write(rows, scene);
            scene.learn_place(slot);
        }
    }
    out
}

/// Writes the result that rows make up.
fn write(rows: &[&Row], scene: &mut Scene) -> Value {
    let rendered = render(rows, scene);
    let mut rest = rows.first().map(|row| row.extra.clone()).unwrap_or_default();
    rest.retain(|name, _| !name.starts_with('~') || name.starts_with("~~"));
    Value::Object(json::restore_object(rendered, &rest))
}

/// What the columns alone say. A type that `extra` names is left to the residual.
fn render(rows: &[&Row], scene: &mut Scene) -> Map<String, Value> {
    let mut out = Map::new();
    let Some(first) = rows.first() else { return out };
    let named = first.extra.get("type").and_then(Value::as_str);
    let type_name = named.filter(|name| fits(name, &first.kind)).unwrap_or(default_type(first));
    let mut insert = |name: &str, value: Value| out.insert(name.to_owned(), value);
    if let Some(region) = &first.region {
        insert("id", Value::from(region.as_str()));
    }
    if type_name == "relation" {
        answer::render_relation(rows, &mut out);
        return out;
    }
    insert("from_name", Value::from(first.field.as_str()));
    if let Some(target) = &first.target {
        let paragraph = span::paragraph(target).filter(|_| type_name.starts_with("paragraph"));
        insert("to_name", Value::from(paragraph.map_or(target.as_str(), |(name, _)| name)));
    }
    if named != Some(type_name) {
        insert("type", Value::from(type_name));
    }
    if let Some(score) = first.score {
        insert("score", python_float(score));
    }
    let mut value = Map::new();
    match family(type_name) {
        Family::Image => image::render(first, &mut value, scene),
        Family::Span => span::render(first, type_name, &mut value, scene),
        Family::Moving => moving::render(rows, type_name, &mut value, scene),
        Family::Answer => {
            if let Some(place) = scene.place(first) {
                value = place.clone();
            }
            answer::render(rows, type_name, &mut value);
        }
        Family::Other => {}
    }
    let labelled = family(type_name) != Family::Answer;
    if let Some(member) = labels_member(type_name).filter(|_| labelled) {
        value.insert(member.to_owned(), labels(rows));
    }
    if let Some((width, height)) = scene.size
        && ["x", "points", "rle"].iter().any(|member| value.contains_key(*member))
    {
        out.insert("original_width".to_owned(), Value::from(width));
        out.insert("original_height".to_owned(), Value::from(height));
        out.insert("image_rotation".to_owned(), Value::from(0));
    }
    out.insert("value".to_owned(), Value::Object(value));
    out
}

/// The distinct labels of rows in order.
fn labels(rows: &[&Row]) -> Value {
    let mut seen: Vec<&str> = Vec::new();
    for label in rows.iter().filter_map(|row| row.label.as_deref()) {
        if !rows[0].is_part() || !seen.contains(&label) {
            seen.push(label);
        }
    }
    Value::from(seen)
}

/// A result of a type that is not known: its labels are read, the rest is kept as it is.
fn other(reading: &Reading<'_>, base: Row) -> Check<Vec<Row>> {
    let labels = match labels_member(reading.type_name) {
        Some(member) if reading.value.get(member).is_some_and(is_list_of_texts) => {
            reading.labels(member)?
        }
        _ => Vec::new(),
    };
    let base = Row { kind: Cow::Owned(reading.type_name.to_owned()), ..base };
    Ok(labelled(base, labels))
}

fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

/// A row for each label, or one without.
fn labelled(base: Row, labels: Vec<String>) -> Vec<Row> {
    if labels.is_empty() {
        return vec![base];
    }
    labels.into_iter().map(|label| Row { label: Some(label), ..base.clone() }).collect()
}

/// The one result that is being read.
struct Reading<'a> {
    type_name: &'a str,
    result: &'a Map<String, Value>,
    value: &'a Map<String, Value>,
    /// The path of the result.
    at: &'a str,
    /// The path of `value`.
    path: &'a str,
}

impl Reading<'_> {
    fn fault(&self, member: &str, what: impl Into<String>) -> Fault {
        Fault::new(&format!("{}.{member}", self.path), what)
    }

    /// A number of `value` that must be there.
    fn float(&self, member: &str) -> Check<f64> {
        match self.value.get(member) {
            Some(value) => self.as_float(member, value),
            None => Err(self.fault(member, format!("`{member}` is missing"))),
        }
    }

    fn as_float(&self, member: &str, value: &Value) -> Check<f64> {
        json::float(value).ok_or_else(|| {
            let found = match value {
                Value::Number(_) => "a number beyond what a float holds",
                other => json::type_name(other),
            };
            self.fault(member, format!("expected a finite number, found {found}"))
        })
    }

    /// A list of texts; a bare text is a list of one.
    fn texts(&self, member: &str) -> Check<Vec<String>> {
        match self.value.get(member) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(i, item)| match item {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(self.fault(
                        &format!("{member}[{i}]"),
                        format!("expected a text, found {}", json::type_name(other)),
                    )),
                })
                .collect(),
            Some(other) => {
                let found = json::type_name(other);
                Err(self.fault(member, format!("expected a list of texts, found {found}")))
            }
        }
    }

    /// The labels in a member of `value`.
    fn labels(&self, member: &str) -> Check<Vec<String>> {
        self.texts(member)
    }

    /// The labels of a region.
    fn region_labels(&self) -> Check<Vec<String>> {
        labels_member(self.type_name).map_or(Ok(Vec::new()), |member| self.labels(member))
    }
}

/// A member that must be a text where it stands.
fn text<'a>(map: &'a Map<String, Value>, member: &str, path: &str) -> Check<Option<&'a str>> {
    match map.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            let what = format!("expected a text, found {}", json::type_name(other));
            Err(Fault::new(&format!("{path}.{member}"), what))
        }
    }
}
