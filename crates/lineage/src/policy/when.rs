//! Which rows a change is about, besides their field and label.

use serde::{Deserialize, Serialize};

/// What changes have to know of an annotation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'r> {
    /// The item.
    pub item: &'r str,
    /// The question.
    pub field: &'r str,
    /// The policy that the row names.
    pub policy: Option<&'r str>,
    /// What it says.
    pub label: Option<&'r str>,
    /// Where it came from.
    pub source: &'r str,
    /// Who said it.
    pub annotator: &'r str,
    /// Whether that is a person.
    pub origin: &'r str,
    /// What kind of answer it is.
    pub kind: &'r str,
    /// The part of the item that it is about.
    pub target: Option<&'r str>,
}

impl<'r> Said<'r> {
    /// What conditions ask about.
    pub(super) fn conditions(&self) -> [&'r str; 5] {
        [self.source, self.annotator, self.origin, self.kind, self.target.unwrap_or_default()]
    }
}

/// `when`: a row fits where each list that is given has its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<String>,
    /// Annotators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotator: Vec<String>,
    /// `human`, `model` or `rule`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origin: Vec<String>,
    /// Kinds of answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<String>,
    /// Parts of items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target: Vec<String>,
}

impl When {
    /// Whether a row fits.
    pub fn fits(&self, said: &Said<'_>) -> bool {
        let among = |values: &[String], value: Option<&str>| {
            values.is_empty() || values.iter().any(|known| Some(known.as_str()) == value)
        };
        among(&self.source, Some(said.source))
            && among(&self.annotator, Some(said.annotator))
            && among(&self.origin, Some(said.origin))
            && among(&self.kind, Some(said.kind))
            && among(&self.target, said.target)
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
