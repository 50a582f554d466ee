//! Puts the rows of one item together to the objects that they are parts of.

use std::collections::{BTreeMap, HashMap};

use glossator_store::geometry::rle;
use glossator_store::schema::AnnotationRow;

use super::PANOPTIC;
use super::object::{Parts, Segmentation, rings};

/// Counts of what COCO cannot carry.
pub type Losses = BTreeMap<String, u64>;

/// An object to write.
#[derive(Debug)]
pub struct Object {
    /// Its id; none where it needs a new one.
    pub id: Option<String>,
    /// The submission of a panoptic segment.
    pub submission: Option<String>,
    /// The class.
    pub label: Option<String>,
    /// Its place in the file.
    pub seq: Option<i32>,
    /// What its rows hold.
    pub parts: Parts,
    /// What the file said beyond that.
    pub extra: Option<String>,
    /// It only names a category, so nothing joins it.
    alone: bool,
}

/// One part, as a row holds it.
enum Part {
    Segmentation(Segmentation),
    Bbox([f64; 4]),
    Keypoints(Vec<f64>),
    Caption(String),
    Choice,
}

/// Rows of these belong to one object, where their labels do not differ.
#[derive(PartialEq, Eq, Hash)]
struct Group {
    source: String,
    submission: Option<String>,
    annotator: String,
    region: Option<String>,
    /// Only where there is no region.
    seq: Option<i32>,
}

struct Row {
    group: Group,
    label: Option<String>,
    seq: Option<i32>,
    part: Part,
    score: Option<f64>,
    extra: Option<String>,
    panoptic: bool,
}

/// The rows of one item.
#[derive(Default)]
#[allow(missing_debug_implementations)] // lives for one item
pub struct Gather {
    rows: Vec<Row>,
}

impl Gather {
    /// Takes a row, or counts why it cannot be carried. `native` rows came from a COCO file; `size`
    /// is the image's width and height.
    pub fn push(
        &mut self,
        row: &AnnotationRow<'_>,
        native: bool,
        size: Option<[f64; 2]>,
        losses: &mut Losses,
    ) {
        let part = match part(row, native, size) {
            Ok(part) => part,
            Err(reason) => {
                *losses.entry(reason).or_default() += 1;
                return;
            }
        };
        let own = |text: Option<&str>| text.map(str::to_owned);
        let panoptic = native && row.field == PANOPTIC && row.submission_id.is_some();
        self.rows.push(Row {
            group: Group {
                source: row.source.to_owned(),
                submission: own(row.submission_id),
                annotator: row.annotator_id.to_owned(),
                region: own(row.region_id),
                seq: row.seq.filter(|_| row.region_id.is_none()),
            },
            label: own(row.label),
            seq: row.seq,
            part,
            score: row.score,
            // What another format left over is not COCO's.
            extra: own(row.extra.filter(|_| native)),
            panoptic,
        });
    }

    /// The objects, in the order of their places. Two rows of one region that disagree on the label
    /// become two objects, the second with a new id.
    pub fn objects(mut self, native: bool) -> Vec<Object> {
        self.rows.sort_by_key(|row| (row.seq.is_none(), row.seq, row.part.rank()));
        let mut objects: Vec<Object> = Vec::new();
        let mut groups: HashMap<Group, Vec<usize>> = HashMap::new();
        for row in self.rows {
            let alone = matches!(row.part, Part::Choice);
            let region = row.group.region.clone();
            let submission = row.group.submission.clone().filter(|_| row.panoptic);
            let grouped = row.group.region.is_some() || row.group.seq.is_some();
            let mut none = Vec::new();
            let group = if grouped { groups.entry(row.group).or_default() } else { &mut none };
            let near = |o: &Object| o.seq.is_none() || row.seq.is_none() || o.seq == row.seq;
            let same: Vec<usize> =
                group.iter().copied().filter(|&i| objects.get(i).is_some_and(near)).collect();
            let fits = |o: &Object| {
                !alone && !o.alone && o.label == row.label && row.part.is_free(&o.parts)
            };
            let joined = same.iter().copied().find(|&i| objects.get(i).is_some_and(fits));
            let at = joined.unwrap_or_else(|| {
                group.push(objects.len());
                objects.push(Object {
                    id: region.filter(|_| native && same.is_empty()),
                    submission,
                    label: row.label,
                    seq: row.seq,
                    parts: Parts::default(),
                    extra: None,
                    alone,
                });
                objects.len() - 1
            });
            if let Some(object) = objects.get_mut(at) {
                row.part.put(&mut object.parts);
                object.parts.score = object.parts.score.or(row.score);
                object.extra = object.extra.take().or(row.extra);
            }
        }
        objects
    }
}

