//! What became known later of rows as they were: reviews of that very content.

use std::collections::BTreeMap;

use arrow::array::{RecordBatch, StringArray};
use arrow::compute::cast;

use super::{Answers, Known, status, with_column};
use crate::error::Result;
use crate::item_rows::{ITEMS_TOGETHER, ItemRows};
use crate::schema::{ANNOTATIONS, Annotations, CellType, REVIEWS, Reviews};
use crate::store::Snapshot;

/// Statuses of annotations, by item, then by annotation.
pub type Statuses = BTreeMap<String, BTreeMap<String, String>>;

/// The statuses that the annotations of some items, which rise, have as they were `then`, by what
/// is known `now`: that of the last review which fits them; else the one that the row has now, if
/// it still says the same; else the one that it had.
///
/// What was mended after its review was wrong all the same.
///
/// # Errors
/// Where a table cannot be read.
pub fn in_hindsight(then: &Snapshot<'_>, now: &Snapshot<'_>, items: &[&str]) -> Result<Statuses> {
    let asked = items.len() as u64;
    let mut old = ItemRows::new(then.table(&ANNOTATIONS)?, asked)?;
    let mut new = ItemRows::new(now.table(&ANNOTATIONS)?, asked)?;
    let mut reviews = ItemRows::new(now.table(&REVIEWS)?, asked)?;
    let mut found = Statuses::new();
    for items in items.chunks(ITEMS_TOGETHER) {
        let (old, new, reviews) = (old.of(items)?, new.of(items)?, reviews.of(items)?);
        let (old, new) = (Answers::new(&old)?, Answers::new(&new)?);
        let reviews = Reviews::new(&reviews);
        let known = Known::new(&reviews, &old);
        for row in 0..old.view.len() {
            let (item, id) = (old.view.item_id(row), old.view.annotation_id(row));
            let had = old.view.status(row);
            let has = new.find(item, id).filter(|now| new.content(*now) == old.content(row));
            let has = has.map(|now| new.view.status(now)).filter(|status| is_verdict(status));
            let has = has.filter(|_| is_verdict(had)).unwrap_or(had);
            let given = status(has, known.of_row(&old.view, row));
            let of_item = found.entry(item.to_owned()).or_default();
            of_item.insert(id.to_owned(), given.unwrap_or(has).to_owned());
        }
    }
    Ok(found)
}

/// Whether a status says what reviewers made of a row: a draft, say, is the source's word.
fn is_verdict(status: &str) -> bool {
    ["submitted", "accepted", "rejected", "fixed"].contains(&status)
}

/// Annotations with these statuses; those of other rows stay.
///
/// # Errors
/// Where the batch has not the columns of annotations.
pub fn with_statuses(batch: RecordBatch, statuses: &Statuses) -> Result<RecordBatch> {
    let rows = Annotations::new(&batch);
    let column: StringArray = (0..rows.len())
        .map(|row| {
            let of_item = statuses.get(rows.item_id(row));
            let known = of_item.and_then(|of_item| of_item.get(rows.annotation_id(row)));
            Some(known.map_or(rows.status(row), String::as_str))
        })
        .collect();
    let column = cast(&column, &CellType::Dict.arrow())?;
    with_column(&ANNOTATIONS, "status", batch.clone(), column)
}
