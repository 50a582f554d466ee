//! Pairs the annotations of a file with the live ones that they are new versions of, and mints ids
//! for the rest.
//!
//! Rows of a submission pair with that submission's live rows. Rows of a source without submissions
//! pair with live rows of the same source, annotator, target and field. Within such a group, in
//! this order: equal region, field, frame and label; equal content; one left on each side of a
//! field; best overlap of at least [`OVERLAP_MIN`] in a field. The rest is new, or gone.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;

use super::settle::{Settle, no_rows, repeated};
use crate::canonical::Rows;
use crate::delta::DeltaBatch;
use crate::error::Result;
use crate::geometry::Shape;
use crate::limits::ID_BYTES_MAX;
use crate::schema::{ANNOTATIONS, Annotations};
use crate::segment::BatchStream;
use crate::snapshot::Located;
use crate::whole_items::WholeItems;

/// The least intersection over union at which two regions of one field are one that moved.
pub const OVERLAP_MIN: f64 = 0.5;

/// Delta batches of annotations that come sorted by item.
pub(super) struct Pairing<'a> {
    settle: Settle<'a>,
    items: WholeItems<'a>,
    /// Rows whose live rows had no room in the batch before.
    rest: Option<RecordBatch>,
    /// Counts items with a reference answer that nobody else answered.
    unanswered: &'a Cell<u64>,
}

impl<'a> Pairing<'a> {
    pub(super) fn new(
        settle: Settle<'a>,
        rows: BatchStream<'a>,
        unanswered: &'a Cell<u64>,
    ) -> Self {
        Self { settle, items: WholeItems::new(rows), rest: None, unanswered }
    }

    fn next_delta(&mut self) -> Result<Option<DeltaBatch>> {
        let next = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.items.next().transpose()?,
        };
        let Some(batch) = next else { return Ok(None) };
        let stated = {
            let rows = Annotations::new(&batch);
            (0..rows.len()).all(|row| !rows.annotation_id(row).is_empty())
        };
        if stated {
            let sorted = sorted_by_key(batch)?;
            return self.settle.by_key(sorted, &mut self.rest).map(Some);
        }
        self.pair(&batch).map(Some)
    }

    fn pair(&mut self, whole: &RecordBatch) -> Result<DeltaBatch> {
        let new = Annotations::new(whole);
        let mut starts: Vec<usize> = (0..new.len())
            .filter(|&row| row == 0 || new.item_id(row) != new.item_id(row - 1))
            .collect();
        let mut located: Vec<Located> = Vec::new();
        let mut live_starts = Vec::with_capacity(starts.len() + 1);
        let items: Vec<&str> = starts.iter().map(|&start| new.item_id(start)).collect();
        for mut found in self.settle.base.locate_items(&items)? {
            live_starts.push(located.len());
            found.sort_unstable();
            located.extend(found);
        }
        live_starts.push(located.len());
        starts.push(new.len());
        // Whole items whose live rows a batch may hold; one at least.
        let room = self.settle.base.fetch_max(&located)?;
        let items = live_starts.partition_point(|&end| end <= room).saturating_sub(1).max(1);
        let end = starts.get(items).copied().unwrap_or(new.len());
        if end < new.len() {
            self.rest = Some(whole.slice(end, new.len() - end));
            starts.truncate(items + 1);
            live_starts.truncate(items + 1);
            located.truncate(live_starts[items]);
        }
        let batch = &whole.slice(0, end);
        let new = Annotations::new(batch);
        let old = if located.is_empty() {
            no_rows(&ANNOTATIONS)
        } else {
            self.settle.base.fetch(&located)?
        };
        let old_table = old.project(&(0..ANNOTATIONS.columns.len()).collect::<Vec<_>>())?;
        let live = Annotations::new(&old_table);
        let mut assigned = Assigned::new(new.len());
        for (at, window) in starts.windows(2).enumerate() {
            let item = Item {
                new: &new,
                live: &live,
                new_digests: Rows::new(&ANNOTATIONS, batch)?,
                live_digests: Rows::new(&ANNOTATIONS, &old_table)?,
                append: self.settle.options.append,
            };
            let (rows, lives) = (window[0]..window[1], live_starts[at]..live_starts[at + 1]);
            let answered =
                rows.clone().any(|row| !new.gold(row)) || lives.clone().any(|row| !live.gold(row));
            self.unanswered.set(self.unanswered.get() + u64::from(!answered));
            item.pair(rows, lives, &mut assigned);
        }
        for (row, at) in located.iter().enumerate() {
            let paired = assigned.live.contains(&(row as u32));
            if paired || assigned.gone.contains(&(row as u32)) {
                self.settle.note(*at);
            }
        }
        self.settled(batch, &old, &assigned)
    }

    /// Puts the ids in and settles, in order of keys.
    fn settled(
        &mut self,
        batch: &RecordBatch,
        old: &RecordBatch,
        assigned: &Assigned,
    ) -> Result<DeltaBatch> {
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns[1] = Arc::new(StringArray::from_iter_values(&assigned.ids));
        let named = RecordBatch::try_new(batch.schema(), columns)?;
        let order = key_order(&named)?;
        let olds: Vec<Option<u32>> = order.iter().map(|&row| assigned.olds[row as usize]).collect();
        let new = take_record_batch(&named, &UInt32Array::from(order))?;
        let equal = vec![false; new.num_rows()];
        let mut gone: Vec<u32> = assigned.gone.iter().copied().collect();
        gone.sort_unstable();
        self.settle.settle(new, old, &olds, &equal, &gone)
    }
}

