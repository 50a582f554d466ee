//! The second and third pass: the bytes of every object, and what segments and removals hold.

use std::collections::HashMap;
use std::path::Path;

use arrow::array::RecordBatch;

use super::named::{Named, SegmentUse};
use super::rows::RowCheck;
use super::{Tally, Verifier, VerifyProgress, explain, rule};
use crate::canonical::{RootBuilder, RowDigests, Rows, Salts, leaves};
use crate::change::without_empty;
use crate::error::{Error, IoContext, Result};
use crate::fs::{Disk, is_read_only};
use crate::id::Digest;
use crate::key_index::{self, KeyHasher, KeyRange};
use crate::redaction::{Proof, REDACTIONS_REF, Redactions};
use crate::removal::Removal;
use crate::row_cache::{RowCacheWriter, system_columns};
use crate::schema::{ITEMS, Table};
use crate::segment::{RowEntry, SegmentKind, SegmentReader};
use crate::snapshot::{EntryBuilder, short};

impl Verifier<'_> {
    /// Hashes every object file and looks for those that are named and missing.
    pub(super) fn check_objects(
        &mut self,
        named: &Named,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<()> {
        let objects = self.store.objects();
        let named_by = named.objects(&objects.redactions());
        let (stored, _) = objects.list()?;
        let total = stored.len() as u64;
        for (at, (digest, _)) in stored.iter().enumerate() {
            progress(VerifyProgress { phase: "objects", done: at as u64, total });
            if let Err(error) = objects.check(digest) {
                let by = named_by.get(digest).cloned().unwrap_or_default();
                self.find(rule::OBJECT_BYTES, digest, reason(&error), by);
            }
        }
        self.report.objects += total;
        let stored: HashMap<Digest, u64> = stored.into_iter().collect();
        let redactions = objects.redactions();
        if let Err(error) = Redactions::read(&self.store.history) {
            self.find(rule::REDACTED, REDACTIONS_REF, reason(&error), Vec::new());
        }
        for void in redactions.void().filter(|void| stored.contains_key(*void)) {
            let what = "rows of it were erased, and it is still here: run `gloss gc`";
            self.find(rule::REDACTED, void, what, vec![REDACTIONS_REF.to_owned()]);
        }
        for replaced in redactions.replaced() {
            self.report.redacted += u64::from(replaced.rows);
            // What is wrong with what stands for it is wrong with it.
            if self.is_bad(replaced.new) || !stored.contains_key(&replaced.new) {
                self.bad.insert(replaced.old.to_string());
            }
        }
        let mut missing: Vec<_> =
            named_by.into_iter().filter(|(digest, _)| !stored.contains_key(digest)).collect();
        missing.sort_unstable();
        for (digest, by) in missing {
            if self.elsewhere.contains(&digest) {
                self.report.elsewhere += 1;
                self.bad.insert(digest.to_string());
                continue;
            }
            self.find(rule::OBJECT_EXISTS, digest, "it is missing", by);
        }
        for (named, by) in &named.segments {
            let line = &named.line;
            let replaced = objects.redacted(&line.segment);
            let stated = replaced.map_or(line.bytes, |replaced| replaced.bytes);
            let (name, is_bad) = (objects.stored(&line.segment), self.is_bad(line.segment));
            let len = stored.get(&name).filter(|_| !is_bad);
            if let Some(len) = len.filter(|len| **len != stated) {
                let what = format!("it has {len} bytes instead of {stated}");
                self.find(rule::SEGMENT, line.segment, what, by.clone());
            }
        }
        Ok(())
    }

    /// Reads every segment, one at a time, batch by batch.
    pub(super) fn check_segments(
        &mut self,
        named: &Named,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<()> {
        let mut all: Vec<_> = named.segments.iter().collect();
        all.sort_by_key(|(named, _)| (named.line.segment, named.table, named.before));
        let total = all.len() as u64;
        for (at, (named, by)) in all.into_iter().enumerate() {
            progress(VerifyProgress { phase: "segments", done: at as u64, total });
            let Some(table) = Table::by_name(named.table) else { continue };
            if self.is_bad(named.line.segment) {
                continue;
            }
            match self.check_segment(table, named, by) {
                // Errors of the disk on caches end the check; all others are of the segment.
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => {
                    self.find(rule::SEGMENT, named.line.segment, reason(&error), by.clone());
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn check_segment(
        &mut self,
        table: &'static Table,
        named: &SegmentUse,
        by: &[String],
    ) -> Result<()> {
        let line = &named.line;
        let kind = if named.before { SegmentKind::Before } else { SegmentKind::Rows };
        let reader = SegmentReader::open(self.store.objects(), table, kind, line)?;
        let objects = self.store.objects();
        let replaced = objects.redacted(&line.segment);
        let salts = match &replaced {
            None => RowSalts::Whole(Box::new(Salts::new(&reader.seed()?))),
            Some(replaced) => {
                let Some(proof) = &replaced.proof else {
                    return Err(Error::damaged(
                        line.segment,
                        "nothing proves the rows that it has",
                    ));
                };
                let rows = Proof::read(objects, proof, line.rows)?;
                let empty = rows.iter().filter(|row| matches!(row, Proof::Erased(_))).count();
                let known = objects.erased_rows(&line.segment)?.len();
                if empty != replaced.rows as usize || empty != known {
                    let what = "its proof has other empty rows than the record says";
                    return Err(Error::damaged(line.segment, what));
                }
                RowSalts::Redacted(rows.into_iter())
            }
        };
        let stored = objects.stored(&line.segment);
        let mut scan = SegmentScan::new(table, kind, salts);
        let dir = self.store.index_dir();
        if crate::rows_path(&dir, &stored).is_file() {
            scan.rows = match RowCacheWriter::new(self.store.disk(), &dir, table) {
                Ok(rows) => Some(rows),
                // Rows are checked when they are read from it.
                Err(Error::Io { source, .. }) if is_read_only(&source) => None,
                Err(error) => return Err(error),
            };
        }
        for batch in reader.scan()? {
            scan.push(&batch?)?;
        }
        let mut find = |rule, tally: Tally| {
            if let Some(detail) = tally.detail() {
                self.find(rule, line.segment, detail, by.to_vec());
            }
        };
        find(rule::SORTED, scan.unsorted);
        find(rule::ROWS, scan.check.rows);
        find(rule::SYSTEM_COLUMNS, scan.check.system);
        let root = scan.root.finish();
        if root != line.root {
            let what = format!("its rows have the root {root} instead of {}", line.root);
            self.find(rule::ROOT, line.segment, what, by.to_vec());
        }
        if self.is_bad(line.segment) {
            return Ok(());
        }
        let dir = self.store.index_dir();
        let segment = &stored;
        let index = key_index::encode(segment, scan.keys, scan.range.as_ref());
        self.check_index(&crate::index_path(&dir, segment), &index)?;
        if let Some(rows) = scan.rows {
            self.check_rows(&crate::rows_path(&dir, segment), |path| rows.publish(path, segment))?;
        }
        if table == &ITEMS && !named.before {
            let index = key_index::encode(segment, scan.aliases, None);
            self.check_index(&crate::alias_path(&dir, segment), &index)?;
        }
        Ok(())
    }

    /// Compares an index with the one that the rows give. A bad one is replaced, since the checks
    /// of commits look rows up in it.
    fn check_index(&mut self, path: &Path, fresh: &[u8]) -> Result<()> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        let disk = self.store.disk();
        if !path.is_file() || hash(disk, path)? == Digest::of(fresh) {
            return Ok(());
        }
        let what = match disk.write_cache(path, fresh) {
            Ok(()) => "it was bad and has been built again",
            // Whoever asks it finds the bad block, and builds it again in memory.
            Err(Error::Io { source, .. }) if is_read_only(&source) => "it is bad",
            Err(error) => return Err(error),
        };
        self.find(rule::CACHE, format!("cache/index/{name}"), what, Vec::new());
        Ok(())
    }

    /// Compares a row cache with the one that the rows give. A bad one is replaced.
    fn check_rows(&mut self, path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
        if !path.is_file() {
            return Ok(());
        }
        let disk = self.store.disk();
        let fresh = path.with_file_name(format!("tmp-{}-{name}", std::process::id()));
        write(&fresh)?;
        if hash(disk, path)? == hash(disk, &fresh)? {
            return disk.remove_file(&fresh);
        }
        disk.rename_unsynced(&fresh, path)?;
        let what = "it was bad and has been built again";
        self.find(rule::CACHE, format!("cache/index/{name}"), what, Vec::new());
        Ok(())
    }

    /// Decodes every removal object.
    pub(super) fn check_removals(&mut self, named: &Named) {
        let mut all: Vec<_> = named.removals.iter().collect();
        all.sort_by_key(|(line, _)| (line.removed, line.count));
        for (line, by) in all {
            if self.is_bad(line.removed) {
                continue;
            }
            if let Err(error) = Removal::read(self.store.objects(), line) {
                self.find(rule::REMOVAL, line.removed, reason(&error), by.clone());
            }
        }
    }
}

/// What is wrong with an object that is named beside it.
fn reason(error: &Error) -> String {
    match error {
        Error::Damaged { what, .. } => what.clone(),
        other => explain(other),
    }
}

/// What leaves of a segment's rows are made with.
enum RowSalts {
    /// A stream from the seed.
    Whole(Box<Salts>),
    /// The proof of a segment with erased rows.
    Redacted(std::vec::IntoIter<Proof>),
}

/// The rows of one segment as they pass.
struct SegmentScan {
    table: &'static Table,
    salts: RowSalts,
    root: RootBuilder,
    hasher: KeyHasher,
    alias_builder: EntryBuilder,
    /// The number of the next row.
    row: u32,
    last: Option<(String, String)>,
    /// The first and the last key.
    range: Option<KeyRange>,
    /// What the row cache should hold, where there is one.
    rows: Option<RowCacheWriter>,
    unsorted: Tally,
    check: RowCheck,
    keys: Vec<RowEntry>,
    aliases: Vec<RowEntry>,
}

impl SegmentScan {
    fn new(table: &'static Table, kind: SegmentKind, salts: RowSalts) -> Self {
        Self {
            table,
            salts,
            root: RootBuilder::default(),
            hasher: KeyHasher::default(),
            alias_builder: EntryBuilder::default(),
            row: 0,
            last: None,
            range: None,
            rows: None,
            unsorted: Tally::default(),
            check: RowCheck::new(table, kind),
            keys: Vec::new(),
            aliases: Vec::new(),
        }
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = Rows::new(self.table, batch)?;
        match &self.salts {
            RowSalts::Whole(_) => self.check.push(batch, &rows, self.row as usize),
            RowSalts::Redacted(_) => {
                let kept = without_empty(batch)?;
                self.check.push(&kept, &Rows::new(self.table, &kept)?, self.row as usize);
            }
        }
        let system = system_columns(self.table, batch);
        let mut found = RowDigests::default();
        rows.digests(&mut found);
        let empty = self.extend_root(&rows, &found)?;
        for (row, digest) in found.digests.iter().enumerate() {
            if let Some(kept) = &mut self.rows {
                kept.push(&rows, &system, row, found.canonical(row), &short(digest))?;
            }
            let (key, number) = (rows.key(row), self.row);
            self.row += 1;
            if empty.get(row).copied().unwrap_or(false) {
                continue;
            }
            if self.last.as_ref().is_some_and(|(item, second)| (&**item, &**second) >= key) {
                self.unsorted.note(|| format!("row {number} does not follow in order: {key:?}"));
            }
            let last = self.last.get_or_insert_default();
            key.0.clone_into(&mut last.0);
            key.1.clone_into(&mut last.1);
            match &mut self.range {
                Some(range) => range.last.clone_from(last),
                none => *none = Some(KeyRange { first: last.clone(), last: last.clone() }),
            }
            let (item, key) = self.hasher.hash(key.0, key.1);
            self.keys.push(RowEntry { item, key, row: number, digest: short(digest) });
        }
        if self.table == &ITEMS {
            self.alias_builder.aliases(&rows, &mut self.aliases);
        }
        Ok(())
    }

    /// Adds the leaves of rows to the root. Gives which rows are empty, where any may be.
    fn extend_root(&mut self, rows: &Rows<'_>, found: &RowDigests) -> Result<Vec<bool>> {
        let proof = match &mut self.salts {
            RowSalts::Whole(salts) => {
                self.root.extend(leaves(salts, &found.digests));
                return Ok(Vec::new());
            }
            RowSalts::Redacted(proof) => proof,
        };
        let mut empty = Vec::with_capacity(rows.len());
        for (row, (digest, of_row)) in found.digests.iter().zip(proof).enumerate() {
            let erased = matches!(of_row, Proof::Erased(_));
            let says_nothing = || rows.key(row).0.is_empty() && rows.key(row).1.is_empty();
            if erased && !says_nothing() {
                self.unsorted.note(|| format!("row {row} is said to be erased, and has a key"));
            }
            self.root.push(of_row.leaf(digest));
            empty.push(erased);
        }
        Ok(empty)
    }
}

fn hash(disk: &Disk, path: &Path) -> Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut disk.open(path)?, &mut hasher).at("read", path)?;
    Ok(hasher.finalize().into())
}
