//! `--each`: rows from the entries of nested lists.
//!
//! `--each boxes` names a list of the record; `--each spans.manual` one inside an object; a `*`
//! stands for every member of an object, and the member's name is then the annotator
//! (`--each 'annotations.*'`). Several lists are joined with commas, and a list called `gold` gives
//! rows of the annotator `gold` in the same field: `--each 'annotations.*,gold'`. The field is the
//! name of the first list.
//!
//! Every list is a submission, an empty one as well. An entry may be
//! - an array: its numbers are the geometry, its first string the label (`[x, y, w, h]`,
//!   `[start, end, label]`); an array of points is a polygon,
//! - an object: our column names, and the usual ones (`category`, `x`, `y`, `w`, `h`, `bbox`,
//!   `start`, `end`, `points`, `id`, `confidence`),
//! - a string or number: the label.
//!
//! `--map geometry=0,1,2,3 --map label=4` overrides that by position or name.

use std::borrow::Cow;

use glossator_store::schema::{ANNOTATIONS, SubmissionRow};

use super::cell::{Cell, Value, finite};
use super::json;
use super::mapping::{Use, own};
use super::output::{Output, Stop};
use super::rows::{Draft, Plan, Record, close_extra, settle_kind, warn_of_box};
use crate::{Error, Result};

/// The lists that `--each` names.
#[derive(Debug, Clone)]
pub(super) struct Each {
    paths: Vec<Vec<String>>,
}

impl Each {
    /// Reads the value of `--each`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let paths: Vec<Vec<String>> = text
            .split(',')
            .map(|path| path.split('.').map(|part| part.trim().to_owned()).collect())
            .collect();
        let bad = |path: &Vec<String>| path[0] == "*" || path.iter().any(String::is_empty);
        if paths.iter().any(bad) {
            return Err(Error::Usage {
                what: format!("`--each {text}` is not a list of paths"),
                hint: Some("write `--each boxes`, or `--each 'annotations.*,gold'`".to_owned()),
            });
        }
        Ok(Self { paths })
    }

    /// The field of the rows: the name of the first list.
    pub(super) fn field(&self) -> &str {
        let mut names = self.paths.iter().flat_map(|p| p.iter().rev());
        names.find(|part| *part != "*").map_or("label", String::as_str)
    }

    /// Whether a member of the record holds such a list.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.paths.iter().any(|path| path[0] == name)
    }

    /// The members of the record that hold the lists.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| path[0].as_str())
    }

    /// Whether one record gives several submissions.
    pub(super) fn has_wildcard(&self) -> bool {
        self.paths.len() > 1 || self.paths.iter().flatten().any(|part| part == "*")
    }
}

/// One list of a record.
struct List<'a> {
    path: String,
    /// Who made it, where the path says so.
    annotator: Option<String>,
    raw: Cow<'a, str>,
}

/// Finds the lists at `path` below a value.
fn lists<'a>(
    raw: &'a str,
    path: &[String],
    found: &mut Vec<List<'a>>,
    at: List<'a>,
) -> Result<(), Stop> {
    let Some((part, rest)) = path.split_first() else {
        if raw != "null" {
            found.push(List { raw: Cow::Borrowed(raw), ..at });
        }
        return Ok(());
    };
    let members = json::members(raw).map_err(|_| {
        Stop::cell(&at.path, format!("expected an object, found {}", json::excerpt(raw)))
    })?;
    for (name, value) in members {
        if part == "*" || *part == name {
            let annotator = if part == "*" { Some(name.clone()) } else { at.annotator.clone() };
            let next = List { path: format!("{}.{name}", at.path), annotator, raw: "".into() };
            lists(value, rest, found, next)?;
        }
    }
    Ok(())
}

/// Hands over the submissions and rows of a record with nested lists.
pub(super) fn rows(
    plan: &Plan,
    each: &Each,
    out: &mut Output<'_>,
    record: &Record<'_>,
    mut draft: Draft<'_>,
) -> Result<(), Stop> {
    let mut found = Vec::new();
    for path in &each.paths {
        let column = plan.names.iter().position(|name| *name == path[0]);
        let raw = match column.and_then(|i| record.cells.get(i)) {
            Some(Cell::Json(raw) | Cell::Text(raw)) => *raw,
            Some(Cell::Absent | Cell::Null) | None => continue,
            Some(_) => return Err(Stop::cell(&path[0], "expected a list")),
        };
        let at = List { path: path[0].clone(), annotator: None, raw: "".into() };
        let before = found.len();
        lists(raw, &path[1..], &mut found, at)?;
        if path.last().is_some_and(|name| name == "gold") {
            found[before..].iter_mut().for_each(|l| l.annotator = Some("gold".to_owned()));
        }
    }
    // the list stands in the rows; what is left of the record belongs to its submission
    let stated = std::mem::take(&mut draft.values[own::EXTRA]);
    let extra = close_extra(&stated, &std::mem::take(&mut draft.extra))?;
    for list in &found {
        submission(plan, each, out, record, &draft.values, list, &extra)?;
    }
    if found.is_empty() {
        out.warn("records without the list that `--each` names", Some(record.line));
    }
    Ok(())
}

