//! Policies of a commit: reading them, and reading rows as of one of their versions.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use clap::Args;
use glossator_lineage::policy::{Mapping, Policy, PolicyError, Said, Version};
use glossator_store::change::read_change;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, Annotations, SUPERSEDED};
use glossator_store::transaction::{Guard, Moving};
use glossator_store::{CommitId, Error, Snapshot, Store};
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::protect::{hold_gates, hold_signature};

/// The file of a policy that says what is asked.
pub(crate) const POLICY_FILE: &str = "policy.toml";

/// As which version labels are read.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Policies")]
pub(crate) struct AsOf {
    /// Read labels as this version of a policy has them, such as vehicles@2; else as the latest has
    #[arg(long, value_name = "NAME@VERSION")]
    as_of_policy: Option<String>,
    /// Show labels as they are stored, whatever later versions renamed
    #[arg(long, conflicts_with = "as_of_policy")]
    raw: bool,
}

impl AsOf {
    /// How the labels of a snapshot are read.
    pub(crate) fn mapping(&self, snapshot: &Snapshot<'_>) -> Result<Mapping> {
        let policies = if self.raw { BTreeMap::new() } else { of(snapshot)? };
        let as_of = self.as_of_policy.as_deref().map(named).transpose()?;
        if let Some((name, version)) = &as_of {
            known(&policies, name, Some(version))?;
        }
        let as_of = as_of.as_ref().map(|(name, version)| (name.as_str(), version));
        Ok(Mapping::new(policies.into_values().collect(), as_of))
    }
}

/// The path of a file of a policy in the tree.
pub(crate) fn path(name: &str, file: &str) -> String {
    format!("policies/{name}/{file}")
}

/// Every policy of a snapshot, by name.
pub(crate) fn of(snapshot: &Snapshot<'_>) -> Result<BTreeMap<String, Policy>> {
    snapshot.commit.map_or(Ok(BTreeMap::new()), |commit| all(snapshot.store(), commit))
}

/// Every policy of a commit, by name.
pub(crate) fn all(store: &Store, commit: CommitId) -> Result<BTreeMap<String, Policy>> {
    let mut found = BTreeMap::new();
    for (path, bytes) in store.policy_files(commit)? {
        if !path.ends_with(POLICY_FILE) {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        let policy = Policy::parse(&text).map_err(|e| of_file(&format!("{commit}:{path}"), &e))?;
        found.insert(policy.name.clone(), policy);
    }
    Ok(found)
}

/// Rows by policy, field and label.
pub(crate) type Unknown = BTreeMap<(String, String, String), u64>;

/// Labels that the policies of their rows do not know, as they are read now.
pub(crate) fn unknown(snapshot: &Snapshot<'_>) -> Result<Unknown> {
    unknown_to(&of(snapshot)?, snapshot)
}

/// Labels of a snapshot that these policies do not know.
pub(crate) fn unknown_to(
    policies: &BTreeMap<String, Policy>,
    snapshot: &Snapshot<'_>,
) -> Result<Unknown> {
    let mapping = Mapping::new(policies.values().cloned().collect(), None);
    let filters = Filters::default();
    let mut unknown = BTreeMap::new();
    for batch in filters.rows(snapshot, &ANNOTATIONS)? {
        note_unknown(&mapping, &batch?, &mut unknown);
    }
    Ok(unknown)
}

/// Whether nobody stands by a row any more: what was answered anew keeps the label that it had.
fn is_over(status: &str) -> bool {
    [SUPERSEDED, "skipped"].contains(&status)
}

/// What changes of policies have to know of a row.
pub(crate) fn said<'r>(row: &AnnotationRow<'r>) -> Said<'r> {
    Said {
        item: row.item_id,
        field: row.field,
        policy: row.policy,
        label: row.label,
        source: row.source,
        annotator: row.annotator_id,
        origin: row.origin,
        kind: row.kind,
        target: row.target,
    }
}

