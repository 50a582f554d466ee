//! Turns annotations and detections into rows.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use glossator_store::limits::ID_BYTES_MAX;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, AnnotationsBuilder, SUBMISSIONS, SubmissionRow, SubmissionsBuilder,
};
use serde_json::Value;

use super::names::{Categories, id_node, id_text, id_value};
use super::object::{self, Names, Parts, Segmentation, Shape};
use super::parse::{Read, Result as Checked, Wrong, wrong_type};
use super::{PANOPTIC, field};
use crate::json::{Node, Record, node_residual};
use crate::{Result, Sink};

/// How many rows are handed over at once, and about how many bytes.
const BATCH_ROWS_MAX: usize = 4096;
const BATCH_BYTES_MAX: usize = 16 << 20;

/// How many ids are remembered to find one that stands twice; later ones are not looked at.
const IDS_MAX: usize = 1 << 22;

/// An image that annotations may name.
#[derive(Debug)]
pub struct Image {
    /// Its id is a text.
    pub quoted: bool,
    /// How many panoptic annotations it has had.
    pub panoptic: u32,
}

/// What every row of a file shares.
#[derive(Debug)]
pub struct Target<'a> {
    /// The source of the rows.
    pub source: &'a str,
    /// The source of the items.
    pub images: &'a str,
    /// Who decided.
    pub annotator: &'a str,
    /// Rows are a model's detections.
    pub results: bool,
}

/// Builds rows of annotations, submissions for panoptic ones.
#[allow(missing_debug_implementations)] // the builders have none
pub struct Rows<'a> {
    target: Target<'a>,
    categories: Categories,
    images: HashMap<String, Image>,
    ids: HashSet<u64>,
    batch: Batch,
    submissions: SubmissionsBuilder,
}

/// Rows that were not handed over yet, and about how many bytes they are.
#[derive(Default)]
struct Batch {
    rows: AnnotationsBuilder,
    bytes: usize,
}

/// Where one object's rows belong.
struct Owner<'a> {
    item_id: &'a str,
    submission_id: Option<&'a str>,
    region_id: Option<&'a str>,
    label: Option<&'a str>,
    seq: Option<i32>,
    extra: Option<&'a str>,
}

impl<'a> Rows<'a> {
    /// Starts with what the first pass found.
    pub fn new(target: Target<'a>, categories: Categories, images: HashMap<String, Image>) -> Self {
        Self {
            target,
            categories,
            images,
            ids: HashSet::new(),
            batch: Batch::default(),
            submissions: SubmissionsBuilder::default(),
        }
    }

    /// Takes an annotation or a detection.
    pub fn record(&mut self, index: u64, record: &Record, sink: &mut dyn Sink) -> Result<()> {
        let taken = match record.node() {
            Ok(node) => self.take(index, &node).map_err(|w| record.bad(&w.path, w.what)),
            Err(bad) => Err(bad),
        };
        match taken {
            Ok(odd) => odd.into_iter().for_each(|odd| sink.warn(odd, &record.place)),
            Err(bad) => sink.bad(bad)?,
        }
        if self.batch.rows.len() + self.submissions.len() >= BATCH_ROWS_MAX
            || self.batch.bytes >= BATCH_BYTES_MAX
        {
            self.flush(sink)?;
        }
        Ok(())
    }

    /// Hands over what is left.
    pub fn flush(&mut self, sink: &mut dyn Sink) -> Result<()> {
        self.batch.bytes = 0;
        if !self.batch.rows.is_empty() {
            sink.rows(&ANNOTATIONS, self.batch.rows.finish())?;
        }
        if !self.submissions.is_empty() {
            sink.rows(&SUBMISSIONS, self.submissions.finish())?;
        }
        Ok(())
    }

