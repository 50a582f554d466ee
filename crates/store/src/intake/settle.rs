//! Settles new rows against the live rows with their keys: what is equal drops out.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListBuilder, RecordBatch, StringArray, StringBuilder, UInt32Array,
};
use arrow::compute::{interleave, take_record_batch};
use serde_json::{Map, Value};

use super::IntakeOptions;
use crate::canonical::Rows;
use crate::change::only_old;
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::{Error, Result};
use crate::id::Digest;
use crate::items::{self, SOURCES_MEMBER};
use crate::schema::{ANNOTATIONS, ITEMS, REVIEWS, SUBMISSIONS, SUPERSEDED, Table};
use crate::segment::{BatchStream, SegmentKind, segment_schema};
use crate::snapshot::{Located, TableSnapshot};
use crate::store::{Layer, Snapshot};
use crate::transaction::Transaction;

/// Which live rows a file had, for pruning.
#[derive(Debug)]
pub(super) struct Seen {
    enabled: bool,
    rows: HashMap<(&'static str, Digest), Vec<u32>>,
    sources: Vec<String>,
}

impl Seen {
    /// Of files that are complete for these sources, though they may have no row of them.
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, rows: HashMap::new(), sources: Vec::new() }
    }

    /// The file has all rows of these sources.
    pub(super) fn complete(&mut self, sources: Vec<String>) {
        self.sources.extend(sources);
    }

    fn note(&mut self, base: &TableSnapshot, located: Located) {
        if self.enabled {
            let key = (base.table.name, base.segment(located.segment));
            self.rows.entry(key).or_default().push(located.row);
        }
    }

    fn note_sources(&mut self, table: &Table, batch: &RecordBatch) {
        let Some(column) = table.column("source").filter(|_| self.enabled) else { return };
        let Some(view) = crate::schema::ColumnView::new(batch.column(column)) else { return };
        for row in 0..batch.num_rows() {
            if let Some(source) = view.text(row)
                && !self.sources.iter().any(|s| s == source)
            {
                self.sources.push(source.to_owned());
            }
        }
    }

    /// Removes the live rows of the file's sources that the file did not have.
    pub(super) fn prune(mut self, snapshot: &Snapshot<'_>, layers: &[Layer]) -> Result<Layer> {
        self.rows.values_mut().for_each(|rows| rows.sort_unstable());
        let above = snapshot.above(layers)?;
        let mut transaction = Transaction::new(&above);
        for table in [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS, &ITEMS] {
            let base = snapshot.table(table)?;
            let mut streams: Vec<BatchStream<'_>> = Vec::new();
            for segment in 0..base.state.segments.len() {
                let digest = base.segment(segment);
                let known = self.rows.get(&(table.name, digest)).map_or(&[][..], Vec::as_slice);
                let sources = &self.sources;
                let live = base.scan_numbered(segment)?;
                streams.push(Box::new(live.map(move |batch| {
                    let (numbers, batch) = batch?;
                    let column = table.column("source").map(|c| batch.column(c));
                    let view = column.and_then(|c| crate::schema::ColumnView::new(c));
                    let gone: UInt32Array = numbers
                        .iter()
                        .enumerate()
                        .filter(|(row, number)| {
                            let source = view.and_then(|v| v.text(*row));
                            source.is_some_and(|s| sources.iter().any(|known| known == s))
                                && known.binary_search(number).is_err()
                        })
                        .map(|(row, _)| row as u32)
                        .collect();
                    let gone = take_record_batch(&batch, &gone)?;
                    if table == &ITEMS { unanswered(snapshot, sources, gone) } else { Ok(gone) }
                })));
            }
            let gone = crate::segment::merge_sorted(streams, table.key_len)?;
            transaction.apply(table, only_old(table, gone))?;
        }
        transaction.finish()
    }
}

/// The items on which no other source has an annotation, a submission or a review.
fn unanswered(
    snapshot: &Snapshot<'_>,
    sources: &[String],
    items: RecordBatch,
) -> Result<RecordBatch> {
    let ids = items.column(0).as_string::<i32>();
    let mut keep = Vec::new();
    for row in 0..ids.len() {
        let mut ours = true;
        for table in [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS] {
            let source = table.column("source").unwrap_or_default();
            let rows = snapshot.table(table)?;
            let rows = rows.fetch(&rows.locate_item(ids.value(row))?)?;
            let rows = Rows::new(table, &rows)?;
            ours &= (0..rows.len()).all(|row| {
                let source = rows.column(source).text(row);
                source.is_some_and(|source| sources.iter().any(|known| known == source))
            });
        }
        if ours {
            keep.push(row as u32);
        }
    }
    Ok(take_record_batch(&items, &UInt32Array::from(keep))?)
}

