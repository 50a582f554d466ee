//! From a record of named cells to rows of our tables.

use std::borrow::Cow;
use std::collections::HashMap;

use glossator_store::schema::{ANNOTATIONS, ITEMS};

use super::cell::{Cell, Value};
use super::each::{self, Each};
use super::json;
use super::mapping::{Mapping, Use, own};
use super::output::{Output, Stop};
use super::shape;
use crate::{ImportOptions, Place, Result};

/// The longest item or annotation id, in bytes.
pub(super) const ID_BYTES_MAX: usize = 1 << 10;

pub(super) const STATUSES: [&str; 7] =
    ["draft", "submitted", "skipped", "superseded", "accepted", "rejected", "fixed"];
pub(super) const ORIGINS: [&str; 3] = ["human", "model", "rule"];

/// A record of any format: cells under the names of the columns.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// The cells, in the order of [`Plan::names`].
    pub(super) cells: &'a [Cell<'a>],
    /// The line that it begins on, or its number where the format has no lines.
    pub(super) line: u64,
    /// The text of the record, where the format has one.
    pub(super) raw: Option<&'a str>,
}

/// What an import does with every column.
pub(super) struct Plan {
    /// The decided mapping.
    pub(super) mapping: Mapping,
    /// The columns seen so far.
    pub(super) names: Vec<String>,
    /// What each of them is used for.
    pub(super) uses: Vec<Use>,
    words: Vec<HashMap<String, String>>,
    /// The namespace of foreign ids.
    pub(super) source: String,
    source_forced: bool,
    gold: bool,
    /// The field of rows that state none.
    field: String,
    /// The nested lists that rows come from.
    pub(super) each: Option<Each>,
}

impl Plan {
    /// Plans the import of columns with a decided mapping.
    pub(super) fn new(
        mapping: Mapping,
        header: &[String],
        each: Option<Each>,
        options: &ImportOptions,
    ) -> Self {
        let mut plan = Self {
            mapping,
            names: Vec::new(),
            uses: Vec::new(),
            words: Vec::new(),
            source: options.source.clone().unwrap_or_else(|| "table".to_owned()),
            source_forced: options.source.is_some(),
            gold: options.gold,
            field: "label".to_owned(),
            each,
        };
        header.iter().for_each(|name| plan.add(name));
        let named = |own| plan.uses.iter().position(|u| *u == Use::Own(own));
        let labels = plan.uses.iter().position(|u| *u == Use::Label);
        let answer = labels.or_else(|| named(own::TEXT)).or_else(|| named(own::NUMBER));
        if let (Some(each), _) = (&plan.each, answer) {
            plan.field = each.field().to_owned();
        } else if let (false, Some(at)) = (plan.mapping.ours, answer) {
            plan.field = plan.names[at].clone();
        }
        plan
    }

    /// Adds a column that the file states from now on.
    pub(super) fn add(&mut self, name: &str) {
        let used = self.mapping.classify(name);
        self.words.push(self.mapping.words(name, used));
        self.uses.push(used);
        self.names.push(name.to_owned());
    }

    /// Whether rows are in our own columns, and no option changes whole rows.
    pub(super) fn is_plain(&self) -> bool {
        self.mapping.ours
            && !(self.gold || self.source_forced || self.each.is_some())
            && self.mapping.constants.is_empty()
    }

    /// The words of a column that `--value` maps.
    pub(super) fn words(&self, column: usize) -> &HashMap<String, String> {
        &self.words[column]
    }

    /// The field of rows that state none.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// The field of the rows of a label column.
    fn field_of(&self, column: usize) -> &str {
        match (self.mapping.labels.len(), self.mapping.ours) {
            (0 | 1, _) => &self.field,
            _ => self.names.get(column).map_or(&self.field, String::as_str),
        }
    }
}

