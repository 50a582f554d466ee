//! Writes what stands for objects with erased rows, records it, and removes the old ones.

use serde::Serialize;

use super::{
    Erase, Plan, REDACTIONS_REF, RedactionRecord, Redactions, Replacement, Scope, without_rows,
};
use crate::change::Meta;
use crate::error::{Error, Result};
use crate::gc::GcReport;
use crate::history::{Identity, PublishLock};
use crate::id::{CommitId, Digest};
use crate::limits::REDACTION_BYTES_MAX;
use crate::notes::NewLine;
use crate::removal::Removal;
use crate::schema::{TABLES, Table};
use crate::segment::SegmentKind;
use crate::store::Store;

/// Why rows are erased.
#[derive(Debug, Clone)]
pub struct Grounds {
    /// As a word: `erasure-request`, `consent-withdrawn`, …
    pub ground: String,
    /// In a sentence, which must name nobody.
    pub reason: String,
    /// Who does it.
    pub who: Identity,
}

/// What a redaction did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RedactionReport {
    /// The id of its record.
    pub id: String,
    /// Keys that were erased, by table.
    pub rows: std::collections::BTreeMap<&'static str, u64>,
    /// Objects that were written anew.
    pub objects: usize,
    /// What was removed; none where that failed, and is left to `gc`.
    pub removed: Option<GcReport>,
}

impl Store {
    /// Erases rows from every object of every commit that a ref or a reflog reaches.
    ///
    /// Nobody else writes meanwhile. `allow` sees the plan, and may refuse it. `None` where there
    /// is nothing to erase, or where `allow` says that it was only asked what would be done.
    ///
    /// # Errors
    /// [`Error::Stage`] where something waits for a commit. With an error before the record is
    /// durable nothing happened; what then fails, gc does when it runs next.
    pub fn redact<E: From<Error>>(
        &self,
        erase: &Erase<'_>,
        grounds: &Grounds,
        allow: &mut dyn FnMut(&Plan) -> Result<bool, E>,
    ) -> Result<Option<RedactionReport>, E> {
        self.facts().check_write()?;
        {
            let _stage = self.lock_stage()?;
            self.clear_committed_stage()?;
        }
        let report = {
            let _writers = self.no_writers()?;
            // Under the lock: somebody may have redacted since this store was opened.
            let now = self.beside(self.root())?;
            if now.stage_file()?.is_some() || now.merge_file()?.is_some() {
                let what = "what waits for a commit may hold what shall be erased";
                return Err(Error::Stage(what.to_owned()).into());
            }
            if !now.objects_elsewhere()?.is_empty() {
                let what = "rows are at the remote alone: fetch them first";
                return Err(Error::Stage(what.to_owned()).into());
            }
            // Records that cannot be read must not be forgotten.
            Redactions::read(&now.history)?;
            let mut lock = now.history.lock(&now.lock_path())?;
            let plan = now.plan_redaction(erase)?;
            if !allow(&plan)? || plan.is_empty() {
                return Ok(None);
            }
            let record = now.replacements(&plan, erase.scope(), grounds)?;
            let Some(on) = plan.on else { return Ok(None) };
            now.record(&mut lock, &record, on, &grounds.who)?;
            RedactionReport {
                id: record.id,
                rows: plan.rows.clone(),
                objects: plan.objects(),
                removed: None,
            }
        };
        self.read_redactions();
        // It is done: what lies there still is removed by whoever collects next.
        let removed = self.plan_gc().and_then(|plan| self.run_gc(plan)).ok();
        Ok(Some(RedactionReport { removed, ..report }))
    }

    /// Erases here what was erased elsewhere: rows of objects of its own, and objects that others
    /// stand for now.
    ///
    /// # Errors
    /// Where records cannot be read, and what objects and refs say.
    pub fn follow_redactions(&self, who: &Identity) -> Result<()> {
        self.read_redactions();
        Redactions::read(&self.history)?;
        let redactions = self.objects().redactions();
        let lies_here = |object: &Digest| self.objects().place(object).is_file();
        if !redactions.void().any(lies_here) && !redactions.is_torn(self.objects())? {
            return Ok(());
        }
        {
            let _writers = self.no_writers()?;
            let now = self.beside(self.root())?;
            let mut lock = now.history.lock(&now.lock_path())?;
            let plan = now.plan_following()?;
            let reason = "what was erased in another copy".to_owned();
            let grounds = Grounds { ground: "follows".to_owned(), reason, who: who.clone() };
            if let Some(on) = plan.on.filter(|_| !plan.is_empty()) {
                let record = now.replacements(&plan, Scope::Rows, &grounds)?;
                now.record(&mut lock, &record, on, who)?;
            }
        }
        self.read_redactions();
        let plan = self.plan_gc()?;
        self.run_gc(plan).map(drop)
    }

    /// How many rows of a commit's snapshot were erased.
    ///
    /// # Errors
    /// Where what says so cannot be read.
    pub fn redacted_rows(&self, commit: CommitId) -> Result<u64> {
        let mut count = 0;
        for table in TABLES {
            let state = self.table_state(commit, table)?;
            let dead = state.dead(self.objects())?;
            for line in &state.segments {
                let erased = self.objects().erased_rows(&line.segment)?;
                let dead = dead.rows.get(&line.segment).map_or(&[][..], Vec::as_slice);
                let live = erased.iter().filter(|row| dead.binary_search(row).is_err());
                count += live.count() as u64;
            }
        }
        Ok(count)
    }

    /// Writes the objects that stand for those with rows that go.
    fn replacements(
        &self,
        plan: &Plan,
        scope: Scope,
        grounds: &Grounds,
    ) -> Result<RedactionRecord> {
        let objects = self.objects();
        let (mut made, mut erased) = (Vec::new(), Removal::default());
        for (used, rows) in &plan.segments {
            let Some(table) = Table::by_name(used.table) else { continue };
            let kind = if used.before { SegmentKind::Before } else { SegmentKind::Rows };
            made.push(without_rows(objects, table, kind, &used.line, rows)?);
            rows.iter().for_each(|row| erased.push(used.line.segment, *row));
        }
        erased.sort();
        for old in &plan.metas {
            let decoded = Meta::decode(&objects.read(old)?);
            let meta = decoded.map_err(|what| Error::damaged(old, what))?;
            let Some(meta) = plan.without(meta) else { continue };
            let bytes = meta.encode()?;
            let new = objects.put(&bytes)?;
            let from = objects.redacted(old).map_or(*old, |before| before.new);
            let bytes = bytes.len() as u64;
            made.push(Replacement { old: *old, from, new, bytes, rows: 0, proof: None });
        }
        Ok(RedactionRecord {
            id: crate::random_name()?,
            at: grounds.who.seconds,
            scope,
            ground: grounds.ground.clone(),
            reason: grounds.reason.clone(),
            rows: erased.count(),
            erased: erased.write(objects)?,
            objects: made,
        })
    }

    /// Adds a record to the notes.
    fn record(
        &self,
        lock: &mut PublishLock,
        record: &RedactionRecord,
        on: CommitId,
        who: &Identity,
    ) -> Result<()> {
        let line = serde_json::to_string(record).map_err(|e| Error::damaged("record", e))?;
        let new = NewLine {
            name: REDACTIONS_REF,
            on,
            line: &line,
            limit: REDACTION_BYTES_MAX,
            title: format!("Redaction {}\n", record.id),
            why: "redact",
            who,
        };
        self.note_line(lock, new)
    }
}