impl Iterator for Pairing<'_> {
    type Item = Result<DeltaBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_delta().transpose()
    }
}

fn key_order(batch: &RecordBatch) -> Result<Vec<u32>> {
    let rows = Rows::new(&ANNOTATIONS, batch)?;
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by(|a, b| rows.key(*a as usize).cmp(&rows.key(*b as usize)));
    for pair in order.windows(2) {
        let (item, key) = rows.key(pair[1] as usize);
        if rows.key(pair[0] as usize) == (item, key) {
            return Err(repeated(&ANNOTATIONS, item, key));
        }
    }
    Ok(order)
}

fn sorted_by_key(batch: RecordBatch) -> Result<RecordBatch> {
    let order = key_order(&batch)?;
    if order.windows(2).all(|pair| pair[0] < pair[1]) {
        return Ok(batch);
    }
    Ok(take_record_batch(&batch, &UInt32Array::from(order))?)
}

/// What pairing decided.
struct Assigned {
    /// By new row: its id.
    ids: Vec<String>,
    /// By new row: the live row that it is a new version of.
    olds: Vec<Option<u32>>,
    /// Live rows that have a new version.
    live: HashSet<u32>,
    /// Live rows that are gone.
    gone: HashSet<u32>,
}

impl Assigned {
    fn new(rows: usize) -> Self {
        Self {
            ids: vec![String::new(); rows],
            olds: vec![None; rows],
            live: HashSet::new(),
            gone: HashSet::new(),
        }
    }
}

/// The rows of one item.
struct Item<'b> {
    new: &'b Annotations<'b>,
    live: &'b Annotations<'b>,
    new_digests: Rows<'b>,
    live_digests: Rows<'b>,
    append: bool,
}

/// What rows are paired within.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Group<'a> {
    Submission(&'a str, &'a str),
    Answers(&'a str, &'a str, Option<&'a str>, &'a str),
}

pub(super) fn group<'a>(rows: &Annotations<'a>, row: usize) -> Group<'a> {
    match rows.submission_id(row) {
        Some(submission) => Group::Submission(rows.source(row), submission),
        None => Group::Answers(
            rows.source(row),
            rows.annotator_id(row),
            rows.target(row),
            rows.field(row),
        ),
    }
}