/// Settles rows of one table.
#[derive(Debug)]
pub(super) struct Settle<'a> {
    pub(super) base: &'a TableSnapshot,
    pub(super) options: IntakeOptions,
    seen: &'a mut Seen,
}

impl<'a> Settle<'a> {
    pub(super) fn new(base: &'a TableSnapshot, options: IntakeOptions, seen: &'a mut Seen) -> Self {
        Self { base, options, seen }
    }

    pub(super) fn note(&mut self, located: Located) {
        self.seen.note(self.base, located);
    }

    /// Rows sorted by key, each the new version of the live row with its key.
    pub(super) fn upserts(mut self, mut rows: BatchStream<'a>) -> DeltaStream<'a> {
        let (mut last, mut rest) = (None, None);
        let mut next = move || {
            let batch = match (rest.take(), &mut rows) {
                (Some(rest), _) => rest,
                (None, rows) => match rows.next().transpose()? {
                    Some(batch) => self.without_repeats(batch, &mut last)?,
                    None => return Ok(None),
                },
            };
            self.by_key(batch, &mut rest).map(Some)
        };
        Box::new(std::iter::from_fn(move || next().transpose()))
    }

    /// The first of equal keys; submissions and reviews may not repeat.
    fn without_repeats(
        &self,
        batch: RecordBatch,
        last: &mut Option<(String, String)>,
    ) -> Result<RecordBatch> {
        let table = self.base.table;
        let rows = Rows::new(table, &batch)?;
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..rows.len() {
            let (item, key) = rows.key(row);
            if last.as_ref().is_some_and(|(i, k)| i == item && k == key) {
                if table == &SUBMISSIONS || table == &REVIEWS {
                    return Err(repeated(table, item, key));
                }
                continue;
            }
            *last = Some((item.to_owned(), key.to_owned()));
            keep.push(row as u32);
        }
        if keep.len() == batch.num_rows() {
            return Ok(batch);
        }
        Ok(take_record_batch(&batch, &UInt32Array::from(keep))?)
    }

    /// Settles rows that are sorted by key and whose keys are apart. Where their live rows are more
    /// than a batch may hold, the rest of them waits.
    pub(super) fn by_key(
        &mut self,
        mut new: RecordBatch,
        rest: &mut Option<RecordBatch>,
    ) -> Result<DeltaBatch> {
        if self.base.state.segments.is_empty() {
            let (olds, equal) = (vec![None; new.num_rows()], vec![false; new.num_rows()]);
            return self.settle(new, &no_rows(self.base.table), &olds, &equal, &[]);
        }
        let mut located = {
            let rows = Rows::new(self.base.table, &new)?;
            self.base.locate((0..rows.len()).map(|row| rows.key(row)))?
        };
        let mut fetch: Vec<Located> = Vec::new();
        let mut places = Vec::new();
        let mut olds = vec![None; new.num_rows()];
        let mut equal = vec![false; new.num_rows()];
        {
            let rows = Rows::new(self.base.table, &new)?;
            let mut scratch = Vec::new();
            for (row, at) in located.iter().enumerate() {
                let Some(at) = at else { continue };
                if rows.digest(row, &mut scratch).0[..16] == at.digest {
                    equal[row] = true;
                } else {
                    olds[row] = Some(fetch.len() as u32);
                    fetch.push(*at);
                    places.push(row);
                }
            }
        }
        let room = self.base.fetch_max(&fetch)?;
        if let Some(&cut) = places.get(room) {
            *rest = Some(new.slice(cut, new.num_rows() - cut));
            new = new.slice(0, cut);
            located.truncate(cut);
            fetch.truncate(room);
        }
        located.iter().flatten().for_each(|at| self.note(*at));
        let old = self.base.fetch(&fetch)?;
        self.settle(new, &old, &olds, &equal, &[])
    }

    /// Makes the delta of sorted new rows, their live rows, and further live rows that are gone.
    ///
    /// `olds[i]` is the row of `old` that row `i` of `new` is the new version of; rows with `equal`
    /// set drop out. `gone` are rows of `old` that are removed, with keys that `new` does not have.
    pub(super) fn settle(
        &mut self,
        new: RecordBatch,
        old: &RecordBatch,
        olds: &[Option<u32>],
        equal: &[bool],
        gone: &[u32],
    ) -> Result<DeltaBatch> {
        let table = self.base.table;
        self.seen.note_sources(table, &new);
        let mut merged = Merged::new(table, &new, old, self.options)?;
        let mut changes = Vec::new();
        for row in 0..new.num_rows() {
            if equal[row] {
                continue;
            }
            match olds[row] {
                None => changes.push(RowChange { old: None, new: Some(row as u32) }),
                Some(was) if merged.differs(row, was as usize) => {
                    merged.check_source(row, was as usize)?;
                    if let Some(member) = (self.options.unique)(table) {
                        merged.check_unique(row, was as usize, member)?;
                    }
                    changes.push(RowChange { old: Some(was), new: Some(row as u32) });
                }
                Some(_) => {}
            }
        }
        let new = merged.finish(&new, old)?;
        changes.extend(gone.iter().map(|&row| RowChange { old: Some(row), new: None }));
        let mut delta = DeltaBatch { table, old: old.clone(), new, changes };
        if !gone.is_empty() {
            sort_changes(&mut delta)?;
        }
        Ok(delta)
    }
}

pub(super) fn repeated(table: &'static Table, item: &str, key: &str) -> Error {
    Error::RepeatedKey { table: table.name, item: item.to_owned(), key: key.to_owned() }
}

fn sort_changes(delta: &mut DeltaBatch) -> Result<()> {
    let mut changes = std::mem::take(&mut delta.changes);
    {
        let (old, new) = (delta.old_rows()?, delta.new_rows()?);
        changes
            .sort_by(|a, b| DeltaBatch::key(&old, &new, *a).cmp(&DeltaBatch::key(&old, &new, *b)));
    }
    delta.changes = changes;
    Ok(())
}

/// Whether the `extra` of a submission says that it is a bare reference.
pub fn is_stub(extra: &str) -> bool {
    extra.contains("\"stub\"")
        && serde_json::from_str::<Map<String, Value>>(extra)
            .is_ok_and(|extra| extra.get("stub") == Some(&Value::Bool(true)))
}

/// A JSON object; empty where there is none.
fn object(text: Option<&str>) -> Option<Map<String, Value>> {
    text.map_or(Some(Map::new()), |text| serde_json::from_str(text).ok())
}

/// Makes a member what it was before.
fn keep_member(name: &str, new: &mut Map<String, Value>, old: &Map<String, Value>) {
    match old.get(name) {
        Some(value) => drop(new.insert(name.to_owned(), value.clone())),
        None => drop(new.shift_remove(name)),
    }
}

fn keep_members(names: &[&str], new: Option<&mut Value>, old: Option<&Value>) {
    if let (Some(Value::Object(new)), Some(Value::Object(old))) = (new, old) {
        names.iter().for_each(|name| keep_member(name, new, old));
    }
}

/// New rows with what must be kept of the live ones.
struct Merged<'b> {
    table: &'static Table,
    new: Rows<'b>,
    old: Rows<'b>,
    volatile: &'static [&'static str],
    /// The column of which `superseded` stays.
    status: Option<usize>,
    /// The column that files that do not know it leave as it is.
    policy: Option<usize>,
    seq: Option<usize>,
    extra: Option<usize>,
    /// By row: columns whose old value stays.
    keep_old: HashMap<usize, u64>,
    extras: HashMap<usize, Option<String>>,
    aliases: HashMap<usize, Vec<String>>,
}

