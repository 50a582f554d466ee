//! From one version of a policy to the next: what changed, and what has to be done again.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Change, Op, Policy, PolicyError, Redo, rule};

/// What the next version means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Consequence {
    /// The changes since, stated and derived.
    pub changes: Vec<Change>,
    /// The largest of what has to be done again.
    pub redo: Redo,
}

/// Completes the changes from one version to the next: what was added is derived, what is gone has
/// to be stated.
///
/// # Errors
/// Where the version does not rise, earlier changes are missing, or a label or field that is gone
/// is in no change.
pub fn step(old: &Policy, new: &mut Policy) -> Result<Consequence, PolicyError> {
    if new.version <= old.version {
        let what = format!("{} is there already: give the next one", old.full_name());
        return rule("version", what);
    }
    if new.changes.get(..old.changes.len()) != Some(&old.changes[..]) {
        return rule("change", "changes of earlier versions stay as they are, and stand first");
    }
    let stated: Vec<Change> = new.changes[old.changes.len()..].to_vec();
    if let Some(change) = stated.iter().find(|change| change.version <= old.version) {
        return rule(change.place(), "it is of a version that is there already");
    }
    let covered = |field: &str, label: &str, before: bool| {
        stated.iter().any(|change| {
            let labels = if before { &change.from } else { &change.to };
            change.field.as_deref() == Some(field) && labels.iter().any(|known| known == label)
        })
    };
    let stated_field = |field: &str, op: Op| {
        stated.iter().any(|change| change.op == op && change.field.as_deref() == Some(field))
    };
    let mut derived = Vec::new();
    for field in &old.fields {
        let Some(now) = new.field(&field.name) else {
            if !stated_field(&field.name, Op::FieldDrop) {
                let what = "it is gone: state a `[[change]]` with op = \"field-drop\"";
                return rule(format!("field `{}`", field.name), what);
            }
            continue;
        };
        let (was, is) = (names(field), names(now));
        let mut gone = was.difference(&is).filter(|label| !covered(&field.name, label, true));
        if let Some(gone) = gone.next() {
            let what = format!(
                "label `{gone}` is gone: state a `[[change]]` (rename, merge, split or drop)"
            );
            return rule(format!("field `{}`", field.name), what);
        }
        let added: Vec<String> = is
            .difference(&was)
            .filter(|label| !covered(&field.name, label, false))
            .map(|label| (*label).to_owned())
            .collect();
        if !added.is_empty() {
            // Rows say what they said; items may hold what nobody was asked for.
            derived.push(change(new, Op::Add, &field.name, added, Redo::Items));
        }
    }
    for field in new.fields.iter().filter(|field| old.field(&field.name).is_none()) {
        if !stated_field(&field.name, Op::FieldAdd) {
            derived.push(change(new, Op::FieldAdd, &field.name, Vec::new(), Redo::Items));
        }
    }
    new.changes.extend(derived);
    let changes = new.changes[old.changes.len()..].to_vec();
    let redo = changes.iter().map(|change| change.redo).max().unwrap_or_default();
    Ok(Consequence { changes, redo })
}

fn names(field: &super::Field) -> BTreeSet<&str> {
    field.taxonomy.iter().map(|label| label.name.as_str()).collect()
}

fn change(policy: &Policy, op: Op, field: &str, to: Vec<String>, redo: Redo) -> Change {
    let field = Some(field.to_owned());
    Change { field, to, ..Change::new(policy.version.clone(), op, redo) }
}
