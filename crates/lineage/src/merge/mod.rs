//! Merge: three-way by key, by folding the changes of both sides from where they parted.
//!
//! What somebody decided moves whole (label, shape, value, annotator, policy); what is known beside
//! it merges by itself (`gold`, members of `extra`); a place in a file is no content. Rows that
//! both sides added for one question of one person are one answer, not two.
//!
//! # Guarantees
//! - The cost follows what both sides changed, not how large the table is.
//! - The same sides give the same rows on every machine; where nothing is in conflict, whichever
//!   side is ours.
//!
//! # Limitations
//! - A submission that one side removed stays removed where a row of it, edited on the other side,
//!   is kept.
//! - Two equal answers stay two where both were reviewed, or each has something that the other has
//!   not: a review, the mark of a reference, a later policy.

mod cells;
mod conflict;
mod files;
mod json;
mod made;
mod twins;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use glossator_store::delta::{DeltaBatch, DeltaStream, RowChange};
use glossator_store::merging::Take;
use glossator_store::schema::{
    ANNOTATIONS, REVIEWS, Reviews, SUBMISSIONS, Submissions, TABLES, Table,
};
use glossator_store::{CommitId, Result, Snapshot, Store};

use cells::{Merged, RowsMade, Three};
pub use conflict::{Conflict, ConflictKind, RowRef, Rule};
pub use files::{FileConflict, Files, merge_files};
use window::{Entry, Place, Window, Windows, by_key};

use crate::diff::between;

/// The commits of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Where both come from, none for an empty store.
    pub base: Option<CommitId>,
    /// The commit that is merged into.
    pub ours: CommitId,
    /// The commit that is merged.
    pub theirs: CommitId,
}

/// How sides are merged.
#[derive(Debug, Clone, Copy, Default)]
pub struct How<'a> {
    /// Whether rows that both sides changed are conflicts even where the changes fit together.
    pub strict: bool,
    /// The annotator id of whoever merges, who is the author of rows that are made of two.
    pub author: &'a str,
}

/// Decides a conflict, or leaves it open.
pub type Decide<'d> = dyn FnMut(&Conflict<'_>) -> Result<Option<Take>> + 'd;

/// Takes what a merge does to a table, against our side, sorted by key.
pub type Sink<'d> = dyn FnMut(&'static Table, DeltaStream<'_>) -> Result<()> + 'd;

/// Merges every table; gives how many conflicts are left open, which stay as they are on our side.
///
/// # Errors
/// Whatever the store, `decide` or `sink` says.
pub fn merge(
    store: &Store,
    sides: Sides,
    how: How<'_>,
    decide: &mut Decide<'_>,
    sink: &mut Sink<'_>,
) -> Result<u64> {
    let emptied = Default::default();
    let snapshots =
        [store.snapshot(Some(sides.ours), &[])?, store.snapshot(Some(sides.theirs), &[])?];
    let mut merging = Merging { snapshots, how, decide, open: 0, emptied };
    for table in TABLES {
        let mut theirs = between(store, sides.base, Some(sides.theirs), table)?.peekable();
        // Where they did nothing, what we did need not be read; but for submissions of ours of
        // which no row is left.
        let emptied = table == &SUBMISSIONS && !merging.emptied[0].is_empty();
        if theirs.peek().is_none() && !emptied {
            continue;
        }
        let ours = between(store, sides.base, Some(sides.ours), table)?;
        let mut windows = Windows::new(table, ours, Box::new(theirs))?;
        let merging = &mut merging;
        let mut next = move || loop {
            match windows.next(|window, ours, theirs| merging.window(window, ours, theirs))? {
                Some(delta) if delta.changes.is_empty() => {}
                found => return Ok(found),
            }
        };
        sink(table, Box::new(std::iter::from_fn(move || next().transpose())))?;
    }
    Ok(merging.open)
}

