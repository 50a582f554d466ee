//! Open conflicts as tasks for Label Studio: items, with the rows of both sides as predictions.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use glossator_formats::{ExportOptions, Result as FormatResult, View};
use glossator_lineage::merge::Conflict;
use glossator_lineage::policy::Mapping;
use glossator_store::Snapshot;
use glossator_store::fs::output_file;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, AnnotationsBuilder, ITEMS, Table,
};
use serde_json::{Map, Value, json};

use crate::commands::export::exporter;
use crate::error::Result;
use crate::filter::Filters;
use crate::relabelling::list::ITEM_MEMBER;
use crate::tasks::listed_items;
use crate::view::{SnapshotView, only_source};

/// The member of a task's `data` that names its conflicts.
const CONFLICTS_MEMBER: &str = "gloss_conflicts";

/// Conflicts to be looked at.
#[derive(Default)]
pub(crate) struct Review {
    rows: Vec<RecordBatch>,
    /// What the data of each item's task says besides.
    listed: BTreeMap<String, Map<String, Value>>,
}

impl Review {
    /// Adds a conflict, if it is of annotations. They come item by item.
    pub(crate) fn add(&mut self, conflict: &Conflict<'_>) -> glossator_store::Result<()> {
        if conflict.table != &ANNOTATIONS {
            return Ok(());
        }
        let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
        let mut builder = AnnotationsBuilder::default();
        for (side, row) in [("ours", conflict.ours), ("theirs", conflict.theirs)] {
            let Some(row) = row else { continue };
            let batch = row.batch.slice(row.row, 1).project(&columns)?;
            let row = Annotations::new(&batch).row(0);
            let id = format!("prediction/@{side}");
            // Masks of other formats cannot be told from the tool's own once they are predictions.
            if row.kind == "mask" && row.submission_id.is_none() {
                continue;
            }
            builder.push(&AnnotationRow {
                submission_id: Some(&id),
                annotator_id: side,
                origin: "model",
                status: "submitted",
                gold: false,
                score: None,
                ..row.clone()
            });
        }
        self.rows.push(builder.finish());
        let (item, key) = conflict.key;
        let data = self.listed.entry(item.to_owned()).or_default();
        data.insert(ITEM_MEMBER.to_owned(), Value::from(item));
        let known = data.entry(CONFLICTS_MEMBER).or_insert_with(|| json!([]));
        if let Value::Array(known) = known {
            known.push(json!({"annotation_id": key, "kind": conflict.kind.word()}));
        }
        Ok(())
    }

    /// Writes the tasks, with items as our side has them; the file is there whole or not at all.
    /// Gives how many items there are.
    pub(crate) fn write(&self, ours: &Snapshot<'_>, path: &Path) -> Result<u64> {
        let exporter = exporter("label-studio")?;
        let (filters, mapping) = (Filters::default(), Mapping::default());
        let whole = SnapshotView {
            snapshot: ours,
            filters: &filters,
            mapping: &mapping,
            people: None,
            seen_by: only_source(ours, exporter.name(), &filters)?,
            labels: None,
            left_out: Default::default(),
        };
        let options = ExportOptions { without_people: true, source: None };
        let mut file = output_file(path)?;
        exporter.export(&ReviewView { whole, review: self }, &options, &mut file)?;
        file.persist()?;
        Ok(self.listed.len() as u64)
    }
}

/// The tasks, as exporters see them.
struct ReviewView<'a> {
    whole: SnapshotView<'a>,
    review: &'a Review,
}

impl View for ReviewView<'_> {
    fn rows<'v>(
        &'v self,
        table: &'static Table,
    ) -> FormatResult<Box<dyn Iterator<Item = FormatResult<RecordBatch>> + 'v>> {
        if table == &ANNOTATIONS {
            return Ok(Box::new(self.review.rows.iter().cloned().map(Ok)));
        }
        if table == &ITEMS {
            let listed = &self.review.listed;
            let more = |item: &str| listed.get(item).cloned().unwrap_or_default();
            return listed_items(&self.whole, listed.keys(), more);
        }
        Ok(Box::new(std::iter::empty()))
    }

    fn person(&self, _annotator_id: &str) -> FormatResult<Option<String>> {
        Ok(None)
    }
}
