//! Policies: what was asked, with which labels, version by version.
//!
//! A policy is `policies/<name>/policy.toml` in the tree of a commit, with the guideline and the
//! tool's configuration beside it. It states every change since its first version, so that one file
//! is enough to read the rows of any version as those of a later one ([`Mapping`]).
//!
//! # Guarantees
//! - Pure code: nothing here reads a disk, and a mapping rewrites no row.
//! - A file that [`Policy::parse`] takes has no label twice, no circle of parents, and no label
//!   that becomes two others in one version.

mod gates;
mod import;
mod label_studio;
mod mapping;
mod plan;
mod relabel;
mod step;
mod when;

pub use gates::{Gates, Relabelling};
pub use import::{ImportFormat, import};
pub use label_studio::to_label_config;
pub use mapping::Mapping;
pub use plan::{Group, Plan};
pub use relabel::{RELABEL_FILE, Relabel};
pub use step::{Consequence, step};
pub use when::{Said, When};

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::merge::Rule;

/// Labels above each other at most, as elements of a tool's description.
pub(crate) const PARENTS_MAX: usize = 100;

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text does not read.
    #[error("{0}")]
    Syntax(String),
    /// It reads, and contradicts itself.
    #[error("{place}: {what}")]
    Rule {
        /// Where: a field, a label, a change.
        place: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

fn rule<T>(place: impl Into<String>, what: impl Into<String>) -> Result<T, PolicyError> {
    Err(PolicyError::Rule { place: place.into(), what: what.into() })
}

/// A version: numbers with dots, compared number by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Vec<u32>);

impl Version {
    /// The first version of a policy.
    pub fn first() -> Self {
        Self(vec![1])
    }

    /// The version after this one: the next whole number, or the next one behind the dot.
    pub fn next(&self, large: bool) -> Self {
        let first = self.0[0];
        match large {
            true => Self(vec![first.saturating_add(1)]),
            false => Self(vec![first, self.0.get(1).map_or(1, |minor| minor.saturating_add(1))]),
        }
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u32>> = text
            .split('.')
            .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?)
            .collect();
        numbers.map(Self).ok_or_else(|| format!("`{text}` is no version: write `2` or `2.1`"))
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// `policy.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, that of its directory: `[a-z0-9._-]`.
    pub name: String,
    /// The version that the fields are of.
    pub version: Version,
    /// Whether a commit with labels that it does not know is refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict: bool,
    /// The version that rows without a policy count as made under: a claim made later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstated: Option<Version>,
    /// How good labels have to be.
    #[serde(default, skip_serializing_if = "Gates::is_empty")]
    pub gates: Gates,
    /// When labelling again counts as done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabel: Option<Relabelling>,
    /// The questions.
    #[serde(default, rename = "field", skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// What each version changed, the oldest first.
    #[serde(default, rename = "change", skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The name that rows have as `field`.
    pub name: String,
    /// The kind of its answers: `choice`, `bbox`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `nominal`, `ordinal` or `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// The levels of an ordinal scale, the lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// How many labels an answer has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cardinality: Option<Cardinality>,
    /// Whether each item needs an answer.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// What decides conflicts between its answers, where a merge does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Rule>,
    /// Whether labels outside the list are known.
    #[serde(default)]
    pub labels: Vocabulary,
    /// The labels.
    #[serde(default, rename = "label", skip_serializing_if = "Vec::is_empty")]
    pub taxonomy: Vec<Label>,
}

/// What distances between answers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// None: answers are equal or not.
    Nominal,
    /// Their order.
    Ordinal,
    /// Their difference.
    Interval,
}

/// How many labels an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cardinality {
    /// One.
    One,
    /// Any number.
    Many,
}

/// Which labels are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// Those of the list.
    #[default]
    Closed,
    /// Any.
    Open,
}

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The name, as rows have it; of a taxonomy, the path `Three/Sub`.
    pub name: String,
    /// What a tool calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The label that it is a sort of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its colour, `#ff0000` or a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Names of its attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
}

/// What a version changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The version that it led to.
    pub version: Version,
    /// What was done.
    pub op: Op,
    /// In which field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The labels before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// The labels after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// What is added to a number, after it was multiplied: of a conversion alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// By what a number is multiplied: of a conversion alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Which rows alone it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What has to be labelled again.
    #[serde(default)]
    pub redo: Redo,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// The words changed, the meaning did not.
    Same,
    /// One label has another name.
    Rename,
    /// Several labels became one.
    Merge,
    /// One label became several.
    Split,
    /// A label is gone.
    Drop,
    /// A label is new.
    Add,
    /// A label means something else.
    Restate,
    /// A question is new.
    FieldAdd,
    /// A question is gone.
    FieldDrop,
    /// Numbers are on another scale.
    Convert,
}

