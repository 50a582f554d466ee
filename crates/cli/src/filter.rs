//! Which rows of a snapshot a command looks at.

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use clap::Args;
use glossator_lineage::policy::Mapping;
use glossator_store::Snapshot;
use glossator_store::schema::{ANNOTATIONS, ColumnView, ITEMS, Table};
use glossator_store::segment::BatchStream;

use crate::error::{CliError, Result};

/// Rows must fit one of the values of each filter that is given.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filters {
    /// Only this item
    #[arg(long, value_name = "ID")]
    pub item: Vec<String>,
    /// Only this label
    #[arg(long, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Only of this annotator
    #[arg(long, value_name = "ID")]
    pub annotator: Vec<String>,
    /// Only made under this policy
    #[arg(long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// Only answers to this field
    #[arg(long, value_name = "FIELD")]
    pub field: Vec<String>,
    /// Only with this status
    #[arg(long, value_name = "STATUS")]
    pub status: Vec<String>,
    /// Only of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Only of this origin: human, model or rule
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Vec<String>,
    /// Only of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Vec<String>,
}

impl Filters {
    fn by_column(&self) -> [(&'static str, &[String]); 9] {
        [
            ("item_id", &self.item),
            ("label", &self.label),
            ("annotator_id", &self.annotator),
            ("policy", &self.policy),
            ("field", &self.field),
            ("status", &self.status),
            ("kind", &self.kind),
            ("origin", &self.origin),
            ("source", &self.source),
        ]
    }

    /// Adds `COLUMN=VALUE`.
    pub(crate) fn add(&mut self, condition: &str) -> Result<()> {
        let (column, value) = condition.split_once('=').ok_or_else(|| {
            CliError::input(format!("`{condition}` is not of the form COLUMN=VALUE"))
        })?;
        let values = match column.trim() {
            "item" | "item_id" => &mut self.item,
            "label" => &mut self.label,
            "annotator" | "annotator_id" => &mut self.annotator,
            "policy" => &mut self.policy,
            "field" => &mut self.field,
            "status" => &mut self.status,
            "kind" => &mut self.kind,
            "origin" => &mut self.origin,
            "source" => &mut self.source,
            other => {
                return Err(CliError::input(format!("rows cannot be chosen by `{other}`")).hint(
                    "columns: item, label, annotator, policy, field, status, kind, origin, source",
                ));
            }
        };
        values.push(value.trim().to_owned());
        Ok(())
    }

    /// All of them as `COLUMN=VALUE`.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let of = |(column, values): (&str, &[String])| {
            values.iter().map(|value| format!("{column}={value}")).collect::<Vec<_>>()
        };
        self.by_column().into_iter().flat_map(of).collect()
    }

    /// Whether no filter is given.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_column().iter().all(|(_, values)| values.is_empty())
    }

    /// Which rows of a table fit; none: all. A filter on a column that the table does not have
    /// leaves all its rows.
    pub(crate) fn fits(&self, table: &Table, batch: &RecordBatch) -> Option<BooleanArray> {
        let mut views = Vec::new();
        for (name, values) in self.by_column() {
            // An item may be of several sources: exporters choose.
            let of_items = table == &ITEMS && name == "source";
            if values.is_empty() || (table != &ANNOTATIONS && name == "status") || of_items {
                continue;
            }
            let column = table.column(name).and_then(|c| batch.columns().get(c));
            if let Some(view) = column.and_then(|c| ColumnView::new(c as &dyn Array)) {
                views.push((view, values));
            }
        }
        if views.is_empty() {
            return None;
        }
        let keep = |row: usize| {
            views.iter().all(|(view, values)| {
                view.text(row).is_some_and(|text| values.iter().any(|value| value == text))
            })
        };
        Some((0..batch.num_rows()).map(|row| Some(keep(row))).collect())
    }

    /// The rows of a table that fit, sorted by key, without system columns, as they are stored.
    pub(crate) fn rows<'a>(
        &'a self,
        snapshot: &'a Snapshot<'_>,
        table: &'static Table,
    ) -> Result<BatchStream<'a>> {
        self.read(snapshot, table, None)
    }

    /// The rows with the labels that a policy's later version reads them as: what fits is asked of
    /// these.
    pub(crate) fn read<'a>(
        &'a self,
        snapshot: &'a Snapshot<'_>,
        table: &'static Table,
        mapping: Option<&'a Mapping>,
    ) -> Result<BatchStream<'a>> {
        self.read_columns(snapshot, table, mapping, table.columns.len())
    }

    /// The same, and `_origin` behind the table's own columns.
    pub(crate) fn read_with_origin<'a>(
        &'a self,
        snapshot: &'a Snapshot<'_>,
        table: &'static Table,
        mapping: &'a Mapping,
    ) -> Result<BatchStream<'a>> {
        self.read_columns(snapshot, table, Some(mapping), table.columns.len() + 1)
    }

    fn read_columns<'a>(
        &'a self,
        snapshot: &'a Snapshot<'_>,
        table: &'static Table,
        mapping: Option<&'a Mapping>,
        count: usize,
    ) -> Result<BatchStream<'a>> {
        let mapping = mapping.filter(|mapping| table == &ANNOTATIONS && !mapping.is_empty());
        let rows = snapshot.table(table)?;
        let by_item = !self.item.is_empty() && table.columns[0].name == "item_id";
        let batches: BatchStream<'a> = if by_item {
            let mut items = self.item.clone();
            items.sort();
            items.dedup();
            Box::new(items.into_iter().map(move |item| {
                let found = rows.locate_item(&item)?;
                let batch = rows.fetch(&found)?;
                glossator_store::segment::sort_by_key(&batch, table.key_len)
            }))
        } else {
            rows.scan()?
        };
        let columns: Vec<usize> = (0..count).collect();
        Ok(Box::new(batches.map(move |batch| {
            let mut batch = batch?.project(&columns)?;
            if let Some(mapping) = mapping {
                batch = mapping.apply(batch)?;
            }
            match self.fits(table, &batch) {
                Some(mask) => Ok(filter_record_batch(&batch, &mask)?),
                None => Ok(batch),
            }
        })))
    }
}
