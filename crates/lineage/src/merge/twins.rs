//! Answers that one annotator gave to one question on both sides.

use std::collections::BTreeMap;

use glossator_store::geometry::Shape;
use glossator_store::schema::ANNOTATIONS;

use super::window::{Entry, Place, Window};

/// The overlap from which two regions are the same one.
const IOU_MIN: f64 = 0.5;

/// An answer of ours and one of theirs; at most one of them is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twin {
    pub(super) ours: Option<Place>,
    pub(super) theirs: Option<Place>,
    /// Whether they say the same.
    pub(super) equal: bool,
}

/// What a twin is one of: source, annotator, target, field, and the region where it has no shape.
type Question<'w> = [Option<&'w str>; 5];

/// Pairs rows of one item that were added on one side each: equal ones first, then regions by
/// overlap, then what is of the whole item in order of ids. What is of the whole item and finds no
/// partner is half a twin; a region that finds none is an object that one side alone saw.
pub(super) fn twins(window: &Window<'_>, ours: &[Entry<'_>], theirs: &[Entry<'_>]) -> Vec<Twin> {
    let mut groups: BTreeMap<Question<'_>, [Vec<Place>; 2]> = BTreeMap::new();
    for (side, entries) in [ours, theirs].into_iter().enumerate() {
        for place in entries.iter().filter_map(|entry| entry.new) {
            if let Some(question) = question(window, place) {
                groups.entry(question).or_default()[side].push(place);
            }
        }
    }
    groups.retain(|_, sides| sides.iter().all(|side| !side.is_empty()));
    groups.into_values().flat_map(|[ours, theirs]| pair(window, ours, theirs)).collect()
}

fn column(name: &str) -> Option<usize> {
    ANNOTATIONS.column(name)
}

fn question<'w>(window: &Window<'w>, place: Place) -> Option<Question<'w>> {
    let text = |name| window.text(place, column(name));
    if text("kind") == Some("relation") {
        return None;
    }
    let region = if has_shape(window, place) { None } else { text("region_id") };
    Some([text("source"), text("annotator_id"), text("target"), text("field"), region])
}

fn has_shape(window: &Window<'_>, place: Place) -> bool {
    ["geometry", "mask"].iter().any(|name| {
        column(name).is_some_and(|column| !window.rows[place.0].column(column).is_null(place.1))
    })
}

/// Whether two rows decide the same.
fn same_answer(window: &Window<'_>, a: Place, b: Place) -> bool {
    let decided = [
        "kind", "label", "negative", "geometry", "unit", "frame", "refs", "text", "number", "mask",
    ];
    window.same(Some(a), Some(b), |column| decided.contains(&ANNOTATIONS.columns[column].name))
}

fn iou(window: &Window<'_>, a: Place, b: Place) -> Option<f64> {
    let shape = |place: Place| {
        let floats = window.rows[place.0].column(column("geometry")?).floats(place.1)?;
        Shape::decode(window.text(place, column("kind"))?, floats)
    };
    let alike = ["kind", "unit", "frame"];
    let alike = window.same(Some(a), Some(b), |c| alike.contains(&ANNOTATIONS.columns[c].name));
    if alike { shape(a)?.iou(&shape(b)?) } else { None }
}

fn pair(window: &Window<'_>, mut ours: Vec<Place>, mut theirs: Vec<Place>) -> Vec<Twin> {
    let mut made = Vec::new();
    ours.retain(|&a| match theirs.iter().position(|&b| same_answer(window, a, b)) {
        Some(at) => {
            made.push(Twin { ours: Some(a), theirs: Some(theirs.remove(at)), equal: true });
            false
        }
        None => true,
    });
    let mut overlaps = Vec::new();
    for &a in ours.iter().filter(|place| has_shape(window, **place)) {
        for &b in theirs.iter().filter(|place| has_shape(window, **place)) {
            let overlap = iou(window, a, b).filter(|overlap| *overlap >= IOU_MIN);
            overlaps.extend(overlap.map(|overlap| (overlap, a, b)));
        }
    }
    let key = |place: Place| window.rows[place.0].key(place.1);
    // The best first; of equally good ones in an order that no side decides.
    overlaps.sort_by(|x, y| {
        let ends = |a, b| if key(a) <= key(b) { (key(a), key(b)) } else { (key(b), key(a)) };
        y.0.total_cmp(&x.0).then_with(|| ends(x.1, x.2).cmp(&ends(y.1, y.2)))
    });
    for (_, a, b) in overlaps {
        if ours.contains(&a) && theirs.contains(&b) {
            ours.retain(|place| *place != a);
            theirs.retain(|place| *place != b);
            made.push(Twin { ours: Some(a), theirs: Some(b), equal: false });
        }
    }
    ours.retain(|place| !has_shape(window, *place));
    theirs.retain(|place| !has_shape(window, *place));
    let (mut a, mut b) = (ours.into_iter(), theirs.into_iter());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return made,
            (ours, theirs) => made.push(Twin { ours, theirs, equal: false }),
        }
    }
}
