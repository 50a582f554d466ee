//! The state after a commit: the rows that the one before and the change give, or these written
//! anew.

use std::collections::BTreeMap;

use super::{Verifier, rule};
use crate::canonical::Rows;
use crate::error::Result;
use crate::history::Commit;
use crate::id::Digest;
use crate::removal::Removal;
use crate::schema::{ColumnView, Table};
use crate::segment::SegmentRef;
use crate::snapshot::TableState;
use crate::transaction::CHECKPOINT_TRAILER;

impl Verifier<'_> {
    /// The state after a commit holds the expected live rows. Returns whether segments of them were
    /// written anew.
    pub(super) fn check_state(
        &mut self,
        path: &str,
        table: &'static Table,
        expected: &TableState,
        after: &TableState,
    ) -> Result<bool> {
        if expected == after {
            return Ok(false);
        }
        let removals = expected.removals.iter().chain(&after.removals);
        if self.is_bad(path) || removals.into_iter().any(|line| self.is_bad(line.removed)) {
            return Ok(false);
        }
        // Removals may have been folded, and segments left out in which every row is dead.
        let objects = self.store.objects();
        let (dead_before, dead_after) = (expected.dead(objects)?, after.dead(objects)?);
        let was = live_rows(&expected.segments, &dead_before);
        let is = live_rows(&after.segments, &dead_after);
        let part = |state: &TableState, live: &LiveRows<'_>, other: &LiveRows<'_>| {
            let mut part = state.clone();
            part.segments.retain(|line| {
                let rows = live.get(&line.segment);
                rows.is_some() && rows != other.get(&line.segment)
            });
            part
        };
        let (old, new) = (part(expected, &was, &is), part(after, &is, &was));
        let differing = old.segments.iter().chain(&new.segments).map(|line| line.segment);
        let differing: Vec<Digest> = differing.collect();
        let Some(first) = differing.first() else {
            // A new segment in which every row is dead again was written anew all the same.
            let known = |line: &SegmentRef| expected.segments.contains(line);
            return Ok(!after.segments.iter().all(known));
        };
        if differing.iter().any(|segment| self.is_bad(segment)) {
            return Ok(false);
        }
        let (old, new) = (self.digest_rows(table, old)?, self.digest_rows(table, new)?);
        if old.rows != new.rows {
            let what = format!("its rows of {first} are not its parent's with the change");
            self.find(rule::TREE, path, what, Vec::new());
            return Ok(false);
        }
        if old.origins != new.origins {
            let what = "rows that were written anew have another `_origin` than they had";
            self.find(rule::CHECKPOINT, path, what, Vec::new());
        }
        Ok(true)
    }

    /// Digests of the live rows of a state and of their origins, in order of keys.
    fn digest_rows(&self, table: &'static Table, state: TableState) -> Result<RowsDigest> {
        let (mut rows, mut origins) = (blake3::Hasher::new(), blake3::Hasher::new());
        let mut scratch = Vec::new();
        for batch in self.store.table(table, state)?.scan()? {
            let batch = batch?;
            let typed = Rows::new(table, &batch)?;
            let origin = ColumnView::new(batch.column(table.columns.len()));
            for row in 0..typed.len() {
                rows.update(&typed.digest(row, &mut scratch).0);
                // All that are sound have one length.
                origins.update(origin.and_then(|o| o.text(row)).unwrap_or_default().as_bytes());
            }
        }
        Ok(RowsDigest { rows: rows.finalize(), origins: origins.finalize() })
    }

    /// The commit says which tables were written anew.
    pub(super) fn check_trailer(&mut self, commit: &Commit, rewritten: &[&str]) {
        let wanted = (!rewritten.is_empty()).then(|| rewritten.join(", "));
        let found = commit.trailer(CHECKPOINT_TRAILER);
        if found == wanted.as_deref() || self.report.findings.iter().any(|f| is_of(f, commit)) {
            return;
        }
        let what = match wanted {
            Some(wanted) => format!("its message has no trailer `{CHECKPOINT_TRAILER}: {wanted}`"),
            None => {
                format!("its trailer `{CHECKPOINT_TRAILER}` names tables that are as they were")
            }
        };
        self.find(rule::TRAILERS, commit.id, what, Vec::new());
    }
}

/// Whether a finding is of a file of the commit: then what was written anew is not known.
fn is_of(finding: &super::Finding, commit: &Commit) -> bool {
    finding.object.strip_prefix(&commit.id.to_string()).is_some_and(|rest| rest.starts_with(':'))
}

struct RowsDigest {
    rows: blake3::Hash,
    origins: blake3::Hash,
}

type LiveRows<'a> = BTreeMap<&'a Digest, (u32, &'a [u32])>;

/// Live rows by segment: how many, and which are dead. Segments without live rows are left out.
fn live_rows<'a>(segments: &'a [SegmentRef], dead: &'a Removal) -> LiveRows<'a> {
    let of = |line: &'a SegmentRef| {
        let dead = dead.rows.get(&line.segment).map_or(&[][..], Vec::as_slice);
        (&line.segment, (line.rows, dead))
    };
    segments.iter().map(of).filter(|(_, (rows, dead))| dead.len() < *rows as usize).collect()
}