impl<'b> Merged<'b> {
    fn new(
        table: &'static Table,
        new: &'b RecordBatch,
        old: &'b RecordBatch,
        options: IntakeOptions,
    ) -> Result<Self> {
        let status = if table == &SUBMISSIONS { "state" } else { "status" };
        Ok(Self {
            table,
            new: Rows::new(table, new)?,
            old: Rows::new(table, old)?,
            volatile: (options.volatile)(table),
            status: table.column(status).filter(|_| options.keep_ours),
            policy: table.column("policy").filter(|_| options.keep_ours),
            seq: table.column("seq"),
            extra: table.column("extra"),
            keep_old: HashMap::new(),
            extras: HashMap::new(),
            aliases: HashMap::new(),
        })
    }

    /// Whether the new row says anything that the live one does not.
    fn differs(&mut self, row: usize, was: usize) -> bool {
        let mut differing = self.new.differing(row, &self.old, was);
        let text = self.extra.and_then(|extra| self.new.column(extra).text(row));
        if self.table == &SUBMISSIONS && text.is_some_and(is_stub) {
            return false;
        }
        let superseded = |status: &usize| self.old.column(*status).text(was) == Some(SUPERSEDED);
        let unnamed = |policy: &usize| self.new.column(*policy).is_null(row);
        for column in [self.status.filter(superseded), self.policy.filter(unnamed)] {
            if let Some(column) = column.filter(|column| differing.contains(column)) {
                *self.keep_old.entry(row).or_default() |= 1 << column;
                differing.retain(|known| *known != column);
            }
        }
        if self.table == &ITEMS {
            self.merge_item(row, was, &mut differing);
        }
        if self.table == &REVIEWS {
            self.keep_reviewed(row, &mut differing);
        }
        if let Some(extra) = self.extra.filter(|extra| differing.contains(extra))
            && !self.extras.contains_key(&row)
        {
            self.keep_volatile(row, was, extra, &mut differing);
        }
        // A new place alone is no change.
        differing.iter().any(|column| Some(*column) != self.seq)
    }

