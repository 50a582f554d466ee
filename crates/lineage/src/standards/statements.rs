//! What a history says, as statements of the PROV data model.

use std::collections::{HashMap, HashSet};

use glossator_store::{CommitId, Result};

use super::{Facts, Told, encoded};
use crate::life::{Deed, Life};
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
    Activity {
        name: Name,
        time: String,
        attributes: Vec<Attribute>,
    },
    Agent(Name, Vec<Attribute>),
    Generated {
        entity: Name,
        activity: Name,
        time: String,
    },
    /// The same where it is the activity that says when.
    GeneratedBy {
        entity: Name,
        activity: Name,
    },
    Used {
        activity: Name,
        entity: Name,
    },
    Associated {
        activity: Name,
        agent: Name,
    },
    Attributed {
        entity: Name,
        agent: Name,
    },
    Derived {
        new: Name,
        old: Name,
    },
}

impl Statement {
    /// The member of PROV-JSON that it stands in.
    pub(super) fn section(&self) -> &'static str {
        match self {
            Self::Entity(..) => "entity",
            Self::Activity { .. } => "activity",
            Self::Agent(..) => "agent",
            Self::Generated { .. } | Self::GeneratedBy { .. } => "wasGeneratedBy",
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
    if let Some((name, life)) = &told.item {
        item(name, life, &told.commits, &mut stated, each)?;
    }
    for id in &told.commits {
        commit(&Facts::read(told.store, *id)?, &mut stated, each)?;
    }
    for noted in &told.records {
        record(noted, &mut stated, each)?;
    }
    Ok(())
}

/// Tells every version of an item's annotations: by whom, in which commit, made of which.
fn item(
    name: &str,
    life: &Life,
    commits: &[CommitId],
    stated: &mut Stated,
    each: Each<'_>,
) -> Result<()> {
    let known: HashSet<&CommitId> = commits.iter().collect();
    // The last version of each annotation, and those of each submission.
    let mut last: HashMap<&str, Name> = HashMap::new();
    let mut handed: HashMap<&str, Vec<Name>> = HashMap::new();
    for (at, deed) in life.deeds.iter().enumerate().filter(|(_, d)| known.contains(&d.commit)) {
        let commit = format!("commit-{}", deed.commit);
        let Some(id) = deed.annotation.as_deref().filter(|_| life.after(deed).is_some()) else {
            let of = match (&deed.annotation, &deed.submission) {
                (Some(id), _) => last.get(id.as_str()).cloned().into_iter().collect(),
                (None, Some(id)) => handed.get(id.as_str()).cloned().unwrap_or_default(),
                (None, None) => Vec::new(),
            };
            if let (Some(by), false) = (&deed.by, of.is_empty()) {
                review(deed, &format!("review-{}-{at}", encoded(name)), by, of, stated, each)?;
            }
            continue;
        };
        let entity = format!("annotation-{}-{}-{at}", encoded(name), encoded(id));
        let mut attributes = vec![
            kind("gloss:Annotation"),
            label(id),
            ("gloss:deed", Value::Text(deed.what.clone())),
        ];
        attributes.extend(life.label(deed).map(|text| ("gloss:label", Value::Text(text))));
        attributes.extend(deed.policy.clone().map(|text| ("gloss:policy", Value::Text(text))));
        each(Statement::Entity(entity.clone(), attributes))?;
        let time = deed.at.and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
        let time = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
        // The commit says when it was made where the source does not.
        match deed.at {
            Some(_) => {
                each(Statement::Generated { entity: entity.clone(), activity: commit, time })?;
            }
            None => each(Statement::GeneratedBy { entity: entity.clone(), activity: commit })?,
        }
        if let Some(by) = &deed.by {
            let agent = annotator(by, deed.origin.as_deref(), stated, each)?;
            each(Statement::Attributed { entity: entity.clone(), agent })?;
        }
        let old = match (&deed.from, last.get(id)) {
            (_, Some(old)) => vec![old.clone()],
            (Some(from), None) => match (last.get(from.as_str()), handed.get(from.as_str())) {
                (Some(old), _) => vec![old.clone()],
                (None, Some(all)) => all.clone(),
                (None, None) => Vec::new(),
            },
            (None, None) => Vec::new(),
        };
        for old in old {
            each(Statement::Derived { new: entity.clone(), old })?;
        }
        if let Some(submission) = &deed.submission {
            let of = handed.entry(submission).or_default();
            of.retain(|name| Some(name) != last.get(id));
            of.push(entity.clone());
        }
        last.insert(id, entity);
    }
    Ok(())
}

/// Tells a review, or that a submission was skipped: what somebody did with annotations.
fn review(
    deed: &Deed,
    name: &str,
    by: &str,
    of: Vec<Name>,
    stated: &mut Stated,
    each: Each<'_>,
) -> Result<()> {
    let time = deed.at.and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    let time = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
    let mut attributes = vec![kind("gloss:Review"), label(deed.what.as_str())];
    attributes.extend(deed.detail.clone().map(|text| ("gloss:reason", Value::Text(text))));
    each(Statement::Activity { name: name.to_owned(), time, attributes })?;
    let agent = annotator(by, None, stated, each)?;
    each(Statement::Associated { activity: name.to_owned(), agent })?;
    for entity in of {
        each(Statement::Used { activity: name.to_owned(), entity })?;
    }
    Ok(())
}

/// States an annotator or a reviewer once, and gives their name.
fn annotator(id: &str, origin: Option<&str>, stated: &mut Stated, each: Each<'_>) -> Result<Name> {
    let name = format!("annotator-{}", encoded(id));
    let mut attributes = vec![kind("gloss:Annotator"), label(id)];
    attributes.extend(match origin {
        Some("human") => Some(kind("prov:Person")),
        Some("model" | "rule") => Some(kind("prov:SoftwareAgent")),
        _ => None,
    });
    stated.thing(each, &name, || Statement::Agent(name.clone(), attributes))?;
    Ok(name)
}

fn snapshot(id: &impl ToString) -> Name {
    format!("snapshot-{}", id.to_string())
}

fn commit(facts: &Facts, stated: &mut Stated, each: Each<'_>) -> Result<()> {
    let id = facts.commit.id;
    let (time, activity, entity) = (facts.time(), format!("commit-{id}"), snapshot(&id));
    let mut attributes = vec![
        kind("gloss:Commit"),
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
        kind("gloss:Snapshot"),
        label(format!("labels at {}", id.short())),
        ("gloss:annotations", Value::Count(facts.rows)),
    ];
    each(Statement::Entity(entity.clone(), attributes))?;
    each(Statement::Generated { entity: entity.clone(), activity: activity.clone(), time })?;
    for parent in &facts.commit.parents {
        // A parent before the range is named, too: what is derived must have come from something.
        let old = snapshot(parent);
        stated.thing(each, &old.clone(), || {
            Statement::Entity(old.clone(), vec![kind("gloss:Snapshot")])
        })?;
        each(Statement::Used { activity: activity.clone(), entity: old.clone() })?;
        each(Statement::Derived { new: entity.clone(), old })?;
    }
    stated.0.insert(entity.clone());
    for file in &facts.files {
        let name = format!("file-{}", file.digest);
        let attributes = || {
            vec![
                kind("gloss:File"),
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
        let made =
            || Statement::Entity(name.clone(), vec![kind("gloss:Policy"), label(policy.as_str())]);
        stated.thing(each, &name, made)?;
        each(Statement::Used { activity: activity.clone(), entity: name.clone() })?;
    }
    for id in &facts.annotators {
        let agent = annotator(id, None, stated, each)?;
        each(Statement::Attributed { entity: entity.clone(), agent })?;
    }
    let author = &facts.commit.author.name;
    let name = format!("author-{}", encoded(author));
    let made =
        || Statement::Agent(name.clone(), vec![kind("gloss:Author"), label(author.as_str())]);
    stated.thing(each, &name, made)?;
    each(Statement::Associated { activity, agent: name })
}

fn record(noted: &Noted, stated: &mut Stated, each: Each<'_>) -> Result<()> {
    let record = &noted.record;
    let entity = snapshot(&noted.commit);
    let of = || Statement::Entity(entity.clone(), vec![kind("gloss:Snapshot")]);
    stated.thing(each, &entity, of)?;
    let made = record.made.word();
    let activity = format!("{made}-{}", encoded(&record.id));
    let mut attributes = vec![
        kind(match record.made {
            Made::Run => "gloss:Run",
            Made::Pin => "gloss:Pin",
            Made::Export => "gloss:Export",
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
                    vec![kind("gloss:Output"), label(record.writer.as_str())],
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
                    vec![kind("gloss:Output"), label(record.writer.as_str())],
                )
            })?;
            each(Statement::Used { activity: activity.clone(), entity: entity.clone() })?;
            each(Statement::Generated { entity: output.clone(), activity, time })?;
            each(Statement::Derived { new: output, old: entity })
        }
    }
}