impl Item<'_> {
    fn pair(
        &self,
        new: std::ops::Range<usize>,
        live: std::ops::Range<usize>,
        assigned: &mut Assigned,
    ) {
        let mut groups: HashMap<Group<'_>, (Vec<usize>, Vec<usize>)> = HashMap::new();
        let mut order = Vec::new();
        // In the order in which ids are minted, wherever the rows lie: `x`, `x/2`, … `x/10`.
        let mut live: Vec<usize> = live.collect();
        live.sort_by_key(|&row| {
            let id = self.live.annotation_id(row);
            (id.len(), id)
        });
        let stated: HashMap<&str, usize> =
            live.iter().map(|&row| (self.live.annotation_id(row), row)).collect();
        let mut ids = Ids::default();
        stated.keys().for_each(|id| ids.take(id));
        for row in new {
            let id = self.new.annotation_id(row);
            if !id.is_empty() {
                id.clone_into(&mut assigned.ids[row]);
                ids.take(id);
                if let Some(&was) = stated.get(id) {
                    assigned.olds[row] = Some(was as u32);
                    assigned.live.insert(was as u32);
                }
                continue;
            }
            let group = group(self.new, row);
            let entry = groups.entry(group.clone()).or_insert_with(|| {
                order.push(group);
                Default::default()
            });
            entry.0.push(row);
        }
        for row in live {
            if assigned.live.contains(&(row as u32)) {
                continue;
            }
            if let Some(entry) = groups.get_mut(&group(self.live, row)) {
                entry.1.push(row);
            }
        }
        for key in order {
            let Some((mut rows, mut lives)) = groups.remove(&key) else { continue };
            let complete = matches!(key, Group::Submission(..));
            if complete || !self.append {
                self.pair_group(&mut rows, &mut lives, complete, assigned);
            }
            if complete {
                assigned.gone.extend(lives.iter().map(|&row| row as u32));
            }
            for row in rows {
                assigned.ids[row] = ids.mint(self.new, row);
            }
        }
    }

    /// Pairs what can be paired and leaves the rest in the lists.
    fn pair_group(
        &self,
        rows: &mut Vec<usize>,
        lives: &mut Vec<usize>,
        complete: bool,
        assigned: &mut Assigned,
    ) {
        let mut keep = |row: usize, was: usize| {
            assigned.ids[row] = self.live.annotation_id(was).to_owned();
            assigned.olds[row] = Some(was as u32);
            assigned.live.insert(was as u32);
        };
        // 1: equal region, field, frame and label. A region without an id has no name to go by.
        pair_equal(
            rows,
            lives,
            |row| named(self.new, row).then(|| name_of(self.new, row)),
            |was| named(self.live, was).then(|| name_of(self.live, was)),
            |row, was| self.content(row, true) == self.content(was, false),
            &mut keep,
        );
        // 2: equal content.
        pair_equal(
            rows,
            lives,
            |row| Some(self.content(row, true)),
            |was| Some(self.content(was, false)),
            |_, _| true,
            &mut keep,
        );
        // 3: one left on each side of a field.
        let field = |rows: &Annotations<'_>, row: usize| {
            (rows.field(row).to_owned(), rows.target(row).map(str::to_owned))
        };
        let mut single: HashMap<_, (usize, usize)> = HashMap::new();
        rows.iter().for_each(|&row| single.entry(field(self.new, row)).or_default().0 += 1);
        lives.iter().for_each(|&was| single.entry(field(self.live, was)).or_default().1 += 1);
        let one = |name: &_| single.get(name) == Some(&(1, 1));
        pair_equal(
            rows,
            lives,
            |row| Some(field(self.new, row)).filter(one),
            |was| Some(field(self.live, was)).filter(one),
            |_, _| true,
            &mut keep,
        );
        // 4: best overlap in a field.
        let moved = self.overlapping(rows, lives);
        moved.iter().for_each(|(row, was)| keep(*row, *was));
        rows.retain(|row| !moved.iter().any(|(r, _)| r == row));
        lives.retain(|was| !moved.iter().any(|(_, l)| l == was));
        // Answers without regions pair in order: the first is a new version of the first.
        if !complete {
            let plain = |rows: &Annotations<'_>, row: usize| rows.geometry(row).is_none();
            pair_equal(
                rows,
                lives,
                |row| plain(self.new, row).then_some(()),
                |was| plain(self.live, was).then_some(()),
                |_, _| true,
                &mut keep,
            );
        }
    }

    /// What a row says, but for its ids and its place.
    fn content(&self, row: usize, new: bool) -> Vec<u8> {
        let rows = if new { &self.new_digests } else { &self.live_digests };
        let mut out = Vec::new();
        rows.encode_columns(row, &mut out, |column| {
            !matches!(column.name, "annotation_id" | "region_id" | "seq")
        });
        out
    }

    /// Pairs of one field that overlap enough, the best first, each row once.
    fn overlapping(&self, rows: &[usize], lives: &[usize]) -> Vec<(usize, usize)> {
        let shape =
            |rows: &Annotations<'_>, row: usize| Shape::decode(rows.kind(row), rows.geometry(row)?);
        let live_shapes: Vec<_> = lives.iter().map(|&was| shape(self.live, was)).collect();
        let mut pairs = Vec::new();
        for &row in rows {
            let Some(own) = shape(self.new, row) else { continue };
            for (&was, other) in lives.iter().zip(&live_shapes) {
                let fits = self.new.field(row) == self.live.field(was)
                    && self.new.target(row) == self.live.target(was)
                    && self.new.kind(row) == self.live.kind(was)
                    && self.new.unit(row) == self.live.unit(was)
                    && self.new.frame(row) == self.live.frame(was);
                let iou = other.as_ref().filter(|_| fits).and_then(|other| own.iou(other));
                if let Some(iou) = iou.filter(|iou| *iou >= OVERLAP_MIN) {
                    pairs.push((iou, row, was));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let (mut used_rows, mut used_lives) = (HashSet::new(), HashSet::new());
        pairs
            .into_iter()
            .filter(|(_, row, was)| {
                let free = !used_rows.contains(row) && !used_lives.contains(was);
                if free {
                    used_rows.insert(*row);
                    used_lives.insert(*was);
                }
                free
            })
            .map(|(_, row, was)| (row, was))
            .collect()
    }
}

/// Pairs rows with equal names in the order of both lists, and takes them out of both.
///
/// Of several live rows with a name, one that is `best` comes first.
fn pair_equal<N: Eq + Hash>(
    rows: &mut Vec<usize>,
    lives: &mut Vec<usize>,
    row_name: impl Fn(usize) -> Option<N>,
    live_name: impl Fn(usize) -> Option<N>,
    best: impl Fn(usize, usize) -> bool,
    keep: &mut impl FnMut(usize, usize),
) {
    let mut waiting: HashMap<N, VecDeque<usize>> = HashMap::new();
    for &was in lives.iter() {
        if let Some(name) = live_name(was) {
            waiting.entry(name).or_default().push_back(was);
        }
    }
    let mut paired = HashSet::new();
    rows.retain(|&row| {
        let queue = row_name(row).and_then(|name| waiting.get_mut(&name));
        let found = queue.and_then(|queue| {
            let at = match queue.len() {
                0 | 1 => 0,
                _ => queue.iter().position(|&was| best(row, was)).unwrap_or(0),
            };
            queue.remove(at)
        });
        if let Some(was) = found {
            keep(row, was);
            paired.insert(was);
        }
        found.is_none()
    });
    lives.retain(|was| !paired.contains(was));
}

/// Whether a row can be told by name: regions of tools without region ids cannot.
fn named(rows: &Annotations<'_>, row: usize) -> bool {
    rows.region_id(row).is_some() || rows.geometry(row).is_none()
}

/// What names a row within its submission: region, field, target, kind, frame and label.
type Name<'a> = (Option<&'a str>, &'a str, Option<&'a str>, &'a str, Option<i64>, Option<&'a str>);

fn name_of<'a>(rows: &Annotations<'a>, row: usize) -> Name<'a> {
    (
        rows.region_id(row),
        rows.field(row),
        rows.target(row),
        rows.kind(row),
        rows.frame(row),
        rows.label(row),
    )
}

