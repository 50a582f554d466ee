//! Answers that are not regions: choices, texts, numbers, orders, comparisons; and relations.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Reading, Row, labelled};
use crate::json::{self, Node, number};
use crate::label_studio::{Check, Fault};

pub(super) fn read(reading: &Reading<'_>, base: Row) -> Check<Vec<Row>> {
    let kind = match reading.type_name {
        "choices" | "taxonomy" => "choice",
        "textarea" => "text",
        "rating" | "number" => "number",
        "datetime" => "datetime",
        "pairwise" => "pairwise",
        "ranker" => "ranking",
        _ => "relation",
    };
    let base = Row { kind: Cow::Borrowed(kind), ..base };
    match reading.type_name {
        "choices" | "taxonomy" => Ok(labelled(base, paths(reading)?)),
        "textarea" => {
            let texts = reading.texts("text")?;
            let row = |text| Row { text: Some(text), ..base.clone() };
            Ok(if texts.is_empty() { vec![base] } else { texts.into_iter().map(row).collect() })
        }
        "rating" | "number" => {
            let number = match reading.value.get(reading.type_name) {
                None | Some(Value::Null) => None,
                Some(_) => Some(reading.float(reading.type_name)?),
            };
            Ok(vec![Row { number, ..base }])
        }
        "datetime" => Ok(vec![Row { text: one_text(reading, "datetime")?, ..base }]),
        "pairwise" => Ok(vec![Row { label: one_text(reading, "selected")?, ..base }]),
        "ranker" => ranking(reading, &base),
        _ => relation(reading, base),
    }
}

/// Choices, each a text or a path of texts, which is joined by `/`.
fn paths(reading: &Reading<'_>) -> Check<Vec<String>> {
    let member = reading.type_name;
    let Some(Value::Array(items)) = reading.value.get(member) else {
        return reading.texts(member);
    };
    let mut paths = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let path = match item {
            Value::String(text) => Some(text.clone()),
            Value::Array(parts) => {
                let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
                parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/"))
            }
            _ => None,
        };
        let fault = || {
            let found = json::type_name(item);
            let what = format!("expected a text or a path of texts, found {found}");
            reading.fault(&format!("{member}[{i}]"), what)
        };
        paths.push(path.ok_or_else(fault)?);
    }
    Ok(paths)
}

fn one_text(reading: &Reading<'_>, member: &str) -> Check<Option<String>> {
    match reading.value.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => {
            let what = format!("expected a text, found {}", json::type_name(other));
            Err(reading.fault(member, what))
        }
    }
}

/// An order of candidates, or an order a bucket, whose name is the label.
fn ranking(reading: &Reading<'_>, base: &Row) -> Check<Vec<Row>> {
    let order = |name: &str, value: &Value| -> Check<Vec<String>> {
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|items| items.iter().map(|i| i.as_str().map(str::to_owned)).collect());
        texts.ok_or_else(|| reading.fault(name, "expected a list of texts"))
    };
    match reading.value.get("ranker") {
        Some(Value::Object(buckets)) if !buckets.is_empty() => buckets
            .iter()
            .map(|(name, value)| {
                let refs = Some(order(&format!("ranker.{name}"), value)?);
                Ok(Row { label: Some(name.clone()), refs, ..base.clone() })
            })
            .collect(),
        Some(value @ Value::Array(_)) => {
            Ok(vec![Row { refs: Some(order("ranker", value)?), ..base.clone() }])
        }
        None | Some(Value::Null | Value::Object(_)) => Ok(vec![base.clone()]),
        Some(other) => {
            let what = format!("expected a list or an object, found {}", json::type_name(other));
            Err(reading.fault("ranker", what))
        }
    }
}

fn relation(reading: &Reading<'_>, base: Row) -> Check<Vec<Row>> {
    let end = |member: &str| -> Check<String> {
        let path = format!("{}.{member}", reading.at);
        crate::label_studio::id_text(reading.result.get(member).map(Node::from).as_ref(), &path)?
            .ok_or_else(|| Fault::new(&path, format!("`{member}` is missing")))
    };
    let refs = Some(vec![end("from_id")?, end("to_id")?]);
    let listed = Reading { value: reading.result, path: reading.at, ..*reading };
    let labels = listed.texts("labels")?;
    Ok(labelled(Row { refs, ..base }, labels))
}

pub(super) fn render_relation(rows: &[&Row], out: &mut Map<String, Value>) {
    let Some(first) = rows.first() else { return };
    if first.field != "relation" {
        out.insert("from_name".to_owned(), Value::from(first.field.as_str()));
    }
    if let Some(target) = &first.target {
        out.insert("to_name".to_owned(), Value::from(target.as_str()));
    }
    let refs = first.refs.as_deref().unwrap_or_default();
    for (member, id) in ["from_id", "to_id"].into_iter().zip(refs) {
        out.insert(member.to_owned(), Value::from(id.as_str()));
    }
    out.insert("type".to_owned(), Value::from("relation"));
    out.insert("direction".to_owned(), Value::from("right"));
    if first.label.is_some() {
        out.insert("labels".to_owned(), super::labels(rows));
    }
    if let Some(score) = first.score {
        out.insert("score".to_owned(), crate::label_studio::python_float(score));
    }
}

pub(super) fn render(rows: &[&Row], type_name: &str, value: &mut Map<String, Value>) {
    let Some(first) = rows.first() else { return };
    let texts = || rows.iter().filter_map(|row| row.text.as_deref()).collect::<Vec<_>>();
    let labels = || rows.iter().filter_map(|row| row.label.as_deref());
    let rendered = match type_name {
        "choices" => Some(labels().collect()),
        "taxonomy" => Some(labels().map(|l| l.split('/').collect::<Value>()).collect()),
        "textarea" => Some(Value::from(texts())),
        "rating" | "number" => first.number.map(number),
        "datetime" => first.text.as_deref().map(Value::from),
        "pairwise" => first.label.as_deref().map(Value::from),
        "ranker" => Some(render_ranking(rows)),
        _ => None,
    };
    let member = match type_name {
        "textarea" => "text",
        "pairwise" => "selected",
        other => other,
    };
    if let Some(rendered) = rendered {
        value.insert(member.to_owned(), rendered);
    }
}

fn render_ranking(rows: &[&Row]) -> Value {
    let order = |row: &Row| Value::from(row.refs.clone().unwrap_or_default());
    match rows {
        [only] if only.label.is_none() => order(only),
        _ => rows.iter().fold(json!({}), |mut buckets, row| {
            buckets[row.label.as_deref().unwrap_or_default()] = order(row);
            buckets
        }),
    }
}
