//! Reads the rows of an update or removal: only the columns that are there, by key.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use glossator_store::schema::{ANNOTATIONS, CellType};

use super::cell::{Cell, Times, Value};
use super::csv::ragged;
use super::delimited::{self, Delimited};
use super::json;
use super::jsonl::{self, Members, Objects};
use super::mapping::own;
use super::output::Rows;
use super::parquet::{Batches, columns};
use super::rows::{ID_BYTES_MAX, ORIGINS, STATUSES};
use super::shape;
use super::{Csv, Jsonl, Parquet, Tsv};
use crate::{Error, Importer, Input, Place, Result};

/// Different sets of columns whose rows wait at the same time.
const SETS_MAX: usize = 32;

/// Takes the indices of columns, a batch of them, and the lines on which its rows stand.
pub type EachPart<'e> = &'e mut dyn FnMut(&[usize], RecordBatch, &[u64]) -> Result<()>;

/// Reads a table of `annotations` with only some of its columns, and calls `each` with the indices
/// of the columns and a batch of them, in our types.
///
/// The columns must be ours, `item_id` and `annotation_id` among them, in any order; batches hold
/// them in the table's order. A column that is not there is not touched by an update. In JSON Lines
/// this holds for each row (batches then differ in their columns): an absent member is untouched, a
/// `null` clears. Rows of different columns may change places.
///
/// # Errors
/// A column that is not ours, a row without both keys, a null in a column that cannot hold one, and
/// whatever an import refuses.
pub fn read_partial(input: &Input, format: Option<&str>, each: EachPart<'_>) -> Result<()> {
    let name = match format {
        Some(name) => name,
        None => detect(input)?,
    };
    let mut partial = Partial { input, sets: BTreeMap::new(), times: Times::default(), each };
    match name {
        "csv" => partial.delimited(b',')?,
        "tsv" => partial.delimited(b'\t')?,
        "jsonl" => partial.json_lines()?,
        "parquet" => partial.parquet()?,
        other => {
            return Err(Error::Usage {
                what: format!("rows cannot be updated from the format `{other}`"),
                hint: Some("use csv, tsv, jsonl or parquet".to_owned()),
            });
        }
    }
    partial.flush()
}

fn detect(input: &Input) -> Result<&'static str> {
    let head = input.head(64 << 10)?;
    let name = input.name();
    let formats: [&dyn Importer; 4] = [&Parquet, &Jsonl, &Tsv, &Csv];
    let best = formats.into_iter().max_by_key(|format| format.detect(&name, &head));
    match best.filter(|format| format.detect(&name, &head) > 0) {
        Some(format) => Ok(format.name()),
        None => Err(Error::input(Place::file(name), "the file is no table that can be read")
            .hint("name its format with `--format`")),
    }
}

struct Partial<'i, 'e> {
    input: &'i Input,
    /// Rows that wait, by the columns that they state.
    sets: BTreeMap<Vec<usize>, Rows>,
    times: Times,
    each: EachPart<'e>,
}

impl Partial<'_, '_> {
    /// The indices of the columns of a header.
    fn header(&self, names: &[String]) -> Result<Vec<usize>> {
        let indices = names.iter().map(|name| self.column(name)).collect::<Result<Vec<_>>>()?;
        match [0, 1].into_iter().find(|key| !indices.contains(key)) {
            None => Ok(indices),
            Some(key) => {
                let what = format!("the column `{}` is missing", ANNOTATIONS.columns[key].name);
                Err(Error::input(Place::file(self.input.name()), what)
                    .hint("rows are found by `item_id` and `annotation_id`; export them too"))
            }
        }
    }

    fn column(&self, name: &str) -> Result<usize> {
        ANNOTATIONS.column(name).ok_or_else(|| {
            let what = format!("`{name}` is not a column of `annotations`");
            Error::input(Place::file(self.input.name()), what)
                .hint("drop the column, or put its values into `extra`")
        })
    }

