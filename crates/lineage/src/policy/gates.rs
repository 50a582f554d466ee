//! How good labels have to be, as a policy says it: `[gates]` and `[relabel]`.
//!
//! What a measure is, is not known here: a gate is its name and the least that it may be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Policy, PolicyError, rule};

/// The least that measures may be: of every field, and of single fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gates(BTreeMap<String, Least>);

/// `alpha = 0.8`, or under the name of a field several of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a gate is a number (`alpha = 0.8`), or a field with such gates")]
enum Least {
    Of(f64),
    OfField(BTreeMap<String, f64>),
}

/// When labelling again counts as done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relabelling {
    /// The least share of items with all the answers that were asked for, 0 to 1.
    pub coverage: f64,
}

impl Gates {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Field, measure and least value of each; of a gate on every field without a field.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &str, f64)> {
        self.0.iter().flat_map(|(name, least)| -> Vec<(Option<&str>, &str, f64)> {
            match least {
                Least::Of(value) => vec![(None, name, *value)],
                Least::OfField(gates) => {
                    let of = |(measure, value): (_, &f64)| (Some(name.as_str()), measure, *value);
                    gates.iter().map(|(measure, value)| of((measure.as_str(), value))).collect()
                }
            }
        })
    }

    pub(super) fn check(&self, policy: &Policy) -> Result<(), PolicyError> {
        for (field, measure, least) in self.iter() {
            let place = format!("gate `{measure}`");
            if field.is_some_and(|field| policy.field(field).is_none()) {
                let field = field.unwrap_or_default();
                return rule(place, format!("`{field}` is no field of the policy"));
            }
            if !least.is_finite() {
                return rule(place, "it is no number that can be reached");
            }
        }
        Ok(())
    }
}

impl Relabelling {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        match (0.0..=1.0).contains(&self.coverage) {
            true => Ok(()),
            false => rule("relabel", "`coverage` is a share, from 0 to 1"),
        }
    }
}
