//! W3C PROV: PROV-JSON (<https://www.w3.org/submissions/prov-json/>) and PROV-O in Turtle
//! (<https://www.w3.org/TR/prov-o/>, <https://www.w3.org/TR/turtle/>).

use std::io::Write;

use glossator_store::{Error, Result};
use serde_json::{Map, Value as Json, json};

use super::Told;
use super::statements::{Attribute, SECTIONS, Statement, Value, statements};

/// What our names are made of: the store is part of them, so that two stores never mean the same.
fn namespace(told: &Told<'_>) -> String {
    format!("urn:gloss:{}:", told.store.facts().store_id)
}

fn written(done: std::io::Result<()>) -> Result<()> {
    done.map_err(|source| Error::Io { action: "write", path: "the output".into(), source })
}

/// Writes PROV-JSON. The history is read once for each kind of statement, so that nothing is held.
///
/// # Errors
/// Where a commit cannot be read, or the output not be written.
pub fn write_json(told: &Told<'_>, out: &mut dyn Write) -> Result<()> {
    let prefix = json!({"gloss": namespace(told)});
    written(write!(out, "{{\"prefix\":{prefix}"))?;
    for section in SECTIONS {
        let mut count = 0_u64;
        statements(told, &mut |statement| {
            if statement.section() != section {
                return Ok(());
            }
            let start = if count == 0 { format!(",\n\"{section}\":{{") } else { ",\n".to_owned() };
            let (name, value) = member(&statement, count);
            count += 1;
            written(write!(out, "{start}{}:{value}", Json::from(name)))
        })?;
        if count > 0 {
            written(out.write_all(b"}"))?;
        }
    }
    written(out.write_all(b"}\n"))
}

fn gloss(name: &str) -> String {
    format!("gloss:{name}")
}

/// The name and value of a statement; relations have names that mean nothing.
fn member(statement: &Statement, count: u64) -> (String, Json) {
    let relation = |parts: &[(&str, String)]| {
        let of = |(name, value): &(&str, String)| (format!("prov:{name}"), json!(value));
        let members: Map<String, Json> = parts.iter().map(of).collect();
        (format!("_:{}{count}", statement.section()), Json::Object(members))
    };
    match statement {
        Statement::Entity(name, attributes) | Statement::Agent(name, attributes) => {
            (gloss(name), Json::Object(members(attributes)))
        }
        Statement::Activity { name, time, attributes } => {
            let mut members = members(attributes);
            members.insert("prov:startTime".to_owned(), json!(time));
            members.insert("prov:endTime".to_owned(), json!(time));
            (gloss(name), Json::Object(members))
        }
        Statement::Generated { entity, activity, time } => relation(&[
            ("entity", gloss(entity)),
            ("activity", gloss(activity)),
            ("time", time.clone()),
        ]),
        Statement::GeneratedBy { entity, activity } => {
            relation(&[("entity", gloss(entity)), ("activity", gloss(activity))])
        }
        Statement::Used { activity, entity } => {
            relation(&[("activity", gloss(activity)), ("entity", gloss(entity))])
        }
        Statement::Associated { activity, agent } => {
            relation(&[("activity", gloss(activity)), ("agent", gloss(agent))])
        }
        Statement::Attributed { entity, agent } => {
            relation(&[("entity", gloss(entity)), ("agent", gloss(agent))])
        }
        Statement::Derived { new, old } => {
            relation(&[("generatedEntity", gloss(new)), ("usedEntity", gloss(old))])
        }
    }
}

/// Attributes as members: of several values an array.
fn members(attributes: &[Attribute]) -> Map<String, Json> {
    let mut members: Map<String, Json> = Map::new();
    for (name, value) in attributes {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::Count(count) => {
                json!({"$": count.to_string(), "type": "xsd:nonNegativeInteger"})
            }
            Value::Type(name) => json!({"$": name, "type": "prov:QUALIFIED_NAME"}),
        };
        match members.get_mut(*name) {
            None => drop(members.insert((*name).to_owned(), value)),
            Some(Json::Array(known)) => known.push(value),
            Some(known) => *known = Json::Array(vec![known.take(), value]),
        }
    }
    members
}

/// Writes PROV-O as Turtle.
///
/// # Errors
/// Where a commit cannot be read, or the output not be written.
pub fn write_turtle(told: &Told<'_>, out: &mut dyn Write) -> Result<()> {
    let namespace = namespace(told);
    written(write!(
        out,
        "@prefix prov: <http://www.w3.org/ns/prov#> .\n\
         @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n\
         @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n\
         @prefix gloss: <{namespace}> .\n\n"
    ))?;
    statements(told, &mut |statement| {
        let mut text = String::new();
        triples(&namespace, &statement, &mut text);
        written(out.write_all(text.as_bytes()))
    })
}

fn triples(namespace: &str, statement: &Statement, out: &mut String) {
    let iri = |name: &str| format!("<{namespace}{name}>");
    let mut line = |subject: &str, predicate: &str, object: &str| {
        out.push_str(&format!("{subject} {predicate} {object} .\n"));
    };
    let date = |time: &str| format!("{}^^xsd:dateTime", literal(time));
    let mut described = |name: &str, class: &str, attributes: &[Attribute]| {
        let subject = iri(name);
        line(&subject, "a", class);
        for (name, value) in attributes {
            let (predicate, object) = match value {
                Value::Text(text) if *name == "prov:label" => ("rdfs:label", literal(text)),
                Value::Text(text) => (*name, literal(text)),
                Value::Count(count) => (*name, format!("\"{count}\"^^xsd:nonNegativeInteger")),
                Value::Type(name) => ("a", (*name).to_owned()),
            };
            line(&subject, predicate, &object);
        }
    };
    match statement {
        Statement::Entity(name, attributes) => described(name, "prov:Entity", attributes),
        Statement::Agent(name, attributes) => described(name, "prov:Agent", attributes),
        Statement::Activity { name, time, attributes } => {
            described(name, "prov:Activity", attributes);
            line(&iri(name), "prov:startedAtTime", &date(time));
            line(&iri(name), "prov:endedAtTime", &date(time));
        }
        Statement::Generated { entity, activity, time } => {
            line(&iri(entity), "prov:wasGeneratedBy", &iri(activity));
            line(&iri(entity), "prov:generatedAtTime", &date(time));
        }
        Statement::GeneratedBy { entity, activity } => {
            line(&iri(entity), "prov:wasGeneratedBy", &iri(activity));
        }
        Statement::Used { activity, entity } => line(&iri(activity), "prov:used", &iri(entity)),
        Statement::Associated { activity, agent } => {
            line(&iri(activity), "prov:wasAssociatedWith", &iri(agent));
        }
        Statement::Attributed { entity, agent } => {
            line(&iri(entity), "prov:wasAttributedTo", &iri(agent));
        }
        Statement::Derived { new, old } => line(&iri(new), "prov:wasDerivedFrom", &iri(old)),
    }
}

/// A text as a literal of Turtle.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_literal_ends_where_its_text_does() {
        assert_eq!(literal("a\" . <x> <y> \\\n"), r#""a\" . <x> <y> \\\n""#);
        assert_eq!(literal("\u{0}\u{7f}ü\u{85}"), "\"\\u0000\\u007Fü\\u0085\"");
    }
}
