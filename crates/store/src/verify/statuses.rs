//! Annotations and submissions have the status that their reviews give them.

use std::collections::BTreeMap;

use super::{Tally, Verifier, rule};
use crate::canonical::Rows;
use crate::change::TableChange;
use crate::error::Result;
use crate::reviews::each_stale;
use crate::schema::{ANNOTATIONS, REVIEWS, SUBMISSIONS};
use crate::store::Snapshot;

impl Verifier<'_> {
    /// Checks what a change touched, in the state after it.
    pub(super) fn check_statuses(
        &mut self,
        name: &str,
        after: &Snapshot<'_>,
        tables: &BTreeMap<String, TableChange>,
    ) -> Result<()> {
        if self.is_bad(name) || !self.reads(after, &[&ANNOTATIONS, &SUBMISSIONS, &REVIEWS]) {
            return Ok(());
        }
        let mut wrong = Tally::default();
        each_stale(after, tables, &mut |table, rows, statuses| {
            let rows = Rows::new(table, &rows)?;
            for (row, status) in statuses.iter().enumerate() {
                let key = rows.key(row);
                wrong.note(|| format!("{}: by its reviews, {key:?} is `{status}`", table.name));
            }
            Ok(())
        })?;
        if let Some(detail) = wrong.detail() {
            self.find(rule::STATUSES, name, detail, Vec::new());
        }
        Ok(())
    }
}
