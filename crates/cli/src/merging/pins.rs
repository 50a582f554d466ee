//! What a merge would mean for commits that something was trained on: lock files and runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use glossator_store::delta::{Counts, DeltaBatch};
use glossator_store::notes::Notes;
use glossator_store::schema::{ANNOTATIONS, Table};
use glossator_store::{CommitId, Snapshot, Store};
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::pin::Lock;

/// A pinned commit, and what of its annotations a merge would touch.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pin {
    /// The lock file, or `run` and the name of a run that was recorded.
    pub pin: String,
    pub commit: CommitId,
    /// Rows that it has become others or go; rows are added to items that it has.
    pub changes: Counts,
}

/// Pins that are held against the changes of a merge.
pub(crate) struct Pins<'s> {
    found: Vec<(Pin, Snapshot<'s>)>,
}

impl<'s> Pins<'s> {
    /// Of these lock files, and of the runs that are recorded.
    pub(crate) fn open(context: &Context, store: &'s Store, files: &[PathBuf]) -> Result<Self> {
        let mut named: Vec<(String, CommitId)> = Vec::new();
        for file in files {
            let lock = Lock::read(&context.path(file))?;
            let name = file.display().to_string();
            if lock.store_id != store.facts().store_id {
                return Err(CliError::input(format!("`{name}` is of another store"))
                    .hint(format!("its store is at {}", lock.remote)));
            }
            if store.history.resolve(&lock.commit.to_string()).is_err() {
                let message = format!("`{name}` pins {}, which is not here", lock.commit);
                return Err(CliError::input(message).hint("get it with `gloss fetch`"));
            }
            named.push((name, lock.commit));
        }
        let mut runs: BTreeMap<CommitId, BTreeSet<String>> = BTreeMap::new();
        for (commit, line) in store.notes(Notes::Runs, None)? {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(name) = line.get("name").and_then(Value::as_str) {
                runs.entry(commit).or_default().insert(name.to_owned());
            }
        }
        // Of a commit that is not here nothing can be told.
        let known = |commit: &CommitId| store.history.resolve(&commit.to_string()).is_ok();
        for (commit, names) in runs.into_iter().filter(|(commit, _)| known(commit)) {
            named.extend(names.into_iter().map(|name| (format!("run {name}"), commit)));
        }
        let open = |(pin, commit): (String, CommitId)| {
            let changes = Counts::default();
            Ok((Pin { pin, commit, changes }, store.snapshot(Some(commit), &[])?))
        };
        Ok(Self { found: named.into_iter().map(open).collect::<Result<_>>()? })
    }

    /// Takes in changes of a table.
    pub(crate) fn see(
        &mut self,
        table: &'static Table,
        delta: &DeltaBatch,
    ) -> glossator_store::Result<()> {
        if table != &ANNOTATIONS {
            return Ok(());
        }
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        for (pin, snapshot) in &mut self.found {
            let rows = snapshot.table(&ANNOTATIONS)?;
            let touched: Vec<_> = delta.changes.iter().filter(|c| c.old.is_some()).collect();
            let keys = touched.iter().map(|change| DeltaBatch::key(&old, &new, **change));
            for (change, at) in touched.iter().zip(rows.locate(keys)?) {
                if at.is_some() {
                    pin.changes.count(true, change.new.is_some());
                }
            }
            let mut item: Option<(&str, bool)> = None;
            for change in delta.changes.iter().filter(|change| change.old.is_none()) {
                let (id, _) = DeltaBatch::key(&old, &new, *change);
                let has = match item {
                    Some((last, has)) if last == id => has,
                    _ => !rows.locate_item(id)?.is_empty(),
                };
                item = Some((id, has));
                if has {
                    pin.changes.count(false, true);
                }
            }
        }
        Ok(())
    }

    /// Those that the merge is about.
    pub(crate) fn touched(self) -> Vec<Pin> {
        let pins = self.found.into_iter().map(|(pin, _)| pin);
        pins.filter(|pin| !pin.changes.is_empty()).collect()
    }
}
