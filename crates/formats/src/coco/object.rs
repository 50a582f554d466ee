//! One COCO object: the parts that rows hold, and the JSON that follows from them alone.
//!
//! Importer and exporter both call [`render`]. What a file says beyond it is the residual in a
//! row's `extra`, so that an edited part shows in the export together with all that is computed
//! from it: the area, the box around a shape, the count of keypoints.

use std::borrow::Cow;

use glossator_store::geometry::rle;
use serde_json::{Map, Value};

use super::plain::is_plain;
use crate::json::{self, Member, Node, find};

/// How far a stated box may lie from the box around the shape and still be the same box, in
/// pixels. Tools round both, mostly to two decimals.
const BOX_TOLERANCE: f64 = 0.011;

/// The most decimals that are rounded to; with more, floats have no exact sums anyway.
const DECIMALS_MAX: usize = 12;

/// Member of `extra`: the members whose whole numbers are written the other way (`2.0` for `2`).
pub const NUMBERS: &str = "~numbers";

/// Member of `extra`: the computed members that the file does without.
pub const ABSENT: &str = "~absent";

/// Member of `extra`: the mask was a list of runs, not compressed text.
pub const COUNTS: &str = "~counts";

/// The members whose numbers have a way of writing.
const NUMBER_MEMBERS: [&str; 4] = ["bbox", "segmentation", "area", "keypoints"];

/// The members that are computed where no row holds them.
const COMPUTED_MEMBERS: [&str; 5] = ["bbox", "segmentation", "area", "iscrowd", "num_keypoints"];

/// Which sort of file the object stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An entry of `annotations`.
    Annotation,
    /// An entry of `segments_info` of a panoptic annotation.
    Segment,
    /// A row of a results file.
    Detection,
}

/// A shape, as the `geometry` and `mask` columns encode it.
#[derive(Debug, Clone, PartialEq)]
pub enum Segmentation {
    /// Ring count, then per ring its point count and x, y in turn.
    Polygons(Vec<f64>),
    /// Height and width, and the runs as compressed text.
    Mask([f64; 2], Vec<u8>),
}

/// What the rows of one object hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    /// `[x, y, w, h]`.
    pub bbox: Option<[f64; 4]>,
    /// The shape.
    pub segmentation: Option<Segmentation>,
    /// x, y and visibility in turn.
    pub keypoints: Option<Vec<f64>>,
    /// The caption.
    pub caption: Option<String>,
    /// The confidence.
    pub score: Option<f64>,
}

/// What identifies an object in its file.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    /// Its id; null stands for one that is yet to be given.
    pub id: Node<'a>,
    /// The image's id; not written in a segment.
    pub image_id: Node<'a>,
    /// The category's id.
    pub category_id: Option<Node<'a>>,
}

/// How an object is written, where the numbers alone do not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Style {
    /// Of [`NUMBER_MEMBERS`]: their whole numbers are written the other way.
    flipped: Vec<&'static str>,
    /// Of [`COMPUTED_MEMBERS`]: they are left out.
    absent: Vec<&'static str>,
    /// Runs are a list of numbers.
    counts: bool,
}

impl Style {
    /// Takes the style out of a residual.
    pub fn take(residual: &mut Map<String, Value>) -> Self {
        let mut names = |member, known: &[&'static str]| {
            let names = residual.shift_remove(member).unwrap_or_default();
            let has = |name: &&&str| names.as_array().is_some_and(|a| a.contains(&(**name).into()));
            known.iter().filter(has).copied().collect()
        };
        let flipped = names(NUMBERS, &NUMBER_MEMBERS);
        let absent = names(ABSENT, &COMPUTED_MEMBERS);
        Self { flipped, absent, counts: residual.shift_remove(COUNTS).is_some() }
    }

    fn put(&self, residual: &mut Vec<Member<'_>>) {
        for (member, names) in [(NUMBERS, &self.flipped), (ABSENT, &self.absent)] {
            if !names.is_empty() {
                insert(residual, member, Node::Array(names.iter().map(|&n| n.into()).collect()));
            }
        }
        if self.counts {
            insert(residual, COUNTS, "list".into());
        }
    }

    /// Whether a computed member is written.
    fn has(&self, member: &str) -> bool {
        !self.absent.contains(&member)
    }

    /// Writes a number of a member whose whole numbers have a point by default, or not.
    fn number(&self, member: &str, point: bool, value: f64) -> Node<'static> {
        let flipped = self.flipped.contains(&member);
        if point != flipped && value.fract() == 0.0 && value.abs() < 1e15 {
            return Node::Number(Cow::Owned(format!("{value:.1}")));
        }
        number(value)
    }
}