/// Hands over one list: its submission and a row an entry.
fn submission(
    plan: &Plan,
    each: &Each,
    out: &mut Output<'_>,
    record: &Record<'_>,
    common: &[Value<'_>],
    list: &List<'_>,
    extra: &Value<'_>,
) -> Result<(), Stop> {
    let bad = |reason: String| Stop::cell(&list.path, reason);
    let entries = json::entries(&list.raw)
        .map_err(|_| bad(format!("expected a list, found {}", json::excerpt(&list.raw))))?;
    let mut row = common.to_vec();
    let gold = list.annotator.as_deref() == Some("gold");
    if gold {
        row[own::GOLD] = Value::Bool(true);
    }
    if let Some(name) = &list.annotator {
        let id = if name.contains('@') { out.person(name, "")? } else { name.clone() };
        row[own::ANNOTATOR] = Value::Text(Cow::Owned(id));
    }
    let mut id = match row[own::SUBMISSION].text() {
        Some(id) => id.to_owned(),
        None => format!("annotation/{}", record.line),
    };
    if let (true, Some(name)) = (each.has_wildcard(), row[own::ANNOTATOR].text()) {
        id = format!("{id}/{name}");
    }
    if row[own::FIELD] == Value::Null {
        row[own::FIELD] = Value::Text(Cow::Owned(each.field().to_owned()));
    }
    row[own::SUBMISSION] = Value::Text(Cow::Owned(id));
    // an entry is checked whole before anything is handed over
    let rows: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(i, raw)| {
            entry(plan, out, &row, raw, i).map_err(|stop| match stop {
                Stop::Bad(name, reason) => {
                    let name = name.map_or(String::new(), |n| format!(".{n}"));
                    Stop::cell(&format!("{}[{i}]{name}", list.path), reason)
                }
                fatal => fatal,
            })
        })
        .collect::<Result<_, _>>()?;
    out.submission(&submission_row(&row, extra))?;
    for row in &rows {
        warn_of_box(row, out, record);
        out.annotation(row)?;
    }
    Ok(())
}

fn submission_row<'a>(row: &'a [Value<'_>], extra: &'a Value<'_>) -> SubmissionRow<'a> {
    let text = |column: usize| row[column].text().unwrap_or_default();
    let int = |column: usize| match row[column] {
        Value::Int(value) => Some(value),
        _ => None,
    };
    let float = |column: usize| match row[column] {
        Value::Float(value) => Some(value),
        _ => None,
    };
    SubmissionRow {
        item_id: text(own::ITEM),
        submission_id: text(own::SUBMISSION),
        source: text(own::SOURCE),
        annotator_id: text(own::ANNOTATOR),
        origin: text(own::ORIGIN),
        state: text(own::STATUS),
        skip_reason: None,
        gold: row[own::GOLD] == Value::Bool(true),
        policy: row[own::POLICY].text(),
        created_at: int(own::CREATED),
        updated_at: int(own::UPDATED),
        lead_time: float(own::LEAD_TIME),
        parent_id: None,
        score: float(own::SCORE),
        fields_asked: Some(vec![text(own::FIELD)]),
        seq: None,
        extra: extra.text(),
    }
}

/// An entry in the making.
struct Entry<'a> {
    row: Vec<Value<'a>>,
    parts: Vec<Option<f64>>,
    numbers: Vec<f64>,
    extra: String,
}

/// The row of one entry.
fn entry<'a>(
    plan: &Plan,
    out: &mut Output<'_>,
    common: &[Value<'a>],
    raw: &'a str,
    number: usize,
) -> Result<Vec<Value<'a>>, Stop> {
    let mut row = common.to_vec();
    for facts in [own::CREATED, own::UPDATED, own::LEAD_TIME, own::SCORE] {
        row[facts] = Value::Null;
    }
    row[own::SEQ] = i32::try_from(number).map_or(Value::Null, |n| Value::Int(i64::from(n)));
    let mut entry = Entry { row, parts: Vec::new(), numbers: Vec::new(), extra: String::new() };
    match raw.as_bytes().first() {
        Some(b'[') => {
            let parts = json::entries(raw).map_err(Stop::record)?;
            if parts.len() > 1 && parts.iter().all(|part| part.starts_with('[')) {
                entry.points(&parts)?;
            } else {
                for (i, part) in parts.iter().enumerate() {
                    let name = i.to_string();
                    entry.position(plan, out, &name, part).map_err(|e| Stop::cell(&name, e))?;
                }
            }
        }
        Some(b'{') => {
            for (name, part) in json::members(raw).map_err(Stop::record)? {
                entry.member(plan, out, &name, part).map_err(|e| Stop::cell(&name, e))?;
            }
        }
        Some(b'n' | b't' | b'f') | None => {
            return Err(Stop::record(format!("expected an answer, found {raw}")));
        }
        Some(_) => {
            let label = Cell::Json(raw).text().map_err(Stop::record)?;
            entry.row[own::LABEL] = Value::Text(label);
        }
    }
    entry.finish()
}

