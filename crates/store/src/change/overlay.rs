//! Rows of changes where they stand: whole, or old values that lie over a new row.

use arrow::array::RecordBatch;

use super::join::Pair;
use crate::error::{Error, Result};
use crate::schema::{ColumnView, Columns, Table};
use crate::segment::{SegmentKind, gather_column, nullable, segment_schema};

/// A batch and a row in it.
pub(super) type Place = (usize, usize);

/// A row that is made of one or two. Many are held at once, so their places are short.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    base: (u32, u32),
    over: (u32, u32),
    /// The columns that are taken from `over`, a bit each; the others are those of `base`.
    mask: Columns,
}

impl Row {
    fn new(base: Place, over: Place, mask: Columns) -> Self {
        // Neither batches that are held nor rows of one come near four billion.
        let short = |(batch, row): Place| (batch as u32, row as u32);
        Self { base: short(base), over: short(over), mask }
    }

    fn whole(place: Place) -> Self {
        Self::new(place, place, Columns::ALL)
    }

    /// Where a column of the row stands.
    pub(super) fn at(&self, column: usize) -> Place {
        let (batch, row) = if self.mask.has(column) { self.over } else { self.base };
        (batch as usize, row as usize)
    }

    /// The same row where its batches come behind others.
    fn behind(self, batches: usize) -> Self {
        let behind = |(batch, row)| (batch + batches as u32, row);
        Self { base: behind(self.base), over: behind(self.over), mask: self.mask }
    }

    /// The columns that are its own where it is an old row that changed; all of any other.
    pub(super) fn own(&self) -> Columns {
        self.mask
    }

    /// The batches that it is in, twice where it is in one.
    pub(super) fn batches(&self) -> impl Iterator<Item = usize> {
        [self.base.0, self.over.0].into_iter().map(|batch| batch as usize)
    }
}

/// What a change did to a row: the old one and the new one.
pub(super) type Change = (Option<Row>, Option<Row>);

/// Batches of `before` and `added`, and the changes that they tell of.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) rows: Vec<Change>,
}

impl Changes {
    /// Appends what pairs of old values and new rows tell.
    pub(super) fn push(
        &mut self,
        table: &Table,
        before: &[RecordBatch],
        added: &[RecordBatch],
        pairs: &[Pair],
    ) -> Result<()> {
        let views: Vec<Option<ColumnView<'_>>> = before
            .iter()
            .map(|batch| ColumnView::new(batch.column(table.columns.len() + 1)))
            .collect();
        let (old_from, new_from) = (self.batches.len(), self.batches.len() + before.len());
        for &(old, new) in pairs {
            let was = match (old, new) {
                (Some(old), Some(new)) => {
                    let changed = views[old.0].and_then(|column| column.text(old.1));
                    let mask = changed.map_or(Ok(Columns::ALL), |text| mask(table, text))?;
                    // Numbered from the first batch of both, as `behind` takes them.
                    Some(Row::new((before.len() + new.0, new.1), old, mask))
                }
                (old, _) => old.map(Row::whole),
            };
            let is = new.map(|place| Row::whole(place).behind(new_from));
            self.rows.push((was.map(|row| row.behind(old_from)), is));
        }
        self.batches.extend_from_slice(before);
        self.batches.extend_from_slice(added);
        Ok(())
    }
}

/// Parses `11,13` to a mask of column indices (number − 1); the key and `_origin` belong to it.
fn mask(table: &Table, text: &str) -> Result<Columns> {
    let always = ((1 << table.key_len) - 1) | (1 << table.columns.len());
    let named = text.split(',').try_fold(always, |mask, number| {
        let number: u32 = number.parse().ok()?;
        (1..=64).contains(&number).then(|| mask | 1 << (number - 1))
    });
    named
        .map(Columns)
        .ok_or_else(|| Error::damaged("change", format!("`{text}` is no list of columns")))
}

/// Puts rows together, with `_origin`; no rows give an empty batch.
pub(super) fn assemble(
    table: &'static Table,
    batches: &[RecordBatch],
    rows: &[Row],
    read: Columns,
) -> Result<RecordBatch> {
    let mut schema = segment_schema(table, SegmentKind::Rows);
    if read != Columns::ALL {
        schema = nullable(&schema);
    }
    let Some(first) = rows.first() else { return Ok(RecordBatch::new_empty(schema)) };
    // Nearly always new rows of one batch as they stand: no copy.
    let (batch, start) = first.at(0);
    let stands = |(row, at): (&Row, usize)| row.mask == Columns::ALL && row.at(0) == (batch, at);
    let columns = 0..schema.fields().len();
    if rows.iter().zip(start..).all(stands) {
        let slice = batches[batch].slice(start, rows.len());
        let columns = columns.map(|column| slice.column(column).clone()).collect();
        return Ok(RecordBatch::try_new(schema, columns)?);
    }
    let whole = rows.iter().all(|row| row.mask == Columns::ALL);
    let mut picks = Vec::with_capacity(rows.len());
    let columns = columns.map(|column| {
        if column == 0 || !whole {
            picks.clear();
            picks.extend(rows.iter().map(|row| row.at(column)));
        }
        let parts: Vec<_> = batches.iter().map(|batch| batch.column(column).as_ref()).collect();
        gather_column(&parts, &picks)
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?)
}
