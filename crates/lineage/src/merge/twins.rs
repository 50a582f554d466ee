//! Answers that one annotator gave to one question on both sides.
//!
//! An answer is what one submission says to one question: all its labels, all its boxes, and what
//! is said of each of them. It is one of two or a conflict as a whole, for half of one answer and
//! half of another is what nobody said. Rows without submissions, or of one that both sides have,
//! pair one by one.

use std::collections::{BTreeMap, HashMap, HashSet};

use glossator_store::Result;
use glossator_store::geometry::Shape;
use glossator_store::merging::Take;
use glossator_store::schema::ANNOTATIONS;

use super::conflict::{larger, version};
use super::window::{Entry, Place, Window};

/// The overlap from which two regions are the same one.
const IOU_MIN: f64 = 0.5;

/// An answer of ours and one of theirs, by their rows; at most one of them has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Twin {
    pub(super) ours: Vec<Place>,
    pub(super) theirs: Vec<Place>,
    /// Whether they say the same.
    pub(super) equal: bool,
}

/// Whether a submission of a side, 0 for ours, was added there: the other side has none of its id.
pub(super) type IsNew<'n> = dyn FnMut(usize, &str) -> Result<bool> + 'n;

/// What a row is one of: target, field, and the region where it has no shape.
type Question<'w> = [Option<&'w str>; 3];

/// Rows of both sides.
type Sides = [Vec<Place>; 2];

/// Pairs answers of one item that were added on one side each.
pub(super) fn twins(
    window: &Window<'_>,
    ours: &[Entry<'_>],
    theirs: &[Entry<'_>],
    is_new: &mut IsNew<'_>,
) -> Result<Vec<Twin>> {
    let text = |place, name| window.text(place, column(name));
    // By source and annotator, then by submission.
    type Submissions<'w> = BTreeMap<Option<&'w str>, Sides>;
    let mut people: BTreeMap<[Option<&str>; 2], Submissions<'_>> = BTreeMap::new();
    for (side, entries) in [ours, theirs].into_iter().enumerate() {
        for place in entries.iter().filter_map(|entry| entry.new) {
            // Nobody stands by a draft, nor by what was skipped or answered anew.
            let status = text(place, "status").unwrap_or_default();
            if !["draft", "skipped", "superseded"].contains(&status) {
                let person = [text(place, "source"), text(place, "annotator_id")];
                let submissions = people.entry(person).or_default();
                submissions.entry(text(place, "submission_id")).or_default()[side].push(place);
            }
        }
    }
    let mut made = Vec::new();
    for submissions in people.into_values() {
        let mut apart: Sides = Sides::default();
        for [ours, theirs] in submissions.into_values() {
            if ours.is_empty() || theirs.is_empty() {
                apart[0].extend(ours);
                apart[1].extend(theirs);
            } else {
                made.extend(row_by_row(window, [ours, theirs]));
            }
        }
        if apart.iter().all(|side| !side.is_empty()) {
            whole_answers(window, &apart, is_new, &mut made)?;
        }
    }
    Ok(made)
}

fn column(name: &str) -> Option<usize> {
    ANNOTATIONS.column(name)
}

fn is_relation(window: &Window<'_>, place: Place) -> bool {
    window.text(place, column("kind")) == Some("relation")
}

fn has_shape(window: &Window<'_>, place: Place) -> bool {
    ["geometry", "mask"].iter().any(|name| {
        column(name).is_some_and(|column| !window.rows[place.0].column(column).is_null(place.1))
    })
}

/// What a row says, whoever said it.
fn content(window: &Window<'_>, place: Place) -> Vec<u8> {
    const DECIDED: [&str; 10] = [
        "kind", "label", "negative", "geometry", "unit", "frame", "refs", "text", "number", "mask",
    ];
    let mut bytes = Vec::new();
    let rows = &window.rows[place.0];
    rows.encode_columns(place.1, &mut bytes, |column| DECIDED.contains(&column.name));
    bytes
}

/// Pairs rows one by one: equal ones first, then regions by overlap, then what is of the whole item
/// in order of ids. What is of the whole item and finds no partner is half a twin; a region that
/// finds none is an object that one side alone saw.
fn row_by_row(window: &Window<'_>, sides: Sides) -> Vec<Twin> {
    let mut questions: BTreeMap<Question<'_>, Sides> = BTreeMap::new();
    for (side, places) in sides.into_iter().enumerate() {
        for place in places.into_iter().filter(|place| !is_relation(window, *place)) {
            let text = |name| window.text(place, column(name));
            let region = if has_shape(window, place) { None } else { text("region_id") };
            let question = [text("target"), text("field"), region];
            questions.entry(question).or_default()[side].push(place);
        }
    }
    questions.retain(|_, sides| sides.iter().all(|side| !side.is_empty()));
    questions.into_values().flat_map(|[ours, theirs]| pair(window, ours, theirs)).collect()
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
    let twin = |a, b, equal| Twin { ours: vec![a], theirs: vec![b], equal };
    let says = |place: &Place| (content(window, *place), *place);
    let mut same: Vec<(Vec<u8>, Place)> = theirs.iter().map(says).collect();
    ours.retain(|&a| {
        let own = content(window, a);
        let Some(at) = same.iter().position(|(other, _)| *other == own) else { return true };
        made.push(twin(a, same.remove(at).1, true));
        false
    });
    theirs.retain(|place| same.iter().any(|(_, left)| left == place));
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
            made.push(twin(a, b, false));
        }
    }
    ours.retain(|place| !has_shape(window, *place));
    theirs.retain(|place| !has_shape(window, *place));
    let (mut a, mut b) = (ours.into_iter(), theirs.into_iter());
    loop {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            (a.next().into_iter().collect(), b.next().into_iter().collect());
        if ours.is_empty() && theirs.is_empty() {
            return made;
        }
        made.push(Twin { ours, theirs, equal: false });
    }
}

