//! Folds the changes of several commits into their net change.

use arrow::array::RecordBatch;

use super::TableChange;
use super::overlay::{Change, Changes, Row};
use super::read::{Joined, delta};
use crate::canonical::{Key, Rows};
use crate::delta::DeltaStream;
use crate::error::Result;
use crate::limits::{BATCH_BYTES_MAX, BATCH_ROWS, row_bytes};
use crate::objects::Objects;
use crate::schema::{Columns, Table};

/// Whether the rows with these keys, which rise, are the same before and after all changes.
pub type Alike<'a> = &'a dyn Fn(&[Key<'_>]) -> Result<Vec<bool>>;

/// Net changes by key; holds every row that it was given, so callers bound how many that are.
///
/// Rows are looked at where they stand, and put together only where they are part of what is left.
#[derive(Debug)]
pub struct Fold {
    table: &'static Table,
    read: Columns,
    /// The keys of each step rise: a sort finds sorted runs.
    changes: Changes,
}

impl Fold {
    /// Starts with no change.
    pub fn new(table: &'static Table) -> Self {
        Self::reading(table, Columns::ALL)
    }

    /// Starts with no change, and reads these columns and the key alone; others are null.
    pub fn reading(table: &'static Table, read: Columns) -> Self {
        Self { table, read, changes: Changes::default() }
    }

    /// Puts a later change on top, or undoes it.
    pub fn push(&mut self, objects: &Objects, change: &TableChange, undo: bool) -> Result<()> {
        let mut step = Joined::open(objects, self.table, change, self.read)?;
        let all = &mut self.changes;
        let from = all.rows.len();
        while step.next(|table, old, new, pairs| all.push(table, old, new, pairs))?.is_some() {}
        if undo {
            all.rows[from..].iter_mut().for_each(|(old, new)| std::mem::swap(old, new));
        }
        Ok(())
    }

    /// The net change in order of keys. A row that ends as it began drops out.
    pub fn finish(self) -> Result<DeltaStream<'static>> {
        // Nobody is asked where every column is read.
        self.finish_asking(&|keys| Ok(vec![false; keys.len()]))
    }

    /// As [`finish`](Self::finish); `alike` is asked where the columns that are read do not tell.
    pub fn finish_asking(self, alike: Alike<'_>) -> Result<DeltaStream<'static>> {
        let Self { table, read, changes: Changes { batches, rows } } = self;
        let nets = nets(table, read, &batches, &rows, alike)?;
        let bytes: Vec<usize> = batches.iter().map(row_bytes).collect();
        let mut at = 0;
        let mut next = move || {
            let chunk = first_chunk(&rows, &nets[at..], &bytes);
            at += chunk.len();
            if chunk.is_empty() { Ok(None) } else { delta(table, &batches, &chunk, read).map(Some) }
        };
        Ok(Box::new(std::iter::from_fn(move || next().transpose())))
    }
}

/// What became of a row: the changes that it had first and last, by their numbers.
type Net = (u32, u32);

fn net(rows: &[Change], (first, last): Net) -> Change {
    (rows[first as usize].0, rows[last as usize].1)
}

/// What became of each row, in order of keys.
fn nets(
    table: &'static Table,
    read: Columns,
    batches: &[RecordBatch],
    rows: &[Change],
    alike: Alike<'_>,
) -> Result<Vec<Net>> {
    let views: Vec<Rows<'_>> =
        batches.iter().map(|batch| Rows::new(table, batch)).collect::<Result<_>>()?;
    let key = |change: &Change| {
        let place = change.1.or(change.0).map(|row| row.at(0));
        place.map_or(("", ""), |(batch, row)| views[batch].key(row))
    };
    let mut sorted: Vec<(Key<'_>, u32)> = rows.iter().map(key).zip(0..).collect();
    // Stable: the changes of one row stay in their order.
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let change = |(_, at): &(Key<'_>, u32)| &rows[*at as usize];
    let same = |old: &Row, new: &Row| {
        (0..table.columns.len()).filter(|column| read.has(*column)).all(|column| {
            let ((ob, or), (nb, nr)) = (old.at(column), new.at(column));
            views[ob].column(column).same_cell(or, views[nb].column(column), nr)
        })
    };
    let mut nets = Vec::with_capacity(sorted.len());
    // Nets of which the columns that are read do not tell whether they are any: keys and places.
    let mut open: (Vec<Key<'_>>, Vec<usize>) = Default::default();
    for changes in sorted.chunk_by(|a, b| a.0 == b.0) {
        let ends = (changes[0].1, changes[changes.len() - 1].1);
        match net(rows, ends) {
            (None, None) => continue,
            (Some(was), Some(is)) if changes.len() > 1 && same(&was, &is) => {
                if changes.iter().map(change).all(|change| within(table, change, read)) {
                    continue;
                }
                open.0.push(changes[0].0);
                open.1.push(nets.len());
            }
            _ => {}
        }
        nets.push(ends);
    }
    if !open.0.is_empty() {
        let alike = alike(&open.0)?;
        let mut gone = open.1.iter().zip(alike).filter(|(_, alike)| *alike).peekable();
        let mut at = 0..;
        nets.retain(|_| {
            let at = at.next();
            gone.next_if(|(place, _)| Some(**place) == at).is_none()
        });
    }
    Ok(nets)
}

/// Whether a change leaves all but these columns of a row as they are.
fn within(table: &Table, (old, new): &Change, columns: Columns) -> bool {
    // Of the two, one says what changed, whichever way the change is applied.
    let own = |row: &Option<Row>| row.map_or(Columns::ALL, |row| row.own());
    let content = table.key_len..table.columns.len();
    content.filter(|c| !columns.has(*c)).all(|c| !(own(old).has(c) && own(new).has(c)))
}

/// The first changes that fit a batch, by rows and by bytes: at least one where there are any.
fn first_chunk(rows: &[Change], nets: &[Net], batch_bytes: &[usize]) -> Vec<Change> {
    // A row of two is counted twice over: whatever column is taken from where.
    let of = |row: Option<Row>| row.map_or(0, |row| row.batches().map(|b| batch_bytes[b]).sum());
    let mut bytes: usize = 0;
    let fits = |change: &Change| {
        let fits = bytes < BATCH_BYTES_MAX;
        bytes += of(change.0) + of(change.1);
        fits
    };
    nets.iter().take(BATCH_ROWS).map(|ends| net(rows, *ends)).take_while(fits).collect()
}
