//! A snapshot as exporters see it: filtered, sorted, perhaps reduced to final answers.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use clap::ValueEnum;
use glossator_formats::{Result as FormatResult, View};
use glossator_lineage::policy::Mapping;
use glossator_quality::{Aliases, FinalAnswers, LeftOut, Method};
use glossator_store::Snapshot;
use glossator_store::items::seen_by;
use glossator_store::people::People;
use glossator_store::schema::{
    ANNOTATIONS, ANNOTATORS, Annotators, ITEMS, SOURCES, SUBMISSIONS, Sources, Table,
};
use glossator_store::segment::BatchStream;

use crate::error::Result;
use crate::filter::Filters;

/// Which rows an export gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViewName {
    /// Every row
    Rows,
    /// One final answer an item and field, for training
    Labels,
}

/// The source that an export speaks for: the one asked for, or the only one of the format.
pub(crate) fn only_source(
    snapshot: &Snapshot<'_>,
    format: &str,
    filters: &Filters,
) -> Result<Option<String>> {
    if let [one] = &filters.source[..] {
        return Ok(Some(one.clone()));
    }
    let mut found = Vec::new();
    for batch in snapshot.table(&SOURCES)?.scan()? {
        let batch = batch?.project(&(0..SOURCES.columns.len()).collect::<Vec<_>>())?;
        let rows = Sources::new(&batch);
        found.extend(rows.iter().filter(|row| row.format == format).map(|r| r.source.to_owned()));
    }
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// Rows to export.
pub(crate) struct SnapshotView<'a> {
    pub snapshot: &'a Snapshot<'a>,
    pub filters: &'a Filters,
    /// How labels are read.
    pub mapping: &'a Mapping,
    pub people: Option<&'a People>,
    /// The source whose words items are given in.
    pub seen_by: Option<String>,
    /// How final answers are found, where only they are given.
    pub labels: Option<Method>,
    /// What the final answers left out, once the annotations were read.
    pub left_out: RefCell<LeftOut>,
}

/// Submission ids as the source gave them, where another had given them first.
fn own_ids(
    batch: &RecordBatch,
    column: usize,
    source: &str,
) -> glossator_store::Result<RecordBatch> {
    let ids = batch.column(column).as_string::<i32>();
    let own = |id: &str| id.strip_prefix(source).is_some_and(|rest| rest.starts_with(':'));
    if !ids.iter().flatten().any(own) {
        return Ok(batch.clone());
    }
    let ids: StringArray = ids
        .iter()
        .map(|id| id.map(|id| if own(id) { &id[source.len() + 1..] } else { id }))
        .collect();
    let mut columns = batch.columns().to_vec();
    columns[column] = Arc::new(ids);
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

impl SnapshotView<'_> {
    /// The submissions among which final answers look for empty ones: none where the filters choose
    /// among the rows of a submission, since it then says nothing that some have none left.
    fn submissions(&self) -> Result<BatchStream<'_>> {
        let filters = self.filters;
        let within = [&filters.label, &filters.field, &filters.kind, &filters.status];
        match within.iter().all(|values| values.is_empty()) {
            true => filters.rows(self.snapshot, &SUBMISSIONS),
            false => Ok(Box::new(std::iter::empty())),
        }
    }
}

/// Which ids are names of one person.
pub(crate) fn aliases(snapshot: &Snapshot<'_>) -> Result<Aliases> {
    let mut pairs = Vec::new();
    for batch in snapshot.table(&ANNOTATORS)?.scan()? {
        let batch = batch?.project(&(0..ANNOTATORS.columns.len()).collect::<Vec<_>>())?;
        let rows = Annotators::new(&batch);
        pairs.extend(
            rows.iter()
                .filter_map(|row| Some((row.annotator_id.to_owned(), row.alias_of?.to_owned()))),
        );
    }
    Ok(Aliases::new(pairs))
}

impl View for SnapshotView<'_> {
    fn rows<'a>(
        &'a self,
        table: &'static Table,
    ) -> FormatResult<Box<dyn Iterator<Item = FormatResult<RecordBatch>> + 'a>> {
        let rows = self.filters.read(self.snapshot, table, Some(self.mapping));
        let rows = rows.map_err(|e| e.into_format())?;
        if self.labels.is_some() && table == &SUBMISSIONS {
            // Final answers belong to nobody's submission.
            return Ok(Box::new(std::iter::empty()));
        }
        if let Some(method) = self.labels.filter(|_| table == &ANNOTATIONS) {
            *self.left_out.borrow_mut() = LeftOut::default();
            let handed = self.submissions().map_err(|e| e.into_format())?;
            let aliases = aliases(self.snapshot).map_err(|e| e.into_format())?;
            let answers = FinalAnswers::new(rows, handed, aliases, method);
            return Ok(Box::new(answers.map(|batch| {
                let (batch, left_out) = batch?;
                self.left_out.borrow_mut().add(left_out);
                Ok(batch)
            })));
        }
        if let (Some(source), Some(column)) = (&self.seen_by, table.column("submission_id"))
            && table != &ITEMS
        {
            return Ok(Box::new(rows.map(move |batch| Ok(own_ids(&batch?, column, source)?))));
        }
        if table == &ITEMS {
            let source = self.seen_by.as_deref().unwrap_or_default();
            return Ok(Box::new(rows.map(move |batch| Ok(seen_by(&batch?, source)?))));
        }
        Ok(Box::new(rows.map(|batch| Ok(batch?))))
    }

    fn person(&self, annotator_id: &str) -> FormatResult<Option<String>> {
        Ok(self.people.and_then(|people| people.facts(annotator_id)).map(str::to_owned))
    }
}