/// Notes the labels of a batch of annotations that the policies of their rows do not know.
pub(crate) fn note_unknown(mapping: &Mapping, batch: &RecordBatch, unknown: &mut Unknown) {
    for row in Annotations::new(batch).iter().filter(|row| !is_over(row.status)) {
        let Some((policy, _)) = mapping.policy_of(row.policy) else { continue };
        let Some(label) = row.label else { continue };
        let read = mapping.label(&said(&row), label);
        let read = read.unwrap_or_else(|| label.to_owned());
        if !policy.knows(row.field, &read) {
            let key = (policy.full_name(), row.field.to_owned(), read);
            *unknown.entry(key).or_default() += 1;
        }
    }
}

/// An error of a policy's file.
pub(crate) fn of_file(name: &str, error: &PolicyError) -> CliError {
    CliError::input(format!("`{name}`: {error}"))
        .hint("docs/policies.md and schemas/policy.schema.json tell what a policy says")
}

/// Reads `vehicles@2`.
pub(crate) fn named(text: &str) -> Result<(String, Version)> {
    let wrong = || {
        CliError::input(format!("`{text}` names no version of a policy"))
            .hint("write NAME@VERSION, such as vehicles@2")
    };
    let (name, version) = text.rsplit_once('@').ok_or_else(wrong)?;
    Ok((name.to_owned(), version.parse().map_err(|_| wrong())?))
}

/// The policy of a name; a version that does not exist yet is an error.
pub(crate) fn known<'p>(
    policies: &'p BTreeMap<String, Policy>,
    name: &str,
    version: Option<&Version>,
) -> Result<&'p Policy> {
    let Some(policy) = policies.get(name) else {
        return Err(CliError::input(format!("there is no policy `{name}`"))
            .hint("`gloss policy list` lists them, `gloss policy add` makes one"));
    };
    match version.filter(|version| **version > policy.version) {
        Some(version) => Err(CliError::input(format!(
            "there is no `{name}@{version}` yet: the latest is `{}`",
            policy.full_name()
        ))),
        None => Ok(policy),
    }
}

/// What every commit has to pass.
pub(crate) const GUARDS: &[Guard<'static>] = &[&refuse_unknown, &hold_gates, &hold_signature];

/// The strict policy that does not know the label of a row, and that label.
pub(crate) fn refused<'m>(
    mapping: &'m Mapping,
    row: &AnnotationRow<'_>,
) -> Option<(&'m Policy, String)> {
    let (policy, _) = mapping.policy_of(row.policy)?;
    let label = row.label.filter(|_| policy.strict && !is_over(row.status))?;
    let read = mapping.label(&said(row), label).unwrap_or_else(|| label.to_owned());
    (!policy.knows(row.field, &read)).then_some((policy, read))
}

/// Refuses labels that a strict policy does not know.
fn refuse_unknown(store: &Store, moving: &Moving<'_>) -> glossator_store::Result<()> {
    let Some(change) = moving.record.tables.get(ANNOTATIONS.name) else { return Ok(()) };
    let mut policies = Vec::new();
    // Of the commit itself: it may bring the version that knows its labels.
    for (path, bytes) in store.policy_files(moving.commit)? {
        // One that does not read says nothing; commands that ask for it tell.
        let text = String::from_utf8_lossy(&bytes);
        let policy = if path.ends_with(POLICY_FILE) { Policy::parse(&text).ok() } else { None };
        policies.extend(policy);
    }
    if !policies.iter().any(|policy| policy.strict) {
        return Ok(());
    }
    let mapping = Mapping::new(policies, None);
    let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let (mut wrong, mut first) = (0_u64, None);
    for delta in read_change(store.objects(), &ANNOTATIONS, change)? {
        let rows = delta?.new.project(&columns)?;
        for row in Annotations::new(&rows).iter() {
            let Some((policy, label)) = refused(&mapping, &row) else { continue };
            wrong += 1;
            first.get_or_insert_with(|| {
                let (item, field, name) = (row.item_id, row.field, policy.full_name());
                format!(
                    "item `{item}`: `{label}` is no label of `{field}` in {name}, which is strict"
                )
            });
        }
    }
    match first {
        Some(first) => {
            let what = format!("{first}; {wrong} row(s) in all");
            Err(Error::BadRows { table: ANNOTATIONS.name, what })
        }
        None => Ok(()),
    }
}
