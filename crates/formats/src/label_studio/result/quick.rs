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

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::label_studio::result;

    const RESULTS: [&str; 6] = [
        r#"{"id":"a","from_name":"b","to_name":"i","type":"rectanglelabels","original_width":64,
            "original_height":48,"image_rotation":0,"origin":"manual","value":{"x":10,"y":12.5,
            "width":33.333333,"height":37.511740301468244,"rotation":0,"rectanglelabels":["c"]}}"#,
        r#"{"id":"a","from_name":"b","to_name":"i","type":"rectanglelabels","meta":{"text":["n"]},
            "value":{"x":1,"y":2,"width":3,"height":4,"rotation":1.5,
            "rectanglelabels":["c","d"]}}"#,
        r#"{"id":"a","from_name":"b","to_name":"i","type":"polygonlabels","value":{"points":[[1,2],
            [3.25,4],[5,6e-7]],"closed":true,"polygonlabels":["c"]}}"#,
        r#"{"id":"a","from_name":"b","to_name":"i","type":"choices",
            "value":{"choices":["c","d"]}}"#,
        r#"{"id":"a","from_name":"b","to_name":"i","type":"labels","value":{"start":0,"end":7,
            "text":"Z\u00eb","labels":["c"]}}"#,
        r#"{"value":{"labels":["c"],"text":"t","end":7,"start":0},"type":"labels","to_name":"i",
            "from_name":"b","id":"a","hidden":false}"#,
    ];

    fn shown(mut row: Row) -> (String, Option<String>) {
        let extra = row.extra_cell();
        (row.extra, row.said) = (Map::new(), None);
        (format!("{row:?}"), extra)
    }

    /// Each result as it is, and with one of its scalars as something else.
    #[test]
    fn what_is_read_quickly_is_read_the_same() {
        let mut quick = 0;
        for text in RESULTS {
            for (from, to) in [
                ("", ""),
                ("\"x\":1", "\"x\":1.0"),
                ("12.5", "12.50"),
                ("\"rotation\":0", "\"rotation\":0.0"),
                ("true", "false"),
                ("[1,2]", "[-0,2]"),
                ("6e-7", "6.125"),
                ("\"start\":0", "\"start\":0.5"),
                ("64", "65"),
                ("\"origin\"", "\"~o\""),
                ("\"manual\"", "{\"~v\":1}"),
                ("\"id\"", "\"score\":0.5,\"id\""),
                ("[\"c\"]", "[]"),
            ] {
                let text = text.replacen(from, to, 1);
                let value: Value = crate::json::parse(&text).unwrap();
                let node = Node::from(&value);
                for size in [None, Some((64, 48))] {
                    let mut scene = Scene::new(size, false);
                    let Some(rows) = read(&node, &scene) else { continue };
                    let slow = result::read(&value, &mut scene, "").unwrap();
                    let (rows, slow): (Vec<_>, Vec<_>) = (
                        rows.into_iter().map(shown).collect(),
                        slow.into_iter().map(shown).collect(),
                    );
                    assert_eq!(rows, slow, "{text} with {size:?}");
                    quick += 1;
                }
            }
        }
        assert!(quick > 60, "{quick} were read quickly");
    }
}
