//! Writes a change: applies deltas to a snapshot and stores what they did.

use arrow::array::{ArrayRef, RecordBatch, StringDictionaryBuilder, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Int32Type;

use super::{Meta, Resolution, TableChange, UNSTATED, resolve};
use crate::canonical::Rows;
use crate::delta::{Counts, DeltaBatch, RowChange};
use crate::error::{Error, Result, RowConflict};
use crate::fs::Disk;
use crate::key_index::KeyIndex;
use crate::limits::SEGMENT_ROWS_MAX;
use crate::objects::Objects;
use crate::removal::Removal;
use crate::row_cache::RowCacheWriter;
use crate::schema::{ANNOTATIONS, ITEMS, Table};
use crate::segment::{RowEntry, SegmentKind, SegmentRef, SegmentWriter};
use crate::snapshot::{EntryBuilder, Located, TableSnapshot, short};

/// Writes the change of one table against a snapshot of it.
#[derive(Debug)]
pub struct ChangeWriter<'a> {
    table: &'static Table,
    base: &'a TableSnapshot,
    added: Segments,
    before: Segments,
    removal: Removal,
    change: TableChange,
    conflicts: Vec<RowConflict>,
    keep_origins: bool,
}

/// How many conflicts are kept to be shown.
const CONFLICTS_MAX: usize = 1_000;

/// Segments of one sort with their indices, cut at [`SEGMENT_ROWS_MAX`].
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Disk,
    objects: Objects,
    index_dir: std::path::PathBuf,
    table: &'static Table,
    kind: SegmentKind,
    writer: Option<SegmentWriter>,
    lines: Vec<SegmentRef>,
    /// The last key of the segment before.
    last_key: Option<(String, String)>,
    /// Entries of the alias index; segments of items only.
    aliases: Vec<RowEntry>,
    builder: EntryBuilder,
}

impl Segments {
    pub(crate) fn new(
        disk: &Disk,
        objects: &Objects,
        index_dir: &std::path::Path,
        table: &'static Table,
        kind: SegmentKind,
    ) -> Self {
        Self {
            disk: disk.clone(),
            objects: objects.clone(),
            index_dir: index_dir.to_owned(),
            table,
            kind,
            writer: None,
            lines: Vec::new(),
            last_key: None,
            aliases: Vec::new(),
            builder: EntryBuilder::default(),
        }
    }

    /// Appends rows, which must come sorted by key over all calls.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                none => {
                    let seed = crate::random_bytes()?;
                    let mut writer =
                        SegmentWriter::new(&self.objects, self.table, self.kind, seed)?;
                    writer.after(self.last_key.take());
                    if self.disk.caches {
                        let rows = RowCacheWriter::new(&self.disk, &self.index_dir, self.table)?;
                        writer.keep_rows(rows);
                    }
                    none.insert(writer)
                }
            };
            let room = SEGMENT_ROWS_MAX - writer.rows();
            let count = room.min(batch.num_rows() - at);
            let slice = batch.slice(at, count);
            writer.push(&slice)?;
            if self.table == &ITEMS && self.kind == SegmentKind::Rows {
                self.builder.aliases(&Rows::new(self.table, &slice)?, &mut self.aliases);
            }
            at += count;
            if writer.rows() == SEGMENT_ROWS_MAX {
                self.cut()?;
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        self.last_key = writer.last_key();
        let Some(written) = writer.finish()? else { return Ok(()) };
        let line = written.line.clone();
        written.write_caches(&self.disk, &self.index_dir)?;
        if self.disk.caches && self.table == &ITEMS && self.kind == SegmentKind::Rows {
            let path = crate::alias_path(&self.index_dir, &line.segment);
            let aliases = std::mem::take(&mut self.aliases);
            KeyIndex::write(&self.disk, &path, &line.segment, aliases, None)?;
        }
        self.builder = EntryBuilder::default();
        self.lines.push(line);
        Ok(())
    }

    /// The segments that were written.
    pub(crate) fn finish(mut self) -> Result<Vec<SegmentRef>> {
        self.cut()?;
        Ok(self.lines)
    }
}