    /// Adds the rows of one record and returns what is odd about it; adds nothing where it fails.
    fn take(&mut self, index: u64, object: &Node<'_>) -> Checked<Vec<&'static str>> {
        if object.as_object().is_none() {
            return Err(wrong_type("", "an object", object));
        }
        let image = object
            .get("image_id")
            .ok_or_else(|| Wrong::new("", "no `image_id` says which image it belongs to"))?;
        let image = id_text(image)
            .ok_or_else(|| wrong_type(".image_id", "a whole number or a text", image))?;
        let Some(known) = self.images.get(image) else {
            return Err(Wrong::new(".image_id", format!("no image has the id {image}")));
        };
        let image_id = if known.quoted { image.into() } else { id_node(image) };
        let item_id = format!("{}/{image}", self.target.images);
        let seq = i32::try_from(index).ok();
        match object.get("segments_info") {
            Some(Node::Array(segments)) if !self.target.results => {
                self.panoptic(&item_id, image, image_id, seq, object, segments)
            }
            _ => self.object(&item_id, image_id, seq, object),
        }
    }

    fn object(
        &mut self,
        item_id: &str,
        image_id: Node<'_>,
        seq: Option<i32>,
        object: &Node<'_>,
    ) -> Checked<Vec<&'static str>> {
        let shape = if self.target.results { Shape::Detection } else { Shape::Annotation };
        let mut read = Read::new(object)?;
        if shape == Shape::Annotation {
            read.drop_derived_box();
        }
        let region = if self.target.results { None } else { own_id(object, &mut read.odd)? };
        if let Some(region) = region {
            self.note(region, "annotations with an id that another has", &mut read.odd);
        }
        let label = label(&self.categories, object, &read.parts)?;
        let names = names(&self.categories, region, image_id, label);
        let extra = object::extra(shape, &names, &read.parts, read.counts, object);
        let owner = Owner {
            item_id,
            submission_id: None,
            region_id: region,
            label,
            seq,
            extra: extra.as_deref(),
        };
        self.batch.push(&self.target, &owner, &read.parts);
        Ok(read.odd)
    }

    /// A panoptic annotation is a submission, for it is what was handed in for the whole image and
    /// may be empty; each of its segments is a row.
    fn panoptic(
        &mut self,
        item_id: &str,
        image: &str,
        image_id: Node<'_>,
        seq: Option<i32>,
        object: &Node<'_>,
        segments: &[Node<'_>],
    ) -> Checked<Vec<&'static str>> {
        let mut odd = Vec::new();
        let own = object
            .get("id")
            .map(|id| id_text(id).ok_or_else(|| wrong_type(".id", "a whole number or a text", id)));
        let own = own.transpose()?;
        let count = self.images.get(image).map_or(0, |known| known.panoptic);
        let submission_id = match own {
            Some(id) => format!("annotation/{id}"),
            None if count == 0 => format!("annotation/{PANOPTIC}"),
            None => format!("annotation/{PANOPTIC}-{}", count + 1),
        };
        limit(".id", &submission_id)?;
        let mut rows = Vec::new();
        for (i, segment) in segments.iter().enumerate() {
            let path = format!(".segments_info[{i}]");
            let row = read_segment(&self.categories, segment, &image_id, &mut odd);
            let wrong = |w: Wrong| Wrong::new(path + &w.path, w.what);
            rows.push((i32::try_from(i).ok(), row.map_err(wrong)?));
        }
        for (place, (region, label, parts, extra)) in &rows {
            let owner = Owner {
                item_id,
                submission_id: Some(&submission_id),
                region_id: *region,
                label: *label,
                seq: *place,
                extra: extra.as_deref(),
            };
            self.batch.push(&self.target, &owner, parts);
        }
        let members = object.as_object().unwrap_or_default().iter();
        let facts = members.filter(|(name, _)| name != "segments_info").cloned().collect();
        let rendered = render_panoptic(panoptic_id(&submission_id), image_id.into());
        let extra = node_residual(&Node::from(&rendered), &Node::Object(facts));
        let extra = extra.map(|left| left.to_text());
        self.submissions.push(&SubmissionRow {
            item_id,
            submission_id: &submission_id,
            source: self.target.source,
            annotator_id: self.target.annotator,
            origin: "human",
            state: "submitted",
            seq,
            extra: extra.as_deref(),
            ..SubmissionRow::default()
        });
        if let Some(known) = self.images.get_mut(image) {
            known.panoptic += 1;
        }
        Ok(odd)
    }

    /// Remembers an id, and says so where it was there before.
    fn note(&mut self, id: &str, phrase: &'static str, odd: &mut Vec<&'static str>) {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        if self.ids.contains(&hash) {
            odd.push(phrase);
        } else if self.ids.len() < IDS_MAX {
            self.ids.insert(hash);
        }
    }
}