/// A record with its cells converted, before it becomes rows.
#[derive(Default)]
pub(super) struct Draft<'a> {
    /// Values by index of the annotations' columns.
    pub(super) values: Vec<Value<'a>>,
    /// Numbers of a geometry in several columns.
    parts: Vec<Option<f64>>,
    /// Classes with the column that states them.
    labels: Vec<(usize, Cow<'a, str>)>,
    /// Facts about the item, by index of the items' columns.
    facts: Vec<(usize, Value<'a>)>,
    /// Identity facts of the annotator: an object without its end.
    person: String,
    /// What no column holds: an object without its end.
    pub(super) extra: String,
}

/// Turns a record into rows, or hands it over as bad.
pub(super) fn take(
    plan: &Plan,
    out: &mut Output<'_>,
    record: &Record<'_>,
    at: &Place,
) -> Result<()> {
    out.line = record.line;
    let done = draft(plan, out, record).and_then(|draft| match &plan.each {
        Some(each) => each::rows(plan, each, out, record, draft),
        None => flat(plan, out, record, draft),
    });
    out.report_times(Some(record.line));
    match done {
        Ok(()) => Ok(()),
        Err(Stop::Fatal(error)) => Err(error),
        Err(Stop::Bad(column, reason)) => {
            let raw = record.raw.map_or_else(|| as_json(plan, record), str::to_owned);
            let path = match (column, &at.path) {
                (Some(column), Some(path)) => Some(format!("{path}, {column}")),
                (column, path) => column.or_else(|| path.clone()),
            };
            out.bad(Place { path, ..at.clone() }, reason, raw)
        }
    }
}

/// A record as a JSON object, for the quarantine.
fn as_json(plan: &Plan, record: &Record<'_>) -> String {
    let mut object = String::new();
    for (name, cell) in plan.names.iter().zip(record.cells) {
        if !cell.is_null() {
            json::member(&mut object, name);
            if cell.write_json(&mut object).is_err() {
                object.push_str("null");
            }
        }
    }
    if object.is_empty() { "{}".to_owned() } else { object + "}" }
}

/// Converts the cells of a record and fills in what it does not state.
fn draft<'a>(plan: &'a Plan, out: &mut Output<'_>, record: &Record<'a>) -> Result<Draft<'a>, Stop> {
    let mut draft =
        Draft { values: vec![Value::Null; ANNOTATIONS.columns.len()], ..Draft::default() };
    for (i, cell) in record.cells.iter().enumerate() {
        let empty = matches!(cell, Cell::Text("")) && !plan.mapping.ours;
        if cell.is_null() || empty || plan.each.as_ref().is_some_and(|e| e.reads(&plan.names[i])) {
            continue;
        }
        let cell = match plan.words[i].is_empty() {
            true => *cell,
            false => match cell.text().ok().and_then(|word| plan.words[i].get(word.as_ref())) {
                Some(word) => Cell::Text(word),
                None => *cell,
            },
        };
        let used = plan.uses[i];
        cell_in(plan, out, &mut draft, i, used, cell)
            .map_err(|reason| Stop::cell(&plan.names[i], reason))?;
    }
    for (column, value) in &plan.mapping.constants {
        draft.values[*column] = Cell::Text(value)
            .convert(ANNOTATIONS.columns[*column].cell, &mut out.times)
            .map_err(Stop::record)?;
    }
    facts_in(plan, out, record, &mut draft)?;
    fill(plan, out, record, &mut draft)?;
    Ok(draft)
}