/// The ids of one item.
#[derive(Debug, Default)]
pub(super) struct Ids {
    taken: HashSet<String>,
    /// The last number given by base, where it was more than one.
    numbers: HashMap<String, u64>,
}

impl Ids {
    /// Forgets them, for the next item.
    pub(super) fn clear(&mut self) {
        self.taken.clear();
        self.numbers.clear();
    }

    /// Takes an id that is stated.
    pub(super) fn take(&mut self, id: &str) {
        self.taken.insert(id.to_owned());
    }

    /// A new id: `<submission>/<region>/<field>[/<n>]`, from nothing that is ever changed.
    pub(super) fn mint(&mut self, rows: &Annotations<'_>, row: usize) -> String {
        let mut base = String::with_capacity(64);
        match rows.submission_id(row) {
            Some(submission) => base.push_str(submission),
            None => {
                base.push_str(rows.source(row));
                base.push('/');
                base.push_str(rows.annotator_id(row));
            }
        }
        base.push('/');
        base.push_str(rows.region_id(row).unwrap_or(rows.kind(row)));
        base.push('/');
        base.push_str(rows.field(row));
        // Room for a slash and the longest number.
        if base.len() > ID_BYTES_MAX - 21 {
            base = format!("~{}", &crate::Digest::of(base.as_bytes()).to_string()[..32]);
        }
        if self.taken.insert(base.clone()) {
            return base;
        }
        let number = self.numbers.entry(base.clone()).or_insert(1);
        loop {
            *number += 1;
            let id = format!("{base}/{number}");
            if self.taken.insert(id.clone()) {
                return id;
            }
        }
    }
}