impl Part {
    /// The part that holds the object's `extra` has the lowest rank.
    fn rank(&self) -> u8 {
        match self {
            Self::Segmentation(_) => 0,
            Self::Bbox(_) => 1,
            Self::Keypoints(_) => 2,
            Self::Caption(_) => 3,
            Self::Choice => 4,
        }
    }

    fn is_free(&self, parts: &Parts) -> bool {
        match self {
            Self::Segmentation(_) => parts.segmentation.is_none(),
            Self::Bbox(_) => parts.bbox.is_none(),
            Self::Keypoints(_) => parts.keypoints.is_none(),
            Self::Caption(_) => parts.caption.is_none(),
            Self::Choice => false,
        }
    }

    fn put(self, parts: &mut Parts) {
        match self {
            Self::Segmentation(segmentation) => parts.segmentation = Some(segmentation),
            Self::Bbox(bbox) => parts.bbox = Some(bbox),
            Self::Keypoints(points) => parts.keypoints = Some(points),
            Self::Caption(text) => parts.caption = Some(text),
            Self::Choice => {}
        }
    }
}

/// What a row holds for COCO, or why it holds nothing.
fn part(row: &AnnotationRow<'_>, native: bool, size: Option<[f64; 2]>) -> Result<Part, String> {
    if row.negative {
        return Err("rows that verify absence".to_owned());
    }
    if row.frame.is_some() {
        return Err("key frames of tracks".to_owned());
    }
    let broken = || "geometry that does not fit its kind".to_owned();
    let geometry = || row.geometry.map(<[f64]>::to_vec).ok_or_else(broken);
    match row.kind {
        "text" if native || row.field == "captions" => {
            Ok(Part::Caption(row.text.unwrap_or_default().to_owned()))
        }
        "choice" if native => Ok(Part::Choice),
        "bbox" => {
            let mut bbox: [f64; 4] = geometry()?.try_into().map_err(|_| broken())?;
            scale(row.unit, size, bbox.iter_mut(), 2)?;
            Ok(Part::Bbox(bbox))
        }
        "polygon" => {
            let mut polygons = geometry()?;
            let lengths: Vec<usize> =
                rings(&polygons).ok_or_else(broken)?.iter().map(|ring| ring.len()).collect();
            let mut at = 1;
            for length in lengths {
                let ring = polygons.get_mut(at + 1..at + 1 + length).ok_or_else(broken)?;
                scale(row.unit, size, ring.iter_mut(), 2)?;
                at += 1 + length;
            }
            Ok(Part::Segmentation(Segmentation::Polygons(polygons)))
        }
        "keypoints" => {
            let mut points = geometry()?;
            if points.len() % 3 != 0 {
                return Err(broken());
            }
            scale(row.unit, size, points.iter_mut(), 3)?;
            Ok(Part::Keypoints(points))
        }
        "mask" => {
            let runs = row.mask.filter(|runs| rle::decode(runs).is_some());
            let runs = runs.ok_or("masks in another encoding than COCO's")?;
            let size: [f64; 2] = geometry()?.try_into().map_err(|_| broken())?;
            Ok(Part::Segmentation(Segmentation::Mask(size, runs.to_vec())))
        }
        kind => Err(format!("kind `{kind}`")),
    }
}

/// Turns the first two of every `step` numbers, x and y, into pixels.
fn scale<'a>(
    unit: Option<&str>,
    size: Option<[f64; 2]>,
    numbers: impl Iterator<Item = &'a mut f64>,
    step: usize,
) -> Result<(), String> {
    let whole = match unit {
        None | Some("px") => return Ok(()),
        Some("percent") => 100.0,
        Some("fraction") => 1.0,
        Some(other) => return Err(format!("geometry in unit `{other}`")),
    };
    let size = size.ok_or("geometry in shares of an image of unknown size")?;
    for (i, number) in numbers.enumerate() {
        if let Some(side) = size.get(i % step) {
            *number = *number / whole * side;
        }
    }
    Ok(())
}
