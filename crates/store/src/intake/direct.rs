//! Annotations that come in key order with their ids stated go straight into the change.

use std::fmt;

use arrow::array::RecordBatch;

use super::settle::Settle;
use crate::canonical::Rows;
use crate::change::ChangeWriter;
use crate::delta::Counts;
use crate::error::{Error, Result};
use crate::schema::{ANNOTATIONS, ANNOTATORS, Annotations, SOURCES, Table};
use crate::snapshot::TableSnapshot;
use crate::transaction::Transaction;

/// The annotations of an import on their way into a change.
pub(super) struct Direct<'s> {
    pub(super) base: &'s TableSnapshot,
    pub(super) rows: u64,
    writer: ChangeWriter<'s>,
    last: Option<(String, String)>,
}

impl fmt::Debug for Direct<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<'s> Direct<'s> {
    pub(super) fn new(base: &'s TableSnapshot, transaction: &Transaction<'s>) -> Self {
        Self { base, rows: 0, writer: transaction.writer(base), last: None }
    }

    /// Whether rows of a table have a say in the ids of annotations.
    pub(super) fn depends_on(table: &Table) -> bool {
        table != &SOURCES && table != &ANNOTATORS
    }

    /// Takes rows, or says that they are not in order.
    pub(super) fn push(
        &mut self,
        batch: RecordBatch,
        mut settle: Settle<'_>,
        transaction: &mut Transaction<'s>,
    ) -> Result<()> {
        let annotations = Annotations::new(&batch);
        let rows = Rows::new(&ANNOTATIONS, &batch)?;
        let mut last = self.last.as_ref().map(|(item, id)| (item.as_str(), id.as_str()));
        for row in 0..rows.len() {
            let key = rows.key(row);
            let stated = !key.1.is_empty() && annotations.submission_id(row).is_none();
            if !stated || last.is_some_and(|last| last >= key) {
                return Err(Error::OutOfOrder);
            }
            last = Some(key);
        }
        self.last = last.map(|(item, id)| (item.to_owned(), id.to_owned()));
        self.rows += rows.len() as u64;
        let mut rest = Some(batch);
        while let Some(batch) = rest.take() {
            let delta = settle.by_key(batch, &mut rest)?;
            transaction.push(&mut self.writer, &delta)?;
        }
        Ok(())
    }

    /// Ends the table.
    pub(super) fn finish(self, transaction: &mut Transaction<'s>) -> Result<Counts> {
        transaction.end(&ANNOTATIONS, self.writer)
    }
}
