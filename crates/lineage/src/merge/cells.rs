//! Three versions of one row: which columns move together, and what becomes of each group.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use glossator_store::Result;
use glossator_store::change::{Resolution, resolve};
use glossator_store::schema::{
    ANNOTATIONS, ColumnBuilder, ColumnView, Columns, REVIEWS, SUBMISSIONS, Table,
};

use super::conflict::ConflictKind;
use super::json;
use super::window::{Place, Window};

/// How a column takes part in a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Part of what somebody decided: it moves with the other such columns.
    Whole,
    /// When that was, and how long it took: it moves with what was decided.
    Stamp,
    /// By itself.
    Apart,
    /// Member by member of a JSON object.
    Json,
    /// A set of names: what either side added or removed.
    Names,
    /// A place in a file: never a conflict.
    Seat,
    /// What became of the row: reviews say, where there are any.
    Status,
}

/// How each column of a table takes part.
pub(super) fn how(table: &Table, column: usize) -> How {
    let decided = [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS].contains(&table);
    match table.columns[column].name {
        "seq" => How::Seat,
        "extra" => How::Json,
        "data" if table.name == "sources" => How::Json,
        "aliases" => How::Names,
        "gold" => How::Apart,
        "status" | "state" => How::Status,
        "created_at" | "updated_at" | "lead_time" => How::Stamp,
        _ if decided => How::Whole,
        _ => How::Apart,
    }
}

/// What becomes of a row that both sides changed.
#[derive(Debug)]
pub(super) enum Merged {
    /// It stays as it is on our side.
    Ours,
    /// It becomes their row.
    Theirs,
    /// It is made of both.
    Made(Vec<Source>),
    /// It has to be decided.
    Conflict(ConflictKind),
}

/// Where a cell comes from.
#[derive(Debug)]
pub(super) enum Source {
    Cell(Place),
    Text(Option<String>),
    Names(Vec<String>),
    Floats(Vec<f64>),
}

/// Which side changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// Neither, or both alike.
    Equal,
    Ours,
    Theirs,
    Clash,
}

/// The three versions of a row; the key is the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Three {
    pub(super) base: Option<Place>,
    pub(super) ours: Option<Place>,
    pub(super) theirs: Option<Place>,
}

/// Cells of one version, compared as the rule wants it.
#[derive(Clone, Copy)]
struct Cells<'a, 'w> {
    window: &'a Window<'w>,
    place: Place,
    columns: Columns,
}

impl PartialEq for Cells<'_, '_> {
    fn eq(&self, other: &Self) -> bool {
        let (own, other) = (Some(self.place), Some(other.place));
        self.window.same(own, other, |column| self.columns.has(column))
    }
}

impl Three {
    /// The store's one rule, on some columns: disjoint applies, equal drops out, else conflict.
    pub(super) fn pick(&self, window: &Window<'_>, columns: Columns) -> Pick {
        let cells = |place: Option<Place>| place.map(|place| Cells { window, place, columns });
        let (base, ours, theirs) = (cells(self.base), cells(self.ours), cells(self.theirs));
        match resolve(base, theirs, ours) {
            Resolution::Drop => Pick::Equal,
            Resolution::Apply => Pick::Theirs,
            Resolution::Conflict if base == theirs => Pick::Ours,
            Resolution::Conflict => Pick::Clash,
        }
    }

