//! Where rows gather into batches on their way to the sink.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use glossator_store::schema::{ANNOTATIONS, ColumnBuilder, ITEMS, SUBMISSIONS, SubmissionRow};
use glossator_store::schema::{SubmissionsBuilder, Table};

use super::cell::{Times, Value};
use crate::{BadRecord, Error, Person, Place, Result, Sink};

/// Rows of one batch, at most.
pub(super) const BATCH_ROWS_MAX: usize = 16_384;
/// Bytes of text, lists and masks of one batch, but for its last row.
pub(super) const BATCH_BYTES_MAX: usize = 32 << 20;

/// A batch of some columns of a table in the making.
pub(super) struct Rows {
    table: &'static Table,
    indices: Vec<usize>,
    columns: Vec<ColumnBuilder>,
    /// Where each row stands: its line, or its number.
    lines: Vec<u64>,
    bytes: usize,
}

impl Rows {
    /// An empty batch of every column.
    pub(super) fn new(table: &'static Table) -> Self {
        Self::of(table, (0..table.columns.len()).collect())
    }

    /// An empty batch of some columns, by index.
    pub(super) fn of(table: &'static Table, indices: Vec<usize>) -> Self {
        let columns = indices.iter().map(|i| ColumnBuilder::new(table.columns[*i].cell)).collect();
        Self { table, indices, columns, lines: Vec::new(), bytes: 0 }
    }

