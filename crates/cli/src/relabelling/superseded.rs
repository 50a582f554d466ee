//! Old answers that new ones took the place of: they stay, and count no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use glossator_store::delta::{DeltaBatch, RowChange};
use glossator_store::schema::{
    ANNOTATIONS, Annotations, CellType, SUBMISSIONS, SUPERSEDED, Submissions, Table,
};
use glossator_store::segment::sort_by_key;
use glossator_store::{Layer, Result, Snapshot, Transaction};

use super::{Work, by, items, said_of, stands, was_handed_in};

/// Items whose rows are held together.
const ITEMS_TOGETHER: usize = 256;

/// Makes the void answers of items superseded, and submissions that found nothing under an earlier
/// version. Gives the change and how many annotations it is about.
pub(crate) fn supersede(
    above: &Snapshot<'_>,
    work: &Work,
    answered: &BTreeSet<String>,
) -> Result<(Layer, u64)> {
    let ids: Vec<&str> = answered.iter().map(String::as_str).collect();
    let mut transaction = Transaction::new(above);
    let rows = ids.chunks(ITEMS_TOGETHER).map(|ids| {
        let old = of_items(above, &ANNOTATIONS, ids)?;
        let rows = Annotations::new(&old);
        let mut gone = Vec::new();
        for (_, range) in items(&rows) {
            let void = work.void(&rows, range.clone());
            gone.extend(range.filter(|row| {
                let row = rows.row(*row);
                stands(&row) && void.contains_key(&(by(&row), row.field, row.target))
            }));
        }
        restated(&ANNOTATIONS, "status", &old, gone)
    });
    let counts = transaction.apply(&ANNOTATIONS, Box::new(rows))?;
    let handed = ids.chunks(ITEMS_TOGETHER).map(|ids| {
        let answers = of_items(above, &ANNOTATIONS, ids)?;
        let answers = Annotations::new(&answers);
        let with_rows: BTreeSet<(&str, &str)> =
            answers.iter().filter_map(|row| Some((row.item_id, row.submission_id?))).collect();
        let old = of_items(above, &SUBMISSIONS, ids)?;
        let rows = Submissions::new(&old);
        let gone = (0..rows.len()).filter(|row| {
            let row = rows.row(*row);
            was_handed_in(&row)
                && !with_rows.contains(&(row.item_id, row.submission_id))
                && work.plan.asks_whole_items(&work.mapping, said_of(&row))
        });
        restated(&SUBMISSIONS, "state", &old, gone.collect())
    });
    transaction.apply(&SUBMISSIONS, Box::new(handed))?;
    Ok((transaction.finish()?, counts.changed))
}

/// The rows of items, sorted, with their origins.
fn of_items(snapshot: &Snapshot<'_>, table: &'static Table, ids: &[&str]) -> Result<RecordBatch> {
    let table = snapshot.table(table)?;
    let located: Vec<_> = table.locate_items(ids)?.into_iter().flatten().collect();
    sort_by_key(&table.fetch(&located)?, table.table.key_len)
}

fn restated(
    table: &'static Table,
    column: &str,
    rows: &RecordBatch,
    picks: Vec<usize>,
) -> Result<DeltaBatch> {
    let picks: UInt32Array = picks.into_iter().map(|row| row as u32).collect();
    let old = take_record_batch(rows, &picks)?;
    let words: StringArray = (0..picks.len()).map(|_| Some(SUPERSEDED)).collect();
    let word = cast(&(Arc::new(words) as ArrayRef), &CellType::Dict.arrow())?;
    let new = old.project(&(0..table.columns.len()).collect::<Vec<_>>())?;
    let mut columns = new.columns().to_vec();
    if let Some(at) = table.column(column) {
        columns[at] = word;
    }
    let new = RecordBatch::try_new(new.schema(), columns)?;
    let change = |row| RowChange { old: Some(row), new: Some(row) };
    let changes = (0..old.num_rows() as u32).map(change).collect();
    Ok(DeltaBatch { table, old, new, changes })
}
