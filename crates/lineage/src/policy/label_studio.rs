//! Policies from and to Label Studio's labelling configuration (XML).
//!
//! Control tags, their `value`, `background` and `alias` attributes are those of
//! <https://labelstud.io/tags/>.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, Writer};

use super::{Cardinality, Field, Label, PARENTS_MAX, Policy, PolicyError, Vocabulary};

/// Control tags with the kind of their answers and the tag of a label.
const CONTROLS: &[(&str, &str, Option<&str>)] = &[
    ("Choices", "choice", Some("Choice")),
    ("Taxonomy", "choice", Some("Choice")),
    ("RectangleLabels", "bbox", Some("Label")),
    ("EllipseLabels", "ellipse", Some("Label")),
    ("PolygonLabels", "polygon", Some("Label")),
    ("KeyPointLabels", "keypoints", Some("Label")),
    ("BrushLabels", "mask", Some("Label")),
    ("VideoRectangle", "bbox", None),
    ("Labels", "span", Some("Label")),
    ("HyperTextLabels", "span", Some("Label")),
    ("ParagraphLabels", "span", Some("Label")),
    ("TimeSeriesLabels", "time_span", Some("Label")),
    ("TimelineLabels", "time_span", Some("Label")),
    ("Rating", "number", None),
    ("Number", "number", None),
    ("TextArea", "text", None),
    ("DateTime", "datetime", None),
    ("Pairwise", "pairwise", None),
    ("Ranker", "ranking", None),
];

/// Elements below each other at most.
const DEPTH_MAX: usize = PARENTS_MAX;

/// An attribute's value.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, PolicyError> {
    let bad = |e: &dyn std::fmt::Display| PolicyError::Syntax(e.to_string());
    for found in tag.attributes() {
        let found = found.map_err(|e| bad(&e))?;
        if found.key.as_ref() == name.as_bytes() {
            let value = found.decode_and_unescape_value(tag.decoder()).map_err(|e| bad(&e))?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

/// Reads the questions and labels of a configuration.
pub(super) fn fields(xml: &str) -> Result<Vec<Field>, PolicyError> {
    let mut reader = Reader::from_str(xml);
    let mut fields: Vec<Field> = Vec::new();
    // The elements around; of labels, their paths.
    let mut open: Vec<(String, Option<String>)> = Vec::new();
    loop {
        let at = reader.buffer_position();
        let bad = |what: String| {
            let before = xml.get(..at as usize).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            PolicyError::Syntax(format!("line {line}: {what}"))
        };
        let event = reader.read_event().map_err(|e| bad(e.to_string()))?;
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                let path = element(tag, &name, &open, &mut fields)?;
                if matches!(event, Event::Start(_)) {
                    if open.len() >= DEPTH_MAX {
                        return Err(bad("elements are nested too deep".to_owned()));
                    }
                    open.push((name, path));
                }
            }
            Event::End(_) => drop(open.pop()),
            Event::Eof if !open.is_empty() => {
                return Err(bad(format!("`<{}>` is not closed", open[open.len() - 1].0)));
            }
            Event::Eof => return Ok(fields),
            _ => {}
        }
    }
}

/// Takes in one element; gives the path of a label.
fn element(
    tag: &BytesStart<'_>,
    name: &str,
    open: &[(String, Option<String>)],
    fields: &mut Vec<Field>,
) -> Result<Option<String>, PolicyError> {
    if let Some((_, kind, labels)) = CONTROLS.iter().find(|(control, ..)| *control == name) {
        let Some(own) = attribute(tag, "name")? else {
            return Err(PolicyError::Syntax(format!("a `<{name}>` has no `name`")));
        };
        let choice = attribute(tag, "choice")?;
        let many = choice.as_deref() == Some("multiple") || name == "Taxonomy";
        fields.push(Field {
            name: own,
            kind: Some((*kind).to_owned()),
            scale: None,
            order: Vec::new(),
            cardinality: (*kind == "choice").then_some(match many {
                true => Cardinality::Many,
                false => Cardinality::One,
            }),
            required: attribute(tag, "required")?.as_deref() == Some("true"),
            merge: None,
            labels: if labels.is_some() { Vocabulary::Closed } else { Vocabulary::Open },
            taxonomy: Vec::new(),
        });
        return Ok(None);
    }
    let Some(field) = fields.last_mut().filter(|_| name == "Choice" || name == "Label") else {
        return Ok(None);
    };
    let Some(value) = attribute(tag, "value")? else {
        return Err(PolicyError::Syntax(format!("a `<{name}>` has no `value`")));
    };
    // The alias is what answers hold, where there is one.
    let own = attribute(tag, "alias")?.unwrap_or(value);
    let parent = open.last().and_then(|(_, path)| path.clone());
    let path = parent.as_ref().map_or(own.clone(), |parent| format!("{parent}/{own}"));
    field.taxonomy.push(Label {
        name: path.clone(),
        parent,
        color: attribute(tag, "background")?,
        description: attribute(tag, "hint")?,
        ..Label::default()
    });
    Ok(Some(path))
}