/// Puts one cell where its column's use says.
fn cell_in<'a>(
    plan: &'a Plan,
    out: &mut Output<'_>,
    draft: &mut Draft<'a>,
    column: usize,
    used: Use,
    cell: Cell<'a>,
) -> Result<(), String> {
    match used {
        Use::Own(own) => {
            draft.values[own] = cell.convert(ANNOTATIONS.columns[own].cell, &mut out.times)?;
        }
        Use::Part(part) => {
            draft.parts.resize(draft.parts.len().max(part + 1), None);
            draft.parts[part] = Some(cell.float()?);
        }
        Use::Label => match labels(cell) {
            Some(labels) => draft.labels.extend(labels.into_iter().map(|l| (column, l))),
            None => {
                json::member(&mut draft.extra, &plan.names[column]);
                cell.write_json(&mut draft.extra)?;
            }
        },
        Use::Fact(fact) => {
            let value = cell.convert(ITEMS.columns[fact].cell, &mut out.times)?;
            draft.facts.push((fact, value));
        }
        Use::FactText => {
            let mut data = String::new();
            json::member(&mut data, "text");
            cell.write_json(&mut data)?;
            draft
                .facts
                .push((ITEMS.column("data").unwrap_or_default(), Value::Text((data + "}").into())));
        }
        Use::Person => {
            json::member(&mut draft.person, &plan.names[column]);
            cell.write_json(&mut draft.person)?;
        }
        Use::ExtraPerson => {
            json::member(&mut draft.extra, &plan.names[column]);
            match cell.text() {
                Ok(name) if name.contains('@') => {
                    let id = out.person(&name, "").map_err(|e| e.to_string())?;
                    json::quote(&id, &mut draft.extra);
                }
                _ => cell.write_json(&mut draft.extra)?,
            }
        }
        Use::Extra => {
            json::member(&mut draft.extra, &plan.names[column]);
            cell.write_json(&mut draft.extra)?;
        }
    }
    Ok(())
}