    /// What becomes of the row. `reviewed` says whether reviews give this row its status.
    pub(super) fn merge(
        &self,
        window: &Window<'_>,
        strict: bool,
        reviewed: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Merged> {
        let table = window.table;
        match self.pick(window, Columns::ALL) {
            Pick::Equal | Pick::Ours => return Ok(Merged::Ours),
            Pick::Theirs => return Ok(Merged::Theirs),
            Pick::Clash => {}
        }
        let (Some(ours), Some(theirs)) = (self.ours, self.theirs) else {
            return Ok(Merged::Conflict(self.removed(window)));
        };
        let clash = match self.base {
            Some(_) => ConflictKind::ChangedTwice,
            None if asked_alike(window, ours, theirs) => ConflictKind::AnsweredTwice,
            None => ConflictKind::SameId,
        };
        if strict {
            return Ok(Merged::Conflict(clash));
        }
        let Some(content) = self.content(window) else { return Ok(Merged::Conflict(clash)) };
        let mut sources = Vec::with_capacity(table.columns.len());
        for column in 0..table.columns.len() {
            let way = how(table, column);
            let pick = match way {
                How::Whole | How::Stamp => content,
                _ => self.pick(window, std::iter::once(column).collect()),
            };
            let source = match pick {
                Pick::Clash => self.apart(window, column, way, (ours, theirs)),
                Pick::Theirs => Some(Source::Cell(theirs)),
                Pick::Ours | Pick::Equal => Some(Source::Cell(ours)),
            };
            // A status is of the content that it was given for, unless reviews say so themselves.
            let torn = way == How::Status
                && (pick == Pick::Clash
                    || (self.base.is_some()
                        && matches!(
                            (pick, content),
                            (Pick::Ours, Pick::Theirs) | (Pick::Theirs, Pick::Ours)
                        )));
            if torn && !reviewed()? {
                return Ok(Merged::Conflict(clash));
            }
            match source {
                Some(source) => sources.push(source),
                None => return Ok(Merged::Conflict(clash)),
            }
        }
        Ok(Merged::Made(sources))
    }

    /// Which side's content the row has, `None` where both decided otherwise.
    fn content(&self, window: &Window<'_>) -> Option<Pick> {
        let table = window.table;
        let of = |ways: &[How]| -> Columns {
            (0..table.columns.len()).filter(|c| ways.contains(&how(table, *c))).collect()
        };
        let all = self.pick(window, of(&[How::Whole, How::Stamp]));
        if all != Pick::Clash {
            return Some(all);
        }
        match self.pick(window, of(&[How::Whole])) {
            Pick::Clash => None,
            // Both decided the same at two times: the later one.
            Pick::Equal => {
                let stamps = |place: Place| -> Vec<Option<u64>> {
                    let mut stamps: Vec<_> = ["updated_at", "created_at", "lead_time"]
                        .iter()
                        .filter_map(|name| {
                            let cell = window.rows[place.0].column(table.column(name)?);
                            let time = cell.int(place.1).map(|time| time as u64 ^ (1 << 63));
                            Some(time.or_else(|| cell.float(place.1).map(f64::to_bits)))
                        })
                        .collect();
                    stamps.push(None);
                    stamps
                };
                let later = self.ours.map(stamps) >= self.theirs.map(stamps);
                Some(if later { Pick::Ours } else { Pick::Theirs })
            }
            one => Some(one),
        }
    }

    /// A cell that both sides changed; `None` is a conflict.
    pub(super) fn apart(
        &self,
        window: &Window<'_>,
        column: usize,
        how: How,
        (ours, theirs): (Place, Place),
    ) -> Option<Source> {
        let cell = |place: Place| (window.rows[place.0].column(column), place.1);
        let text = |place: Option<Place>| place.and_then(|p| window.text(p, Some(column)));
        match how {
            How::Json => {
                let merged = json::merge(text(self.base), text(Some(ours)), text(Some(theirs)))?;
                Some(Source::Text(merged))
            }
            How::Names => {
                let names = |place: Option<Place>| -> Vec<&str> {
                    let found = place.and_then(|place| cell(place).0.texts(place.1));
                    found.unwrap_or_default()
                };
                let merged = names_of(&names(self.base), &names(Some(ours)), &names(Some(theirs)));
                Some(Source::Names(merged))
            }
            How::Seat => {
                let seat = |place: Place| cell(place).0.int(place.1).unwrap_or(i64::MAX);
                Some(Source::Cell(if seat(ours) <= seat(theirs) { ours } else { theirs }))
            }
            // What reviews make of it follows once the rows are there; until then, either alike.
            How::Status => {
                let ours_first = text(Some(ours)) >= text(Some(theirs));
                Some(Source::Cell(if ours_first { ours } else { theirs }))
            }
            // Added on both sides, and a reference answer on one: it is one.
            How::Apart => match (cell(ours).0.bool(ours.1), cell(theirs).0.bool(theirs.1)) {
                (Some(own), Some(_)) => Some(Source::Cell(if own { ours } else { theirs })),
                _ => None,
            },
            How::Whole | How::Stamp => None,
        }
    }

    /// How a row that one side removed is in conflict.
    fn removed(&self, window: &Window<'_>) -> ConflictKind {
        let table = window.table;
        let status = (0..table.columns.len()).find(|column| how(table, *column) == How::Status);
        let left = self.ours.or(self.theirs);
        let verdict = left.and_then(|place| window.text(place, status));
        let accepted = verdict.is_some_and(|status| status == "accepted" || status == "fixed");
        let was = self.base.and_then(|place| window.text(place, status));
        if accepted && was != verdict && window.same(self.base, left, |c| Some(c) != status) {
            ConflictKind::RemovedAccepted
        } else {
            ConflictKind::RemovedChanged
        }
    }
}

/// Whether two annotations are of one person and one question.
pub(super) fn asked_alike(window: &Window<'_>, a: Place, b: Place) -> bool {
    let named = ["source", "annotator_id", "target", "field"];
    window.table == &ANNOTATIONS
        && window.same(Some(a), Some(b), |column| named.contains(&ANNOTATIONS.columns[column].name))
}

/// Names of the base that both sides kept, then what either added; sorted where both sides are.
fn names_of(base: &[&str], ours: &[&str], theirs: &[&str]) -> Vec<String> {
    let kept = base.iter().filter(|name| ours.contains(name) && theirs.contains(name));
    let added: BTreeSet<&&str> =
        ours.iter().chain(theirs).filter(|name| !base.contains(name)).collect();
    let mut names: Vec<String> = kept.chain(added).map(|name| (*name).to_owned()).collect();
    if ours.is_sorted() && theirs.is_sorted() {
        names.sort_unstable();
    }
    names
}

/// Builds rows that are made of several.
pub(super) struct RowsMade {
    table: &'static Table,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

impl RowsMade {
    pub(super) fn new(table: &'static Table) -> Self {
        let columns = table.columns.iter().map(|column| ColumnBuilder::new(column.cell)).collect();
        Self { table, columns, rows: 0 }
    }

