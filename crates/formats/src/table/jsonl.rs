//! Reads JSON Lines, and arrays of flat JSON objects.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::cell::Cell;
use super::each::Each;
use super::gather::Gather;
use super::lines::{Line, broken, is_utf16, read_line, utf16};
use super::output::Output;
use super::rows::{Plan, Record, take};
use super::{Begun, begin, json};
use crate::json::{Event, Reader};
use crate::{Error, ImportOptions, ImportReport, Input, Place, RECORD_BYTES_MAX, Result, Sink};

/// Records that are looked at before the mapping is decided.
const SAMPLE_RECORDS: u64 = 1_000;
/// Bytes of them.
const SAMPLE_BYTES: usize = 4 << 20;
/// Different members that the records of one file may have.
const MEMBERS_MAX: usize = 10_000;

/// The members of the records, numbered as they were first seen.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Members {
    /// The number of a member; `likely` is tried first, because records are mostly alike.
    fn find(&mut self, likely: usize, name: &str) -> Option<usize> {
        if self.names.get(likely).is_some_and(|known| known == name) {
            return Some(likely);
        }
        if let Some(at) = self.index.get(name) {
            return Some(*at);
        }
        if self.names.len() >= MEMBERS_MAX {
            return None;
        }
        self.index.insert(name.to_owned(), self.names.len());
        self.names.push(name.to_owned());
        Some(self.names.len() - 1)
    }

    /// Reads the one object of a text; the cells stand under the members' numbers.
    pub(super) fn read<'a>(&mut self, text: &'a str) -> Result<Vec<Cell<'a>>, String> {
        let found = text.trim_start();
        if !found.starts_with('{') {
            return Err(match found.is_empty() {
                true => "expected an object, found the end".to_owned(),
                false => format!("expected an object, found {}", json::excerpt(found)),
            });
        }
        let mut cells = vec![Cell::Absent; self.names.len()];
        let mut reader = serde_json::Deserializer::from_str(text);
        reader
            .deserialize_map(Object { members: self, cells: &mut cells })
            .and_then(|()| reader.end())
            .map_err(|e| {
                let message = e.to_string();
                let what = message.split(" at line ").next().unwrap_or(&message);
                format!("{what} (column {})", e.column())
            })?;
        Ok(cells)
    }
}

/// Reads an object into cells.
struct Object<'m, 'de> {
    members: &'m mut Members,
    cells: &'m mut Vec<Cell<'de>>,
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut likely = 0;
        while let Some(at) = map.next_key_seed(Name { members: self.members, likely })? {
            let raw: &RawValue = map.next_value()?;
            if at >= self.cells.len() {
                self.cells.resize(at + 1, Cell::Absent);
            }
            if !matches!(self.cells[at], Cell::Absent) {
                let name = &self.members.names[at];
                return Err(serde::de::Error::custom(format!("the member `{name}` stands twice")));
            }
            let text = raw.get();
            self.cells[at] = if text == "null" { Cell::Null } else { Cell::Json(text) };
            likely = at + 1;
        }
        Ok(())
    }
}

/// Reads a member's name as its number.
struct Name<'m> {
    members: &'m mut Members,
    likely: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<usize, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        self.members.find(self.likely, name).ok_or_else(|| {
            E::custom(format!("more than {MEMBERS_MAX} different members; use `--each` for lists"))
        })
    }
}

/// The records of a file, whichever way they stand in it.
pub(super) struct Objects {
    file: String,
    line: u64,
    text: Vec<u8>,
    form: Form,
    limit: usize,
}

enum Form {
    Lines(Box<dyn BufRead>),
    Array(Reader),
}

/// What the next record is.
pub(super) enum Next<'a> {
    /// The text of a record and the line that it begins on.
    Text(u64, &'a str),
    /// A record that cannot be read: the line, the reason and its beginning.
    Bad(u64, String, String),
}

impl Objects {
    /// Opens a file; an array of objects is told by its first byte.
    pub(super) fn open(input: &Input) -> Result<Self> {
        let file = input.name();
        let mut reader = input.open().map_err(|error| match error {
            Error::Io { file, source } => broken(&file, None, source),
            other => other,
        })?;
        let head = reader.fill_buf().map_err(|e| broken(&file, None, e))?;
        if is_utf16(head) {
            return Err(utf16(&file));
        }
        if head.is_empty() {
            return Err(Error::input(Place::file(file), "the file is empty"));
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            reader.consume(3);
        }
        let head = reader.fill_buf().map_err(|e| broken(&file, None, e))?;
        let array = head.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
        let form = match array {
            true => Form::Array(Reader::new(reader, file.clone())?),
            false => Form::Lines(reader),
        };
        Ok(Self { file, line: 0, text: Vec::new(), form, limit: RECORD_BYTES_MAX })
    }

