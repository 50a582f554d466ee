//! What a history says, as statements of the PROV data model.

use std::collections::HashSet;

use glossator_store::Result;

use super::{Facts, Told, encoded};
use crate::records::{Made, Noted};

/// The name of a thing behind `gloss:`, encoded.
pub(super) type Name = String;

/// An attribute: its name, and its value.
pub(super) type Attribute = (&'static str, Value);

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Count(u64),
    Type(&'static str),
}

/// A statement. See PROV-DM, <https://www.w3.org/TR/prov-dm/>.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    Entity(Name, Vec<Attribute>),
    Activity { name: Name, time: String, attributes: Vec<Attribute> },
    Agent(Name, Vec<Attribute>),
    Generated { entity: Name, activity: Name, time: String },
    Used { activity: Name, entity: Name },
    Associated { activity: Name, agent: Name },
    Attributed { entity: Name, agent: Name },
    Derived { new: Name, old: Name },
}

impl Statement {
    /// The member of PROV-JSON that it stands in.
    pub(super) fn section(&self) -> &'static str {
        match self {
            Self::Entity(..) => "entity",
            Self::Activity { .. } => "activity",
            Self::Agent(..) => "agent",
            Self::Generated { .. } => "wasGeneratedBy",
            Self::Used { .. } => "used",
            Self::Associated { .. } => "wasAssociatedWith",
            Self::Attributed { .. } => "wasAttributedTo",
            Self::Derived { .. } => "wasDerivedFrom",
        }
    }
}

/// Every section, in the order of PROV-JSON here.
pub(super) const SECTIONS: [&str; 8] = [
    "entity",
    "activity",
    "agent",
    "wasGeneratedBy",
    "used",
    "wasAssociatedWith",
    "wasAttributedTo",
    "wasDerivedFrom",
];

fn label(text: impl Into<String>) -> Attribute {
    ("prov:label", Value::Text(text.into()))
}

fn kind(name: &'static str) -> Attribute {
    ("prov:type", Value::Type(name))
}

/// Things that are stated once, however many commits name them.
#[derive(Debug, Default)]
struct Stated(HashSet<Name>);

impl Stated {
    fn thing(
        &mut self,
        each: Each<'_>,
        name: &Name,
        made: impl FnOnce() -> Statement,
    ) -> Result<()> {
        if self.0.insert(name.clone()) { each(made()) } else { Ok(()) }
    }
}

/// What is called for every statement.
pub(super) type Each<'e> = &'e mut dyn FnMut(Statement) -> Result<()>;

/// Calls `each` for every statement of a history.
pub(super) fn statements(told: &Told<'_>, each: Each<'_>) -> Result<()> {
    let mut stated = Stated::default();
    for id in &told.commits {
        commit(&Facts::read(told.store, *id)?, &mut stated, each)?;
    }
    for noted in &told.records {
        record(noted, &mut stated, each)?;
    }
    Ok(())
}

fn snapshot(id: &impl ToString) -> Name {
    format!("snapshot-{}", id.to_string())
}