impl<'a> Entry<'a> {
    /// A polygon (or, with two points, a line) of `[x, y]` points.
    fn points(&mut self, points: &[&str]) -> Result<(), Stop> {
        let mut numbers = Vec::with_capacity(points.len() * 2 + 2);
        if points.len() > 2 {
            numbers.extend([1.0, points.len() as f64]);
        }
        for (i, raw) in points.iter().enumerate() {
            let point: [f64; 2] = serde_json::from_str(raw).map_err(|_| {
                let found = json::excerpt(raw);
                Stop::cell(&i.to_string(), format!("expected a point [x, y], found {found}"))
            })?;
            numbers.extend(point);
        }
        self.row[own::KIND] = Value::str(if points.len() > 2 { "polygon" } else { "polyline" });
        self.row[own::UNIT] = Value::str("px");
        self.row[own::GEOMETRY] = Value::Floats(numbers);
        Ok(())
    }

    /// An element of an entry that is an array.
    fn position(
        &mut self,
        plan: &Plan,
        out: &mut Output<'_>,
        name: &str,
        raw: &'a str,
    ) -> Result<(), String> {
        let cell = Cell::Json(raw);
        if let Some(used) = plan.mapping.explicit(name) {
            return self.put(out, used, name, cell);
        }
        match raw.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => self.numbers.push(cell.float()?),
            Some(b'"') if self.row[own::LABEL] == Value::Null => {
                self.put(out, Use::Label, name, cell)?;
            }
            _ => self.put(out, Use::Extra, name, cell)?,
        }
        Ok(())
    }

    /// A member of an entry that is an object.
    fn member(
        &mut self,
        plan: &Plan,
        out: &mut Output<'_>,
        name: &str,
        raw: &'a str,
    ) -> Result<(), String> {
        if raw == "null" {
            return Ok(());
        }
        let own_name = ANNOTATIONS.column(name).filter(|own| {
            ![own::ITEM, own::TEXT, own::EXTRA, own::LABEL, own::SUBMISSION].contains(own)
        });
        let used = match (plan.mapping.explicit(name), name, own_name) {
            (Some(used), _, _) => used,
            (_, "label" | "category" | "category_name" | "class" | "type" | "tag", _) => Use::Label,
            (_, _, Some(own)) => Use::Own(own),
            (_, "id", _) => Use::Own(own::REGION),
            (_, "confidence", _) => Use::Own(own::SCORE),
            (_, "bbox" | "box", _) => Use::Own(own::GEOMETRY),
            (_, "x" | "start", _) => Use::Part(0),
            (_, "y" | "end", _) => Use::Part(1),
            (_, "w" | "width", _) => Use::Part(2),
            (_, "h" | "height", _) => Use::Part(3),
            _ => Use::Extra,
        };
        if name == "points" && plan.mapping.explicit(name).is_none() {
            let points = json::entries(raw)?;
            return self.points(&points).map_err(|stop| match stop {
                Stop::Bad(_, reason) => reason,
                Stop::Fatal(error) => error.to_string(),
            });
        }
        self.put(out, used, name, Cell::Json(raw))
    }

    fn put(
        &mut self,
        out: &mut Output<'_>,
        used: Use,
        name: &str,
        cell: Cell<'a>,
    ) -> Result<(), String> {
        match used {
            Use::Own(own) => {
                self.row[own] = cell.convert(ANNOTATIONS.columns[own].cell, &mut out.times)?;
            }
            Use::Part(part) => {
                self.parts.resize(self.parts.len().max(part + 1), None);
                self.parts[part] = Some(finite(cell.float()?)?);
            }
            Use::Label if cell.text().is_ok() && self.row[own::LABEL] == Value::Null => {
                self.row[own::LABEL] = Value::Text(cell.text()?);
            }
            _ => {
                json::member(&mut self.extra, name);
                cell.write_json(&mut self.extra)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Value<'a>>, Stop> {
        let parts: Option<Vec<f64>> = self.parts.iter().copied().collect();
        let parts =
            parts.ok_or_else(|| Stop::record("some numbers of the geometry are missing"))?;
        match (parts.is_empty(), self.numbers.is_empty()) {
            (false, true) => self.row[own::GEOMETRY] = Value::Floats(parts),
            (true, false) => {
                self.row[own::GEOMETRY] = Value::Floats(std::mem::take(&mut self.numbers));
            }
            (true, true) => {}
            (false, false) => {
                return Err(Stop::record("an entry mixes mapped and other numbers; map them all"));
            }
        }
        self.row[own::EXTRA] = close_extra(&Value::Null, &self.extra)?;
        settle_kind(&mut self.row)?;
        Ok(self.row)
    }
}