/// What has to be labelled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redo {
    /// Nothing.
    #[default]
    None,
    /// The rows with these labels.
    Rows,
    /// Every item.
    Items,
}

impl Policy {
    /// Reads and checks a `policy.toml`.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|span| {
                let before = text.get(..span.start).unwrap_or_default();
                format!("line {}: ", before.matches('\n').count() + 1)
            });
            PolicyError::Syntax(format!("{}{}", line.unwrap_or_default(), e.message()))
        })?;
        policy.check()?;
        Ok(policy)
    }

    /// The text of the file.
    pub fn render(&self) -> Result<String, PolicyError> {
        toml::to_string(self).map_err(|e| PolicyError::Syntax(e.to_string()))
    }

    /// `vehicles@3`.
    pub fn full_name(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether an answer to a field may have this label. Fields that it does not ask are not its
    /// business.
    pub fn knows(&self, field: &str, label: &str) -> bool {
        self.field(field).is_none_or(|field| {
            field.labels == Vocabulary::Open || field.taxonomy.iter().any(|l| l.name == label)
        })
    }

    fn check(&self) -> Result<(), PolicyError> {
        if let Err(e) = self.name.parse::<glossator_store::history::RefName>() {
            return rule("name", e.to_string());
        }
        let mut fields = HashSet::new();
        for field in &self.fields {
            let place = format!("field `{}`", field.name);
            if field.name.is_empty() || !fields.insert(&field.name) {
                return rule(place, "a field has a name of its own");
            }
            field.check(&place)?;
        }
        if self.unstated.as_ref().is_some_and(|version| *version > self.version) {
            return rule("unstated", "it is a version that does not exist yet");
        }
        self.gates.check(self)?;
        if let Some(relabel) = &self.relabel {
            relabel.check()?;
        }
        let mut last = None;
        for change in &self.changes {
            let place = change.place();
            if change.version > self.version || Some(&change.version) < last {
                return rule(
                    place,
                    "changes stand in order of their versions, none of a later one",
                );
            }
            last = Some(&change.version);
            change.check(&place)?;
        }
        self.check_ends()
    }

    /// A label becomes one other in a version, and one that is there.
    fn check_ends(&self) -> Result<(), PolicyError> {
        let mut becomes: BTreeMap<(&Version, &str, &str), &Change> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.is_lossless()) {
            let field = change.field.as_deref().unwrap_or_default();
            for from in &change.from {
                // Rows of one label may become several by what else they are.
                let known = becomes.insert((&change.version, field, from), change);
                if known.is_some_and(|known| known.when.is_none() || change.when.is_none()) {
                    return rule(change.place(), format!("`{from}` becomes two labels at once"));
                }
            }
            let goes_on = |to: &str| {
                self.changes.iter().any(|later| {
                    later.version > change.version
                        && later.field == change.field
                        && later.from.iter().any(|from| from == to)
                })
            };
            for to in &change.to {
                if !self.knows(field, to) && !goes_on(to) {
                    let what = format!("`{to}` is no label of the field and changes no further");
                    return rule(change.place(), what);
                }
            }
        }
        Ok(())
    }
}

impl Field {
    /// Renames a label, and with it the labels below it whose names are paths: old and new names.
    pub fn rename(&mut self, from: &str, to: &str) -> Vec<(String, String)> {
        let mut renamed: Vec<(String, String)> = vec![(from.to_owned(), to.to_owned())];
        let mut done = 0;
        while let Some((old, new)) = renamed.get(done).cloned() {
            done += 1;
            for label in &mut self.taxonomy {
                if label.name == old {
                    label.name.clone_from(&new);
                }
                if label.parent.as_ref() == Some(&old) {
                    label.parent = Some(new.clone());
                    let own = label.name.strip_prefix(&old).filter(|own| own.starts_with('/'));
                    renamed.extend(own.map(|own| (label.name.clone(), format!("{new}{own}"))));
                }
            }
            self.order.iter_mut().filter(|level| **level == old).for_each(|l| l.clone_from(&new));
        }
        renamed
    }

