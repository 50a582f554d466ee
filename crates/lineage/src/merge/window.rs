//! The changes of both sides, side by side, a few items at a time.

use std::cmp::Ordering;
use std::collections::VecDeque;

use arrow::array::RecordBatch;
use glossator_store::Result;
use glossator_store::canonical::{Key, Rows};
use glossator_store::delta::{DeltaBatch, DeltaStream};
use glossator_store::schema::Table;

/// A batch of a window and a row in it.
pub(super) type Place = (usize, usize);

/// What one side did to a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'w> {
    pub(super) key: Key<'w>,
    /// The row in the base.
    pub(super) old: Option<Place>,
    /// The row on this side.
    pub(super) new: Option<Place>,
}

/// Batches of both sides with typed columns, old and new in turn.
#[derive(Debug)]
pub(super) struct Window<'w> {
    pub(super) table: &'static Table,
    pub(super) batches: Vec<&'w RecordBatch>,
    pub(super) rows: Vec<Rows<'w>>,
}

impl<'w> Window<'w> {
    fn of(
        table: &'static Table,
        deltas: impl Iterator<Item = &'w DeltaBatch>,
    ) -> Result<Window<'w>> {
        let batches: Vec<_> = deltas.flat_map(|delta| [&delta.old, &delta.new]).collect();
        let rows = batches.iter().map(|batch| Rows::new(table, batch)).collect::<Result<_>>()?;
        Ok(Window { table, batches, rows })
    }

    /// Whether two rows are the same in some columns; no row is like no row alone.
    pub(super) fn same(
        &self,
        a: Option<Place>,
        b: Option<Place>,
        columns: impl Fn(usize) -> bool,
    ) -> bool {
        let (a, b) = match (a, b) {
            (None, None) => return true,
            (Some(a), Some(b)) => (a, b),
            _ => return false,
        };
        (0..self.table.columns.len()).filter(|column| columns(*column)).all(|column| {
            self.rows[a.0].column(column).same_cell(a.1, self.rows[b.0].column(column), b.1)
        })
    }

    /// A text of a row.
    pub(super) fn text(&self, place: Place, column: Option<usize>) -> Option<&'w str> {
        self.rows[place.0].column(column?).text(place.1)
    }

    fn entries(&self, first: usize, side: &'w Side<'_>, until: Option<&str>) -> Vec<Entry<'w>> {
        let mut entries = Vec::new();
        for (at, delta) in side.batches.iter().enumerate() {
            let (old, new) = (first + 2 * at, first + 2 * at + 1);
            let from = if at == 0 { side.done } else { 0 };
            for change in &delta.changes[from..] {
                let key = DeltaBatch::key(&self.rows[old], &self.rows[new], *change);
                if until.is_some_and(|until| key.0 >= until) {
                    return entries;
                }
                let place = |batch, row: Option<u32>| row.map(|row| (batch, row as usize));
                let (old, new) = (place(old, change.old), place(new, change.new));
                entries.push(Entry { key, old, new });
            }
        }
        entries
    }
}

/// The changes of one side that are held.
struct Side<'d> {
    stream: DeltaStream<'d>,
    batches: VecDeque<DeltaBatch>,
    /// Changes of the first batch that were given out.
    done: usize,
    ended: bool,
    /// The last item that is held: more of it may come, until the stream has ended.
    last: Option<String>,
}

impl<'d> Side<'d> {
    fn new(stream: DeltaStream<'d>) -> Result<Self> {
        let mut side = Self { stream, batches: VecDeque::new(), done: 0, ended: false, last: None };
        side.load()?;
        Ok(side)
    }

    fn load(&mut self) -> Result<()> {
        for delta in self.stream.by_ref() {
            let delta = delta?;
            let Some(change) = delta.changes.last() else { continue };
            let (old, new) = (delta.old_rows()?, delta.new_rows()?);
            self.last = Some(DeltaBatch::key(&old, &new, *change).0.to_owned());
            drop((old, new));
            self.batches.push_back(delta);
            return Ok(());
        }
        self.ended = true;
        self.last = None;
        Ok(())
    }

    /// Forgets so many changes.
    fn forget(&mut self, mut count: usize) {
        while let Some(first) = self.batches.front() {
            let left = first.changes.len() - self.done;
            if count < left {
                self.done += count;
                return;
            }
            count -= left;
            self.done = 0;
            self.batches.pop_front();
        }
    }
}

/// Both sides' changes of one table, in order of keys.
pub(super) struct Windows<'d> {
    table: &'static Table,
    sides: [Side<'d>; 2],
}

impl<'d> Windows<'d> {
    pub(super) fn new(
        table: &'static Table,
        ours: DeltaStream<'d>,
        theirs: DeltaStream<'d>,
    ) -> Result<Self> {
        Ok(Self { table, sides: [Side::new(ours)?, Side::new(theirs)?] })
    }

    /// Gives the changes of the next items, all of each, to `read`: those of ours, those of theirs.
    /// `None` at the end.
    pub(super) fn next<T>(
        &mut self,
        read: impl FnOnce(&Window<'_>, &[Entry<'_>], &[Entry<'_>]) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut read = Some(read);
        loop {
            if self.sides.iter().all(|side| side.ended && side.batches.is_empty()) {
                return Ok(None);
            }
            // More may come of the last item of each side, and of all items after it.
            let until = self.sides.iter().filter_map(|side| side.last.as_deref()).min();
            let [ours, theirs] = &self.sides;
            let window = Window::of(self.table, ours.batches.iter().chain(&theirs.batches))?;
            let a = window.entries(0, ours, until);
            let b = window.entries(2 * ours.batches.len(), theirs, until);
            let taken = [a.len(), b.len()];
            let made = match (taken, read.take()) {
                ([0, 0], kept) => {
                    read = kept;
                    None
                }
                (_, Some(read)) => Some(read(&window, &a, &b)?),
                (_, None) => None,
            };
            if made.is_some() {
                for (side, taken) in self.sides.iter_mut().zip(taken) {
                    side.forget(taken);
                }
                return Ok(made);
            }
            drop((a, b));
            let until = until.map(str::to_owned);
            for side in self.sides.iter_mut().filter(|side| side.last.is_some()) {
                if side.last == until {
                    side.load()?;
                }
            }
        }
    }
}

/// The entries of both sides with one key, in order of keys.
pub(super) fn by_key<'w>(
    ours: &[Entry<'w>],
    theirs: &[Entry<'w>],
) -> Vec<(Option<Entry<'w>>, Option<Entry<'w>>)> {
    let (mut a, mut b) = (ours.iter().peekable(), theirs.iter().peekable());
    let mut pairs = Vec::with_capacity(ours.len() + theirs.len());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        let ours = (order != Ordering::Greater).then(|| a.next().copied()).flatten();
        let theirs = (order != Ordering::Less).then(|| b.next().copied()).flatten();
        pairs.push((ours, theirs));
    }
}