/// Writes an object from its parts alone.
pub fn render<'a>(shape: Shape, names: &Names<'a>, parts: &'a Parts, style: &Style) -> Node<'a> {
    let mut out = Vec::with_capacity(8);
    if shape != Shape::Detection {
        insert(&mut out, "id", names.id.clone());
    }
    if shape != Shape::Segment {
        insert(&mut out, "image_id", names.image_id.clone());
    }
    if let Some(id) = &names.category_id {
        insert(&mut out, "category_id", id.clone());
    }
    render_shape(&mut out, shape, parts, style);
    if let Some(points) = &parts.keypoints {
        let numbers = points.iter().map(|&v| style.number("keypoints", false, v)).collect();
        insert(&mut out, "keypoints", Node::Array(numbers));
        if shape != Shape::Detection && style.has("num_keypoints") {
            let labelled = points.iter().skip(2).step_by(3).filter(|&&v| v > 0.0).count();
            insert(&mut out, "num_keypoints", Node::Number(Cow::Owned(labelled.to_string())));
        }
    }
    if let Some(caption) = &parts.caption {
        insert(&mut out, "caption", caption.as_str().into());
    }
    if let Some(score) = parts.score {
        insert(&mut out, "score", number(score));
    }
    Node::Object(out)
}

fn insert<'a>(out: &mut Vec<Member<'a>>, name: &'static str, value: Node<'a>) {
    out.push((Cow::Borrowed(name), value));
}

pub fn number(value: f64) -> Node<'static> {
    json::number_text(value).map_or(Node::Null, |text| Node::Number(Cow::Owned(text)))
}

/// Writes the shape, the box and what is computed from them.
fn render_shape<'a>(out: &mut Vec<Member<'a>>, shape: Shape, parts: &'a Parts, style: &Style) {
    let masked = matches!(parts.segmentation, Some(Segmentation::Mask(..)));
    let around = match shape {
        Shape::Annotation => parts.segmentation.as_ref().and_then(box_around_shape),
        Shape::Segment | Shape::Detection => None,
    };
    let Some(bbox) = parts.bbox.or(around) else {
        if let Some(segmentation) = &parts.segmentation {
            insert(out, "segmentation", render_segmentation(segmentation, style));
        }
        return;
    };
    if let Some(segmentation) = &parts.segmentation {
        insert(out, "segmentation", render_segmentation(segmentation, style));
    } else if shape == Shape::Annotation && style.has("segmentation") {
        insert(out, "segmentation", Node::Array(Vec::new()));
    }
    // Boxes around masks, panoptic boxes and detections are mostly whole numbers.
    let point = shape == Shape::Annotation && !(masked && parts.bbox.is_none());
    if shape != Shape::Detection && style.has("area") {
        let area = parts.segmentation.as_ref().map_or_else(|| box_area(bbox), area_of);
        let number = style.number("area", shape == Shape::Annotation && !masked, area);
        insert(out, "area", number);
    }
    if parts.bbox.is_some() || style.has("bbox") {
        let numbers = bbox.iter().map(|&v| style.number("bbox", point, v)).collect();
        insert(out, "bbox", Node::Array(numbers));
    }
    if shape != Shape::Detection && style.has("iscrowd") {
        insert(out, "iscrowd", Node::Number(Cow::Borrowed("0")));
    }
}

fn render_segmentation<'a>(segmentation: &'a Segmentation, style: &Style) -> Node<'a> {
    match segmentation {
        Segmentation::Polygons(geometry) => {
            let write = |ring: &[f64]| {
                Node::Array(ring.iter().map(|&v| style.number("segmentation", true, v)).collect())
            };
            Node::Array(rings(geometry).unwrap_or_default().into_iter().map(write).collect())
        }
        Segmentation::Mask(size, text) => {
            let counts = match rle::decode(text).filter(|_| style.counts) {
                Some(runs) => {
                    let write = |run: &u32| Node::Number(Cow::Owned(run.to_string()));
                    Node::Array(runs.iter().map(write).collect())
                }
                None => Node::String(String::from_utf8_lossy(text)),
            };
            let size = Node::Array(size.iter().map(|&v| number(v)).collect());
            Node::Object(vec![("size".into(), size), ("counts".into(), counts)])
        }
    }
}

/// What a file says of an object beyond its parts, as the text of `extra`; `counts` says that it
/// writes runs as a list.
pub fn extra(
    shape: Shape,
    names: &Names<'_>,
    parts: &Parts,
    counts: bool,
    source: &Node<'_>,
) -> Option<String> {
    if shape == Shape::Annotation && is_plain(names, parts, source) {
        return None;
    }
    let mut style = Style { counts, ..Style::default() };
    let mut rendered = render(shape, names, parts, &style);
    let absent = |name: &&str| rendered.get(name).is_some() && source.get(name).is_none();
    style.absent = COMPUTED_MEMBERS.into_iter().filter(absent).collect();
    if !style.absent.is_empty() {
        rendered = render(shape, names, parts, &style);
    }
    let mut left = match json::node_residual(&rendered, source) {
        Some(Node::Object(left)) => left,
        _ => Vec::new(),
    };
    // A way of writing is cheaper than a list of number texts.
    for member in NUMBER_MEMBERS {
        let texts = |entry: &&Node<'_>| entry.get("~n").or(entry.get("~a")).is_some();
        let Some(entry) = find(&left, member).filter(texts) else { continue };
        let mut other = style.clone();
        other.flipped.push(member);
        let again = json::node_residual(&render(shape, names, parts, &other), source);
        let again = again.as_ref().and_then(|again| again.get(member));
        let cost = again.map_or(0, |again| again.to_text().len()) + member.len();
        if cost < entry.to_text().len() {
            let again = again.cloned();
            left.retain_mut(|(name, entry)| match &again {
                Some(again) if name == member => {
                    *entry = again.clone();
                    true
                }
                _ => name != member,
            });
            style = other;
        }
    }
    style.put(&mut left);
    (!left.is_empty()).then(|| Node::Object(left).to_text())
}

