//! What reviews say of rows: of which content each of them is, and the statuses that follow.
//!
//! A review carries the digest of the content that was reviewed. It *fits* while the rows that it
//! is about say the same; the last that fits gives these rows their status.
//!
//! # Guarantees
//! - Every layer that a transaction makes leaves the rows with the statuses that reviews give.
//! - Where no row has a review, nothing is read.
//!
//! # Limitations
//! - A review of which nobody knows what content it was about has no digest, and never fits.

mod hindsight;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};

use crate::canonical::{Rows, put_varint};
use crate::change::{ChangeWriter, TableChange, read_change};
use crate::delta::{DeltaBatch, DeltaStream, RowChange};
use crate::error::Result;
use crate::id::Digest;
use crate::item_rows::{ITEMS_TOGETHER, ItemRows};
use crate::schema::{
    ANNOTATIONS, Annotations, CellType, REVIEWS, Reviews, SUBMISSIONS, Submissions, Table,
};
use crate::segment::BatchStream;
use crate::snapshot::TableSnapshot;
use crate::store::{Layer, Snapshot};

pub use hindsight::{Statuses, in_hindsight, with_statuses};

/// What an importer gives as the digest of a review of the very content that it gives.
///
/// The digest is over final rows, which only the intake knows.
pub const AS_GIVEN: &str = "=";

/// The status that a decision gives.
fn verdict(decision: &str) -> Option<&'static str> {
    match decision {
        "accepted" | "adjudicated" => Some("accepted"),
        "rejected" => Some("rejected"),
        "fixed" => Some("fixed"),
        _ => None,
    }
}

