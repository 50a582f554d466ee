//! Objects that say no more than their rows do, told without writing them anew.
//!
//! Most objects of most files are such: a polygon, with the box and the area that follow from it.
//! Whatever is not surely one is compared with what [`super::object::render`] writes.

use super::object::{Names, Parts, Segmentation, area, box_around, number};
use crate::json::{Node, find};

/// How many members such an object has.
const MEMBERS: usize = 7;
/// Decimals of so many digits are their floats' shortest texts.
const DIGITS_MAX: usize = 15;
/// From here on, floats are written without an exponent, up to [`SIZE_MAX`].
const SIZE_MIN: f64 = 1e-3;
const SIZE_MAX: f64 = 1e15;

/// Whether an annotation of a dataset is surely what its parts alone make of it.
pub fn is_plain(names: &Names<'_>, parts: &Parts, source: &Node<'_>) -> bool {
    let Some(Segmentation::Polygons(geometry)) = &parts.segmentation else { return false };
    let Some(members) = source.as_object() else { return false };
    let more = parts.keypoints.is_some() || parts.caption.is_some();
    if more || members.len() != MEMBERS {
        return false;
    }
    let is = |name: &str, node: &Node<'_>| find(members, name) == Some(node);
    let Some(bbox) = parts.bbox.or_else(|| box_around(geometry)) else { return false };
    let around = match find(members, "bbox").and_then(Node::as_array) {
        Some(numbers) => numbers.len() == 4 && numbers.iter().zip(bbox).all(|(n, v)| writes(n, v)),
        None => false,
    };
    around
        && is("id", &names.id)
        && is("image_id", &names.image_id)
        && names.category_id.as_ref().is_some_and(|id| is("category_id", id))
        && matches!(find(members, "iscrowd"), Some(Node::Number(text)) if text == "0")
        && find(members, "area").is_some_and(|node| writes(node, area(geometry)))
        && find(members, "segmentation").is_some_and(|rings| writes_rings(rings, geometry))
}

/// Whether rings are written as their geometry is, which was read from them.
fn writes_rings(rings: &Node<'_>, geometry: &[f64]) -> bool {
    let mut at = 1;
    rings.as_array().unwrap_or_default().iter().all(|ring| {
        let numbers = ring.as_array().unwrap_or_default();
        let values = geometry.get(at + 1..at + 1 + numbers.len()).unwrap_or_default();
        at += 1 + numbers.len();
        values.len() == numbers.len()
            && numbers.iter().zip(values).all(|(number, value)| is_written(number, *value))
    })
}

/// Whether a number is the text of a value.
fn writes(node: &Node<'_>, value: f64) -> bool {
    node.as_f64().is_some_and(|read| read.to_bits() == value.to_bits()) && is_written(node, value)
}

/// Whether a number is written as its value is, which was read from it.
fn is_written(node: &Node<'_>, value: f64) -> bool {
    let Node::Number(text) = node else { return false };
    let size = value.abs();
    if let Some((_, fraction)) = text.split_once('.')
        && text.len() <= DIGITS_MAX
        && (SIZE_MIN..SIZE_MAX).contains(&size)
        && !text.contains('e')
    {
        // A whole number has one decimal, any other number none that is spare.
        return fraction == "0" || !fraction.ends_with('0');
    }
    let written = match value.fract() == 0.0 && size < SIZE_MAX {
        true => format!("{value:.1}"),
        false => return number(value) == *node,
    };
    *text == written
}

#[cfg(test)]
mod tests {
    use super::super::object::{Shape, Style, render};
    use super::super::parse::Read;
    use super::*;
    use crate::json::{node_residual, parse};

    const OBJECT: &str = r#"{"segmentation":[[10.0,10.0,20.5,10.0,20.5,30.25,10.0,30.25]],
        "area":212.625,"iscrowd":0,"image_id":7,"bbox":[10.0,10.0,10.5,20.25],"category_id":1,
        "id":9}"#;

    /// An object as it is, and with one thing written otherwise.
    #[test]
    fn a_plain_object_is_what_would_be_written() {
        let mut plain = 0;
        for (from, to) in [
            ("", ""),
            ("10.0", "10"),
            ("20.5", "20.50"),
            ("30.25", "3.025e+1"),
            ("10.0", "-0.0"),
            ("10.0", "0.0001"),
            ("10.0", "1.0000000000000002"),
            ("212.625", "212.6"),
            ("212.625", "212"),
            ("\"iscrowd\":0", "\"iscrowd\":1"),
            ("20.25]", "20.26]"),
            ("20.25]", "20.250]"),
            ("\"id\"", "\"more\":0,\"id\""),
            ("\"iscrowd\"", "\"crowd\""),
            ("\"id\":9", "\"id\":\"9\""),
        ] {
            let value = parse(&OBJECT.replacen(from, to, usize::from(!from.is_empty()))).unwrap();
            let node = Node::from(&value);
            let mut read = Read::new(&node).unwrap();
            read.drop_derived_box();
            let names = Names {
                id: Node::Number("9".into()),
                image_id: Node::Number("7".into()),
                category_id: Some(Node::Number("1".into())),
            };
            let written = render(Shape::Annotation, &names, &read.parts, &Style::default());
            let same = node_residual(&written, &node).is_none();
            if is_plain(&names, &read.parts, &node) {
                assert!(same, "{from} as {to}");
                plain += 1;
            }
        }
        assert!(plain >= 1, "the object itself is plain");
    }
}
