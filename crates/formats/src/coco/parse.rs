//! Reads the parts of one object, and says where something is wrong with them.

use glossator_store::geometry::rle;

use super::object::{Parts, Segmentation, is_around};
use crate::json::Node;

/// What is wrong with a record, and where in it.
#[derive(Debug)]
pub struct Wrong {
    /// Continues the record's path.
    pub path: String,
    /// What is wrong.
    pub what: String,
}

impl Wrong {
    /// Names a member of the record.
    pub fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

/// A specialised result.
pub type Result<T> = std::result::Result<T, Wrong>;

/// The parts of an object as the file has them.
#[derive(Debug, Default)]
pub struct Read {
    /// What rows will hold.
    pub parts: Parts,
    /// Whether runs are a list.
    pub counts: bool,
    /// Short phrases on what is odd but kept.
    pub odd: Vec<&'static str>,
}

impl Read {
    /// Reads every part that is there. Null and empty members are no parts.
    pub fn new(object: &Node<'_>) -> Result<Self> {
        let mut read = Self::default();
        read.bbox(object)?;
        read.segmentation(object)?;
        read.parts.keypoints = keypoints(object)?;
        read.parts.caption = match object.get("caption") {
            None | Some(Node::Null) => None,
            Some(Node::String(text)) => Some(text.clone().into_owned()),
            Some(other) => return Err(wrong_type(".caption", "text", other)),
        };
        read.parts.score = match object.get("score") {
            None | Some(Node::Null) => None,
            Some(score) => Some(number(".score", score)?),
        };
        Ok(read)
    }

    /// Leaves the box to the shape where it says no more than the shape does.
    pub fn drop_derived_box(&mut self) {
        if let (Some(bbox), Some(segmentation)) = (self.parts.bbox, &self.parts.segmentation)
            && is_around(bbox, segmentation)
        {
            self.parts.bbox = None;
        }
    }

    fn bbox(&mut self, object: &Node<'_>) -> Result<()> {
        let Some(values) = list(object, "bbox")? else { return Ok(()) };
        let numbers = numbers(".bbox", values)?;
        let bbox: [f64; 4] = numbers.try_into().map_err(|numbers: Vec<f64>| {
            let what = format!("a box is [x, y, width, height], not {} numbers", numbers.len());
            Wrong::new(".bbox", what)
        })?;
        if bbox.iter().any(|v| *v < 0.0) {
            self.odd.push("boxes with negative numbers");
        }
        self.parts.bbox = Some(bbox);
        Ok(())
    }

    fn segmentation(&mut self, object: &Node<'_>) -> Result<()> {
        self.parts.segmentation = match object.get("segmentation") {
            None | Some(Node::Null) => None,
            Some(Node::Array(rings)) if rings.is_empty() => None,
            Some(Node::Array(rings)) => Some(self.polygons(rings)?),
            Some(mask @ Node::Object(_)) => Some(self.mask(mask)?),
            Some(other) => {
                return Err(wrong_type(".segmentation", "an array of polygons or a mask", other));
            }
        };
        Ok(())
    }

    fn polygons(&mut self, rings: &[Node<'_>]) -> Result<Segmentation> {
        let count = |ring: &Node<'_>| 1 + ring.as_array().map_or(0, <[_]>::len);
        let mut geometry = Vec::with_capacity(1 + rings.iter().map(count).sum::<usize>());
        geometry.push(rings.len() as f64);
        for (i, ring) in rings.iter().enumerate() {
            let path = format!(".segmentation[{i}]");
            let Node::Array(values) = ring else {
                return Err(wrong_type(&path, "a polygon: an array of x and y in turn", ring));
            };
            if values.len() % 2 != 0 {
                let what = format!("a polygon has x and y in turn, not {} numbers", values.len());
                return Err(Wrong::new(path, what));
            }
            if values.len() < 6 {
                self.odd.push("polygons of less than three points");
            }
            geometry.push((values.len() / 2) as f64);
            extend(&mut geometry, &path, values)?;
        }
        Ok(Segmentation::Polygons(geometry))
    }

    fn mask(&mut self, mask: &Node<'_>) -> Result<Segmentation> {
        let path = ".segmentation.size";
        let size = mask.get("size").and_then(Node::as_array);
        let Some([height, width]) = size else {
            return Err(Wrong::new(path, "a mask has a `size` of [height, width]"));
        };
        let side = |value: &Node<'_>| {
            let side = value.as_u64().filter(|v| *v <= u64::from(u32::MAX));
            side.ok_or_else(|| Wrong::new(path, format!("{value} is not a size in pixels")))
        };
        let (height, width) = (side(height)?, side(width)?);
        let path = ".segmentation.counts";
        let (text, runs) = match mask.get("counts") {
            Some(Node::String(text)) => {
                let runs = rle::decode(text.as_bytes())
                    .ok_or_else(|| Wrong::new(path, "the text is not COCO's run-length code"))?;
                (text.as_bytes().to_vec(), runs)
            }
            Some(Node::Array(counts)) => {
                let run = |v: &Node<'_>| v.as_u64().and_then(|v| u32::try_from(v).ok());
                let runs: Option<Vec<u32>> = counts.iter().map(run).collect();
                let runs =
                    runs.ok_or_else(|| Wrong::new(path, "a run is a whole number from 0 to 2^32"))?;
                self.counts = true;
                (rle::encode(&runs), runs)
            }
            _ => return Err(Wrong::new(path, "a mask has `counts`: text, or an array of runs")),
        };
        if rle::pixels(&runs) != height * width {
            self.odd.push("masks whose runs do not fill their size");
        }
        Ok(Segmentation::Mask([height as f64, width as f64], text))
    }
}

fn keypoints(object: &Node<'_>) -> Result<Option<Vec<f64>>> {
    let Some(values) = list(object, "keypoints")? else { return Ok(None) };
    if values.len() % 3 != 0 {
        let what = format!("keypoints are x, y, visibility in turn, not {} numbers", values.len());
        return Err(Wrong::new(".keypoints", what));
    }
    numbers(".keypoints", values).map(Some)
}

/// A member that is a list with something in it.
fn list<'n, 'a>(object: &'n Node<'a>, name: &str) -> Result<Option<&'n [Node<'a>]>> {
    match object.get(name) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Array(values)) if values.is_empty() => Ok(None),
        Some(Node::Array(values)) => Ok(Some(values)),
        Some(other) => Err(wrong_type(&format!(".{name}"), "an array of numbers", other)),
    }
}

fn numbers(path: &str, values: &[Node<'_>]) -> Result<Vec<f64>> {
    let mut numbers = Vec::with_capacity(values.len());
    extend(&mut numbers, path, values)?;
    Ok(numbers)
}

fn extend(numbers: &mut Vec<f64>, path: &str, values: &[Node<'_>]) -> Result<()> {
    for (i, value) in values.iter().enumerate() {
        match value.as_f64() {
            Some(float) => numbers.push(float),
            // The path is only needed where something is wrong.
            None => numbers.push(number(&format!("{path}[{i}]"), value)?),
        }
    }
    Ok(())
}

fn number(path: &str, value: &Node<'_>) -> Result<f64> {
    match value {
        Node::Number(text) => {
            value.as_f64().ok_or_else(|| Wrong::new(path, format!("{text} is too large a number")))
        }
        other => Err(wrong_type(path, "a number", other)),
    }
}

/// Says what was expected.
pub fn wrong_type(path: &str, wanted: &str, found: &Node<'_>) -> Wrong {
    Wrong::new(path, format!("expected {wanted}, found {}", found.type_name()))
}