/// The status that reviews give a row which says `own`: one that fits, and whose verdict it is, in
/// order of time. `None` where that is what the row says.
fn status(own: &str, reviews: impl Iterator<Item = (bool, &'static str)>) -> Option<&'static str> {
    // A draft, a skipped or a superseded answer is the source's to say.
    if !["submitted", "accepted", "rejected", "fixed"].contains(&own) {
        return None;
    }
    let (mut last, mut given) = (None, false);
    for (fits, verdict) in reviews {
        last = if fits { Some(verdict) } else { last };
        given |= verdict == own;
    }
    // A verdict is not of content that came after it.
    last.or(given.then_some("submitted")).filter(|status| *status != own)
}

/// The digest of what annotations decide.
fn content(rows: &Rows<'_>, picks: impl Iterator<Item = usize>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let (mut row, mut length) = (Vec::new(), Vec::new());
    for pick in picks {
        row.clear();
        length.clear();
        rows.encode_columns(pick, &mut row, |column| {
            // What is not here says who, when, where in a file, and what became of it.
            matches!(
                column.name,
                "region_id"
                    | "field"
                    | "target"
                    | "kind"
                    | "label"
                    | "negative"
                    | "geometry"
                    | "unit"
                    | "frame"
                    | "refs"
                    | "text"
                    | "number"
                    | "mask"
            )
        });
        put_varint(&mut length, row.len() as u64);
        hasher.update(&length).update(&row);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// Annotations of some items, sorted by key.
struct Answers<'b> {
    view: Annotations<'b>,
    rows: Rows<'b>,
    items: HashMap<&'b str, Range<usize>>,
}

impl<'b> Answers<'b> {
    fn new(batch: &'b RecordBatch) -> Result<Self> {
        let view = Annotations::new(batch);
        let mut items: HashMap<&str, Range<usize>> = HashMap::new();
        for row in 0..view.len() {
            items.entry(view.item_id(row)).or_insert(row..row).end = row + 1;
        }
        Ok(Self { rows: Rows::new(&ANNOTATIONS, batch)?, view, items })
    }

    fn find(&self, item: &str, annotation: &str) -> Option<usize> {
        let mut item = self.items.get(item).cloned()?;
        item.find(|&row| self.view.annotation_id(row) == annotation)
    }

    fn content(&self, row: usize) -> Digest {
        content(&self.rows, std::iter::once(row))
    }

    /// The digest of what a review is about, as it is here.
    fn reviewed(&self, reviews: &Reviews<'_>, row: usize) -> Option<Digest> {
        match (reviews.annotation_id(row), reviews.submission_id(row)) {
            (Some(id), _) => Some(self.content(self.find(reviews.item_id(row), id)?)),
            (None, Some(id)) => {
                let item = self.items.get(reviews.item_id(row)).cloned().unwrap_or_default();
                let of_it = |row: &usize| self.view.submission_id(*row) == Some(id);
                Some(content(&self.rows, item.filter(of_it)))
            }
            (None, None) => None,
        }
    }
}

/// Gives reviews that are [`AS_GIVEN`] the digest of what they are about. `reviews` are sorted by
/// item, about `rows` of them; the annotations are those of the import already.
pub(crate) fn with_digests<'a>(
    annotations: &'a TableSnapshot,
    rows: u64,
    reviews: BatchStream<'a>,
) -> Result<BatchStream<'a>> {
    let mut answers = ItemRows::new(annotations, rows)?;
    Ok(Box::new(reviews.map(move |batch| digested(&mut answers, batch?))))
}

fn digested(answers: &mut ItemRows<'_>, batch: RecordBatch) -> Result<RecordBatch> {
    let reviews = Reviews::new(&batch);
    let given = |row: &usize| reviews.digest(*row) == Some(AS_GIVEN);
    let mut digests: Vec<Option<String>> =
        (0..reviews.len()).map(|row| reviews.digest(row).map(str::to_owned)).collect();
    let mut items: Vec<&str> =
        (0..reviews.len()).filter(given).map(|row| reviews.item_id(row)).collect();
    items.dedup();
    let mut at = 0;
    for items in items.chunks(ITEMS_TOGETHER) {
        let found = answers.of(items)?;
        let found = Answers::new(&found)?;
        let last = items.last().copied().unwrap_or_default();
        while at < reviews.len() && reviews.item_id(at) <= last {
            if given(&at) {
                digests[at] = found.reviewed(&reviews, at).map(|digest| digest.to_string());
            }
            at += 1;
        }
    }
    let digests: StringArray = digests.into_iter().collect();
    with_column(&REVIEWS, "digest", batch.clone(), Arc::new(digests))
}

/// A batch with another column of that name.
fn with_column(
    table: &Table,
    name: &str,
    batch: RecordBatch,
    column: ArrayRef,
) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    if let Some(at) = table.column(name) {
        columns[at] = column;
    }
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// Takes rows whose status is not the one that reviews give them, and that one.
type Visit<'v> = dyn FnMut(&'static Table, RecordBatch, &[&'static str]) -> Result<()> + 'v;

/// Finds the rows in the state after a change whose status is not the one that reviews give.
///
/// What the change did not touch is as it was, and has the status that it should have.
pub(crate) fn each_stale(
    after: &Snapshot<'_>,
    tables: &BTreeMap<String, TableChange>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let touching = [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS];
    let touched = touching.iter().filter_map(|table| tables.get(table.name));
    let touched = touched.map(|change| change.counts.total()).fold(0, u64::saturating_add);
    let reviewed = after.state(&REVIEWS).rows();
    if touched == 0 || reviewed == 0 {
        return Ok(());
    }
    let mut items = if reviewed <= touched {
        item_ids(after.table(&REVIEWS)?.scan()?)
    } else {
        let objects = after.store().objects();
        let deltas = touching.into_iter().filter_map(|table| {
            Some(read_change(objects, table, tables.get(table.name)?).map(touched_ids))
        });
        risen(deltas.collect::<Result<_>>()?)
    };
    let asked = touched.min(reviewed);
    let rows = |table| ItemRows::new(after.table(table)?, asked);
    let [mut annotations, mut submissions, mut reviews] =
        [rows(&ANNOTATIONS)?, rows(&SUBMISSIONS)?, rows(&REVIEWS)?];
    loop {
        let ids: Vec<String> = items.by_ref().take(ITEMS_TOGETHER).collect::<Result<_>>()?;
        if ids.is_empty() {
            return Ok(());
        }
        let found = reviews.of(&ids.iter().map(String::as_str).collect::<Vec<_>>())?;
        let found = Reviews::new(&found);
        let mut ids: Vec<&str> = (0..found.len()).map(|row| found.item_id(row)).collect();
        ids.dedup();
        if !ids.is_empty() {
            stale(&found, annotations.of(&ids)?, submissions.of(&ids)?, visit)?;
        }
    }
}

/// What reviews say of annotations as they are.
struct Known<'r> {
    reviews: &'r Reviews<'r>,
    /// A review, whether it fits, and its verdict; by item, then in order of time.
    known: Vec<(usize, bool, &'static str)>,
}

impl<'r> Known<'r> {
    fn new(reviews: &'r Reviews<'r>, answers: &Answers<'_>) -> Self {
        let mut known: Vec<(usize, bool, &'static str)> = Vec::new();
        for row in 0..reviews.len() {
            if let (Some(digest), Some(verdict)) =
                (reviews.digest(row), verdict(reviews.decision(row)))
            {
                let now = answers.reviewed(reviews, row).map(|digest| digest.to_string());
                known.push((row, now.as_deref() == Some(digest), verdict));
            }
        }
        known.sort_by_key(|&(row, ..)| {
            let time = (reviews.at(row), reviews.round(row), reviews.seq(row));
            (reviews.item_id(row), time, reviews.review_id(row))
        });
        Self { reviews, known }
    }

    fn of(&self, item: &str) -> impl Iterator<Item = &(usize, bool, &'static str)> {
        let start = self.known.partition_point(|(row, ..)| self.reviews.item_id(*row) < item);
        let end = self.known.partition_point(|(row, ..)| self.reviews.item_id(*row) <= item);
        self.known[start..end].iter()
    }

    /// Whether a review is of a whole submission.
    fn whole(&self, review: usize, submission: Option<&str>) -> bool {
        let about = (self.reviews.annotation_id(review), self.reviews.submission_id(review));
        submission.is_some() && about == (None, submission)
    }

    /// Whether each review of an annotation, or of its submission, fits, and its verdict.
    fn of_row<'k>(
        &'k self,
        view: &'k Annotations<'_>,
        row: usize,
    ) -> impl Iterator<Item = (bool, &'static str)> + 'k {
        let (id, submission) = (view.annotation_id(row), view.submission_id(row));
        let about = self.of(view.item_id(row)).filter(move |(review, ..)| {
            self.reviews.annotation_id(*review) == Some(id) || self.whole(*review, submission)
        });
        about.map(|&(_, fits, verdict)| (fits, verdict))
    }

    /// The same of a submission.
    fn of_submission<'k>(
        &'k self,
        view: &'k Submissions<'_>,
        row: usize,
    ) -> impl Iterator<Item = (bool, &'static str)> + 'k {
        let about = self.of(view.item_id(row));
        let about = about.filter(move |r| self.whole(r.0, Some(view.submission_id(row))));
        about.map(|&(_, fits, verdict)| (fits, verdict))
    }
}

/// The rows of some items, all of whose reviews these are, that have not the status which these
/// give.
fn stale(
    reviews: &Reviews<'_>,
    annotations: RecordBatch,
    submissions: RecordBatch,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let answers = Answers::new(&annotations)?;
    let known = Known::new(reviews, &answers);
    let mut stale = Stale::default();
    let view = &answers.view;
    for row in 0..view.len() {
        stale.push(row, status(view.status(row), known.of_row(view, row)));
    }
    stale.visit(&ANNOTATIONS, &annotations, visit)?;
    let mut stale = Stale::default();
    let view = Submissions::new(&submissions);
    for row in 0..view.len() {
        stale.push(row, status(view.state(row), known.of_submission(&view, row)));
    }
    stale.visit(&SUBMISSIONS, &submissions, visit)
}

/// Rows of a batch with the status that they should have.
#[derive(Default)]
struct Stale {
    rows: Vec<u32>,
    statuses: Vec<&'static str>,
}

impl Stale {
    fn push(&mut self, row: usize, status: Option<&'static str>) {
        if let Some(status) = status {
            self.rows.push(row as u32);
            self.statuses.push(status);
        }
    }

    fn visit(self, table: &'static Table, rows: &RecordBatch, visit: &mut Visit<'_>) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        visit(table, take_record_batch(rows, &UInt32Array::from(self.rows))?, &self.statuses)
    }
}

/// Gives the rows that a layer touched the statuses that reviews give them.
pub(crate) fn follow(after: &Snapshot<'_>, layer: &Layer) -> Result<Layer> {
    let store = after.store();
    let writer = |table| -> Result<_> {
        let base = after.table(table)?;
        Ok(ChangeWriter::new(base, store.disk(), store.objects(), &store.index_dir()))
    };
    let mut writers: Option<[ChangeWriter<'_>; 2]> = None;
    let mut made = Layer::default();
    each_stale(after, &layer.tables, &mut |table, rows, statuses| {
        let writers = match &mut writers {
            Some(writers) => writers,
            none => none.insert([writer(&ANNOTATIONS)?, writer(&SUBMISSIONS)?]),
        };
        let delta = restated(table, rows, statuses)?;
        writers[usize::from(table == &SUBMISSIONS)].push(&delta, &mut made.meta)
    })?;
    for (table, writer) in
        [&ANNOTATIONS, &SUBMISSIONS].into_iter().zip(writers.into_iter().flatten())
    {
        let (change, _) = writer.finish()?;
        if !change.counts.is_empty() {
            made.tables.insert(table.name.to_owned(), change);
        }
    }
    Ok(made)
}

/// Rows with another status.
fn restated(table: &'static Table, old: RecordBatch, statuses: &[&str]) -> Result<DeltaBatch> {
    let name = if table == &SUBMISSIONS { "state" } else { "status" };
    let column = cast(&StringArray::from(statuses.to_vec()), &CellType::Dict.arrow())?;
    let new = old.project(&(0..table.columns.len()).collect::<Vec<_>>())?;
    let new = with_column(table, name, new, column)?;
    let changes =
        (0..old.num_rows() as u32).map(|row| RowChange { old: Some(row), new: Some(row) });
    Ok(DeltaBatch { table, changes: changes.collect(), old, new })
}

type Ids<'a> = Box<dyn Iterator<Item = Result<String>> + 'a>;

/// The items of rows that are sorted by item, each once.
fn item_ids<'a>(rows: BatchStream<'a>) -> Ids<'a> {
    risen(vec![Box::new(rows.flat_map(|batch| {
        let ids = batch.map(|batch| {
            let ids = batch.column(0).as_string::<i32>().iter();
            ids.map(|id| Ok(id.unwrap_or_default().to_owned())).collect()
        });
        ids.unwrap_or_else(|error| vec![Err(error)])
    }))])
}

/// The items of a change, rising.
fn touched_ids<'a>(deltas: DeltaStream<'a>) -> Ids<'a> {
    Box::new(deltas.flat_map(|delta| {
        let ids = delta.and_then(|delta| {
            let (old, new) = (delta.old_rows()?, delta.new_rows()?);
            let keys = delta.changes.iter().map(|change| DeltaBatch::key(&old, &new, *change));
            Ok(keys.map(|(item, _)| Ok(item.to_owned())).collect::<Vec<_>>())
        });
        ids.unwrap_or_else(|error| vec![Err(error)])
    }))
}

/// Rising streams of ids as one, each id once.
fn risen<'a>(streams: Vec<Ids<'a>>) -> Ids<'a> {
    let mut streams: Vec<_> = streams.into_iter().map(Iterator::peekable).collect();
    Box::new(std::iter::from_fn(move || {
        for stream in &mut streams {
            if let Some(error) = stream.next_if(Result::is_err) {
                return Some(error);
            }
        }
        let least = streams.iter_mut().filter_map(|s| s.peek()?.as_ref().ok()).min()?.clone();
        for stream in &mut streams {
            while stream.next_if(|id| id.as_ref().is_ok_and(|id| *id == least)).is_some() {}
        }
        Some(Ok(least))
    }))
}
