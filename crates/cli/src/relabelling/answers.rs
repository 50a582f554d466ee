//! Answers that come back: rows of the asked questions, under the new version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use arrow::array::RecordBatch;
use glossator_formats::{BadRecord, Person, Place, Result as FormatResult, Sink};
use glossator_store::geometry::Shape;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, AnnotationsBuilder, ITEMS, Items, REVIEWS, Reviews,
    ReviewsBuilder, SUBMISSIONS, SUPERSEDED, Submissions, SubmissionsBuilder, Table,
};
use glossator_store::segment::sort_by_key;
use serde_json::Value;

use super::list::ITEM_MEMBER;
use super::{By, Relabelling, by, items, stands};

/// The overlap from which two regions are the same one.
const IOU_MIN: f64 = 0.5;

/// Hands on what a relabelling asked for, and counts what it did not.
pub(crate) struct Answers<'a> {
    inner: &'a mut dyn Sink,
    about: &'a Relabelling<'a>,
    policy: String,
    /// Our ids of the items of the last batch, by those that the importer gave.
    names: HashMap<String, String>,
    /// Items that somebody answered.
    pub answered: BTreeSet<String>,
    /// What was not asked for, by what it is.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(inner: &'a mut dyn Sink, about: &'a Relabelling<'a>) -> Self {
        let policy = about.record.full_name();
        let (names, answered, left_out) = Default::default();
        Self { inner, about, policy, names, answered, left_out }
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    /// Our id of an item that was asked for.
    fn item(&self, given: &str) -> Option<&'a str> {
        let id = self.names.get(given).map_or(given, String::as_str);
        self.about.work.plan.items().get_key_value(id).map(|(id, _)| id.as_str())
    }

    /// Learns which item each task is: as the task says, else by the names that it is known by.
    fn learn(&mut self, rows: &Items<'_>) {
        self.names.clear();
        for row in rows.iter() {
            let data = row.data.and_then(|text| serde_json::from_str::<Value>(text).ok());
            let said = data.as_ref().and_then(|data| data.get(ITEM_MEMBER)?.as_str());
            let others = row.aliases.clone().unwrap_or_default();
            let known = |id: &&str| self.about.work.plan.items().contains_key(*id);
            let found = said.or_else(|| others.into_iter().find(known)).unwrap_or(row.item_id);
            if self.about.work.plan.items().contains_key(found) {
                self.names.insert(row.item_id.to_owned(), found.to_owned());
            } else {
                self.leave_out("items that were not asked for");
            }
        }
    }

    fn submissions(&mut self, rows: &Submissions<'_>) -> RecordBatch {
        let mut builder = SubmissionsBuilder::default();
        for row in rows.iter() {
            let Some(item) = self.item(row.item_id) else { continue };
            if row.origin != "human" || row.state == "draft" {
                self.leave_out("predictions and drafts");
                continue;
            }
            if !["skipped", SUPERSEDED, "rejected"].contains(&row.state) {
                self.answered.insert(item.to_owned());
            }
            let asked = self.about.work.plan.items().get(item);
            let asked = asked.map(|asked| asked.iter().map(String::as_str).collect());
            builder.push(&glossator_store::schema::SubmissionRow {
                item_id: item,
                policy: Some(&self.policy),
                fields_asked: asked,
                ..row
            });
        }
        builder.finish()
    }

    fn annotations(&mut self, rows: &Annotations<'_>) -> glossator_store::Result<RecordBatch> {
        let all = items(rows);
        let mut wanted: Vec<&str> = all.iter().filter_map(|(item, _)| self.item(item)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let base = self.about.base.table(&ANNOTATIONS)?;
        let located: Vec<_> = base.locate_items(&wanted)?.into_iter().flatten().collect();
        let before = base.fetch(&located)?;
        let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
        let before = sort_by_key(&before.project(&columns)?, ANNOTATIONS.key_len)?;
        let before = Annotations::new(&before);
        let of_item: HashMap<&str, Range<usize>> = items(&before).into_iter().collect();
        let mut builder = AnnotationsBuilder::default();
        for (given, range) in all {
            let Some(item) = self.item(given) else { continue };
            let kept: Vec<AnnotationRow<'_>> =
                range.map(|row| rows.row(row)).filter(|row| self.asked(item, row)).collect();
            let old = of_item.get(item).cloned().unwrap_or_default();
            let void = self.about.work.void(&before, old.clone());
            let old: Vec<AnnotationRow<'_>> = old
                .map(|row| before.row(row))
                .filter(|row| stands(row) && void.contains_key(&(by(row), row.field, row.target)))
                .collect();
            for (row, parent) in kept.iter().zip(parents(&kept, &old)) {
                if row.submission_id.is_none() {
                    self.answered.insert(item.to_owned());
                }
                builder.push(&AnnotationRow {
                    item_id: item,
                    policy: Some(&self.policy),
                    parent_id: parent.or(row.parent_id),
                    ..row.clone()
                });
            }
        }
        Ok(builder.finish())
    }

    /// Whether a row answers a question that was asked.
    fn asked(&mut self, item: &str, row: &AnnotationRow<'_>) -> bool {
        if row.origin != "human" || row.status == "draft" {
            return false;
        }
        let asked = self.about.work.plan.items().get(item);
        let asked = asked.is_some_and(|asked| asked.contains(row.field));
        if !asked {
            self.leave_out("rows of questions that were not asked again");
        }
        asked
    }

    fn reviews(&self, rows: &Reviews<'_>) -> RecordBatch {
        let mut builder = ReviewsBuilder::default();
        for row in rows.iter() {
            if let Some(item) = self.item(row.item_id) {
                builder.push(&glossator_store::schema::ReviewRow { item_id: item, ..row });
            }
        }
        builder.finish()
    }
}

