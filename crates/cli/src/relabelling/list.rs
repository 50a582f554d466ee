//! The tasks of a relabelling for a labelling tool: items, with old answers as predictions.
//!
//! A task says in its `data` which item it is (`gloss_item`), so that answers find it again
//! whatever the tool calls it, and whom it is meant for (`gloss_assigned`), by which the tool's
//! lists can be filtered.

use std::cell::Cell;
use std::path::Path;

use arrow::array::RecordBatch;
use glossator_formats::{ExportOptions, Loss, Result as FormatResult, View};
use glossator_lineage::policy::{Mapping, Policy, Version};
use glossator_store::Snapshot;
use glossator_store::fs::output_file;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, AnnotationsBuilder, ITEMS, Table,
};
use glossator_store::whole_items::WholeItems;
use serde_json::{Map, Value};

use super::assign::Assigned;
use super::{Work, by, items};
use crate::commands::export::exporter;
use crate::error::Result;
use crate::filter::Filters;
use crate::tasks::listed_items;
use crate::view::{SnapshotView, only_source};

/// The member of a task's `data` that names its item.
pub(crate) const ITEM_MEMBER: &str = "gloss_item";
/// The member of a task's `data` that names whom it is meant for.
const ASSIGNED_MEMBER: &str = "gloss_assigned";

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Old rows that tasks show.
    pub rows: u64,
    /// What tasks cannot show.
    pub losses: Vec<Loss>,
}

/// The tasks, as exporters see them.
struct TaskList<'a> {
    whole: SnapshotView<'a>,
    work: &'a Work,
    assigned: &'a Assigned,
    /// Labels as they are read under the version that is asked.
    labels: &'a Mapping,
    shown: Cell<u64>,
    foreign_masks: Cell<u64>,
}

/// Writes the tasks of a relabelling; the file is there whole or not at all.
pub(crate) fn write(
    snapshot: &Snapshot<'_>,
    work: &Work,
    (policy, to): (&Policy, &Version),
    assigned: &Assigned,
    path: &Path,
) -> Result<Written> {
    let exporter = exporter("label-studio")?;
    let filters = Filters::default();
    let none = Mapping::default();
    let labels = Mapping::new(vec![policy.clone()], Some((&policy.name, to)));
    let whole = SnapshotView {
        snapshot,
        filters: &filters,
        mapping: &none,
        people: None,
        seen_by: only_source(snapshot, exporter.name(), &filters)?,
        labels: None,
        left_out: Default::default(),
    };
    let (shown, foreign_masks) = Default::default();
    let list = TaskList { whole, work, assigned, labels: &labels, shown, foreign_masks };
    let options = ExportOptions { without_people: true, source: None };
    let mut file = output_file(path)?;
    let mut losses = exporter.export(&list, &options, &mut file)?;
    file.persist()?;
    if list.foreign_masks.get() > 0 {
        let kind = "masks of other formats, whose run lengths differ".to_owned();
        losses.push(Loss { kind, count: list.foreign_masks.get() });
    }
    Ok(Written { rows: list.shown.get(), losses })
}

impl TaskList<'_> {
    /// The rows of a batch of whole items whose answers are void, as predictions of the version
    /// that they were made under.
    fn predictions(&self, batch: &RecordBatch) -> glossator_store::Result<RecordBatch> {
        let read = self.labels.apply(batch.clone())?;
        let (rows, read) = (Annotations::new(batch), Annotations::new(&read));
        let mut builder = AnnotationsBuilder::default();
        for (item, range) in items(&rows) {
            if !self.work.plan.items().contains_key(item) {
                continue;
            }
            let void = self.work.void(&rows, range.clone());
            for row in range {
                let own = rows.row(row);
                // Who labels again must not be shown the reference.
                let number = void.get(&(by(&own), own.field, own.target)).filter(|_| !own.gold);
                let (Some(number), true) = (number, super::stands(&own)) else { continue };
                if own.kind == "mask" && own.submission_id.is_none() {
                    self.foreign_masks.set(self.foreign_masks.get() + 1);
                    continue;
                }
                let made = self.work.mapping.policy_of(own.policy);
                let made = made.map(|(policy, version)| format!("{}@{version}", policy.name));
                let id = format!("prediction/@{number}");
                builder.push(&AnnotationRow {
                    submission_id: Some(&id),
                    annotator_id: made.as_deref().unwrap_or_default(),
                    origin: "model",
                    status: "submitted",
                    gold: false,
                    score: None,
                    ..read.row(row)
                });
                self.shown.set(self.shown.get() + 1);
            }
        }
        Ok(builder.finish())
    }
}

impl View for TaskList<'_> {
    fn rows<'v>(
        &'v self,
        table: &'static Table,
    ) -> FormatResult<Box<dyn Iterator<Item = FormatResult<RecordBatch>> + 'v>> {
        if table == &ANNOTATIONS {
            let rows = self.whole.filters.rows(self.whole.snapshot, table);
            let rows = WholeItems::new(rows.map_err(|e| e.into_format())?);
            return Ok(Box::new(rows.map(|batch| Ok(self.predictions(&batch?)?))));
        }
        if table != &ITEMS {
            return Ok(Box::new(std::iter::empty()));
        }
        listed_items(&self.whole, self.work.plan.items().keys(), |item| {
            let mut more = Map::from_iter([(ITEM_MEMBER.to_owned(), Value::from(item))]);
            if let Some(people) = self.assigned.get(item) {
                more.insert(ASSIGNED_MEMBER.to_owned(), Value::from(people.join(", ")));
            }
            more
        })
    }

    fn person(&self, _annotator_id: &str) -> FormatResult<Option<String>> {
        Ok(None)
    }
}