impl<'a> ChangeWriter<'a> {
    pub(crate) fn new(
        base: &'a TableSnapshot,
        disk: &Disk,
        objects: &Objects,
        index_dir: &std::path::Path,
    ) -> Self {
        let segments = |kind| Segments::new(disk, objects, index_dir, base.table, kind);
        Self {
            table: base.table,
            base,
            added: segments(SegmentKind::Rows),
            before: segments(SegmentKind::Before),
            removal: Removal::default(),
            change: TableChange::default(),
            conflicts: Vec::new(),
            keep_origins: false,
        }
    }

    /// Lets new rows keep the origins that they come with.
    pub(crate) fn keep_origins(&mut self) {
        self.keep_origins = true;
    }

    /// Applies row changes, which must come sorted by key over all calls.
    ///
    /// Each is looked up in the snapshot: one whose row is as the change says it was applies, one
    /// that is there already drops out, any other is a conflict.
    pub fn push(&mut self, delta: &DeltaBatch, meta: &mut Meta) -> Result<()> {
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        let keys = delta.changes.iter().map(|change| DeltaBatch::key(&old, &new, *change));
        let located = if self.base.state.segments.is_empty() {
            vec![None; delta.changes.len()]
        } else {
            self.base.locate(keys)?
        };
        let mut scratch = Vec::new();
        let mut digest = |rows: &Rows<'_>, row: Option<u32>| {
            row.map(|row| short(&rows.digest(row as usize, &mut scratch)))
        };
        let mut applied: Vec<(RowChange, Option<Located>)> = Vec::new();
        for (change, at) in delta.changes.iter().zip(located) {
            // A row that is nowhere and was expected nowhere needs no digest to be told new.
            let resolution = if at.is_none() && change.old.is_none() && change.new.is_some() {
                Resolution::Apply
            } else {
                let (was, is) = (digest(&old, change.old), digest(&new, change.new));
                resolve(was, is, at.map(|at| at.digest))
            };
            match resolution {
                Resolution::Apply => applied.push((*change, at)),
                Resolution::Drop => {}
                Resolution::Conflict => {
                    if self.conflicts.len() < CONFLICTS_MAX {
                        let (item, key) = DeltaBatch::key(&old, &new, *change);
                        let mut key = vec![item.to_owned(), key.to_owned()];
                        key.truncate(self.table.key_len);
                        self.conflicts.push(RowConflict { table: self.table.name, key });
                    }
                }
            }
        }
        self.apply(delta, &old, &new, &applied)?;
        if self.table == &ANNOTATIONS {
            count_names(delta, &applied, meta)?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        delta: &DeltaBatch,
        old: &Rows<'_>,
        new: &Rows<'_>,
        applied: &[(RowChange, Option<Located>)],
    ) -> Result<()> {
        let origin = usize::from(self.keep_origins);
        let columns: Vec<usize> = (0..self.table.columns.len() + origin).collect();
        let picks: Vec<u32> = applied.iter().filter_map(|(change, _)| change.new).collect();
        if !picks.is_empty() {
            // Rows that came with an origin get this segment as their new one: null.
            let rows = delta.new.project(&columns)?;
            let rows = if picks.len() == rows.num_rows() {
                rows
            } else {
                arrow::compute::take_record_batch(&rows, &UInt32Array::from(picks))?
            };
            self.added.push(&rows)?;
        }
        for (change, at) in applied {
            self.change.counts.count(change.old.is_some(), change.new.is_some());
            if let Some(at) = at {
                self.removal.push(self.base.segment(at.segment), at.row);
            }
        }
        let olds: Vec<RowChange> =
            applied.iter().map(|(change, _)| *change).filter(|c| c.old.is_some()).collect();
        if !olds.is_empty() {
            self.before.push(&before_rows(self.table, delta, old, new, &olds)?)?;
        }
        Ok(())
    }

