//! A commit, for people and for scripts.

use std::collections::BTreeMap;
use std::io::Write;

use glossator_store::Store;
use glossator_store::change::{ChangeRecord, Meta};
use glossator_store::delta::Counts;
use glossator_store::history::Commit;
use glossator_store::merging::MergeRecord;
use glossator_store::schema::ANNOTATIONS;
use serde::Serialize;

use super::{counts, number, plain, row};
use crate::error::Result;

/// A commit as `log --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct CommitJson<'a> {
    commit: String,
    parents: Vec<String>,
    author: Author<'a>,
    time: String,
    message: &'a str,
    changes: BTreeMap<&'a str, Counts>,
    policies: &'a BTreeMap<String, Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotators: Option<&'a BTreeMap<String, Counts>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<String, Counts>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a [glossator_store::change::SourceFile]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge: Option<&'a MergeRecord>,
}

#[derive(Debug, Serialize)]
struct Author<'a> {
    name: &'a str,
    email: &'a str,
}

impl<'a> CommitJson<'a> {
    pub(crate) fn new(
        commit: &'a Commit,
        record: &'a ChangeRecord,
        meta: Option<&'a Meta>,
    ) -> Self {
        let mut changes: BTreeMap<&str, Counts> =
            record.tables.iter().map(|(name, change)| (name.as_str(), change.counts)).collect();
        changes.entry(ANNOTATIONS.name).or_default();
        Self {
            commit: commit.id.to_string(),
            parents: commit.parents.iter().map(ToString::to_string).collect(),
            author: Author { name: &commit.author.name, email: &commit.author.email },
            time: row::seconds(commit.author.seconds, commit.author.offset),
            message: commit.body(),
            changes,
            policies: &record.policies,
            code_commit: commit.trailer("Code-Commit"),
            annotators: meta.map(|meta| &meta.annotators),
            labels: meta.map(|meta| &meta.labels),
            sources: meta.map(|meta| &meta.sources[..]),
            merge: meta.and_then(|meta| meta.merge.as_ref()),
        }
    }
}

/// Names of one group that the log shows.
const LOG_NAMES_MAX: usize = 6;

/// A commit with what it changed.
pub(crate) fn write(
    out: &mut dyn Write,
    store: &Store,
    commit: &Commit,
    record: &ChangeRecord,
    refs: &[String],
    all: bool,
) -> Result<()> {
    let names = if refs.is_empty() { String::new() } else { format!(" ({})", refs.join(", ")) };
    writeln!(out, "commit {}{names}", commit.id)?;
    if let [first, others @ ..] = &commit.parents[..]
        && !others.is_empty()
    {
        let others: Vec<String> = others.iter().map(|parent| parent.short()).collect();
        writeln!(out, "Merge:  {} {}", first.short(), others.join(" "))?;
    }
    let author = &commit.author;
    writeln!(out, "Author: {} <{}>", plain(&author.name), plain(&author.email))?;
    writeln!(out, "Date:   {}", row::seconds(commit.author.seconds, commit.author.offset))?;
    if let Some(code) = commit.trailer("Code-Commit") {
        writeln!(out, "Code:   {}", plain(code))?;
    }
    writeln!(out)?;
    for line in commit.body().lines() {
        writeln!(out, "    {}", plain(line))?;
    }
    writeln!(out)?;
    for (table, change) in &record.tables {
        writeln!(out, "    {table}: {}", counts(&change.counts))?;
    }
    // The names may have been erased; the counts stand in the commit.
    let most = if all { usize::MAX } else { LOG_NAMES_MAX };
    match store.meta(record) {
        Ok(meta) => {
            group(out, "annotators", &meta.annotators, most)?;
            group(out, "labels", &meta.labels, most)?;
            group(out, "policies", &meta.policies, most)?;
            if all {
                for file in &meta.sources {
                    let records = number(file.records);
                    let (name, source) = (plain(&file.name), plain(&file.source));
                    let format = &file.format;
                    let signed = if file.signature.is_some() { ", signed" } else { "" };
                    writeln!(
                        out,
                        "    from {name} ({format}, {records} records, {source}{signed})"
                    )?;
                }
                if let Some(merge) = &meta.merge {
                    decisions(out, merge)?;
                }
            }
        }
        Err(_) => group(out, "policies", &record.policies, most)?,
    }
    Ok(())
}

/// What was decided where two sides did not fit.
fn decisions(out: &mut dyn Write, merge: &MergeRecord) -> Result<()> {
    let base = merge.base.map_or("nothing".to_owned(), |base| base.short());
    let (ours, theirs) = (merge.ours.short(), merge.theirs.short());
    writeln!(out, "    merged {theirs} into {ours}, both from {base}")?;
    for decision in &merge.decisions {
        let (item, key, by) = (plain(&decision.item), plain(&decision.key), plain(&decision.by));
        let rule = decision.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        let take = decision.take.word();
        writeln!(out, "    decided {} {item} {key}: {take}{rule}  ({by})", decision.table)?;
    }
    Ok(())
}

fn group(
    out: &mut dyn Write,
    title: &str,
    names: &BTreeMap<String, Counts>,
    most: usize,
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_by(|a, b| b.1.total().cmp(&a.1.total()).then(a.0.cmp(b.0)));
    let shown: Vec<String> = sorted
        .iter()
        .take(most)
        .map(|(name, c)| {
            let mut text = plain(name).into_owned();
            for (sign, count) in [("+", c.added), ("~", c.changed), ("-", c.removed)] {
                if count > 0 {
                    text.push_str(&format!(" {sign}{}", number(count)));
                }
            }
            text
        })
        .collect();
    let more = sorted.len().saturating_sub(most);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    writeln!(out, "    {title}: {}{more}", shown.join(", "))?;
    Ok(())
}