fn commit(facts: &Facts, stated: &mut Stated, each: Each<'_>) -> Result<()> {
    let id = facts.commit.id;
    let (time, activity, entity) = (facts.time(), format!("commit-{id}"), snapshot(&id));
    let mut attributes = vec![
        kind("Commit"),
        label(facts.commit.title()),
        ("gloss:deed", Value::Text(facts.deed().to_owned())),
    ];
    for (table, counts) in &facts.counts {
        if table == "annotations" {
            attributes.push(("gloss:added", Value::Count(counts.added)));
            attributes.push(("gloss:changed", Value::Count(counts.changed)));
            attributes.push(("gloss:removed", Value::Count(counts.removed)));
        }
    }
    if let Some(code) = facts.commit.trailer("Code-Commit") {
        attributes.push(("gloss:codeCommit", Value::Text(code.to_owned())));
    }
    each(Statement::Activity { name: activity.clone(), time: time.clone(), attributes })?;
    let attributes = vec![
        kind("Snapshot"),
        label(format!("labels at {}", id.short())),
        ("gloss:annotations", Value::Count(facts.rows)),
    ];
    each(Statement::Entity(entity.clone(), attributes))?;
    each(Statement::Generated { entity: entity.clone(), activity: activity.clone(), time })?;
    for parent in &facts.commit.parents {
        // A parent before the range is named, too: what is derived must have come from something.
        let old = snapshot(parent);
        stated
            .thing(each, &old.clone(), || Statement::Entity(old.clone(), vec![kind("Snapshot")]))?;
        each(Statement::Used { activity: activity.clone(), entity: old.clone() })?;
        each(Statement::Derived { new: entity.clone(), old })?;
    }
    stated.0.insert(entity.clone());
    for file in &facts.files {
        let name = format!("file-{}", file.digest);
        let attributes = || {
            vec![
                kind("File"),
                label(file.name.as_str()),
                ("gloss:blake3", Value::Text(file.digest.to_string())),
                ("gloss:format", Value::Text(file.format.clone())),
                ("gloss:source", Value::Text(file.source.clone())),
                ("gloss:records", Value::Count(file.records)),
            ]
        };
        stated.thing(each, &name, || Statement::Entity(name.clone(), attributes()))?;
        each(Statement::Used { activity: activity.clone(), entity: name.clone() })?;
        each(Statement::Derived { new: entity.clone(), old: name })?;
    }
    for policy in &facts.policies {
        let name = format!("policy-{}", encoded(policy));
        let made = || Statement::Entity(name.clone(), vec![kind("Policy"), label(policy.as_str())]);
        stated.thing(each, &name, made)?;
        each(Statement::Used { activity: activity.clone(), entity: name.clone() })?;
    }
    for annotator in &facts.annotators {
        let name = format!("annotator-{}", encoded(annotator));
        let made =
            || Statement::Agent(name.clone(), vec![kind("Annotator"), label(annotator.as_str())]);
        stated.thing(each, &name, made)?;
        each(Statement::Attributed { entity: entity.clone(), agent: name })?;
    }
    let author = &facts.commit.author.name;
    let name = format!("author-{}", encoded(author));
    let made = || Statement::Agent(name.clone(), vec![kind("Author"), label(author.as_str())]);
    stated.thing(each, &name, made)?;
    each(Statement::Associated { activity, agent: name })
}

fn record(noted: &Noted, stated: &mut Stated, each: Each<'_>) -> Result<()> {
    let record = &noted.record;
    let entity = snapshot(&noted.commit);
    let of = || Statement::Entity(entity.clone(), vec![kind("Snapshot")]);
    stated.thing(each, &entity, of)?;
    let made = record.made.word();
    let activity = format!("{made}-{}", encoded(&record.id));
    let mut attributes = vec![
        kind(match record.made {
            Made::Run => "Run",
            Made::Pin => "Pin",
            Made::Export => "Export",
        }),
        label(noted.title()),
        ("gloss:view", Value::Text(record.view.clone())),
        ("gloss:writer", Value::Text(record.writer.clone())),
    ];
    for (name, value) in record.metrics.iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        attributes.push(("gloss:metric", Value::Text(format!("{name}={text}"))));
    }
    // Notes are lines that anybody may have written: a time that is none is left at 1970.
    let time = record.at.parse::<jiff::Timestamp>().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = time.to_string();
    each(Statement::Activity { name: activity.clone(), time: time.clone(), attributes })?;
    let output = format!("output-{}", record.output);
    match record.made {
        // A run used what was written; the file itself may be one of a pin or an export.
        Made::Run => {
            stated.thing(each, &output, || {
                Statement::Entity(
                    output.clone(),
                    vec![kind("Output"), label(record.writer.as_str())],
                )
            })?;
            each(Statement::Used { activity: activity.clone(), entity: output.clone() })?;
            each(Statement::Derived { new: output, old: entity.clone() })?;
            each(Statement::Used { activity, entity })
        }
        Made::Pin | Made::Export => {
            stated.thing(each, &output, || {
                Statement::Entity(
                    output.clone(),
                    vec![kind("Output"), label(record.writer.as_str())],
                )
            })?;
            each(Statement::Used { activity: activity.clone(), entity: entity.clone() })?;
            each(Statement::Generated { entity: output.clone(), activity, time })?;
            each(Statement::Derived { new: output, old: entity })
        }
    }
}