struct Merging<'s, 'd, 'e, 'h> {
    /// Ours and theirs, for what conflicts have to know besides their rows.
    snapshots: [Snapshot<'s>; 2],
    how: How<'h>,
    decide: &'d mut Decide<'e>,
    open: u64,
    /// Submissions of each side, by item, of which no added row is left.
    emptied: [HashSet<(String, String)>; 2],
}

/// What becomes of a row of ours.
struct Outcome {
    old: Option<Place>,
    new: Option<Place>,
}

/// Rows of one item that go because their twins stay, and rows of ours that become others.
#[derive(Default)]
struct Gone([HashSet<Place>; 2], HashMap<Place, Place>);

impl Gone {
    /// Whether a row of a side is no part of its submission any more.
    fn has(&self, side: usize, place: Place) -> bool {
        self.0[side].contains(&place) || self.1.contains_key(&place)
    }
}

impl Merging<'_, '_, '_, '_> {
    /// Merges the changes of some items.
    fn window(
        &mut self,
        window: &Window<'_>,
        ours: &[Entry<'_>],
        theirs: &[Entry<'_>],
    ) -> Result<DeltaBatch> {
        let table = window.table;
        let mut made = RowsMade::new(table);
        let mut outcomes = Vec::new();
        let pairs = by_key(ours, theirs);
        let item = |pair: &(Option<Entry<'_>>, Option<Entry<'_>>)| {
            pair.0.or(pair.1).map(|entry| entry.key.0.to_owned())
        };
        for pairs in pairs.chunk_by(|a, b| item(a) == item(b)) {
            let gone = match table == &ANNOTATIONS {
                true => self.twins(window, &mut made, pairs)?,
                false => Gone::default(),
            };
            for &(ours, theirs) in pairs {
                let entry = match (ours, theirs) {
                    (Some(ours), Some(theirs)) => self.both(window, &mut made, ours, theirs)?,
                    (Some(ours), None) => self.ours_alone(table, &gone, ours),
                    (None, Some(theirs)) => self.theirs_alone(table, &gone, theirs),
                    (None, None) => None,
                };
                outcomes.extend(entry);
            }
        }
        let made = made.finish(window.batches[0].schema())?;
        assemble(table, window, &made, &outcomes)
    }

    /// A row that we alone touched stays, but where it is a twin's or of an emptied submission.
    fn ours_alone(&self, table: &'static Table, gone: &Gone, entry: Entry<'_>) -> Option<Outcome> {
        let new = entry.new?;
        if let Some(made) = gone.1.get(&new) {
            return Some(Outcome { old: Some(new), new: Some(*made) });
        }
        let goes = gone.0[0].contains(&new) || self.is_emptied(table, 0, &entry);
        goes.then_some(Outcome { old: Some(new), new: None })
    }

    /// A row that they alone touched becomes theirs, with the same exceptions.
    fn theirs_alone(
        &self,
        table: &'static Table,
        gone: &Gone,
        entry: Entry<'_>,
    ) -> Option<Outcome> {
        let stays_out = entry.new.is_some_and(|new| gone.0[1].contains(&new))
            || self.is_emptied(table, 1, &entry);
        (!stays_out).then_some(Outcome { old: entry.old, new: entry.new })
    }

    fn is_emptied(&self, table: &'static Table, side: usize, entry: &Entry<'_>) -> bool {
        table == &SUBMISSIONS && entry.old.is_none() && !self.emptied[side].is_empty() && {
            let key = (entry.key.0.to_owned(), entry.key.1.to_owned());
            self.emptied[side].contains(&key)
        }
    }

    /// A row that both touched.
    fn both(
        &mut self,
        window: &Window<'_>,
        made: &mut RowsMade,
        ours: Entry<'_>,
        theirs: Entry<'_>,
    ) -> Result<Option<Outcome>> {
        let three = Three { base: ours.old, ours: ours.new, theirs: theirs.new };
        let snapshots = &self.snapshots;
        let mut reviewed = || is_reviewed(snapshots, window, ours);
        let new = match three.merge(window, self.how.strict, &mut reviewed)? {
            Merged::Ours => return Ok(None),
            Merged::Theirs => theirs.new,
            Merged::Made(sources) => Some((usize::MAX, made.push(window, &sources))),
            Merged::Conflict(kind) => match self.decided(window, kind, &three, [1, 1])? {
                None | Some(Take::Ours) => return Ok(None),
                Some(Take::Theirs) => theirs.new,
                Some(Take::Both) if ours.new.is_some() => return Ok(None),
                Some(Take::Both) => theirs.new,
                Some(take) => match made::sources(window, &three, take, self.how.author) {
                    Some(sources) => Some((usize::MAX, made.push(window, &sources))),
                    None => return Ok(None),
                },
            },
        };
        Ok(Some(Outcome { old: ours.new, new }))
    }

    /// Asks who decides; counts what stays open.
    fn decided(
        &mut self,
        window: &Window<'_>,
        kind: ConflictKind,
        three: &Three,
        rows: [usize; 2],
    ) -> Result<Option<Take>> {
        let place = three.ours.or(three.theirs).or(three.base).unwrap_or_default();
        let row = |place: Option<Place>| {
            place.map(|(batch, row)| RowRef { batch: window.batches[batch], row })
        };
        let conflict = Conflict {
            kind,
            table: window.table,
            key: window.rows[place.0].key(place.1),
            base: row(three.base),
            ours: row(three.ours),
            theirs: row(three.theirs),
            rows,
            handed_in: [
                self.handed_in(window, 0, three.ours)?,
                self.handed_in(window, 1, three.theirs)?,
            ],
            makes: [Take::MeanBox, Take::PerColumn].map(|take| {
                let author = self.how.author;
                // One row is made of two, never of whole answers.
                let single = rows.iter().all(|rows| *rows <= 1);
                single && !author.is_empty() && made::sources(window, three, take, author).is_some()
            }),
        };
        let take = (self.decide)(&conflict)?.filter(|take| conflict.can_take(*take));
        self.open += u64::from(take.is_none());
        Ok(take)
    }

    /// When the submission of a row was changed last: tools say so once, not in each row.
    fn handed_in(
        &self,
        window: &Window<'_>,
        side: usize,
        place: Option<Place>,
    ) -> Result<Option<i64>> {
        let Some(place) = place.filter(|_| window.table == &ANNOTATIONS) else { return Ok(None) };
        let Some(submission) = window.text(place, ANNOTATIONS.column("submission_id")) else {
            return Ok(None);
        };
        let submissions = self.snapshots[side].table(&SUBMISSIONS)?;
        let item = window.rows[place.0].key(place.1).0;
        let found: Vec<_> =
            submissions.locate([(item, submission)])?.into_iter().flatten().collect();
        if found.is_empty() {
            return Ok(None);
        }
        let batch = submissions.fetch(&found)?;
        let row = Submissions::new(&batch);
        Ok(row.updated_at(0).or(row.created_at(0)))
    }

    /// Finds the answers of one item that were given on both sides, and which of them go.
    fn twins(
        &mut self,
        window: &Window<'_>,
        rows: &mut RowsMade,
        pairs: &[(Option<Entry<'_>>, Option<Entry<'_>>)],
    ) -> Result<Gone> {
        let added = |side: fn(&(Option<Entry<'_>>, Option<Entry<'_>>)) -> bool| {
            pairs
                .iter()
                .filter(move |pair| side(pair))
                .filter_map(|pair| pair.0.or(pair.1))
                .filter(|entry| entry.old.is_none())
                .collect::<Vec<_>>()
        };
        let ours = added(|pair| pair.1.is_none());
        let theirs = added(|pair| pair.0.is_none());
        let mut gone = Gone::default();
        if ours.is_empty() || theirs.is_empty() {
            return Ok(gone);
        }
        let item = ours[0].key.0;
        let snapshots = &self.snapshots;
        let mut is_new = |side: usize, submission: &str| {
            let submissions = snapshots[1 - side].table(&SUBMISSIONS)?;
            Ok(submissions.locate([(item, submission)])?.iter().all(Option::is_none))
        };
        for twin in twins::twins(window, &ours, &theirs, &mut is_new)? {
            let (own, other) = (&twin.ours, &twin.theirs);
            let take = match twin.equal {
                true => twins::the_one_of(window, own, other),
                false => {
                    let [ours, theirs] = twins::first_that_differ(window, own, other);
                    let three = Three { base: None, ours, theirs };
                    let rows = [own.len(), other.len()];
                    let take = self.decided(window, ConflictKind::AnsweredTwice, &three, rows)?;
                    take.unwrap_or(Take::Ours)
                }
            };
            match take {
                Take::Ours => gone.0[1].extend(twin.theirs),
                Take::Theirs => gone.0[0].extend(twin.ours),
                Take::Both => {}
                Take::MeanBox | Take::PerColumn => {
                    let [ours, theirs] = [own, other].map(|rows| rows.first().copied());
                    let three = Three { base: None, ours, theirs };
                    let made = made::sources(window, &three, take, self.how.author);
                    if let (Some(ours), Some(sources)) = (ours, made) {
                        gone.1.insert(ours, (usize::MAX, rows.push(window, &sources)));
                        gone.0[1].extend(twin.theirs);
                    }
                }
            }
        }
        self.empty_submissions(window, pairs, &gone);
        Ok(gone)
    }

    /// Notes the submissions of which every added row goes.
    fn empty_submissions(
        &mut self,
        window: &Window<'_>,
        pairs: &[(Option<Entry<'_>>, Option<Entry<'_>>)],
        gone: &Gone,
    ) {
        let column = ANNOTATIONS.column("submission_id");
        for side in 0..2 {
            let mut left: BTreeMap<&str, bool> = BTreeMap::new();
            let mut item = "";
            for entry in pairs.iter().filter_map(|pair| if side == 0 { pair.0 } else { pair.1 }) {
                let Some(new) = entry.new else { continue };
                let Some(submission) = window.text(new, column) else { continue };
                item = entry.key.0;
                *left.entry(submission).or_default() |= !gone.has(side, new);
            }
            let emptied = left.into_iter().filter(|(_, left)| !left);
            self.emptied[side].extend(emptied.map(|(id, _)| (item.to_owned(), id.to_owned())));
        }
    }
}

/// Whether reviews say what the status of a row is: a row that both sides have.
fn is_reviewed(
    snapshots: &[Snapshot<'_>; 2],
    window: &Window<'_>,
    entry: Entry<'_>,
) -> Result<bool> {
    let (item, id) = entry.key;
    let (own, submission) = match (window.table == &ANNOTATIONS, entry.new) {
        (true, Some(place)) => (Some(id), window.text(place, ANNOTATIONS.column("submission_id"))),
        _ => (None, Some(id)),
    };
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.state(&REVIEWS).rows() > 0) {
        let reviews = snapshot.table(&REVIEWS)?;
        let found = reviews.locate_item(item)?;
        if found.is_empty() {
            continue;
        }
        let batch = reviews.fetch(&found)?;
        let rows = Reviews::new(&batch);
        let about = |row: usize| match rows.annotation_id(row) {
            Some(annotation) => own == Some(annotation),
            None => submission.is_some() && rows.submission_id(row) == submission,
        };
        // One without a digest is of nobody knows which content, and gives no status.
        if (0..rows.len()).any(|row| rows.digest(row).is_some() && about(row)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts what became of rows together.
fn assemble(
    table: &'static Table,
    window: &Window<'_>,
    made: &RecordBatch,
    outcomes: &[Outcome],
) -> Result<DeltaBatch> {
    let mut batches = window.batches.clone();
    batches.push(made);
    let at = |(batch, row): Place| (batch.min(batches.len() - 1), row);
    let pick = |place: fn(&Outcome) -> Option<Place>| -> Result<RecordBatch> {
        let picks: Vec<Place> = outcomes.iter().filter_map(place).map(at).collect();
        match picks.is_empty() {
            true => Ok(RecordBatch::new_empty(batches[0].schema())),
            false => Ok(interleave_record_batch(&batches, &picks)?),
        }
    };
    let (old, new) = (pick(|outcome| outcome.old)?, pick(|outcome| outcome.new)?);
    let (mut olds, mut news) = (0_u32.., 0_u32..);
    let changes = outcomes.iter().map(|outcome| RowChange {
        old: outcome.old.and_then(|_| olds.next()),
        new: outcome.new.and_then(|_| news.next()),
    });
    Ok(DeltaBatch { table, old, new, changes: changes.collect() })
}