/// Whether a box says no more than the shape.
pub fn is_around(bbox: [f64; 4], segmentation: &Segmentation) -> bool {
    box_around_shape(segmentation)
        .is_some_and(|around| around.iter().zip(bbox).all(|(a, b)| (a - b).abs() < BOX_TOLERANCE))
}

/// The rings of a polygon's geometry; `None` where the counts do not fit.
pub fn rings(geometry: &[f64]) -> Option<Vec<&[f64]>> {
    let (count, mut rest) = geometry.split_first()?;
    let mut rings = Vec::new();
    while let Some((&points, after)) = rest.split_first() {
        if points < 0.0 || points.fract() != 0.0 || points > after.len() as f64 {
            return None;
        }
        let (ring, next) = after.split_at_checked(2 * points as usize)?;
        rings.push(ring);
        rest = next;
    }
    (rings.len() as f64 == *count).then_some(rings)
}

/// The area of a shape in pixels.
fn area_of(segmentation: &Segmentation) -> f64 {
    match segmentation {
        Segmentation::Polygons(geometry) => area(geometry),
        Segmentation::Mask(_, text) => rle::area(&rle::decode(text).unwrap_or_default()) as f64,
    }
}

/// The area of polygons.
pub fn area(geometry: &[f64]) -> f64 {
    rings(geometry).unwrap_or_default().into_iter().map(ring_area).sum()
}

/// The shoelace formula around the first point, in the order of operations that gives the areas
/// of COCO 2017 to the last digit.
fn ring_area(ring: &[f64]) -> f64 {
    let (points, _) = ring.as_chunks::<2>();
    let Some(&[x0, y0]) = points.first() else { return 0.0 };
    let n = points.len();
    let twice: f64 = (0..n)
        .map(|i| {
            let (before, after) = (points[(i + n - 1) % n], points[(i + 1) % n]);
            (points[i][0] - x0) * ((after[1] - y0) - (before[1] - y0))
        })
        .sum();
    twice.abs() / 2.0
}

/// The area of a box, with the digits that the exact product has.
fn box_area([_, _, w, h]: [f64; 4]) -> f64 {
    round(w * h, decimals(w) + decimals(h))
}

/// The box around a shape; `None` around nothing.
fn box_around_shape(segmentation: &Segmentation) -> Option<[f64; 4]> {
    match segmentation {
        Segmentation::Polygons(geometry) => box_around(geometry),
        Segmentation::Mask(size, text) => {
            Some(rle::bbox(&rle::decode(text)?, size[0] as u64).map(|v| v as f64))
        }
    }
}

/// The box around polygons; `None` around nothing.
pub fn box_around(geometry: &[f64]) -> Option<[f64; 4]> {
    let mut points = rings(geometry)?.into_iter().flat_map(|ring| ring.as_chunks::<2>().0);
    let &first = points.next()?;
    let (low, high) = points.fold((first, first), |(low, high), p| {
        ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
    });
    let side = |i: usize| round(high[i] - low[i], decimals(low[i]).max(decimals(high[i])));
    Some([low[0], low[1], side(0), side(1)])
}

/// Powers of ten that floats hold, for numbers of few decimals.
const TENS: [f64; 7] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6];
/// Whole numbers below have quotients by [`TENS`] of at most 15 digits, which floats tell apart.
const WHOLE_MAX: f64 = 1e15;

/// How many decimals the shortest text of a number has.
fn decimals(value: f64) -> usize {
    for (decimals, ten) in TENS.iter().enumerate() {
        let whole = (value * ten).round();
        if whole.abs() < WHOLE_MAX && whole / ten == value {
            return decimals;
        }
    }
    let text = value.to_string();
    text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

fn round(value: f64, decimals: usize) -> f64 {
    if decimals > DECIMALS_MAX {
        return value;
    }
    if let Some(ten) = TENS.get(decimals) {
        let scaled = value * ten;
        let whole = scaled.round();
        // Where the number is not near the middle, an error of the product has no say.
        if whole.abs() < WHOLE_MAX && (scaled - whole).abs() < 0.25 && whole != 0.0 {
            return whole / ten;
        }
    }
    format!("{value:.decimals$}").parse().unwrap_or(value)
}
