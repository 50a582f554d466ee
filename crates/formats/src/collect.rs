//! Rows in memory: a sink and a view at once, for tests and small conversions without a store.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use glossator_store::schema::{ANNOTATIONS, Table};

use crate::{BadRecord, Error, Person, Place, Result, Sink, View};

/// Collects whatever an importer hands over.
#[derive(Debug, Default)]
pub struct Collected {
    tables: BTreeMap<&'static str, (Option<&'static Table>, Vec<RecordBatch>)>,
    /// Identity facts by annotator id.
    pub people: BTreeMap<String, String>,
    /// Records that were refused; empty unless `quarantine` is set.
    pub bad: Vec<BadRecord>,
    /// Whether to keep bad records instead of stopping.
    pub quarantine: bool,
    /// Counts of what is odd but kept.
    pub warnings: BTreeMap<String, u64>,
    /// Counts of what was not kept.
    pub losses: BTreeMap<String, u64>,
    minted: u64,
}

impl Collected {
    /// All rows of a table in one batch, sorted by key.
    pub fn table(&self, table: &'static Table) -> RecordBatch {
        let empty = Vec::new();
        let batches = self.tables.get(table.name).map_or(&empty, |(_, b)| b);
        let all = concat_batches(&table.arrow(), batches).expect("batches of one schema");
        let keys: Vec<SortColumn> = (0..table.key_len)
            .map(|i| SortColumn { values: all.column(i).clone(), options: None })
            .collect();
        let order = lexsort_to_indices(&keys, None).expect("keys are strings");
        take_record_batch(&all, &order).expect("indices of this batch")
    }

    /// Gives annotations without an id one that is unique here.
    fn mint(&mut self, rows: RecordBatch) -> RecordBatch {
        let ids = rows.column(1).as_string::<i32>();
        let minted: StringArray = (0..ids.len())
            .map(|i| {
                Some(if ids.value(i).is_empty() {
                    self.minted += 1;
                    format!("~{:09}", self.minted)
                } else {
                    ids.value(i).to_owned()
                })
            })
            .collect();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns[1] = std::sync::Arc::new(minted);
        RecordBatch::try_new(rows.schema(), columns).expect("same schema")
    }
}

impl Sink for Collected {
    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()> {
        let rows = if table == &ANNOTATIONS { self.mint(rows) } else { rows };
        let entry = self.tables.entry(table.name).or_default();
        entry.0 = Some(table);
        entry.1.push(rows);
        Ok(())
    }

    fn person(&mut self, person: &Person<'_>) -> Result<String> {
        let id = match (person.id, person.email) {
            (Some(id), _) => id.to_owned(),
            (None, Some(email)) => format!("p-{}", email.len()),
            (None, None) => "unknown".to_owned(),
        };
        if let Some(facts) = person.facts {
            self.people.insert(id.clone(), facts.to_owned());
        }
        Ok(id)
    }

    fn bad(&mut self, record: BadRecord) -> Result<()> {
        if self.quarantine {
            self.bad.push(record);
            return Ok(());
        }
        Err(Error::input(record.place, record.reason))
    }

    fn warn(&mut self, kind: &str, _place: &Place) {
        *self.warnings.entry(kind.to_owned()).or_default() += 1;
    }

    fn lost(&mut self, kind: &str, _place: &Place) {
        *self.losses.entry(kind.to_owned()).or_default() += 1;
    }
}

impl View for Collected {
    fn rows<'a>(
        &'a self,
        table: &'static Table,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>> {
        Ok(Box::new(std::iter::once(Ok(self.table(table)))))
    }

    fn person(&self, annotator_id: &str) -> Result<Option<String>> {
        Ok(self.people.get(annotator_id).cloned())
    }
}
