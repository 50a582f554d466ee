//! A snapshot as exporters see it: filtered, sorted, perhaps reduced to final answers.

use std::cell::RefCell;

use arrow::array::RecordBatch;
use glossator_formats::{Result as FormatResult, View};
use glossator_quality::{FinalAnswers, LeftOut};
use glossator_store::Snapshot;
use glossator_store::people::People;
use glossator_store::schema::{ANNOTATIONS, SUBMISSIONS, Table};

use crate::filter::Filters;

/// Rows to export.
pub(crate) struct SnapshotView<'a> {
    pub snapshot: &'a Snapshot<'a>,
    pub filters: &'a Filters,
    pub people: Option<&'a People>,
    /// Whether only final answers are given.
    pub labels: bool,
    /// What the final answers left out, once the annotations were read.
    pub left_out: RefCell<LeftOut>,
}

impl View for SnapshotView<'_> {
    fn rows<'a>(
        &'a self,
        table: &'static Table,
    ) -> FormatResult<Box<dyn Iterator<Item = FormatResult<RecordBatch>> + 'a>> {
        let rows = self.filters.rows(self.snapshot, table).map_err(|e| e.into_format())?;
        if self.labels && table == &SUBMISSIONS {
            // Final answers belong to nobody's submission.
            return Ok(Box::new(std::iter::empty()));
        }
        if self.labels && table == &ANNOTATIONS {
            *self.left_out.borrow_mut() = LeftOut::default();
            let answers = FinalAnswers::new(rows);
            return Ok(Box::new(answers.map(|batch| {
                let (batch, left_out) = batch?;
                self.left_out.borrow_mut().add(left_out);
                Ok(batch)
            })));
        }
        Ok(Box::new(rows.map(|batch| Ok(batch?))))
    }

    fn person(&self, annotator_id: &str) -> FormatResult<Option<String>> {
        Ok(self.people.and_then(|people| people.facts(annotator_id)).map(str::to_owned))
    }
}