impl Sink for Answers<'_> {
    fn lines(&mut self, lines: &[u64]) {
        self.inner.lines(lines);
    }

    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> FormatResult<()> {
        let rows = if table == &ITEMS {
            self.learn(&Items::new(&rows));
            return Ok(());
        } else if table == &SUBMISSIONS {
            self.submissions(&Submissions::new(&rows))
        } else if table == &ANNOTATIONS {
            self.annotations(&Annotations::new(&rows))?
        } else if table == &REVIEWS {
            self.reviews(&Reviews::new(&rows))
        } else {
            // The items stay those of the sources that they came from.
            return Ok(());
        };
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.inner.rows(table, rows)
    }

    fn person(&mut self, person: &Person<'_>) -> FormatResult<String> {
        self.inner.person(person)
    }

    fn bad(&mut self, record: BadRecord) -> FormatResult<()> {
        self.inner.bad(record)
    }

    fn warn(&mut self, kind: &str, place: &Place) {
        self.inner.warn(kind, place);
    }

    fn lost(&mut self, kind: &str, place: &Place) {
        self.inner.lost(kind, place);
    }
}

/// The old row that each new row of an item takes the place of.
///
/// Each new answer is held against one old one: that with which it shares most regions, for a tool
/// copies these from the prediction that somebody began with, else that of the same person.
/// Regions pair by their id, else by overlap; what is of the whole item in order.
fn parents<'o>(new: &[AnnotationRow<'_>], old: &[AnnotationRow<'o>]) -> Vec<Option<&'o str>> {
    let mut found = vec![None; new.len()];
    let mut answers: BTreeMap<By<'_>, Vec<usize>> = BTreeMap::new();
    for (at, row) in new.iter().enumerate() {
        answers.entry(by(row)).or_default().push(at);
    }
    for own in answers.into_values() {
        let score = |candidate: &By<'o>| {
            let theirs = || old.iter().filter(|row| by(row) == *candidate);
            let same_person = theirs().any(|row| row.annotator_id == new[own[0]].annotator_id);
            let shared = |row: &&AnnotationRow<'_>| {
                row.region_id.is_some() && own.iter().any(|at| new[*at].region_id == row.region_id)
            };
            (theirs().filter(shared).count(), same_person)
        };
        let all: BTreeSet<By<'o>> = old.iter().map(by).collect();
        // Of equally good ones the first.
        let best = all.into_iter().rev().max_by_key(score);
        let left = old.iter().filter(|row| Some(by(row)) == best).collect();
        pair(new, &own, left, &mut found);
    }
    found
}