    /// A review stays one of what it was about, whatever came of that; a new verdict is about what
    /// is there now.
    fn keep_reviewed(&mut self, row: usize, differing: &mut Vec<usize>) {
        let columns = (self.table.column("decision"), self.table.column("digest"));
        let (Some(decision), Some(digest)) = columns else { return };
        if !differing.contains(&decision) && differing.contains(&digest) {
            *self.keep_old.entry(row).or_default() |= 1 << digest;
            differing.retain(|column| *column != digest);
        }
    }

    /// Aliases add up; an item of another source is only filled in, never overwritten.
    fn merge_item(&mut self, row: usize, was: usize, differing: &mut Vec<usize>) {
        let (aliases, source) = (1, 2);
        debug_assert_eq!(self.table.columns[aliases].name, "aliases");
        debug_assert_eq!(self.table.columns[source].name, "source");
        if differing.contains(&aliases) {
            let mut all = self.old.column(aliases).texts(was).unwrap_or_default();
            let known = all.len();
            for alias in self.new.column(aliases).texts(row).unwrap_or_default() {
                if !all.contains(&alias) {
                    all.push(alias);
                }
            }
            if all.len() == known {
                *self.keep_old.entry(row).or_default() |= 1 << aliases;
                differing.retain(|c| *c != aliases);
            } else {
                let all = all.into_iter().map(str::to_owned).collect();
                self.aliases.insert(row, all);
            }
        }
        if differing.contains(&source) && !self.old.column(source).is_null(was) {
            self.merge_source(row, was, source, differing);
        }
    }

    /// What a further source says: it fills in what is null; what it says otherwise is kept in
    /// `extra`, apart from what the first source said.
    fn merge_source(&mut self, row: usize, was: usize, source: usize, differing: &mut Vec<usize>) {
        let (Some(seq), Some(extra)) = (self.seq, self.extra) else { return };
        let mut said = Map::new();
        let mut keep = 1_u64 << source | 1 << extra;
        for column in source + 1..self.table.columns.len() {
            let fills = self.old.column(column).is_null(was) && column != seq && column != extra;
            if fills || !(differing.contains(&column) || column == seq || column == extra) {
                continue;
            }
            keep |= 1 << column;
            let about = self.table.columns[column];
            if let Some(value) = items::cell(about.cell, self.new.column(column), row) {
                said.insert(about.name.to_owned(), value);
            }
        }
        *self.keep_old.entry(row).or_default() |= keep;
        differing.retain(|column| keep >> column & 1 == 0);
        let Some(name) = self.new.column(source).text(row) else { return };
        let Some(mut all) = object(self.old.column(extra).text(was)) else { return };
        let mut sources = match all.get(SOURCES_MEMBER) {
            Some(Value::Object(sources)) => sources.clone(),
            _ => Map::new(),
        };
        let before = sources.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        keep_members(self.volatile, said.get_mut("extra"), before.get("extra"));
        // A place alone is no change.
        let differs =
            said.iter().any(|(name, value)| name != "seq" && before.get(name) != Some(value))
                || before.keys().any(|name| name != "seq" && !said.contains_key(name));
        if differs {
            sources.insert(name.to_owned(), Value::Object(said));
            all.insert(SOURCES_MEMBER.to_owned(), Value::Object(sources));
            self.extras.insert(row, Some(Value::Object(all).to_string()));
            differing.push(extra);
        }
    }

    /// Two sources that number their submissions alike on one item cannot both be stored.
    fn check_source(&self, row: usize, was: usize) -> Result<()> {
        let checked = self.table == &SUBMISSIONS || self.table == &REVIEWS;
        let Some(source) = self.table.column("source").filter(|_| checked) else {
            return Ok(());
        };
        let ours = self.old.column(source).text(was).unwrap_or_default();
        let theirs = self.new.column(source).text(row).unwrap_or_default();
        if ours == theirs {
            return Ok(());
        }
        let (item, submission) = self.new.key(row);
        Err(Error::OtherProject {
            item: item.to_owned(),
            submission: submission.to_owned(),
            member: "source",
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
        })
    }