    fn check(&self, place: &str) -> Result<(), PolicyError> {
        let mut labels: BTreeMap<&str, Option<&str>> = BTreeMap::new();
        for label in &self.taxonomy {
            if labels.insert(&label.name, label.parent.as_deref()).is_some() {
                return rule(place, format!("label `{}` stands twice", label.name));
            }
        }
        for label in &self.taxonomy {
            let (mut at, mut steps) = (label.parent.as_deref(), 0);
            while let Some(parent) = at {
                let Some(next) = labels.get(parent) else {
                    return rule(
                        place,
                        format!("`{parent}`, parent of `{}`, is no label", label.name),
                    );
                };
                steps += 1;
                if parent == label.name {
                    return rule(place, format!("`{parent}` is its own ancestor"));
                }
                if steps > PARENTS_MAX {
                    let what = format!("`{}` has more than {PARENTS_MAX} ancestors", label.name);
                    return rule(place, what);
                }
                at = *next;
            }
        }
        if self.merge == Some(Rule::MeanBox) && self.kind.as_deref() != Some("bbox") {
            return rule(place, "`merge = \"mean-box\"` is for a field of kind \"bbox\"");
        }
        match self.order.iter().find(|level| !labels.contains_key(level.as_str())) {
            Some(level) if self.labels == Vocabulary::Closed => {
                rule(place, format!("`{level}` of `order` is no label"))
            }
            _ => Ok(()),
        }
    }
}

impl Change {
    /// A change to a version, of nothing yet.
    pub fn new(version: Version, op: Op, redo: Redo) -> Self {
        let (from, to) = Default::default();
        let (offset, factor) = (None, None);
        Self { version, op, field: None, from, to, offset, factor, when: None, redo, reason: None }
    }

    /// Whether it is about a row that says this label at the time of the change.
    pub fn is_about(&self, said: &Said<'_>, label: Option<&str>) -> bool {
        let named = |from: &String| label == Some(from.as_str());
        self.is_of(said) && (self.from.is_empty() || self.from.iter().any(named))
    }

    /// Whether it is about rows like this one, whatever they say.
    fn is_of(&self, said: &Said<'_>) -> bool {
        self.field.as_ref().is_none_or(|own| own == said.field)
            && self.when.as_ref().is_none_or(|when| when.fits(said))
    }

    /// Whether rows need not be touched: the old label says all of the new one.
    pub fn is_lossless(&self) -> bool {
        matches!(self.op, Op::Rename | Op::Merge)
    }

    /// What a conversion does to a number: factor and offset.
    fn scale(&self) -> (f64, f64) {
        (self.factor.unwrap_or(1.0), self.offset.unwrap_or(0.0))
    }

    fn place(&self) -> String {
        let field = self.field.as_ref().map(|field| format!(" of `{field}`")).unwrap_or_default();
        let op = serde_json::to_value(self.op).ok();
        let op = op.as_ref().and_then(|op| op.as_str()).unwrap_or_default();
        format!("change `{op}`{field} to version {}", self.version)
    }

    fn check(&self, place: &str) -> Result<(), PolicyError> {
        let ends = (self.from.len(), self.to.len());
        let (fits, form) = match self.op {
            Op::Rename => (ends == (1, 1), "one label in `from`, one in `to`"),
            Op::Merge => (ends.0 > 1 && ends.1 == 1, "several labels in `from`, one in `to`"),
            Op::Split => (ends.0 == 1 && ends.1 > 1, "one label in `from`, several in `to`"),
            Op::Drop => (ends.0 > 0 && ends.1 == 0, "labels in `from`"),
            Op::Add => (ends.0 == 0 && ends.1 > 0, "labels in `to`"),
            Op::Restate => (ends.0 > 0 && ends.1 == 0, "labels in `from`"),
            Op::Same | Op::FieldAdd | Op::FieldDrop | Op::Convert => (ends == (0, 0), "no labels"),
        };
        if !fits {
            return rule(place, format!("it has {form}"));
        }
        let given = self.factor.is_some() || self.offset.is_some();
        if given != (self.op == Op::Convert) {
            return rule(place, "a conversion, and no other change, says `factor` or `offset`");
        }
        let (factor, offset) = self.scale();
        if !factor.is_finite() || factor == 0.0 || !offset.is_finite() {
            return rule(place, "`factor` and `offset` are numbers, and the first is not 0");
        }
        if self.when.as_ref().is_some_and(When::is_empty) {
            return rule(place, "`when` says nothing: leave it out");
        }
        if self.op != Op::Same && self.field.is_none() {
            return rule(place, "it says no `field`");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
