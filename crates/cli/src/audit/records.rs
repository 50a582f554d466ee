//! What the history says, told in files of JSON lines. `check.py` computes each of them anew.

use std::collections::BTreeMap;
use std::io::Write;

use glossator_formats::JsonRows;
use glossator_store::change::{ChangeRecord, Meta};
use glossator_store::notes::Notes;
use glossator_store::schema::{ANNOTATIONS, Annotations, REVIEWS, Reviews};
use glossator_store::{Error as StoreError, Store};
use serde::Serialize;

use super::files::Files;
use super::{Audit, Told};
use crate::error::Result;
use crate::render::commit::CommitJson;

/// Who decided how many rows that are live, how and under which policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Decided {
    pub(super) annotator: String,
    pub(super) origin: String,
    pub(super) policy: Option<String>,
    pub(super) status: String,
}

/// Writes all of them.
pub(super) fn write(audit: &Audit<'_>, files: &mut Files, told: &Told<'_>) -> Result<()> {
    let store = audit.store;
    files.write("commits.jsonl", |out| {
        told.commits.iter().try_for_each(|commit| {
            let record = store.change(*commit)?;
            let (about, meta) = (store.history.commit(*commit)?, meta_of(store, &record)?);
            line(out, &CommitJson::new(&about, &record, meta.as_ref()))
        })
    })?;
    files.write("signatures.jsonl", |out| {
        told.signatures.iter().try_for_each(|found| line(out, found))
    })?;
    if let Some(path) = audit.checker.allowed_signers() {
        let bytes = store.disk().read(path)?;
        files.write("allowed_signers", |out| Ok(out.write_all(&bytes)?))?;
    }
    files.write("annotators.jsonl", |out| {
        for (decided, rows) in &told.decided {
            #[derive(Serialize)]
            struct Rows<'d> {
                #[serde(flatten)]
                decided: &'d Decided,
                rows: u64,
            }
            line(out, &Rows { decided, rows: *rows })?;
        }
        Ok(())
    })?;
    files.write("reviews.jsonl", |out| reviews(audit, out))?;
    for (path, bytes) in store.policy_files(audit.tip)? {
        files.write(&path, |out| Ok(out.write_all(&bytes)?))?;
    }
    for (name, notes) in [("runs.jsonl", Notes::Runs), ("quality.jsonl", Notes::Quality)] {
        files.write(name, |out| {
            for (commit, note) in store.notes(notes, None)? {
                line(out, &serde_json::json!({ "commit": commit, "note": note }))?;
            }
            Ok(())
        })?;
    }
    if audit.names {
        let people = store.people_file()?;
        files.write("people.jsonl", |out| Ok(out.write_all(&people)?))?;
    }
    Ok(())
}

/// Counts by name of a change; none where they were erased.
pub(super) fn meta_of(store: &Store, record: &ChangeRecord) -> Result<Option<Meta>> {
    match (store.meta(record), record.meta) {
        (Ok(_), None) => Ok(None),
        (Ok(meta), Some(_)) => Ok(Some(meta)),
        (Err(StoreError::Damaged { .. }), Some(meta)) if !store.objects().contains(&meta) => {
            Ok(None)
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Live annotations at the tip by who decided.
pub(super) fn decided(audit: &Audit<'_>) -> Result<BTreeMap<Decided, u64>> {
    let snapshot = audit.store.snapshot(Some(audit.tip), &[])?;
    let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let mut found = BTreeMap::new();
    for batch in snapshot.table(&ANNOTATIONS)?.scan()? {
        let batch = batch?.project(&columns)?;
        for row in Annotations::new(&batch).iter() {
            let key = Decided {
                annotator: row.annotator_id.to_owned(),
                origin: row.origin.to_owned(),
                policy: row.policy.map(str::to_owned),
                status: row.status.to_owned(),
            };
            *found.entry(key).or_default() += 1;
        }
    }
    Ok(found)
}

/// Reviews at the tip by reviewer and decision.
pub(super) fn reviewed(audit: &Audit<'_>) -> Result<BTreeMap<(String, String), u64>> {
    let snapshot = audit.store.snapshot(Some(audit.tip), &[])?;
    let columns: Vec<usize> = (0..REVIEWS.columns.len()).collect();
    let mut found = BTreeMap::new();
    for batch in snapshot.table(&REVIEWS)?.scan()? {
        let batch = batch?.project(&columns)?;
        for row in Reviews::new(&batch).iter() {
            let key = (row.reviewer_id.to_owned(), row.decision.to_owned());
            *found.entry(key).or_default() += 1;
        }
    }
    Ok(found)
}

fn reviews(audit: &Audit<'_>, out: &mut dyn Write) -> Result<()> {
    let snapshot = audit.store.snapshot(Some(audit.tip), &[])?;
    let columns: Vec<usize> = (0..REVIEWS.columns.len()).collect();
    let mut text = Vec::new();
    for batch in snapshot.table(&REVIEWS)?.scan()? {
        let batch = batch?.project(&columns)?;
        let json = JsonRows::new(&REVIEWS, &batch)?;
        for row in 0..batch.num_rows() {
            text.clear();
            json.write(row, &mut text)?;
            text.push(b'\n');
            out.write_all(&text)?;
        }
    }
    Ok(())
}

fn line(out: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(out.write_all(b"\n")?)
}