/// How well a new row fits an old one; `None` where it is another.
type Way<'w> = dyn Fn(&AnnotationRow<'_>, &AnnotationRow<'_>) -> Option<f64> + 'w;

fn pair<'o>(
    new: &[AnnotationRow<'_>],
    own: &[usize],
    mut left: Vec<&AnnotationRow<'o>>,
    found: &mut [Option<&'o str>],
) {
    let alike = |a: &AnnotationRow<'_>, b: &AnnotationRow<'_>| {
        (a.field, a.target, a.kind, a.frame) == (b.field, b.target, b.kind, b.frame)
    };
    let shaped = |row: &AnnotationRow<'_>| row.geometry.is_some() || row.mask.is_some();
    let region = |a: &AnnotationRow<'_>, b: &AnnotationRow<'_>| {
        (a.region_id.is_some() && a.region_id == b.region_id).then_some(1.0)
    };
    let overlap = |a: &AnnotationRow<'_>, b: &AnnotationRow<'_>| {
        let shape = |row: &AnnotationRow<'_>| Shape::decode(row.kind, row.geometry?);
        let same_unit = a.unit == b.unit;
        let iou = same_unit.then(|| shape(a)?.iou(&shape(b)?)).flatten();
        iou.filter(|iou| *iou >= IOU_MIN)
    };
    let whole =
        |a: &AnnotationRow<'_>, b: &AnnotationRow<'_>| (!shaped(a) && !shaped(b)).then_some(1.0);
    let ways: [&Way<'_>; 3] = [&region, &overlap, &whole];
    for way in ways {
        for &at in own {
            if found[at].is_some() {
                continue;
            }
            let fits = left.iter().enumerate().filter(|(_, row)| alike(&new[at], row));
            let scored = fits.filter_map(|(place, row)| Some((way(&new[at], row)?, place)));
            let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
            if let Some((_, place)) = best {
                found[at] = Some(left.remove(place).annotation_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'r>(
        id: &'r str,
        submission: &'r str,
        who: &'r str,
        region: Option<&'r str>,
        geometry: Option<&'r [f64]>,
    ) -> AnnotationRow<'r> {
        AnnotationRow {
            annotation_id: id,
            submission_id: Some(submission),
            annotator_id: who,
            region_id: region,
            field: "f",
            kind: if geometry.is_some() { "bbox" } else { "choice" },
            geometry,
            ..AnnotationRow::default()
        }
    }

    #[test]
    fn new_rows_find_what_they_take_the_place_of() {
        let [near, far, moved] =
            [[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 10.0, 10.0], [1.0, 0.0, 10.0, 10.0]];
        let old = [
            row("a1", "s1", "ann", Some("r1"), Some(&near)),
            row("a2", "s1", "ann", Some("r2"), Some(&far)),
            row("b1", "s2", "bob", None, None),
        ];
        // Bob answers again: his own; another takes up Ann's regions, one by its id (far away now)
        // and one by overlap (9 of 11 parts); a third box is new.
        let new = [
            row("", "n1", "bob", None, None),
            row("", "n2", "eve", Some("r2"), Some(&[80.0, 80.0, 1.0, 1.0])),
            row("", "n2", "eve", Some("x"), Some(&moved)),
            row("", "n2", "eve", Some("y"), Some(&[90.0, 0.0, 5.0, 5.0])),
        ];
        assert_eq!(parents(&new, &old), [Some("b1"), Some("a2"), Some("a1"), None]);
        assert_eq!(parents(&new[..1], &[]), [None]);
    }
}