    /// Finishes the change. The conflicts are those of all calls.
    pub fn finish(mut self) -> Result<(TableChange, Vec<RowConflict>)> {
        self.removal.sort();
        let counts = self.change.counts;
        self.change.rows = (self.base.state.rows() + counts.added).saturating_sub(counts.removed);
        let objects = self.added.objects.clone();
        self.change.added = self.added.finish()?;
        self.change.before = self.before.finish()?;
        self.change.removed = self.removal.write(&objects)?;
        let gone = self.change.removed.as_ref().map_or(0, |r| r.count);
        if gone != counts.changed + counts.removed && self.conflicts.is_empty() {
            return Err(Error::BadRows {
                table: self.table.name,
                what: format!("{gone} rows die where {counts:?} says otherwise"),
            });
        }
        Ok((self.change, self.conflicts))
    }
}

/// Rows of a `before` segment: key, old values of what changed, origin, and what changed.
fn before_rows(
    table: &'static Table,
    delta: &DeltaBatch,
    old: &Rows<'_>,
    new: &Rows<'_>,
    changes: &[RowChange],
) -> Result<RecordBatch> {
    let mut keep: Vec<Vec<Option<u32>>> =
        vec![Vec::with_capacity(changes.len()); table.columns.len()];
    let mut changed = StringDictionaryBuilder::<Int32Type>::new();
    let mut all = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(row) = change.old else { continue };
        all.push(row);
        let differing = change.new.map(|n| old.differing(row as usize, new, n as usize));
        for (column, keep) in keep.iter_mut().enumerate() {
            let kept = column < table.key_len
                || differing.as_ref().is_none_or(|columns| columns.contains(&column));
            keep.push(kept.then_some(row));
        }
        match differing {
            None => changed.append_null(),
            Some(columns) => {
                let numbers: Vec<String> =
                    columns.iter().map(|&c| table.columns[c].number.to_string()).collect();
                changed.append_value(numbers.join(","));
            }
        }
    }
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(table.columns.len() + 2);
    for (column, keep) in keep.into_iter().enumerate() {
        columns.push(take(delta.old.column(column), &UInt32Array::from(keep), None)?);
    }
    columns.push(take(delta.old.column(table.columns.len()), &UInt32Array::from(all), None)?);
    columns.push(std::sync::Arc::new(changed.finish()));
    let schema = crate::segment::segment_schema(table, SegmentKind::Before);
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Counts annotations by person, label and policy.
fn count_names(
    delta: &DeltaBatch,
    applied: &[(RowChange, Option<Located>)],
    meta: &mut Meta,
) -> Result<()> {
    let (old, new) = (delta.old_rows()?, delta.new_rows()?);
    let column = |name| ANNOTATIONS.column(name).unwrap_or_default();
    let counted = [
        (column("annotator_id"), &mut meta.annotators, None),
        (column("policy"), &mut meta.policies, Some(UNSTATED)),
        (column("label"), &mut meta.labels, None),
    ];
    for (column, map, unstated) in counted {
        let mut tally = Tally::default();
        for (change, _) in applied {
            let (was, is) = (change.old.is_some(), change.new.is_some());
            let (side, rows, row) = match (change.new, change.old) {
                (Some(row), _) => (1, &new, row as usize),
                (None, Some(row)) => (0, &old, row as usize),
                (None, None) => continue,
            };
            let Some(name) = rows.column(column).text(row).or(unstated) else { continue };
            let key = rows.column(column).dict_key(row);
            tally.counts(side, key, name).count(was, is);
        }
        tally.counts.into_iter().for_each(|(name, counts)| Meta::count(map, name, counts));
    }
    Ok(())
}

/// Counts by name over one batch, in the order in which names first came. Names are values of the
/// dictionaries of both sides, so that none needs to be hashed.
#[derive(Default)]
struct Tally<'a> {
    /// By side and key in its dictionary, or null: a place in `counts`, from 1.
    places: [Vec<usize>; 2],
    counts: Vec<(&'a str, Counts)>,
}

impl<'a> Tally<'a> {
    fn counts(&mut self, side: usize, key: Option<usize>, name: &'a str) -> &mut Counts {
        let (places, at) = (&mut self.places[side], key.map_or(0, |key| key + 1));
        if places.len() <= at {
            places.resize(at + 1, 0);
        }
        if places[at] == 0 {
            self.counts.push((name, Counts::default()));
            places[at] = self.counts.len();
        }
        &mut self.counts[places[at] - 1].1
    }
}
