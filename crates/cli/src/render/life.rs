//! What was done to an item, as a table for people and as JSON.

use arrow::array::RecordBatch;
use glossator_lineage::life::{Deed, Life};
use glossator_lineage::policy::Mapping;
use glossator_lineage::records::Noted;
use glossator_store::CommitId;
use glossator_store::history::Commit;
use glossator_store::schema::{AnnotationRow, Annotations};
use serde::Serialize;

use super::{lines, plain, row, table};
use crate::policies::said;

/// One thing that was done, as `history --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    what: String,
    /// When it happened: as the source says, else when it was committed or noted.
    at: String,
    commit: CommitId,
    /// When the commit was written.
    committed: Option<String>,
    author: Option<String>,
    message: Option<String>,
    code_commit: Option<String>,
    annotation_id: Option<String>,
    submission_id: Option<String>,
    by: Option<String>,
    origin: Option<String>,
    policy: Option<String>,
    from: Option<String>,
    old: Option<Value>,
    new: Option<Value>,
    detail: Option<String>,
    /// The name of a pin, an export or a run.
    name: Option<String>,
    /// What came of a run.
    metrics: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What an annotation said.
#[derive(Debug, Serialize)]
struct Value {
    label: Option<String>,
    /// The label as the latest version of its policy has it, where that is another one.
    read_as: Option<String>,
    value: String,
}

impl Value {
    fn of((batch, at): (&RecordBatch, usize), mapping: &Mapping) -> Self {
        let row: AnnotationRow<'_> = Annotations::new(batch).row(at);
        let read = row.label.and_then(|label| mapping.label(&said(&row), label));
        Self {
            label: row.label.map(str::to_owned),
            read_as: read.filter(|read| Some(read.as_str()) != row.label),
            value: row::value(&row),
        }
    }

    fn text(&self) -> String {
        match &self.read_as {
            Some(read) => format!("{} (now {read})", self.value),
            None => self.value.clone(),
        }
    }
}

impl Event {
    pub(crate) fn of_deed(told: &Life, deed: &Deed, commit: &Commit, mapping: &Mapping) -> Self {
        let committed = row::seconds(commit.author.seconds, commit.author.offset);
        Self {
            what: deed.what.clone(),
            at: deed.at.map_or_else(|| committed.clone(), row::time),
            commit: deed.commit,
            committed: Some(committed),
            author: Some(commit.author.name.clone()),
            message: Some(commit.title().to_owned()),
            code_commit: commit.trailer("Code-Commit").map(str::to_owned),
            annotation_id: deed.annotation.clone(),
            submission_id: deed.submission.clone(),
            by: deed.by.clone(),
            origin: deed.origin.clone(),
            policy: deed.policy.clone(),
            from: deed.from.clone(),
            old: told.before(deed).map(|place| Value::of(place, mapping)),
            new: told.after(deed).map(|place| Value::of(place, mapping)),
            detail: deed.detail.clone(),
            name: None,
            metrics: None,
        }
    }

    /// That a commit which holds the item was pinned, exported or used.
    pub(crate) fn of_record(noted: &Noted) -> Self {
        use glossator_lineage::records::Made;
        let record = &noted.record;
        let what = match record.made {
            Made::Run => "trained on",
            Made::Pin => "pinned",
            Made::Export => "exported",
        };
        let filtered = match (record.filtered, record.view.as_str()) {
            (true, _) => "; filters may have left it out",
            (false, "labels") => "; final answers, which it may be no part of",
            _ => "",
        };
        Self {
            what: what.to_owned(),
            at: record.at.clone(),
            commit: noted.commit,
            committed: None,
            author: None,
            message: None,
            code_commit: record.code_commit.clone(),
            annotation_id: None,
            submission_id: None,
            by: None,
            origin: None,
            policy: None,
            from: None,
            old: None,
            new: None,
            detail: Some(format!("view {} as {}{filtered}", record.view, record.writer)),
            name: record.name.clone(),
            metrics: record.metrics.clone(),
        }
    }

    /// What changed, who reviewed why, what a run was called.
    fn told(&self) -> String {
        let mut parts: Vec<String> = self.name.iter().cloned().collect();
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old.value != new.value => {
                parts.push(format!("{} → {}", old.text(), new.text()));
            }
            (_, Some(one)) | (Some(one), None) => parts.push(one.text()),
            (None, None) => {}
        }
        if let Some(from) = &self.from {
            let short = if self.annotation_id.is_none() { from.get(..10) } else { None };
            parts.push(format!("from {}", short.unwrap_or(from)));
        }
        parts.extend(self.detail.clone());
        for (name, value) in self.metrics.iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parts.push(format!("{name}={text}"));
        }
        parts.join("  ")
    }
}

/// A line an event.
pub(crate) fn table_of(events: &[Event]) -> String {
    let mut shown = table(&["at", "what", "annotation", "by", "policy", "told", "commit"]);
    for event in events {
        let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let place = match (&event.annotation_id, &event.submission_id) {
            (Some(id), _) | (None, Some(id)) => id.clone(),
            (None, None) => "-".to_owned(),
        };
        let cells = [
            event.at.clone(),
            event.what.clone(),
            place,
            of(&event.by),
            of(&event.policy),
            event.told(),
            event.commit.short(),
        ];
        shown.add_row(cells.map(|cell| plain(&cell).into_owned()));
    }
    lines(&shown)
}