/// Writes a labelling configuration that asks a policy's questions of one item.
///
/// Media are named `$image` for areas and `$text` for spans and choices; `label-config.xml` beside
/// the policy, where there is one, says it better.
pub fn to_label_config(policy: &Policy) -> Result<String, PolicyError> {
    let bad = |e: std::io::Error| PolicyError::Syntax(e.to_string());
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let areas = ["bbox", "rotated_bbox", "ellipse", "polygon", "keypoints", "mask"];
    let of_image = |field: &Field| field.kind.as_deref().is_some_and(|kind| areas.contains(&kind));
    let image = policy.fields.iter().any(of_image);
    let (object, value) = if image { ("Image", "$image") } else { ("Text", "$text") };
    let target = object.to_lowercase();
    writer
        .create_element("View")
        .write_inner_content(|writer| {
            writer
                .create_element(object)
                .with_attributes([("name", target.as_str()), ("value", value)])
                .write_empty()?;
            for field in &policy.fields {
                control(writer, field, &target)?;
            }
            Ok(())
        })
        .map_err(bad)?;
    let mut text =
        String::from_utf8(writer.into_inner()).map_err(|e| PolicyError::Syntax(e.to_string()))?;
    text.push('\n');
    Ok(text)
}

fn control(writer: &mut Writer<Vec<u8>>, field: &Field, target: &str) -> std::io::Result<()> {
    let kind = field.kind.as_deref().unwrap_or("choice");
    let nested = field.taxonomy.iter().any(|label| label.parent.is_some());
    let (tag, _, label) = CONTROLS
        .iter()
        .find(|(tag, known, _)| {
            *known == kind && (*tag == "Taxonomy") == (nested && kind == "choice")
        })
        .unwrap_or(&CONTROLS[0]);
    let mut attributes = vec![("name", field.name.as_str()), ("toName", target)];
    if kind == "choice" && field.cardinality == Some(Cardinality::Many) && !nested {
        attributes.push(("choice", "multiple"));
    }
    if field.required {
        attributes.push(("required", "true"));
    }
    let element = writer.create_element(*tag).with_attributes(attributes);
    let Some(label) = label.filter(|_| !field.taxonomy.is_empty()) else {
        element.write_empty()?;
        return Ok(());
    };
    let mut below: BTreeMap<Option<&str>, Vec<&Label>> = BTreeMap::new();
    for label in &field.taxonomy {
        below.entry(label.parent.as_deref()).or_default().push(label);
    }
    element.write_inner_content(|writer| labels(writer, &below, label, None))?;
    Ok(())
}

/// Writes the labels of a parent, and those below them: as deep as a policy may be.
fn labels(
    writer: &mut Writer<Vec<u8>>,
    below: &BTreeMap<Option<&str>, Vec<&Label>>,
    tag: &str,
    parent: Option<&str>,
) -> std::io::Result<()> {
    for label in below.get(&parent).into_iter().flatten() {
        let path = parent.map(|parent| format!("{parent}/"));
        let own = path.and_then(|path| label.name.strip_prefix(&path)).unwrap_or(&label.name);
        let mut attributes = vec![("value", own)];
        attributes.extend(label.color.as_deref().map(|color| ("background", color)));
        attributes.extend(label.description.as_deref().map(|hint| ("hint", hint)));
        let element = writer.create_element(tag).with_attributes(attributes);
        match below.contains_key(&Some(label.name.as_str())) {
            true => {
                element.write_inner_content(|w| labels(w, below, tag, Some(&label.name)))?;
            }
            false => drop(element.write_empty()?),
        }
    }
    Ok(())
}
