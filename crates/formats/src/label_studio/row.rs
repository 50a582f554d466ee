//! One row in the making, and which rows make up one result of the tool.

use std::borrow::Cow;
use std::collections::BTreeMap;

use glossator_store::schema::AnnotationRow;
use serde_json::{Map, Value};

use crate::json;

/// Member of a row's `extra`: this row begins a result of its own, though one like it stands
/// before it. Names that begin with one `~` are never a source's own; see [`json::residual`].
const APART: &str = "~apart";
/// Member of a row's `extra`: what its key frame or range says beyond the columns.
pub(super) const PART: &str = "~part";

/// The columns of an annotation that one result fills.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub region: Option<String>,
    pub field: String,
    pub target: Option<String>,
    pub kind: Cow<'static, str>,
    pub label: Option<String>,
    pub geometry: Option<Vec<f64>>,
    pub unit: Option<Cow<'static, str>>,
    pub frame: Option<i64>,
    pub refs: Option<Vec<String>>,
    pub text: Option<String>,
    pub number: Option<f64>,
    pub mask: Option<Vec<u8>>,
    pub score: Option<f64>,
    pub extra: Map<String, Value>,
    /// Further members of `extra`, written already.
    pub said: Option<String>,
}

impl Row {
    /// Takes what a stored row says now.
    pub fn stored(row: &AnnotationRow<'_>) -> Self {
        let extra = row.extra.and_then(|text| json::parse(text).ok());
        Self {
            region: row.region_id.map(str::to_owned),
            field: row.field.to_owned(),
            target: row.target.map(str::to_owned),
            kind: Cow::Owned(row.kind.to_owned()),
            label: row.label.map(str::to_owned),
            geometry: row.geometry.map(<[f64]>::to_vec),
            unit: row.unit.map(|unit| Cow::Owned(unit.to_owned())),
            frame: row.frame,
            refs: row.refs.as_ref().map(|refs| refs.iter().map(|&r| r.to_owned()).collect()),
            text: row.text.map(str::to_owned),
            number: row.number,
            mask: row.mask.map(<[u8]>::to_vec),
            score: row.score,
            extra: match extra {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            },
            said: None,
        }
    }

    /// The `extra` cell.
    pub fn extra_cell(&self) -> Option<String> {
        let own = super::extra_cell(&self.extra, &[]);
        match (&self.said, own) {
            (None, own) => own,
            (Some(said), None) => Some(format!("{{{said}}}")),
            (Some(said), Some(own)) => Some(format!("{{{said},{}", own.get(1..).unwrap_or("}"))),
        }
    }

    /// Converts a place in pixels or fractions of an image to percent, as the tool has it.
    pub fn scale_to_percent(&mut self, size: Option<(i64, i64)>) -> Result<(), String> {
        let (x, y) = match (self.unit.as_deref(), size) {
            (Some("fraction"), _) => (100.0, 100.0),
            (Some("px"), Some((width, height))) if width > 0 && height > 0 => {
                (100.0 / width as f64, 100.0 / height as f64)
            }
            (Some("px"), _) => {
                return Err("places in pixels on items of unknown width and height".to_owned());
            }
            _ => return Ok(()),
        };
        let (skip, last) = match &*self.kind {
            "bbox" | "rotated_bbox" | "ellipse" => (0, 4),
            "polygon" => (2, usize::MAX),
            "polyline" => (0, usize::MAX),
            "keypoints" => (0, 2),
            _ => return Ok(()),
        };
        for (i, value) in self.geometry.iter_mut().flatten().enumerate().skip(skip) {
            if i < last {
                *value *= if i % 2 == 0 { x } else { y };
            }
        }
        self.unit = Some(Cow::Borrowed("percent"));
        Ok(())
    }

    /// Whether the row is one of several moments of a result: a key frame, or a range of frames.
    pub fn is_part(&self) -> bool {
        self.frame.is_some() || self.unit.as_deref() == Some("frame")
    }

    /// What rows of one result have in common; `None` for answers of which a result has just one.
    fn key(&self) -> Option<Key> {
        let kind = match &*self.kind {
            "number" | "datetime" | "pairwise" => return None,
            "rotated_bbox" => "bbox",
            kind => kind,
        };
        let geometry = if self.is_part() { None } else { self.geometry.as_deref() };
        Some(Key {
            region: self.region.clone(),
            field: self.field.clone(),
            target: self.target.clone(),
            kind: kind.to_owned(),
            part: self.is_part(),
            geometry: geometry.map(|g| g.iter().map(|f| f.to_bits()).collect()),
            refs: if kind == "relation" { self.refs.clone() } else { None },
            mask: self.mask.as_deref().map(|mask| *blake3::hash(mask).as_bytes()),
        })
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    region: Option<String>,
    field: String,
    target: Option<String>,
    kind: String,
    part: bool,
    geometry: Option<Vec<u64>>,
    refs: Option<Vec<String>>,
    mask: Option<[u8; 32]>,
}

/// The results that rows of one submission make up: a set of labels is one result of several rows.
#[derive(Default)]
pub(super) struct Results {
    groups: Vec<Vec<usize>>,
    latest: BTreeMap<Key, usize>,
}

impl Results {
    /// Groups rows that stand in order.
    pub fn of(rows: &[Row]) -> Vec<Vec<usize>> {
        let mut results = Self::default();
        for (index, row) in rows.iter().enumerate() {
            let key = row.key();
            let known = key.as_ref().and_then(|key| results.latest.get(key).copied());
            match known.filter(|_| !row.extra.contains_key(APART)) {
                Some(group) => results.groups[group].push(index),
                None => {
                    results.groups.push(vec![index]);
                    if let Some(key) = key {
                        results.latest.insert(key, results.groups.len() - 1);
                    }
                }
            }
        }
        results.groups
    }

    /// Marks the rows of the next result where the rule would put them to an earlier one.
    pub fn keep_apart(&mut self, rows: &mut [Row]) {
        let Some(first) = rows.first_mut() else { return };
        if let Some(key) = first.key()
            && self.latest.insert(key, 0).is_some()
        {
            first.extra.insert(APART.to_owned(), Value::Bool(true));
        }
    }
}