/// Pairs answers of submissions that one side alone has: equal ones first, the others in order of
/// ids. One that finds no partner is a further answer.
fn whole_answers(
    window: &Window<'_>,
    sides: &Sides,
    is_new: &mut IsNew<'_>,
    made: &mut Vec<Twin>,
) -> Result<()> {
    for question in questions(window, sides) {
        let [mut ours, mut theirs] = [BTreeMap::new(), BTreeMap::new()];
        for (side, answers) in [&mut ours, &mut theirs].into_iter().enumerate() {
            for place in &question[side] {
                let submission = window.text(*place, column("submission_id"));
                answers.entry(submission).or_insert_with(Vec::new).push(*place);
            }
        }
        // An answer that got a row more is an old one, changed.
        for (side, answers) in [&mut ours, &mut theirs].into_iter().enumerate() {
            let mut old = HashSet::new();
            for id in answers.keys().filter_map(|id| *id) {
                if !is_new(side, id)? {
                    old.insert(id);
                }
            }
            answers.retain(|id, _| id.is_none_or(|id| !old.contains(id)));
        }
        let mut said: Vec<(Vec<u8>, Vec<Place>)> =
            theirs.into_values().map(|answer| (whole(window, &answer), answer)).collect();
        let mut left = Vec::new();
        for ours in ours.into_values() {
            let own = whole(window, &ours);
            match said.iter().position(|(other, _)| *other == own) {
                Some(at) => made.push(Twin { ours, theirs: said.remove(at).1, equal: true }),
                None => left.push(ours),
            }
        }
        let rest = left.into_iter().zip(said);
        made.extend(rest.map(|(ours, (_, theirs))| Twin { ours, theirs, equal: false }));
    }
    Ok(())
}

/// Rows by question: target and field. What is said of a region that somebody drew goes with what
/// drew it, and so do relations.
fn questions(window: &Window<'_>, sides: &Sides) -> Vec<Sides> {
    let text = |place, name| window.text(place, column(name));
    let mut joined = Joined::default();
    let mut drawn: HashMap<[Option<&str>; 2], usize> = HashMap::new();
    let all = || sides.iter().flatten().copied();
    let named = |place| [text(place, "target"), text(place, "field")];
    for place in all().filter(|place| has_shape(window, *place)) {
        let region = text(place, "region_id");
        if region.is_some() {
            let node = joined.node(named(place));
            let other = *drawn.entry([text(place, "submission_id"), region]).or_insert(node);
            joined.join(node, other);
        }
    }
    for place in all().filter(|place| !has_shape(window, *place)) {
        let node = joined.node(named(place));
        let ends = column("refs").and_then(|c| window.rows[place.0].column(c).texts(place.1));
        let ends = ends.filter(|_| is_relation(window, place)).unwrap_or_default();
        for region in text(place, "region_id").into_iter().chain(ends) {
            if let Some(&other) = drawn.get(&[text(place, "submission_id"), Some(region)]) {
                joined.join(node, other);
            }
        }
    }
    let mut found: BTreeMap<usize, Sides> = BTreeMap::new();
    for (side, places) in sides.iter().enumerate() {
        for place in places {
            let node = joined.node(named(*place));
            found.entry(joined.first(node)).or_default()[side].push(*place);
        }
    }
    let answers = |sides: &Sides| sides.iter().all(|s| s.iter().any(|p| !is_relation(window, *p)));
    found.into_values().filter(answers).collect()
}

/// Questions that are answered together.
#[derive(Default)]
struct Joined<'w> {
    nodes: HashMap<[Option<&'w str>; 2], usize>,
    /// The question that each goes with; itself where it is the first.
    with: Vec<usize>,
}