    /// Takes a row: the cells and the indices of their columns; its line, or its number.
    fn row(
        &mut self,
        indices: &[usize],
        cells: &[Cell<'_>],
        place: &Place,
        line: u64,
    ) -> Result<()> {
        let of = |column: &str| {
            let path = place.path.iter().map(String::as_str).chain([column]);
            Place { path: Some(path.collect::<Vec<_>>().join(", ")), ..place.clone() }
        };
        let mut values = vec![Value::Null; ANNOTATIONS.columns.len()];
        let mut set: Vec<usize> = Vec::with_capacity(indices.len());
        for (index, cell) in indices.iter().zip(cells) {
            if matches!(cell, Cell::Absent) {
                continue;
            }
            let column = &ANNOTATIONS.columns[*index];
            let at = |reason: String| Error::input(of(column.name), reason);
            if cell.is_null() && !column.nullable {
                return Err(at(format!("`{}` cannot be null", column.name)));
            }
            let value = cell.convert(column.cell, &mut self.times).map_err(at)?;
            if let (CellType::Json, Some(text)) = (column.cell, value.text())
                && !text.starts_with('{')
            {
                return Err(at(format!("expected an object, found {}", json::excerpt(text))));
            }
            if std::mem::take(&mut self.times.cut) > 0 {
                return Err(at("a time has more digits than microseconds; cut them".to_owned()));
            }
            let words: &[&str] = match *index {
                own::STATUS => &STATUSES,
                own::ORIGIN => &ORIGINS,
                _ => &[],
            };
            if let Some(word) = value.text().filter(|w| !words.is_empty() && !words.contains(w)) {
                let what = format!("{} is no word of `{}`", json::excerpt(word), column.name);
                return Err(at(what).hint(format!("the words are {}", words.join(", "))));
            }
            values[*index] = value;
            set.push(*index);
        }
        if let (Some(kind), Value::Floats(numbers)) =
            (values[own::KIND].text(), &values[own::GEOMETRY])
        {
            shape::check(kind, numbers).map_err(|reason| {
                Error::input(of(ANNOTATIONS.columns[own::GEOMETRY].name), reason)
            })?;
        }
        self.keep(set, &values, place, line)
    }

    /// Checks the keys of a row, and lets it wait beside others of the same columns.
    fn keep(
        &mut self,
        mut set: Vec<usize>,
        values: &[Value<'_>],
        place: &Place,
        line: u64,
    ) -> Result<()> {
        for key in [0, 1] {
            let name = ANNOTATIONS.columns[key].name;
            match values[key].text() {
                None | Some("") => {
                    let error = Error::input(place.clone(), format!("`{name}` is missing"));
                    return Err(error.hint("rows are found by `item_id` and `annotation_id`"));
                }
                Some(id) if id.len() > ID_BYTES_MAX => {
                    let what = format!("`{name}` is longer than 1 KiB");
                    return Err(Error::input(place.clone(), what));
                }
                Some(_) => {}
            }
        }
        set.sort_unstable();
        if let Some(rows) = self.sets.get_mut(&set) {
            rows.push(values, line);
            if rows.is_full() {
                let (batch, lines) = rows.finish()?;
                (self.each)(&set, batch, &lines)?;
            }
            return Ok(());
        }
        if self.sets.len() >= SETS_MAX {
            self.flush()?;
        }
        let mut rows = Rows::of(&ANNOTATIONS, set.clone());
        rows.push(values, line);
        self.sets.insert(set, rows);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        for (set, mut rows) in std::mem::take(&mut self.sets) {
            if !rows.is_empty() {
                let (batch, lines) = rows.finish()?;
                (self.each)(&set, batch, &lines)?;
            }
        }
        Ok(())
    }

    fn delimited(&mut self, delimiter: u8) -> Result<()> {
        let mut reader = Delimited::open(self.input, delimiter)?;
        let indices = self.header(&reader.header()?)?;
        let mut place = Place::file(self.input.name());
        loop {
            match reader.next()? {
                delimited::Next::End => return Ok(()),
                delimited::Next::Bad(line, reason, _) => {
                    return Err(Error::input(Place::line(self.input.name(), line), reason));
                }
                delimited::Next::Record(line) => {
                    place.line = Some(line);
                    let cells = reader.cells();
                    if cells.len() != indices.len() {
                        return Err(Error::input(place, ragged(cells.len(), indices.len())));
                    }
                    self.row(&indices, &cells, &place, line)?;
                }
            }
        }
    }

    fn json_lines(&mut self) -> Result<()> {
        let mut objects = Objects::open(self.input)?;
        let mut members = Members::default();
        let mut indices: Vec<usize> = Vec::new();
        let mut place = Place::file(self.input.name());
        while let Some(next) = objects.next()? {
            match next {
                jsonl::Next::Bad(line, reason, _) => {
                    return Err(Error::input(Place::line(self.input.name(), line), reason));
                }
                jsonl::Next::Text(line, text) => {
                    place.line = Some(line);
                    let cells =
                        members.read(text).map_err(|reason| Error::input(place.clone(), reason))?;
                    for name in &members.names[indices.len()..] {
                        indices.push(self.column(name)?);
                    }
                    self.row(&indices, &cells, &place, line)?;
                }
            }
        }
        Ok(())
    }

    fn parquet(&mut self) -> Result<()> {
        let mut batches = Batches::open(self.input)?;
        let indices = self.header(&batches.header)?;
        let mut rows = 0_u64;
        while let Some(batch) = batches.next()? {
            let sources = columns(self.input, &batch, &mut self.times)?;
            for row in 0..batch.num_rows() {
                rows += 1;
                let cells: Vec<_> = sources.iter().map(|source| source.cell(row)).collect();
                let place = Place::path(self.input.name(), format!("row {rows}"));
                self.row(&indices, &cells, &place, rows)?;
            }
        }
        Ok(())
    }
}
