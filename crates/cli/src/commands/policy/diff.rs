//! `gloss policy diff`: what changed between two versions, and the rows that it means.

use std::collections::BTreeSet;
use std::io::Write;

use glossator_lineage::policy::{Change, Mapping, Policy, Version};
use glossator_store::schema::{ANNOTATIONS, Annotations};
use glossator_store::{CommitId, Store};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::context::{Context, head};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::{all, known, path, said};
use crate::render::{lines, number, plain, table};

/// Words of a guideline before and after a change that are shown.
const AROUND_CHARS: usize = 60;

/// A change with the rows and items that it is about.
#[derive(Serialize)]
struct Meant<'c> {
    #[serde(flatten)]
    change: &'c Change,
    rows: u64,
    items: usize,
}

pub(super) fn diff(context: &mut Context, name: &str, old: &str, new: Option<&str>) -> Result<u8> {
    let store = context.store()?;
    let head = head(&store)?;
    let policies = all(&store, head)?;
    let wrong = |e: String| CliError::input(e);
    let old: Version = old.parse().map_err(wrong)?;
    let policy = known(&policies, name, Some(&old))?;
    let new: Version = match new {
        Some(new) => new.parse().map_err(wrong)?,
        None => policy.version.clone(),
    };
    known(&policies, name, Some(&new))?;
    let changes: Vec<&Change> = policy
        .changes
        .iter()
        .filter(|change| change.version > old && change.version <= new)
        .collect();
    let mapping = Mapping::new(vec![policy.clone()], None);
    let mut rows = vec![0_u64; changes.len()];
    let mut items: Vec<BTreeSet<String>> = vec![BTreeSet::new(); changes.len()];
    let snapshot = store.snapshot(Some(head), &[])?;
    let filters = Filters::default();
    for batch in filters.rows(&snapshot, &ANNOTATIONS)? {
        let batch = batch?;
        for row in Annotations::new(&batch).iter() {
            let Some((of, made)) = mapping.policy_of(row.policy) else { continue };
            if of.name != name {
                continue;
            }
            for (at, change) in changes.iter().enumerate() {
                // Labels are named as they were right before the change.
                let read = |label| policy.read(&said(&row), label, &made, &change.version);
                let was = row.label.map(read);
                if made < change.version && change.is_about(&said(&row), was.as_deref()) {
                    rows[at] += 1;
                    items[at].insert(row.item_id.to_owned());
                }
            }
        }
    }
    let meant: Vec<Meant<'_>> = changes
        .iter()
        .zip(rows.iter().zip(&items))
        .map(|(change, (rows, items))| Meant { change, rows: *rows, items: items.len() })
        .collect();
    let texts = [guideline(&store, head, name, &old)?, guideline(&store, head, name, &new)?];
    let words = words(&texts[0], &texts[1]);
    if context.json {
        context.json_line(&serde_json::json!({
            "policy": name, "old": old, "new": new, "changes": meant, "guideline": words,
        }))?;
        return Ok(0);
    }
    let mut shown =
        table(&["version", "op", "field", "from", "to", "redo", "rows before", "items"]);
    for one in &meant {
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        shown.add_row([
            one.change.version.to_string(),
            word(serde_json::to_value(one.change.op)?),
            one.change.field.clone().unwrap_or_default(),
            plain(&one.change.from.join(", ")).into_owned(),
            plain(&one.change.to.join(", ")).into_owned(),
            word(serde_json::to_value(one.change.redo)?),
            number(one.rows),
            number(one.items as u64),
        ]);
    }
    writeln!(context.out(), "{}", lines(&shown))?;
    if !words.is_empty() {
        writeln!(context.out(), "guideline:\n{}", marked(&words))?;
    }
    Ok(0)
}

/// A stretch of a guideline.
#[derive(Debug, Serialize)]
struct Words {
    /// `same`, `gone` or `new`.
    what: &'static str,
    text: String,
}

/// The guideline of a version: that of the newest commit which has the version.
fn guideline(store: &Store, head: CommitId, name: &str, version: &Version) -> Result<String> {
    for commit in store.history.walk(head)? {
        let commit = commit?;
        let policy: Option<Policy> = all(store, commit)?.remove(name);
        if policy.is_some_and(|policy| policy.version == *version) {
            let bytes = store.history.file(commit, &path(name, "guideline.md"))?;
            return Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned());
        }
    }
    Ok(String::new())
}

/// The difference of two texts word by word; nothing where there is none.
fn words(old: &str, new: &str) -> Vec<Words> {
    let mut found: Vec<Words> = Vec::new();
    if old == new {
        return found;
    }
    for change in TextDiff::from_words(old, new).iter_all_changes() {
        let what = match change.tag() {
            ChangeTag::Equal => "same",
            ChangeTag::Delete => "gone",
            ChangeTag::Insert => "new",
        };
        match found.last_mut() {
            Some(last) if last.what == what => last.text.push_str(change.value()),
            _ => found.push(Words { what, text: change.value().to_owned() }),
        }
    }
    found
}

/// As `git diff --word-diff` shows it, without what is far from any change.
fn marked(words: &[Words]) -> String {
    let mut text = String::new();
    for (at, one) in words.iter().enumerate() {
        match one.what {
            "gone" => text.push_str(&format!("[-{}-]", one.text)),
            "new" => text.push_str(&format!("{{+{}+}}", one.text)),
            _ => {
                let chars: Vec<char> = one.text.chars().collect();
                let before = if at == 0 { 0 } else { AROUND_CHARS };
                let after = if at + 1 == words.len() { 0 } else { AROUND_CHARS };
                if chars.len() <= before + after {
                    text.push_str(&one.text);
                } else {
                    text.extend(&chars[..before]);
                    text.push('…');
                    text.extend(&chars[chars.len() - after..]);
                }
            }
        }
    }
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
