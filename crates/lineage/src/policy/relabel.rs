//! What a branch relabels: `relabel.toml` in the tree of its commits.
//!
//! Which items that is follows from the policy and the rows of the commit that the branch began
//! at, so the file names no item and nobody.

pub use glossator_store::policy_files::RELABEL_FILE;
use serde::{Deserialize, Serialize};

use super::{PolicyError, Version};

/// What is relabelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relabel {
    /// The policy.
    pub policy: String,
    /// The version that rows shall be of.
    pub to: Version,
    /// The commit whose rows are done again.
    pub base: String,
    /// The branch that it is for.
    pub into: String,
    /// How many people answer each item.
    pub overlap: u32,
    /// How items were given to people, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign: Option<String>,
    /// To how many people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<u32>,
}

impl Relabel {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it does not read.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|e| PolicyError::Syntax(e.message().to_owned()))
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Where it cannot be written as TOML.
    pub fn render(&self) -> Result<String, PolicyError> {
        toml::to_string(self).map_err(|e| PolicyError::Syntax(e.to_string()))
    }

    /// `vehicles@3`: what answers are made under.
    pub fn full_name(&self) -> String {
        format!("{}@{}", self.policy, self.to)
    }
}