    /// Appends a row; gives its number.
    pub(super) fn push(&mut self, window: &Window<'_>, sources: &[Source]) -> usize {
        for (column, (builder, source)) in self.columns.iter_mut().zip(sources).enumerate() {
            match source {
                Source::Cell((batch, row)) => {
                    copy(window.rows[*batch].column(column), *row, builder);
                }
                Source::Text(Some(text)) => put_text(builder, text),
                Source::Names(names) if !names.is_empty() => {
                    if let ColumnBuilder::Texts(list) = builder {
                        names.iter().for_each(|name| list.values().append_value(name));
                        list.append(true);
                    }
                }
                Source::Floats(floats) => {
                    if let ColumnBuilder::Floats(list) = builder {
                        list.values().append_slice(floats);
                        list.append(true);
                    }
                }
                Source::Text(None) | Source::Names(_) => builder.null(),
            }
        }
        self.rows += 1;
        self.rows - 1
    }

    /// The rows, with an origin of their own: none yet.
    pub(super) fn finish(mut self, schema: SchemaRef) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> =
            self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        for field in &schema.fields()[self.table.columns.len()..] {
            columns.push(arrow::array::new_null_array(field.data_type(), self.rows));
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

fn put_text(builder: &mut ColumnBuilder, text: &str) {
    match builder {
        ColumnBuilder::Text(builder) => builder.append_value(text),
        ColumnBuilder::Dict(builder) => builder.append_value(text),
        _ => {}
    }
}

/// Appends a cell of a column to a builder of its type.
fn copy(view: &ColumnView<'_>, row: usize, builder: &mut ColumnBuilder) {
    if view.is_null(row) {
        return builder.null();
    }
    match builder {
        ColumnBuilder::Text(_) | ColumnBuilder::Dict(_) => {
            put_text(builder, view.text(row).unwrap_or_default());
        }
        ColumnBuilder::Bool(b) => b.append_value(view.bool(row).unwrap_or_default()),
        ColumnBuilder::Float(b) => b.append_value(view.float(row).unwrap_or_default()),
        ColumnBuilder::Int(b) => b.append_value(view.int(row).unwrap_or_default()),
        ColumnBuilder::Int32(b) => b.append_value(view.int32(row).unwrap_or_default()),
        ColumnBuilder::Time(b) => b.append_value(view.int(row).unwrap_or_default()),
        ColumnBuilder::Floats(b) => {
            b.values().append_slice(view.floats(row).unwrap_or_default());
            b.append(true);
        }
        ColumnBuilder::Texts(b) => {
            for text in view.texts(row).unwrap_or_default() {
                b.values().append_value(text);
            }
            b.append(true);
        }
        ColumnBuilder::Bytes(b) => b.append_value(view.bytes(row).unwrap_or_default()),
    }
}