impl Batch {
    /// Adds a row a part; the first holds what belongs to the whole object.
    fn push(&mut self, target: &Target<'_>, owner: &Owner<'_>, parts: &Parts) {
        let base = AnnotationRow {
            item_id: owner.item_id,
            source: target.source,
            submission_id: owner.submission_id,
            region_id: owner.region_id,
            annotator_id: target.annotator,
            origin: if target.results { "model" } else { "human" },
            label: owner.label,
            seq: owner.seq,
            score: parts.score,
            status: "submitted",
            extra: owner.extra,
            ..AnnotationRow::default()
        };
        let mut rows = Vec::new();
        match &parts.segmentation {
            Some(Segmentation::Polygons(geometry)) => rows.push(AnnotationRow {
                kind: "polygon",
                geometry: Some(geometry),
                unit: Some("px"),
                ..base.clone()
            }),
            Some(Segmentation::Mask(size, runs)) => rows.push(AnnotationRow {
                kind: "mask",
                geometry: Some(size),
                unit: Some("px"),
                mask: Some(runs),
                ..base.clone()
            }),
            None => {}
        }
        let shapes = [
            ("bbox", parts.bbox.as_ref().map(<[f64; 4]>::as_slice)),
            ("keypoints", parts.keypoints.as_deref()),
        ];
        for (kind, geometry) in shapes {
            if geometry.is_some() {
                rows.push(AnnotationRow { kind, geometry, unit: Some("px"), ..base.clone() });
            }
        }
        if let Some(caption) = &parts.caption {
            rows.push(AnnotationRow { kind: "text", text: Some(caption), ..base.clone() });
        }
        if rows.is_empty() {
            rows.push(AnnotationRow { kind: "choice", ..base });
        }
        for (i, mut row) in rows.into_iter().enumerate() {
            row.field = if row.submission_id.is_some() { PANOPTIC } else { field(row.kind) };
            row.extra = owner.extra.filter(|_| i == 0);
            self.bytes += 64
                + row.geometry.map_or(0, <[f64]>::len) * 8
                + [row.text, row.extra].iter().flatten().map(|t| t.len()).sum::<usize>()
                + row.mask.map_or(0, <[u8]>::len);
            self.rows.push(&row);
        }
    }
}

/// Reads a segment of a panoptic annotation.
#[allow(clippy::type_complexity)] // one use, taken apart at once
fn read_segment<'n>(
    categories: &'n Categories,
    object: &'n Node<'_>,
    image_id: &Node<'_>,
    odd: &mut Vec<&'static str>,
) -> Checked<(Option<&'n str>, Option<&'n str>, Parts, Option<String>)> {
    if object.as_object().is_none() {
        return Err(wrong_type("", "an object", object));
    }
    let mut read = Read::new(object)?;
    let region = own_id(object, &mut read.odd)?;
    let label = label(categories, object, &read.parts)?;
    let names = names(categories, region, image_id.clone(), label);
    let extra = object::extra(Shape::Segment, &names, &read.parts, read.counts, object);
    odd.append(&mut read.odd);
    Ok((region, label, read.parts, extra))
}

fn names<'n>(
    categories: &'n Categories,
    region: Option<&'n str>,
    image_id: Node<'n>,
    label: Option<&str>,
) -> Names<'n> {
    Names {
        id: region.map_or(Node::Null, id_node),
        image_id,
        category_id: label.and_then(|label| categories.id(label)).map(Node::from),
    }
}

/// The label. A caption needs none, so an unknown category is kept in its `extra`.
fn label<'n>(
    categories: &'n Categories,
    object: &Node<'_>,
    parts: &Parts,
) -> Checked<Option<&'n str>> {
    let id = match object.get("category_id") {
        None | Some(Node::Null) => return Ok(None),
        Some(id) => id,
    };
    if id_text(id).is_none() {
        return Err(wrong_type(".category_id", "a whole number or a text", id));
    }
    match categories.label(id) {
        Some(label) => Ok(Some(label)),
        None if parts.caption.is_some() => Ok(None),
        None => Err(Wrong::new(".category_id", format!("no category has the id {id}"))),
    }
}

/// The id of the panoptic annotation that a submission stands for, if it had one.
pub fn panoptic_id(submission_id: &str) -> Option<Value> {
    let id = submission_id.strip_prefix("annotation/")?;
    (!id.starts_with(PANOPTIC)).then(|| id_value(id))
}

/// A panoptic annotation without its segments, from the columns of its submission alone.
pub fn render_panoptic(id: Option<Value>, image_id: Value) -> Value {
    let id = id.map(|id| ("id".to_owned(), id));
    let image_id = ("image_id".to_owned(), image_id);
    Value::Object(id.into_iter().chain([image_id]).collect())
}

/// The id of an annotation or a segment.
fn own_id<'n>(object: &'n Node<'_>, odd: &mut Vec<&'static str>) -> Checked<Option<&'n str>> {
    let Some(id) = object.get("id") else {
        odd.push("annotations without an `id`");
        return Ok(None);
    };
    let id = id_text(id).ok_or_else(|| wrong_type(".id", "a whole number or a text", id))?;
    limit(".id", id)?;
    Ok(Some(id))
}

fn limit(path: &str, id: &str) -> Checked<()> {
    if id.len() > ID_BYTES_MAX {
        return Err(Wrong::new(path, format!("an id is longer than {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}