    /// Reads the next record; empty lines are skipped.
    pub(super) fn next(&mut self) -> Result<Option<Next<'_>>> {
        match &mut self.form {
            Form::Lines(reader) => loop {
                let line = read_line(reader.as_mut(), &mut self.text, self.limit)
                    .map_err(|e| broken(&self.file, Some(self.line + 1), e))?;
                self.line += 1;
                match line {
                    Line::End => return Ok(None),
                    Line::Whole if self.text.iter().all(u8::is_ascii_whitespace) => {}
                    Line::Whole => break,
                    Line::TooLong => {
                        let raw = String::from_utf8_lossy(&self.text).into_owned();
                        let reason = format!("the line is over {} MiB", self.limit >> 20);
                        return Ok(Some(Next::Bad(self.line, reason, raw)));
                    }
                }
            },
            Form::Array(reader) => match reader.next()? {
                None => return Ok(None),
                Some(Event::Section { .. }) => return Ok(None),
                Some(Event::Record(record)) => {
                    self.line = record.place.line.unwrap_or_default();
                    match record.value() {
                        Ok(value) => self.text = value.to_string().into_bytes(),
                        Err(bad) => {
                            let path = bad.place.path.map_or(String::new(), |p| format!("{p}: "));
                            let reason = format!("{path}{}", bad.reason);
                            return Ok(Some(Next::Bad(self.line, reason, bad.raw)));
                        }
                    }
                }
            },
        }
        Ok(Some(match std::str::from_utf8(&self.text) {
            Ok(text) => Next::Text(self.line, text),
            Err(error) => {
                let at = error.valid_up_to();
                let reason = format!(
                    "byte {} of the line is not UTF-8; \
                     convert the file with `iconv -f ENCODING -t UTF-8`",
                    at + 1
                );
                let raw = self.text.get(..1 << 10).unwrap_or(&self.text);
                Next::Bad(self.line, reason, String::from_utf8_lossy(raw).into_owned())
            }
        }))
    }

    /// Limits a line to fewer bytes, for tests.
    #[cfg(test)]
    pub(super) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

/// The members of the first records, and whether these are all records of the file.
fn sample(input: &Input) -> Result<(Members, bool)> {
    let mut members = Members::default();
    let mut objects = Objects::open(input)?;
    let (mut records, mut bytes) = (0, 0);
    while records < SAMPLE_RECORDS && bytes < SAMPLE_BYTES {
        match objects.next()? {
            None => return Ok((members, true)),
            // the second reading reports what is bad
            Some(Next::Bad(..)) => {}
            Some(Next::Text(_, text)) => {
                bytes += text.len();
                let _ = members.read(text);
            }
        }
        records += 1;
    }
    Ok((members, false))
}

/// Imports JSON Lines or an array of objects.
pub(super) fn import(
    input: &Input,
    options: &ImportOptions,
    sink: &mut dyn Sink,
) -> Result<ImportReport> {
    import_from(input, Objects::open(input)?, options, sink)
}

/// Imports from records that are open already.
pub(super) fn import_from(
    input: &Input,
    mut objects: Objects,
    options: &ImportOptions,
    sink: &mut dyn Sink,
) -> Result<ImportReport> {
    let (mut members, whole) = sample(input)?;
    if whole && members.names.is_empty() {
        // no record is an object: report the first bad one, or import nothing
        members.names.push("item_id".to_owned());
        members.index.insert("item_id".to_owned(), 0);
    }
    let each = options.each.as_deref().map(Each::parse).transpose()?;
    let Begun { mut plan, mut out, length } =
        begin(input, options, &members.names, whole, each, sink)?;
    let mut gather = Gather::new(&plan);
    let mut records = 0;
    while let Some(next) = objects.next()? {
        records += 1;
        let (line, text) = match next {
            Next::Text(line, text) => (line, text),
            Next::Bad(line, reason, raw) => {
                flush(&mut gather, &mut plan, &mut members, &mut out, &input.name())?;
                out.bad(at_line(&input.name(), line), reason, raw)?;
                continue;
            }
        };
        let Some(gathering) = &mut gather else {
            one(&mut plan, &mut members, &mut out, &input.name(), line, text)?;
            continue;
        };
        let cells = members.read(text).unwrap_or_default();
        gathering.push(&plan, text, line, &cells, &mut out.times);
        if gathering.is_full() {
            flush(&mut gather, &mut plan, &mut members, &mut out, &input.name())?;
        }
    }
    flush(&mut gather, &mut plan, &mut members, &mut out, &input.name())?;
    out.finish()?;
    super::end(input, length, &plan, records)
}

fn at_line(file: &str, line: u64) -> Place {
    Place { line: Some(line), ..Place::file(file) }
}

/// Takes one record.
fn one(
    plan: &mut Plan,
    members: &mut Members,
    out: &mut Output<'_>,
    file: &str,
    line: u64,
    text: &str,
) -> Result<()> {
    let place = at_line(file, line);
    let cells = match members.read(text) {
        Ok(cells) => cells,
        Err(reason) => return out.bad(place, reason, text.chars().take(1 << 10).collect()),
    };
    for name in members.names.iter().skip(plan.names.len()) {
        plan.add(name);
    }
    take(plan, out, &Record { cells: &cells, line, raw: Some(text) }, &place)
}

/// Hands over what was gathered; where a record needs to be looked at, one by one.
fn flush(
    gather: &mut Option<Gather>,
    plan: &mut Plan,
    members: &mut Members,
    out: &mut Output<'_>,
    file: &str,
) -> Result<()> {
    let Some(gathering) = gather.as_mut().filter(|gathering| !gathering.is_empty()) else {
        return Ok(());
    };
    match gathering.take(plan) {
        Ok((rows, lines)) => {
            out.report_times(None);
            out.batch(rows, &lines)
        }
        Err(records) => {
            out.times.forget();
            for (line, text) in records.iter() {
                one(plan, members, out, file, line, text)?;
            }
            *gather = gathering.again(plan);
            Ok(())
        }
    }
}

/// Whether the beginning of a file reads like JSON Lines.
pub(super) fn looks_like_lines(head: &[u8]) -> bool {
    let mut line = Vec::new();
    let mut reader = std::io::BufReader::new(head.take(head.len() as u64));
    let read = read_line(&mut reader, &mut line, head.len());
    matches!(read, Ok(Line::Whole))
        && line.len() < head.len()
        && std::str::from_utf8(&line).is_ok_and(|text| Members::default().read(text).is_ok())
}