/// The classes of a label cell: one, or those of a list; `None` for other nested values.
fn labels(cell: Cell<'_>) -> Option<Vec<Cow<'_, str>>> {
    let Cell::Json(raw) = cell else { return cell.text().ok().map(|label| vec![label]) };
    let list = match raw.as_bytes().first() {
        Some(b'[') => raw,
        // how Label Studio writes several choices
        Some(b'{') => match json::members(raw).ok()?.as_slice() {
            [(name, list)] if name == "choices" => list,
            _ => return None,
        },
        _ => return cell.text().ok().map(|label| vec![label]),
    };
    let entries = json::entries(list).ok()?;
    entries.into_iter().map(|entry| Cell::Json(entry).text().ok()).collect()
}

/// Hands over the facts about the item.
fn facts_in(
    plan: &Plan,
    out: &mut Output<'_>,
    record: &Record<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), Stop> {
    let item = draft.values[own::ITEM].text().unwrap_or_default();
    if item.is_empty() {
        return Err(Stop::record("the item is missing"));
    }
    for id in [own::ITEM, own::ANNOTATION] {
        if draft.values[id].text().is_some_and(|text| text.len() > ID_BYTES_MAX) {
            return Err(Stop::cell(
                ANNOTATIONS.columns[id].name,
                "the id is longer than 1 KiB; name items by a shorter one",
            ));
        }
    }
    // with several submissions a record, what is left of it belongs to the item
    let wildcard = plan.each.as_ref().is_some_and(Each::has_wildcard);
    let left = wildcard && !draft.extra.is_empty();
    if draft.facts.is_empty() && !left {
        return Ok(());
    }
    let mut values = vec![Value::Null; ITEMS.columns.len()];
    values[0] = Value::str(item);
    if let Some(source) = ITEMS.column("source") {
        values[source] = Value::str(&plan.source);
    }
    for (fact, value) in &draft.facts {
        values[*fact] = value.clone();
    }
    if let (true, Some(extra)) = (left, ITEMS.column("extra")) {
        values[extra] = Value::Text(Cow::Owned(std::mem::take(&mut draft.extra) + "}"));
    }
    if !out.item(&values)? {
        out.warn(
            "facts of an item that differ from those first read, kept in `extra`",
            Some(record.line),
        );
        for (column, value) in ITEMS.columns.iter().zip(&values).skip(1) {
            if column.name != "source" && *value != Value::Null {
                json::member(&mut draft.extra, &format!("item.{}", column.name));
                value.write_json(column.cell, &mut draft.extra);
            }
        }
    }
    Ok(())
}

/// Replaces a word outside a closed vocabulary by the default and keeps it in `extra`.
fn closed_word(
    draft: &mut Draft<'_>,
    column: usize,
    words: &[&'static str],
    default: &'static str,
) -> bool {
    let unknown = match draft.values[column].text() {
        Some(word) if words.contains(&word) => return true,
        Some(word) => Some(word.to_owned()),
        None => None,
    };
    draft.values[column] = Value::str(default);
    if let Some(word) = &unknown {
        json::member(&mut draft.extra, ANNOTATIONS.columns[column].name);
        json::quote(word, &mut draft.extra);
    }
    unknown.is_none()
}

/// Fills in what the record does not state.
fn fill<'a>(
    plan: &'a Plan,
    out: &mut Output<'_>,
    record: &Record<'_>,
    draft: &mut Draft<'a>,
) -> Result<(), Stop> {
    if !closed_word(draft, own::STATUS, &STATUSES, "submitted") {
        let kind = "status words that are none of ours, kept in `extra` \
                    (map them with `--value status:THEIRS=OURS`)";
        out.warn(kind, Some(record.line));
    }
    if !closed_word(draft, own::ORIGIN, &ORIGINS, "human") {
        let kind = "origin words that are none of ours, kept in `extra` \
                    (map them with `--value origin:THEIRS=OURS`)";
        out.warn(kind, Some(record.line));
    }
    let values = &mut draft.values;
    if plan.gold {
        if !draft.person.is_empty() {
            out.lost("identity facts of the people behind gold rows", Some(record.line));
        }
        values[own::ANNOTATOR] = Value::str("gold");
        values[own::GOLD] = Value::Bool(true);
    } else {
        let name = values[own::ANNOTATOR].text().unwrap_or("unknown");
        let name = if name.is_empty() { "unknown" } else { name };
        let id = match name.contains('@') || !draft.person.is_empty() {
            true => Some(out.person(name, &draft.person)?),
            false if name == "unknown" => Some(name.to_owned()),
            false => None,
        };
        if let Some(id) = id {
            values[own::ANNOTATOR] = Value::Text(Cow::Owned(id));
        }
    }
    if plan.source_forced || values[own::SOURCE] == Value::Null {
        values[own::SOURCE] = Value::str(&plan.source);
    }
    let bare =
        |id: &str| !["annotation/", "prediction/", "draft/"].iter().any(|p| id.starts_with(p));
    if (!plan.mapping.ours || plan.each.is_some())
        && let Some(id) = values[own::SUBMISSION].text().filter(|id| bare(id))
    {
        values[own::SUBMISSION] = Value::Text(Cow::Owned(format!("annotation/{id}")));
    }
    if !draft.parts.is_empty() {
        let parts: Option<Vec<f64>> = draft.parts.iter().copied().collect();
        let parts = parts.ok_or_else(|| {
            Stop::cell("geometry", "some numbers of the geometry are missing and others are not")
        })?;
        values[own::GEOMETRY] = Value::Floats(parts);
    }
    Ok(())
}

/// Gives a row its kind where it states none, and holds its geometry against its kind.
pub(super) fn settle_kind(values: &mut [Value<'_>]) -> Result<(), Stop> {
    default_kind(values)?;
    match (values[own::KIND].text(), &values[own::GEOMETRY]) {
        (Some(kind), Value::Floats(numbers)) => {
            shape::check(kind, numbers).map_err(|reason| Stop::cell("geometry", reason))
        }
        _ => Ok(()),
    }
}

/// Counts a row whose box has a negative side.
pub(super) fn warn_of_box(values: &[Value<'_>], out: &mut Output<'_>, record: &Record<'_>) {
    if let (Some(kind), Value::Floats(numbers)) = (values[own::KIND].text(), &values[own::GEOMETRY])
        && shape::is_negative(kind, numbers)
    {
        out.warn(shape::NEGATIVE, Some(record.line));
    }
}

/// Gives a row its kind, and the unit that goes with it, where it states none.
fn default_kind(values: &mut [Value<'_>]) -> Result<(), Stop> {
    if values[own::KIND].text().is_some_and(|kind| !kind.is_empty()) {
        return Ok(());
    }
    let (kind, unit) = match &values[own::GEOMETRY] {
        Value::Floats(numbers) => match numbers.len() {
            2 => ("span", Some("codepoint")),
            4 => ("bbox", Some("px")),
            5 => ("rotated_bbox", Some("px")),
            n => {
                let reason =
                    format!("a geometry of {n} numbers needs a kind (`--map kind=COLUMN`)");
                return Err(Stop::cell("geometry", reason));
            }
        },
        _ if values[own::LABEL] != Value::Null => ("choice", None),
        _ if values[own::TEXT] != Value::Null => ("text", None),
        _ if values[own::NUMBER] != Value::Null => ("number", None),
        _ => ("choice", None),
    };
    values[own::KIND] = Value::str(kind);
    if let (Value::Null, Some(unit)) = (&values[own::UNIT], unit) {
        values[own::UNIT] = Value::str(unit);
    }
    Ok(())
}

/// Closes an `extra` object, joined with the one that the record states itself.
pub(super) fn close_extra(stated: &Value<'_>, left: &str) -> Result<Value<'static>, Stop> {
    let stated = match stated.text() {
        None | Some("{}") => "",
        Some(text) => text,
    };
    if !stated.is_empty() && !stated.starts_with('{') {
        return Err(Stop::cell("extra", "expected a JSON object"));
    }
    match (stated.is_empty(), left.is_empty()) {
        (true, true) => Ok(Value::Null),
        (true, false) => Ok(Value::Text(Cow::Owned(format!("{left}}}")))),
        (false, true) => Ok(Value::Text(Cow::Owned(stated.to_owned()))),
        (false, false) => {
            let inner = stated.strip_suffix('}').unwrap_or(stated);
            let joined = format!("{inner},{}}}", left.trim_start_matches('{'));
            json::members(&joined).map_err(|e| Stop::cell("extra", e))?;
            Ok(Value::Text(Cow::Owned(joined)))
        }
    }
}

/// The rows of a record without nested lists: one, or one a label.
fn flat<'a>(
    plan: &'a Plan,
    out: &mut Output<'_>,
    record: &Record<'_>,
    mut draft: Draft<'a>,
) -> Result<(), Stop> {
    draft.values[own::EXTRA] = close_extra(&draft.values[own::EXTRA], &draft.extra)?;
    let states_field = draft.values[own::FIELD] != Value::Null;
    let labels = std::mem::take(&mut draft.labels);
    let mut values = draft.values;
    if !states_field {
        let column = labels.first().map_or(usize::MAX, |(column, _)| *column);
        values[own::FIELD] = Value::str(plan.field_of(column));
    }
    if plan.mapping.numbered && values[own::SEQ] == Value::Null {
        let number = i32::try_from(out.rows).ok();
        values[own::SEQ] = number.map_or(Value::Null, |n| Value::Int(i64::from(n)));
    }
    let mut labels = labels.into_iter();
    if let Some((_, label)) = labels.next() {
        values[own::LABEL] = Value::Text(label);
    }
    settle_kind(&mut values)?;
    warn_of_box(&values, out, record);
    let empty = [own::LABEL, own::GEOMETRY, own::TEXT, own::NUMBER]
        .iter()
        .all(|column| values[*column] == Value::Null);
    if empty && !plan.mapping.ours {
        let kind = "records without an answer; name its column with `--map label=COLUMN`, \
                    or a list of answers with `--each NAME`";
        out.warn(kind, Some(record.line));
    }
    out.annotation(&values)?;
    let first_id = match labels.len() {
        0 => String::new(),
        _ => values[own::ANNOTATION].text().unwrap_or_default().to_owned(),
    };
    for (n, (column, label)) in labels.enumerate() {
        [own::TEXT, own::NUMBER, own::EXTRA].iter().for_each(|c| values[*c] = Value::Null);
        if !states_field {
            values[own::FIELD] = Value::str(plan.field_of(column));
        }
        if !first_id.is_empty() {
            values[own::ANNOTATION] = Value::Text(Cow::Owned(format!("{first_id}/{}", n + 2)));
        }
        if plan.mapping.numbered {
            values[own::SEQ] = Value::Int(i64::from(i32::try_from(out.rows).unwrap_or(i32::MAX)));
        }
        values[own::LABEL] = Value::Text(label);
        out.annotation(&values)?;
    }
    Ok(())
}