impl<'w> Joined<'w> {
    fn node(&mut self, question: [Option<&'w str>; 2]) -> usize {
        let next = self.with.len();
        let node = *self.nodes.entry(question).or_insert(next);
        if node == next {
            self.with.push(next);
        }
        node
    }

    fn first(&self, mut node: usize) -> usize {
        while self.with[node] != node {
            node = self.with[node];
        }
        node
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.with[a.max(b)] = a.min(b);
    }
}

/// What an answer says: its regions, and what is said of each, in whichever order.
fn whole(window: &Window<'_>, answer: &[Place]) -> Vec<u8> {
    let region = |place: Place| window.text(place, column("region_id"));
    let drawn: HashSet<&str> =
        answer.iter().filter(|p| has_shape(window, **p)).filter_map(|p| region(*p)).collect();
    let mut regions: BTreeMap<(Option<&str>, usize), Vec<Vec<u8>>> = BTreeMap::new();
    for (at, place) in answer.iter().enumerate() {
        let key = match region(*place).filter(|region| drawn.contains(region)) {
            Some(region) => (Some(region), 0),
            None => (None, at),
        };
        let field = [column("target"), column("field")].map(|c| window.text(*place, c));
        let mut bytes = format!("{field:?}").into_bytes();
        bytes.extend(content(window, *place));
        regions.entry(key).or_default().push(bytes);
    }
    let together = |mut parts: Vec<Vec<u8>>| -> Vec<u8> {
        parts.sort_unstable();
        let sized = |part: Vec<u8>| [&(part.len() as u64).to_le_bytes()[..], &part].concat();
        parts.into_iter().flat_map(sized).collect()
    };
    let regions = regions.into_values().map(together);
    together(regions.collect())
}

/// What speaks for one of two equal answers.
struct Standing<'w> {
    reviewed: bool,
    gold: bool,
    policy: Option<&'w str>,
    /// Decides where nothing else does: some id is the lesser one.
    id: [Option<&'w str>; 2],
}

impl<'w> Standing<'w> {
    fn of(window: &Window<'w>, answer: &[Place]) -> Self {
        let text = |place: &Place, name| window.text(*place, column(name));
        let reviewed = |place: &Place| {
            ["accepted", "rejected", "fixed"].contains(&text(place, "status").unwrap_or_default())
        };
        let gold = |place: &Place| {
            let view = column("gold").map(|column| window.rows[place.0].column(column));
            view.and_then(|view| view.bool(place.1)) == Some(true)
        };
        let first = |name| answer.first().and_then(|place| text(place, name));
        Self {
            reviewed: answer.iter().any(reviewed),
            gold: answer.iter().any(gold),
            policy: first("policy"),
            id: [first("submission_id"), first("annotation_id")],
        }
    }
}

/// Which of two equal answers stays, as the one that has all that the other has: a review, the mark
/// of a reference, the later policy. Both stay where each has something, or both were reviewed.
pub(super) fn the_one_of(window: &Window<'_>, ours: &[Place], theirs: &[Place]) -> Take {
    let [own, other] = [ours, theirs].map(|answer| Standing::of(window, answer));
    if own.reviewed && other.reviewed {
        return Take::Both;
    }
    let policy = match (own.policy, other.policy) {
        (own, other) if own == other => None,
        (Some(own), Some(other)) => {
            let versions = version(own).zip(version(other)).filter(|(a, b)| a.0 == b.0);
            // Two policies of which neither is the later one.
            let Some((own, other)) = versions else { return Take::Both };
            larger(own.1.cmp(&other.1))
        }
        (own, _) => Some(if own.is_some() { Take::Ours } else { Take::Theirs }),
    };
    let marks = [larger(own.reviewed.cmp(&other.reviewed)), larger(own.gold.cmp(&other.gold))];
    let speak: Vec<Take> = marks.into_iter().chain([policy]).flatten().collect();
    match speak.first() {
        None if own.id <= other.id => Take::Ours,
        None => Take::Theirs,
        Some(take) if speak.iter().all(|other| other == take) => *take,
        Some(_) => Take::Both,
    }
}

/// The first rows of two answers that the other has not; the first of all where it has them all.
pub(super) fn first_that_differ(
    window: &Window<'_>,
    ours: &[Place],
    theirs: &[Place],
) -> [Option<Place>; 2] {
    let says = |rows: &[Place]| -> Vec<Vec<u8>> {
        rows.iter().map(|place| content(window, *place)).collect()
    };
    let (own, other) = (says(ours), says(theirs));
    let first = |rows: &[Place], said: &[Vec<u8>], others: &[Vec<u8>]| {
        let at = said.iter().position(|content| !others.contains(content));
        rows.get(at.unwrap_or_default()).copied()
    };
    [first(ours, &own, &other), first(theirs, &other, &own)]
}