    /// Appends a row; `values` are by index of the table's columns.
    pub(super) fn push(&mut self, values: &[Value<'_>], line: u64) {
        for (index, column) in self.indices.iter().zip(&mut self.columns) {
            let value = values.get(*index).unwrap_or(&Value::Null);
            self.bytes += append(column, value, self.table.columns[*index].nullable);
        }
        self.lines.push(line);
    }

    /// Whether it is time to hand the batch over.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_ROWS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Whether there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Finishes the batch and empties the builder; with the lines of its rows.
    pub(super) fn finish(&mut self) -> Result<(RecordBatch, Vec<u64>)> {
        self.bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let schema = self.table.arrow().project(&self.indices);
        schema
            .and_then(|schema| RecordBatch::try_new(schema.into(), columns))
            .map(|batch| (batch, lines))
            .map_err(|e| Error::input(Place::file(self.table.name), e.to_string()))
    }
}

/// Appends a value and returns its variable size; a null of a required column is empty text.
pub(super) fn append(column: &mut ColumnBuilder, value: &Value<'_>, nullable: bool) -> usize {
    match (column, value) {
        (ColumnBuilder::Text(b), Value::Text(v)) => b.append_value(v),
        (ColumnBuilder::Dict(b), Value::Text(v)) => b.append_value(v),
        (ColumnBuilder::Bool(b), Value::Bool(v)) => b.append_value(*v),
        (ColumnBuilder::Float(b), Value::Float(v)) => b.append_value(*v),
        (ColumnBuilder::Int(b), Value::Int(v)) => b.append_value(*v),
        (ColumnBuilder::Int32(b), Value::Int(v)) => {
            b.append_option(i32::try_from(*v).ok());
        }
        (ColumnBuilder::Time(b), Value::Int(v)) => b.append_value(*v),
        (ColumnBuilder::Floats(b), Value::Floats(v)) => {
            b.values().append_slice(v);
            b.append(true);
        }
        (ColumnBuilder::Texts(b), Value::Texts(v)) => {
            v.iter().for_each(|s| b.values().append_value(s));
            b.append(true);
        }
        (ColumnBuilder::Bytes(b), Value::Bytes(v)) => b.append_value(v),
        (ColumnBuilder::Text(b), _) if !nullable => b.append_value(""),
        (ColumnBuilder::Dict(b), _) if !nullable => b.append_value(""),
        (column, _) => column.null(),
    }
    match value {
        Value::Text(text) => text.len(),
        Value::Floats(list) => list.len() * 8,
        Value::Texts(list) => list.iter().map(String::len).sum(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Why a record gives no rows.
#[derive(Debug)]
pub(super) enum Stop {
    /// The record is bad: the column or path, and the reason.
    Bad(Option<String>, String),
    /// The import cannot go on.
    Fatal(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl Stop {
    /// A bad cell.
    pub(super) fn cell(column: &str, reason: impl Into<String>) -> Self {
        Self::Bad(Some(column.to_owned()), reason.into())
    }

    /// A bad record.
    pub(super) fn record(reason: impl Into<String>) -> Self {
        Self::Bad(None, reason.into())
    }
}

/// The sink with rows on their way to it.
pub(super) struct Output<'s> {
    sink: &'s mut dyn Sink,
    file: String,
    annotations: Rows,
    submissions: SubmissionsBuilder,
    items: Rows,
    people: HashMap<(String, String), String>,
    facts: HashMap<[u8; 16], [u8; 16]>,
    /// How times are read.
    pub(super) times: Times,
    /// Where the record stands whose rows are added.
    pub(super) line: u64,
    /// Rows of `annotations` handed over so far.
    pub(super) rows: u64,
}

impl<'s> Output<'s> {
    /// Puts batches before a sink.
    pub(super) fn new(sink: &'s mut dyn Sink, file: String, times: Times) -> Self {
        Self {
            sink,
            file,
            annotations: Rows::new(&ANNOTATIONS),
            submissions: SubmissionsBuilder::default(),
            items: Rows::new(&ITEMS),
            people: HashMap::new(),
            facts: HashMap::new(),
            times,
            line: 0,
            rows: 0,
        }
    }

    /// Adds an annotation.
    pub(super) fn annotation(&mut self, values: &[Value<'_>]) -> Result<()> {
        self.annotations.push(values, self.line);
        self.rows += 1;
        if self.annotations.is_full() {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Hands over the annotations that were added.
    fn hand_over(&mut self) -> Result<()> {
        let (batch, lines) = self.annotations.finish()?;
        self.sink.lines(&lines);
        self.sink.rows(&ANNOTATIONS, batch)
    }

    /// Hands over a whole batch of annotations and the line of each, after those that were added
    /// before.
    pub(super) fn batch(&mut self, batch: RecordBatch, lines: &[u64]) -> Result<()> {
        if !self.annotations.is_empty() {
            self.hand_over()?;
        }
        self.rows += batch.num_rows() as u64;
        self.sink.lines(lines);
        self.sink.rows(&ANNOTATIONS, batch)
    }

    /// Adds a submission.
    pub(super) fn submission(&mut self, row: &SubmissionRow<'_>) -> Result<()> {
        self.submissions.push(row);
        if self.submissions.len() >= BATCH_ROWS_MAX {
            self.sink.rows(&SUBMISSIONS, self.submissions.finish())?;
        }
        Ok(())
    }

    /// Adds an item with its facts, once; false where other facts were given for it before.
    ///
    /// It remembers 32 bytes an item, and only of tables that state such facts.
    pub(super) fn item(&mut self, values: &[Value<'_>]) -> Result<bool> {
        let short = |digest: blake3::Hash| {
            let mut short = [0; 16];
            short.copy_from_slice(&digest.as_bytes()[..16]);
            short
        };
        let id = values.first().and_then(Value::text).unwrap_or_default();
        let key = short(blake3::hash(id.as_bytes()));
        let facts = short(blake3::hash(format!("{values:?}").as_bytes()));
        if let Some(known) = self.facts.get(&key) {
            return Ok(*known == facts);
        }
        self.facts.insert(key, facts);
        self.items.push(values, self.line);
        if self.items.is_full() {
            self.sink.rows(&ITEMS, self.items.finish()?.0)?;
        }
        Ok(true)
    }

    /// The annotator id that rows hold for a person.
    pub(super) fn person(&mut self, name: &str, facts: &str) -> Result<String> {
        let key = (name.to_owned(), facts.to_owned());
        if let Some(id) = self.people.get(&key) {
            return Ok(id.clone());
        }
        let is_email = name.contains('@');
        let mut object = facts.to_owned();
        if is_email {
            super::json::member(&mut object, "email");
            super::json::quote(name, &mut object);
        }
        object.push('}');
        let person = Person {
            id: (!is_email).then_some(name),
            email: is_email.then_some(name),
            facts: Some(&object),
        };
        let id = self.sink.person(&person)?;
        self.people.insert(key, id.clone());
        Ok(id)
    }

    /// Counts what is odd but kept.
    pub(super) fn warn(&mut self, kind: &str, line: Option<u64>) {
        let place = Place { line, ..Place::file(&self.file) };
        self.sink.warn(kind, &place);
    }

    /// Says what is not kept.
    pub(super) fn lost(&mut self, kind: &str, line: Option<u64>) {
        let place = Place { line, ..Place::file(&self.file) };
        self.sink.lost(kind, &place);
    }

    /// Hands a bad record over.
    pub(super) fn bad(&mut self, place: Place, reason: String, raw: String) -> Result<()> {
        self.sink.bad(BadRecord { place, reason, raw })
    }

    /// Reports what was noticed about times since the last call.
    pub(super) fn report_times(&mut self, line: Option<u64>) {
        if self.times.cut == 0 && self.times.zoneless == 0 {
            return;
        }
        let place = Place { line, ..Place::file(&self.file) };
        for _ in 0..std::mem::take(&mut self.times.cut) {
            self.sink.lost("digits of a time beyond microseconds", &place);
        }
        for _ in 0..std::mem::take(&mut self.times.zoneless) {
            self.sink.warn("times without a zone, read as UTC", &place);
        }
    }

    /// Hands over what is left.
    pub(super) fn finish(&mut self) -> Result<()> {
        if !self.items.is_empty() {
            self.sink.rows(&ITEMS, self.items.finish()?.0)?;
        }
        if !self.submissions.is_empty() {
            self.sink.rows(&SUBMISSIONS, self.submissions.finish())?;
        }
        if !self.annotations.is_empty() {
            self.hand_over()?;
        }
        Ok(())
    }
}
