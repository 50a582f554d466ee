//! The most common results, read and compared with what an export would write in one go.
//!
//! Whatever is not surely said by its row is left to [`super::read`], which says the same of those
//! that are.

use std::borrow::Cow;

use super::{Row, Scene};
use crate::json::{Member, Node, find, writes};

/// What a common result holds, and how many members its `value` has.
struct Common<'n, 'a> {
    kind: &'static str,
    unit: Option<&'static str>,
    geometry: Option<Vec<f64>>,
    text: Option<&'n str>,
    labels: &'n [Node<'a>],
    members: usize,
    on_image: bool,
}

/// The rows of a result that is one of the common ones, and whose region no other result has.
pub(in crate::label_studio) fn read(result: &Node<'_>, scene: &Scene) -> Option<Vec<Row>> {
    let members = result.as_object()?;
    let text = |name: &str| find(members, name).and_then(Node::as_str);
    let (region, field, target) = (text("id")?, text("from_name")?, text("to_name")?);
    if region.len() > crate::label_studio::ID_BYTES_MAX || scene.is_shared(region) {
        return None;
    }
    let value = find(members, "value")?.as_object()?;
    let common = match text("type")? {
        "rectanglelabels" => rectangle(value)?,
        "polygonlabels" => polygon(value)?,
        "choices" => choices(value)?,
        "labels" => span(value)?,
        _ => return None,
    };
    if value.len() != common.members || common.labels.is_empty() {
        return None;
    }
    let labels: Option<Vec<&str>> = common.labels.iter().map(Node::as_str).collect();
    let said = more(members, scene.size.filter(|_| common.on_image))?;
    let mut row = Row {
        region: Some(region.to_owned()),
        field: field.to_owned(),
        target: Some(target.to_owned()),
        kind: Cow::Borrowed(common.kind),
        unit: common.unit.map(Cow::Borrowed),
        geometry: common.geometry,
        text: common.text.map(str::to_owned),
        said: (!said.is_empty()).then_some(said),
        ..Row::default()
    };
    let (last, others) = labels.as_deref()?.split_last()?;
    let mut rows = Vec::with_capacity(others.len() + 1);
    for label in others {
        rows.push(Row { label: Some((*label).to_owned()), ..row.clone() });
    }
    row.label = Some((*last).to_owned());
    rows.push(row);
    Some(rows)
}

/// The members that no column says, as members of `extra`; `None` where one is said otherwise.
fn more(members: &[Member<'_>], size: Option<(i64, i64)>) -> Option<String> {
    let (mut said, mut sized) = (String::new(), 0);
    let is = |node: &Node<'_>, number: i64| node.as_i64() == Some(number);
    for (name, node) in members {
        match (&**name, size) {
            ("id" | "from_name" | "to_name" | "type" | "value", _) => continue,
            ("original_width", Some((width, _))) if is(node, width) => sized += 1,
            ("original_height", Some((_, height))) if is(node, height) => sized += 1,
            ("image_rotation", Some(_)) if is(node, 0) => sized += 1,
            ("original_width" | "original_height" | "image_rotation", Some(_)) => return None,
            ("score", _) => return None,
            (name, _) => {
                let odd = |(name, _): &Member<'_>| name.starts_with('~');
                if name.starts_with('~') || node.as_object().is_some_and(|all| all.iter().any(odd))
                {
                    return None;
                }
                if !said.is_empty() {
                    said.push(',');
                }
                Node::from(name).write(&mut said);
                said.push(':');
                node.write(&mut said);
            }
        }
    }
    (size.is_none() || sized == 3).then_some(said)
}

/// The value of a number that is written as an export writes it.
fn number(node: &Node<'_>) -> Option<f64> {
    let value = node.as_f64()?;
    matches!(node, Node::Number(text) if writes(text, value)).then_some(value)
}

fn numbers<const N: usize>(value: &[Member<'_>], names: [&str; N]) -> Option<[f64; N]> {
    let mut numbers = [0.0; N];
    for (slot, name) in numbers.iter_mut().zip(names) {
        *slot = number(find(value, name)?)?;
    }
    Some(numbers)
}

fn rectangle<'n, 'a>(value: &'n [Member<'a>]) -> Option<Common<'n, 'a>> {
    let place = numbers(value, ["x", "y", "width", "height", "rotation"])?;
    let [_, _, width, height, rotation] = place;
    if width <= 0.0 || height <= 0.0 {
        return None;
    }
    let (kind, used) = if rotation == 0.0 { ("bbox", 4) } else { ("rotated_bbox", 5) };
    Some(Common {
        kind,
        unit: Some("percent"),
        geometry: Some(place[..used].to_vec()),
        text: None,
        labels: find(value, "rectanglelabels")?.as_array()?,
        members: 6,
        on_image: true,
    })
}

fn polygon<'n, 'a>(value: &'n [Member<'a>]) -> Option<Common<'n, 'a>> {
    let points = find(value, "points")?.as_array()?;
    if points.len() < 3 || !matches!(find(value, "closed"), Some(Node::Bool(true))) {
        return None;
    }
    let mut geometry = Vec::with_capacity(2 + 2 * points.len());
    geometry.extend([1.0, points.len() as f64]);
    for point in points {
        let [x, y] = point.as_array()? else { return None };
        geometry.extend([number(x)?, number(y)?]);
    }
    Some(Common {
        kind: "polygon",
        unit: Some("percent"),
        geometry: Some(geometry),
        text: None,
        labels: find(value, "polygonlabels")?.as_array()?,
        members: 3,
        on_image: true,
    })
}

fn choices<'n, 'a>(value: &'n [Member<'a>]) -> Option<Common<'n, 'a>> {
    Some(Common {
        kind: "choice",
        unit: None,
        geometry: None,
        text: None,
        labels: find(value, "choices")?.as_array()?,
        members: 1,
        on_image: false,
    })
}

/// A span of plain text.
fn span<'n, 'a>(value: &'n [Member<'a>]) -> Option<Common<'n, 'a>> {
    let ends = numbers(value, ["start", "end"])?;
    if ends[1] < ends[0] || ends.iter().any(|end| end.fract() != 0.0) {
        return None;
    }
    Some(Common {
        kind: "span",
        unit: Some("codepoint"),
        geometry: Some(ends.to_vec()),
        text: Some(find(value, "text")?.as_str()?),
        labels: find(value, "labels")?.as_array()?,
        members: 4,
        on_image: false,
    })
}