    /// Two rows with one key and different unique ids are of different projects.
    fn check_unique(&self, row: usize, was: usize, member: &'static str) -> Result<()> {
        let Some(extra) = self.extra else { return Ok(()) };
        let unique = |text: Option<&str>| -> Option<Value> {
            let extra: Map<String, Value> = serde_json::from_str(text?).ok()?;
            extra.get(member).filter(|value| value.is_string()).cloned()
        };
        let ours = unique(self.old.column(extra).text(was));
        let theirs = unique(self.new.column(extra).text(row));
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                let (item, submission) = self.new.key(row);
                Err(Error::OtherProject {
                    item: item.to_owned(),
                    submission: submission.to_owned(),
                    member,
                    ours: ours.to_string(),
                    theirs: theirs.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Keeps what the tool changes by itself as it was first read.
    fn keep_volatile(&mut self, row: usize, was: usize, extra: usize, differing: &mut Vec<usize>) {
        let (Some(mut new), Some(old)) =
            (object(self.new.column(extra).text(row)), object(self.old.column(extra).text(was)))
        else {
            return;
        };
        for name in self.volatile {
            keep_member(name, &mut new, &old);
        }
        if self.table == &ITEMS {
            // What further sources say is not this source's to forget.
            keep_member(SOURCES_MEMBER, &mut new, &old);
        }
        if new == old {
            *self.keep_old.entry(row).or_default() |= 1 << extra;
            differing.retain(|c| *c != extra);
        } else {
            let text = (!new.is_empty()).then(|| Value::Object(new).to_string());
            self.extras.insert(row, text);
        }
    }

    /// The new rows as they are to be stored.
    fn finish(self, new: &RecordBatch, old: &RecordBatch) -> Result<RecordBatch> {
        if self.keep_old.is_empty() && self.extras.is_empty() && self.aliases.is_empty() {
            return Ok(new.clone());
        }
        // Rows that keep an old value are in `olds` by the order in which they were asked for; the
        // old row of each is found by its key.
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        for row in 0..self.old.len() {
            places.insert(self.old.key(row), row);
        }
        let mut columns: Vec<ArrayRef> = new.columns().to_vec();
        for (index, column) in columns.iter_mut().enumerate().take(self.table.columns.len()) {
            if !self.keep_old.values().any(|mask| mask >> index & 1 == 1) {
                continue;
            }
            let picks: Vec<(usize, usize)> = (0..new.num_rows())
                .map(|row| {
                    let keep = self.keep_old.get(&row).is_some_and(|mask| mask >> index & 1 == 1);
                    match places.get(&self.new.key(row)).filter(|_| keep) {
                        Some(was) => (1, *was),
                        None => (0, row),
                    }
                })
                .collect();
            *column = interleave(&[new.column(index), old.column(index)], &picks)?;
        }
        if let Some(extra) = self.extra.filter(|_| !self.extras.is_empty()) {
            let texts = columns[extra].as_string::<i32>();
            let replaced: StringArray = (0..texts.len())
                .map(|row| match self.extras.get(&row) {
                    Some(text) => text.as_deref(),
                    None => texts.is_valid(row).then(|| texts.value(row)),
                })
                .collect();
            columns[extra] = Arc::new(replaced);
        }
        if !self.aliases.is_empty() {
            columns[1] = self.all_aliases(&columns[1]);
        }
        Ok(RecordBatch::try_new(new.schema(), columns)?)
    }

    fn all_aliases(&self, column: &ArrayRef) -> ArrayRef {
        let field = match column.data_type() {
            arrow::datatypes::DataType::List(field) => field.clone(),
            _ => return column.clone(),
        };
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(field);
        let view = crate::schema::ColumnView::new(column);
        for row in 0..column.len() {
            match (self.aliases.get(&row), view.and_then(|v| v.texts(row))) {
                (Some(all), _) => {
                    all.iter().for_each(|a| lists.values().append_value(a));
                    lists.append(true);
                }
                (None, Some(own)) => {
                    own.iter().for_each(|a| lists.values().append_value(a));
                    lists.append(true);
                }
                (None, None) => lists.append_null(),
            }
        }
        Arc::new(lists.finish())
    }
}

/// An empty batch of live rows.
pub(super) fn no_rows(table: &'static Table) -> RecordBatch {
    RecordBatch::new_empty(segment_schema(table, SegmentKind::Rows))
}
